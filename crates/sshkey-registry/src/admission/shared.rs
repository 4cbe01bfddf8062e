use num_bigint::BigUint;
use num_integer::Integer;

use crate::key::{Material, PublicKey};

/// The first of `others` whose modulus has a prime factor in common with `key`'s, so that anyone who has both computes
/// both private keys; `None` when there is none, or `key` is no RSA key.
///
/// Keys with the same modulus are the same key pair, and are passed over. The work is linear in the number of keys: for
/// each 64 of them their product, one division and one greatest common divisor. Ask on demand, not on every upload.
#[must_use]
pub fn shared_factor<'a>(
    key: &PublicKey,
    others: impl IntoIterator<Item = &'a PublicKey>,
) -> Option<&'a PublicKey> {
    let modulus = modulus_of(key).filter(|modulus| modulus.bits() > 1)?;
    let mut others = others.into_iter().filter_map(|other| {
        let theirs = modulus_of(other).filter(|theirs| theirs.bits() > 1 && *theirs != modulus)?;
        Some((other, theirs))
    });
    loop {
        let batch: Vec<_> = others.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return None;
        }
        let product: BigUint = batch.iter().map(|(_, theirs)| theirs).product();
        // Only what remains of the product matters, and is far shorter.
        if product.mod_floor(&modulus).gcd(&modulus).bits() > 1 {
            return batch
                .into_iter()
                .find(|(_, theirs)| theirs.gcd(&modulus).bits() > 1)
                .map(|(other, _)| other);
        }
    }
}

fn modulus_of(key: &PublicKey) -> Option<BigUint> {
    match key.material() {
        Material::Rsa { modulus, .. } => Some(BigUint::from_bytes_be(modulus)),
        _ => None,
    }
}

const BATCH: usize = 64;
