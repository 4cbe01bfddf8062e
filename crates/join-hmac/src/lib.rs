#![doc = include_str!("../README.md")]

pub mod cluster;
pub mod code;
mod cpace;
pub mod error;
pub mod human;
pub mod join;
mod mac;
#[cfg(feature = "microcloud")]
pub mod microcloud;
#[cfg(feature = "testing")]
pub mod testing;
pub mod ticket;
pub mod trust;
pub mod wire;
pub mod words;
