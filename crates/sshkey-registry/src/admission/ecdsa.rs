use crate::error::Refusal;
use crate::key::Curve;

/// That the coordinates are below the field's prime and on the curve (SEC 1 3.2.2.1; the cofactor is 1).
///
/// The parser has already refused every form but the uncompressed one.
pub(super) fn check(curve: Curve, point: &[u8]) -> Result<(), Refusal> {
    let on_curve = match curve {
        Curve::P256 => p256::PublicKey::from_sec1_bytes(point).is_ok(),
        Curve::P384 => p384::PublicKey::from_sec1_bytes(point).is_ok(),
        Curve::P521 => p521::PublicKey::from_sec1_bytes(point).is_ok(),
    };
    if on_curve { Ok(()) } else { Err(Refusal::EcdsaNotOnCurve) }
}
