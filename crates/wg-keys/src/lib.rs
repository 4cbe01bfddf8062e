#![doc = include_str!("../README.md")]

pub mod address;
pub mod config;
pub mod device;
pub mod error;
mod json;
mod key;
pub mod membership;
pub mod rotation;
mod secret_text;
pub mod state;
pub mod text;

pub use address::machine_address;
pub use config::{Interface, Peer, Prefix};
pub use error::KeyError;
pub use key::{KEY_LEN, KEY_TEXT_LEN, PresharedKey, PrivateKey, PublicKey};
pub use secret_text::SecretText;
pub use state::{MachineState, StateFile};
