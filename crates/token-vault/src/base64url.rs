//! base64url without padding (RFC 4648 5), one spelling.

use base64ct::{Base64UrlUnpadded, Encoding};

pub(crate) fn encode(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let bytes = Base64UrlUnpadded::decode_vec(text).ok()?;
    // Loose bits at the end would be another spelling.
    (encode(&bytes) == text).then_some(bytes)
}
