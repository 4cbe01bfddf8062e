//! Who is in the mesh, by signed records that every machine reads from the cluster's store.
//!
//! A machine signs a [`KeyRecord`] with its identity for every key it will use; each names the one before. Records are
//! public and lie in the store, which is not trusted with more than keeping them: it can withhold a record, and it can
//! neither make nor change one. What identities are trusted, and which prefixes each of them may claim, comes from where
//! machines join, through [`IdentityTrust`]. A [`Directory`] takes records in the order in which they were stored; one
//! that it refuses changes nothing and is reported.
//!
//! # The record, byte by byte
//!
//! Integers are big-endian. The signature is Ed25519 (RFC 8032 §5.1) over everything before it; the domain at the start
//! is signed too, so that a signature of this kind is none of another.
//!
//! | Offset | Bytes | |
//! |---|---|---|
//! | 0 | 27 | `palisade/wg-keys/record/v1` and a zero byte |
//! | 27 | 16 | the machine's id |
//! | 43 | 8 | epoch: the number of the machine's record, from 1 |
//! | 51 | 32 | public key |
//! | 83 | 32 | public key of the record before; zeros in a first record |
//! | 115 | 32 | BLAKE2s-256 of the whole record before, signature included; zeros in a first record |
//! | 147 | 32 | agreement key, for preshared keys |
//! | 179 | 8 | not before, Unix milliseconds |
//! | 187 | 8 | expires, Unix milliseconds |
//! | 195 | 1 | number of endpoints, at most 8 |
//! | | | each: `04`, 4 bytes of address, 2 of port; or `06`, 16 and 2 |
//! | | 1 | number of prefixes, at most 32 |
//! | | | each: `04`, 4 bytes of address, 1 of length; or `06`, 16 and 1; ascending |
//! | | 64 | signature |
//!
//! There is one encoding of a record: endpoints have a port and are not repeated, IPv4 is not written as IPv6, prefixes
//! have no bit set after their length. In the store it is the record `wg-keys/key-record`, version 1, whose data is the
//! base64 of these bytes, under `wg-keys/records/<machine>/<epoch, 16 hexadecimal digits>`. It is written where nothing
//! is, so two writers of one epoch do not both succeed.

mod desired;
mod directory;
mod identity;
pub(crate) mod psk;
mod record;
mod store;

pub use desired::{Desired, Warning};
pub use directory::{Directory, Found, Member, Refused, Report};
pub use identity::{IdentityKey, IdentityTrust, RecordSigner, Standing, TrustedIdentities};
pub use psk::{MAX_PSK_SKEW, MIN_PSK_PERIOD, PskSchedule};
pub use record::{KeyRecord, MAX_ENDPOINTS, MAX_RECORD_PREFIXES, RecordHash, SignedRecord, VerifiedRecord};
pub use store::{RECORDS, load, prune, publication, publish, record_key, stored};
