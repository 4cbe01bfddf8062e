#![doc = include_str!("../README.md")]

mod count;
mod credential;
mod layer;

pub use count::{CountUses, Counting, Uncounted};
pub use credential::{Credentials, X_API_KEY};
pub use layer::{ClientAddress, TokenLayer, TokenService};
