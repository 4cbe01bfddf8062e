//! CPACE-RISTR255-SHA512 (draft-irtf-cfrg-cpace): a key from a short code, of which whoever takes part without it can
//! try one guess, and nobody else any.
//!
//! Constant-time in the code and the scalars. Not audited.

use core_types::{RandomError, SecretBytes, SecureRandom};
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use ring::digest;
use zeroize::{Zeroize, Zeroizing};

/// A public share.
pub(crate) type Share = [u8; 32];

/// One side's secret scalar; erased on drop.
pub(crate) struct Secret(Zeroizing<Scalar>);

/// The session key: 64 bytes.
pub(crate) type SessionKey = SecretBytes<64>;

/// A secret scalar and the share that is sent for it.
pub(crate) fn begin(
    code: &[u8],
    context: &[u8],
    session: &[u8],
    rng: &dyn SecureRandom,
) -> Result<(Secret, Share), RandomError> {
    let mut wide = Zeroizing::new([0; 64]);
    rng.fill(wide.as_mut_slice())?;
    let scalar = Zeroizing::new(Scalar::from_bytes_mod_order_wide(&wide));
    let share = share(&generator(code, context, session), &scalar);
    Ok((Secret(scalar), share))
}

/// The session key of the initiator-responder setting; `None` when the peer's share is no point, or the neutral one.
pub(crate) fn finish(
    secret: &Secret,
    theirs: &Share,
    session: &[u8],
    (first, first_data): (&Share, &[u8]),
    (second, second_data): (&Share, &[u8]),
) -> Option<SessionKey> {
    let point = shared(&secret.0, theirs)?;
    let mut input = Zeroizing::new(Vec::with_capacity(512));
    for part in [
        b"CPaceRistretto255_ISK".as_slice(),
        session,
        point.as_slice(),
        first,
        first_data,
        second,
        second_data,
    ] {
        prefixed(&mut input, part);
    }
    SecretBytes::filled_by(|key| {
        key.copy_from_slice(digest::digest(&digest::SHA512, &input).as_ref());
        Ok::<(), core::convert::Infallible>(())
    })
    .ok()
}

fn share(generator: &RistrettoPoint, scalar: &Scalar) -> Share {
    #[expect(clippy::arithmetic_side_effects, reason = "scalar multiplication is total")]
    (generator * scalar).compress().to_bytes()
}

fn shared(scalar: &Scalar, theirs: &Share) -> Option<Zeroizing<[u8; 32]>> {
    let theirs = CompressedRistretto(*theirs).decompress()?;
    #[expect(clippy::arithmetic_side_effects, reason = "scalar multiplication is total")]
    let mut point = theirs * scalar;
    let bytes = (!point.is_identity()).then(|| Zeroizing::new(point.compress().to_bytes()));
    point.zeroize();
    bytes
}

/// The generator of a code in a context and a session.
fn generator(code: &[u8], context: &[u8], session: &[u8]) -> RistrettoPoint {
    let mut input = Zeroizing::new(Vec::with_capacity(512));
    prefixed(&mut input, b"CPaceRistretto255");
    let label_len = input.len();
    prefixed(&mut input, code);
    let code_len = input.len().saturating_sub(label_len);
    // The code fills the first block of SHA-512, less one byte.
    let zeros = (BLOCK_LEN - 1).saturating_sub(code_len).saturating_sub(label_len);
    prefixed(&mut input, &vec![0; zeros]);
    prefixed(&mut input, context);
    prefixed(&mut input, session);
    let mut uniform = Zeroizing::new([0; 64]);
    uniform.copy_from_slice(digest::digest(&digest::SHA512, &input).as_ref());
    RistrettoPoint::from_uniform_bytes(&uniform)
}

/// The length in LEB128, and the bytes.
fn prefixed(to: &mut Vec<u8>, part: &[u8]) {
    let mut rest = part.len();
    loop {
        let low = u8::try_from(rest & 0x7f).unwrap_or_default();
        rest >>= 7;
        if rest == 0 {
            to.push(low);
            break;
        }
        to.push(low | 0x80);
    }
    to.extend_from_slice(part);
}

/// Of SHA-512.
const BLOCK_LEN: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors() -> serde_json::Value {
        serde_json::from_str(include_str!("../tests/vectors/cpace_draft.json")).unwrap()
    }

    fn hex(value: &serde_json::Value) -> Vec<u8> {
        crate::testing::hex(value.as_str().unwrap())
    }

    fn scalar(value: &serde_json::Value) -> Scalar {
        Scalar::from_bytes_mod_order(hex(value).try_into().unwrap())
    }

    #[test]
    fn the_vectors_of_the_draft_come_out() {
        let all = vectors();
        let vector = &all["G_Coffee25519"];
        let (code, context, session) = (hex(&vector["PRS"]), hex(&vector["CI"]), hex(&vector["sid"]));
        let point = generator(&code, &context, &session);
        assert_eq!(point.compress().to_bytes().as_slice(), hex(&vector["g"]));
        let (ya, yb) = (scalar(&vector["ya"]), scalar(&vector["yb"]));
        let (first, second) = (share(&point, &ya), share(&point, &yb));
        assert_eq!(first.as_slice(), hex(&vector["Ya"]));
        assert_eq!(second.as_slice(), hex(&vector["Yb"]));
        assert_eq!(shared(&ya, &second).unwrap().as_slice(), hex(&vector["K"]));
        assert_eq!(shared(&yb, &first).unwrap().as_slice(), hex(&vector["K"]));
        let (ada, adb) = (hex(&vector["ADa"]), hex(&vector["ADb"]));
        for (own, theirs) in [(ya, &second), (yb, &first)] {
            let secret = Secret(Zeroizing::new(own));
            let key = finish(&secret, theirs, &session, (&first, &ada), (&second, &adb)).unwrap();
            assert_eq!(key.expose_secret().as_slice(), hex(&vector["ISK_IR"]));
        }
    }

    #[test]
    fn the_points_of_the_draft_are_taken_and_refused() {
        let all = vectors();
        let points = &all["G_Coffee25519_points"];
        let valid = &points["Valid"];
        let taken = shared(&scalar(&valid["s"]), &hex(&valid["X"]).try_into().unwrap());
        assert_eq!(taken.unwrap().as_slice(), hex(&valid["G.scalar_mult(s,decode(X))"]));
        for name in ["Invalid Y1", "Invalid Y2"] {
            let refused = shared(&scalar(&valid["s"]), &hex(&points[name]).try_into().unwrap());
            assert!(refused.is_none(), "{name}");
        }
    }

    #[test]
    fn another_code_context_or_session_gives_another_key() {
        let rng = core_types::SystemRandom::new();
        let key = |code: &[u8], context: &[u8], session: &[u8]| {
            let (left, left_share) = begin(b"code", b"context", b"session", &rng).unwrap();
            let (right, right_share) = begin(code, context, session, &rng).unwrap();
            let end = |secret: &Secret, theirs: &Share, session: &[u8]| {
                *finish(secret, theirs, session, (&left_share, b"1"), (&right_share, b"2"))
                    .unwrap()
                    .expose_secret()
            };
            end(&left, &right_share, b"session") == end(&right, &left_share, session)
        };
        assert!(key(b"code", b"context", b"session"));
        assert!(!key(b"coda", b"context", b"session"));
        assert!(!key(b"code", b"contexu", b"session"));
        assert!(!key(b"code", b"context", b"sessiom"));
    }
}
