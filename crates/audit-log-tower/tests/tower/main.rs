//! The layer and its inventory, in front of a service that does as it is told.

mod inventory;
mod layer;
mod support;
