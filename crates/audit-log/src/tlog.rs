//! Proofs for strangers: Merkle trees over the log's records (RFC 6962), as static files in the format
//! `c2sp.org/tlog-tiles`.
//!
//! Each tenant has a tree of its own, with a leaf for each of its records and for nothing else: a head of `n` leaves
//! says that there are exactly `n` records, and says nothing about anybody else's. One more tree holds the log's
//! epochs, each of which binds the heads of all tenants by position.

mod bound;
mod edge;
mod epoch;
mod error;
mod files;
mod hash;
mod head;
mod heads;
mod leaf;
mod note;
mod proof;
mod prover;
mod publisher;
mod reader;
mod receipt;
mod source;
mod state;
mod store;
mod tile;

pub use bound::{EpochProof, MAX_EPOCH_PROOF_BYTES, ProvenEpoch};
pub use error::{BundleError, NoteError, ProofError, ProveError, PublishError, SignError, StoreError};
pub use hash::Hash;
pub use head::{MAX_ORIGIN_BYTES, Origin, TreeHead};
pub use note::{
    Ed25519Signer, MAX_KEY_NAME_BYTES, MAX_LOG_NAME_BYTES, MAX_NOTE_BYTES, MAX_SIGNATURES, SignedNote,
    Signer, VerifierKey,
};
pub use proof::{
    MAX_TREE_SIZE, Subtree, consistency_path, inclusion_path, verify_consistency, verify_inclusion,
};
pub use prover::Prover;
pub use publisher::{MAX_STEP_BYTES, MAX_STEP_RECORDS, Progress, Publisher};
pub use reader::TileReader;
pub use receipt::{MAX_EXTRA_BYTES, MAX_PROOF_BYTES, ProvenRecord, TlogProof};
pub use store::{PROOFS, SystemTiles, TileStore};
pub use tile::{MAX_BUNDLE_BYTES, MAX_LEAF_BYTES, TILE_WIDTH, TilePath, read_bundle};

pub(crate) use edge::Frontier;
pub(crate) use epoch::Epoch;
pub(crate) use files::{Flaw, TreeFiles};
pub(crate) use heads::Heads;
pub(crate) use leaf::Leaf;
pub(crate) use publisher::{CHECKPOINT, EPOCHS, KEY, STATE, block_file, tenant_folder};
pub(crate) use state::{HeadLine, State};

#[cfg(feature = "testing")]
pub(crate) fn publish_tree(store: &dyn TileStore, folder: &str, leaves: &[Vec<u8>]) -> Option<Hash> {
    let mut edge = edge::Edge::default();
    TreeFiles { store, folder }.append(&mut edge, leaves).ok()?;
    Some(edge.root())
}
