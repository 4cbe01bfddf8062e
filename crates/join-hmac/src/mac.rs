//! SHA-256, HMAC (RFC 2104) and HKDF (RFC 5869) as the join uses them.

use ring::{digest, hmac};

/// Bytes of a digest and of a MAC.
pub(crate) const LEN: usize = 32;

pub(crate) type Digest = [u8; LEN];

/// A hash over parts, each preceded by its length in four bytes, big-endian: no two sequences of parts are alike.
#[derive(Clone)]
pub(crate) struct Parts {
    hash: digest::Context,
}

impl Parts {
    /// Begins with `label`.
    pub(crate) fn new(label: &str) -> Self {
        Self { hash: digest::Context::new(&digest::SHA256) }.with(label.as_bytes())
    }

    pub(crate) fn with(mut self, part: &[u8]) -> Self {
        self.add(part);
        self
    }

    pub(crate) fn add(&mut self, part: &[u8]) {
        self.hash.update(&length(part));
        self.hash.update(part);
    }

    pub(crate) fn value(&self) -> Digest {
        array(self.hash.clone().finish().as_ref())
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    array(digest::digest(&digest::SHA256, bytes).as_ref())
}

pub(crate) fn sign(key: &[u8], message: &[u8]) -> Digest {
    array(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref())
}

/// Constant-time in the MAC.
pub(crate) fn verify(key: &[u8], message: &[u8], mac: &[u8]) -> bool {
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), message, mac).is_ok()
}

/// HKDF-Extract.
pub(crate) fn extract(salt: &[u8], input: &[u8]) -> Digest {
    sign(salt, input)
}

/// HKDF-Expand of one block.
pub(crate) fn expand(key: &[u8], info: &[u8]) -> Digest {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    context.update(info);
    context.update(&[1]);
    array(context.sign().as_ref())
}

pub(crate) fn length(part: &[u8]) -> [u8; 4] {
    u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes()
}

fn array(bytes: &[u8]) -> Digest {
    let mut digest = [0; LEN];
    digest.copy_from_slice(bytes);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    #[test]
    fn the_vectors_of_rfc_4231_come_out() {
        let long = [0xaa; 131];
        let counting: Vec<u8> = (1..=25).collect();
        let rows: [(&[u8], &[u8], &str); 6] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (&counting, &[0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
            (&long, b"Test Using Larger Than Block-Size Key - Hash Key First", "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
            (&long, b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.", "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
        ];
        for (key, message, mac) in rows {
            let mac = hex(mac);
            assert_eq!(sign(key, message).as_slice(), mac);
            assert!(verify(key, message, &mac));
            assert!(!verify(key, message, &mac[..16]), "a truncated MAC is none");
        }
        // Case 5 is of a MAC truncated to 128 bits, which is never used here.
        assert_eq!(sign(&[0x0c; 20], b"Test With Truncation")[..16], hex("a3b6167473100ee06e0c796c2955552b"));
    }

    #[test]
    fn the_vectors_of_rfc_5869_come_out() {
        // Their first block is what is used here.
        let ikm = [0x0b; 22];
        let salt: Vec<u8> = (0..=0x0c).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let prk = extract(&salt, &ikm);
        assert_eq!(prk.as_slice(), hex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"));
        assert_eq!(
            expand(&prk, &info).as_slice(),
            hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf")
        );
        let ikm: Vec<u8> = (0..0x50).collect();
        let salt: Vec<u8> = (0x60..=0xaf).collect();
        let info: Vec<u8> = (0xb0..=0xff).collect();
        let prk = extract(&salt, &ikm);
        assert_eq!(prk.as_slice(), hex("06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244"));
        assert_eq!(
            expand(&prk, &info).as_slice(),
            hex("b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c")
        );
        let prk = extract(b"", &[0x0b; 22]);
        assert_eq!(prk.as_slice(), hex("19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04"));
        assert_eq!(
            expand(&prk, b"").as_slice(),
            hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d")
        );
    }

    #[test]
    fn parts_that_are_cut_elsewhere_hash_to_something_else() {
        let hash = |parts: &[&[u8]]| parts.iter().fold(Parts::new("x"), |all, part| all.with(part)).value();
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
        assert_ne!(hash(&[b"", b"a"]), hash(&[b"a"]));
    }
}
