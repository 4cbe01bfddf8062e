use super::wire::{Field, Reader, bit_len};
use super::{Curve, KeyType, MAX_RSA_BITS, Material};
use crate::error::KeyError;

/// Where the parts of a key stand in its blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Ed25519 { point: Field },
    Rsa { exponent: Field, modulus: Field },
    Ecdsa { curve: Curve, point: Field },
    SkEd25519 { point: Field, application: Field },
    SkEcdsa { point: Field, application: Field },
    MlDsa44Ed25519 { keys: Field },
}

impl Shape {
    /// The shape of a blob that is exactly one key in canonical form.
    pub(super) fn read(blob: &[u8]) -> Result<Self, KeyError> {
        let mut reader = Reader::new(blob);
        let name = reader.string()?.of(blob);
        let name = core::str::from_utf8(name).map_err(|_| KeyError::UnknownType)?;
        let shape = match KeyType::from_name(name).ok_or_else(|| super::line::refused_type(name))? {
            KeyType::Ed25519 => Self::Ed25519 { point: fixed(&mut reader, blob, ED25519_LEN)? },
            KeyType::Rsa => {
                // The exponent stands first (RFC 4253 6.6).
                let exponent = reader.unsigned(MAX_RSA_BITS)?;
                Self::Rsa { exponent, modulus: reader.unsigned(MAX_RSA_BITS)? }
            }
            KeyType::EcdsaP256 => ecdsa(&mut reader, blob, Curve::P256)?,
            KeyType::EcdsaP384 => ecdsa(&mut reader, blob, Curve::P384)?,
            KeyType::EcdsaP521 => ecdsa(&mut reader, blob, Curve::P521)?,
            KeyType::SkEd25519 => {
                let point = fixed(&mut reader, blob, ED25519_LEN)?;
                Self::SkEd25519 { point, application: application(&mut reader, blob)? }
            }
            KeyType::SkEcdsaP256 => {
                let point = point(&mut reader, blob, Curve::P256)?;
                Self::SkEcdsa { point, application: application(&mut reader, blob)? }
            }
            KeyType::MlDsa44Ed25519 => Self::MlDsa44Ed25519 {
                keys: fixed(&mut reader, blob, MLDSA44_LEN.saturating_add(ED25519_LEN))?,
            },
        };
        reader.finish()?;
        Ok(shape)
    }

    pub(super) const fn key_type(self) -> KeyType {
        match self {
            Self::Ed25519 { .. } => KeyType::Ed25519,
            Self::Rsa { .. } => KeyType::Rsa,
            Self::Ecdsa { curve: Curve::P256, .. } => KeyType::EcdsaP256,
            Self::Ecdsa { curve: Curve::P384, .. } => KeyType::EcdsaP384,
            Self::Ecdsa { curve: Curve::P521, .. } => KeyType::EcdsaP521,
            Self::SkEd25519 { .. } => KeyType::SkEd25519,
            Self::SkEcdsa { .. } => KeyType::SkEcdsaP256,
            Self::MlDsa44Ed25519 { .. } => KeyType::MlDsa44Ed25519,
        }
    }

    pub(super) fn bits(self, blob: &[u8]) -> u32 {
        match self {
            Self::Rsa { modulus, .. } => bit_len(modulus.of(blob)),
            Self::Ecdsa { curve: Curve::P384, .. } => 384,
            Self::Ecdsa { curve: Curve::P521, .. } => 521,
            // OpenSSH gives the composite type Ed25519's size.
            Self::Ed25519 { .. }
            | Self::Ecdsa { curve: Curve::P256, .. }
            | Self::SkEd25519 { .. }
            | Self::SkEcdsa { .. }
            | Self::MlDsa44Ed25519 { .. } => 256,
        }
    }

    pub(super) fn material(self, blob: &[u8]) -> Material<'_> {
        match self {
            Self::Ed25519 { point } => Material::Ed25519 { point: point.of(blob) },
            Self::Rsa { exponent, modulus } => {
                Material::Rsa { exponent: exponent.of(blob), modulus: modulus.of(blob) }
            }
            Self::Ecdsa { curve, point } => Material::Ecdsa { curve, point: point.of(blob) },
            Self::SkEd25519 { point, application } => {
                Material::SkEd25519 { point: point.of(blob), application: application.of(blob) }
            }
            Self::SkEcdsa { point, application } => {
                Material::SkEcdsa { point: point.of(blob), application: application.of(blob) }
            }
            Self::MlDsa44Ed25519 { keys } => {
                Material::MlDsa44Ed25519 { point: keys.of(blob).get(MLDSA44_LEN..).unwrap_or_default() }
            }
        }
    }
}

impl Curve {
    /// The name inside a blob (RFC 5656 6.1 and 10.1).
    const fn name(self) -> &'static str {
        match self {
            Self::P256 => "nistp256",
            Self::P384 => "nistp384",
            Self::P521 => "nistp521",
        }
    }

    /// How many bytes a coordinate has.
    const fn coordinate_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

fn ecdsa(reader: &mut Reader<'_>, blob: &[u8], curve: Curve) -> Result<Shape, KeyError> {
    Ok(Shape::Ecdsa { curve, point: point(reader, blob, curve)? })
}

/// The curve's name, then an uncompressed point of the curve's length (SEC 1 2.3.3).
fn point(reader: &mut Reader<'_>, blob: &[u8], curve: Curve) -> Result<Field, KeyError> {
    if reader.string()?.of(blob) != curve.name().as_bytes() {
        return Err(KeyError::CurveMismatch);
    }
    let field = reader.string()?;
    let bytes = field.of(blob);
    let coordinates = curve.coordinate_len().saturating_mul(2);
    match bytes.split_first() {
        Some((&UNCOMPRESSED, xy)) if xy.len() == coordinates => Ok(field),
        Some((0x02 | 0x03 | 0x06 | 0x07, _)) => Err(KeyError::PointForm),
        Some((0x00, [])) => Err(KeyError::PointAtInfinity),
        _ => Err(KeyError::WrongLength),
    }
}

/// Printable ASCII without blanks; OpenSSH reads a C string here, and some programs a text.
fn application(reader: &mut Reader<'_>, blob: &[u8]) -> Result<Field, KeyError> {
    let field = reader.string()?;
    let printable = field.of(blob).iter().all(u8::is_ascii_graphic);
    if printable { Ok(field) } else { Err(KeyError::ApplicationCharacter) }
}

fn fixed(reader: &mut Reader<'_>, blob: &[u8], len: usize) -> Result<Field, KeyError> {
    let field = reader.string()?;
    if field.of(blob).len() == len { Ok(field) } else { Err(KeyError::WrongLength) }
}

const ED25519_LEN: usize = 32;
/// FIPS 204, table 2.
const MLDSA44_LEN: usize = 1312;
const UNCOMPRESSED: u8 = 0x04;
