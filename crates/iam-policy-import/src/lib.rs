#![doc = include_str!("../README.md")]

pub mod aws;
pub mod casbin;
mod directory;
mod error;
mod glob;
pub mod kubernetes;
mod network;
mod report;
mod source;
mod value;
mod verdict;
mod yaml;

pub use directory::Translation;
pub use error::{ImportError, RequestError};
pub use report::{Entry, Fidelity, Report};
pub use source::{MAX_SOURCE_BYTES, SourceFile};
pub use verdict::{Reason, Verdict};
