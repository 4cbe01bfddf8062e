//! Cookies: what a source gets back only if it is where it says, and costs no memory to give.

use core::net::IpAddr;

use super::clock::Monotonic;
use super::limits::prefix;
use crate::mac::{self, Digest, Parts};

/// How long a cookie is good: between one and two of these.
const BUCKET_MILLIS: u64 = 10_000;

#[derive(Clone)]
pub(super) struct Cookies {
    key: [u8; 32],
}

impl Cookies {
    pub(super) const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The cookie for a message without one.
    pub(super) fn bake(&self, source: IpAddr, hello: &[u8], now: Monotonic) -> Digest {
        self.of(bucket(now), source, hello)
    }

    /// Whether it is the cookie of now or of just before. Constant-time.
    pub(super) fn is_good(&self, cookie: &Digest, source: IpAddr, hello: &[u8], now: Monotonic) -> bool {
        let present = bucket(now);
        [Some(present), present.checked_sub(1)]
            .into_iter()
            .flatten()
            .any(|bucket| mac::verify(&self.key, &message(bucket, source, hello), cookie))
    }

    fn of(&self, bucket: u64, source: IpAddr, hello: &[u8]) -> Digest {
        mac::sign(&self.key, &message(bucket, source, hello))
    }
}

fn bucket(now: Monotonic) -> u64 {
    now.as_millis().checked_div(BUCKET_MILLIS).unwrap_or_default()
}

fn message(bucket: u64, source: IpAddr, hello: &[u8]) -> Digest {
    Parts::new("palisade-join/1 cookie").with(&bucket.to_be_bytes()).with(&prefix(source)).with(hello).value()
}
