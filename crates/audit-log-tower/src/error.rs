use core::fmt;

use thiserror::Error;

use crate::inventory::RouteName;

/// Why there is no inventory, or no layer: do not serve.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InventoryError {
    /// Routes that change something, and of which no change would be recorded.
    #[error("mutating routes without an audit class: {}", Names(routes))]
    Unaudited {
        /// All of them.
        routes: Vec<RouteName>,
    },
    /// Routes that change something and were given the class of reads.
    #[error("mutating routes with the class of reads: {}", Names(routes))]
    Misclassified {
        /// All of them.
        routes: Vec<RouteName>,
    },
    /// Routes that were named twice.
    #[error("routes named twice: {}", Names(routes))]
    Twice {
        /// All of them.
        routes: Vec<RouteName>,
    },
    /// Routes that are served, or for which a layer was wanted, and that are not in the inventory.
    #[error("routes that are not in the inventory: {}", Names(routes))]
    Unknown {
        /// All of them.
        routes: Vec<RouteName>,
    },
    /// Routes of the inventory for which no layer was made: they are not served, or served without one.
    #[error("routes without their audit layer: {}", Names(routes))]
    Unlayered {
        /// All of them.
        routes: Vec<RouteName>,
    },
}

/// Why a text is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// Not `ADDRESS` or `ADDRESS/LENGTH`.
    #[error("not an address or ADDRESS/LENGTH")]
    Form,
    /// Bits are set beyond the network's length: which network is meant is not guessed.
    #[error("bits are set beyond the network's length")]
    HostBits,
}

struct Names<'a>(&'a [RouteName]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(at, name)| {
            f.write_str(if at == 0 { "" } else { ", " })?;
            name.fmt(f)
        })
    }
}
