use curve25519_dalek::edwards::CompressedEdwardsY;

use crate::error::Refusal;

/// That the bytes are the one spelling of a point of the curve whose order is not a divisor of 8.
///
/// For a point of small order `A`, the equation that a verifier checks (RFC 8032 5.1.7), `[8][S]B = [8]R + [8][k]A`,
/// no longer depends on the message, or does so in one of eight ways.
pub(crate) fn check(bytes: &[u8]) -> Result<(), Refusal> {
    let compressed = CompressedEdwardsY::from_slice(bytes).map_err(|_| Refusal::Ed25519NotOnCurve)?;
    let point = compressed.decompress().ok_or(Refusal::Ed25519NotOnCurve)?;
    // The library reads y modulo p, and x = 0 under either sign; it writes one spelling.
    if point.compress() != compressed {
        return Err(Refusal::Ed25519NotCanonical);
    }
    if point.is_small_order() { Err(Refusal::Ed25519SmallOrder) } else { Ok(()) }
}
