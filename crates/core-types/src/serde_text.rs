//! serde for the types whose document form is their one text form.

/// Serializes through `Display`, deserializes through `FromStr`.
macro_rules! impl_text {
    (impl[$($generics:tt)*] $type:ty) => {
        impl<$($generics)*> serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de, $($generics)*> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text<T>(core::marker::PhantomData<T>);
                impl<T> serde::de::Visitor<'_> for Text<T>
                where
                    T: core::str::FromStr<Err = crate::ParseError>,
                {
                    type Value = T;

                    fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                        f.write_str("its text form")
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text(core::marker::PhantomData))
            }
        }
    };
}

pub(crate) use impl_text;
