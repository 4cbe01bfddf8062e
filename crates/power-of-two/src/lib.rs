#![doc = include_str!("../README.md")]

#[cfg(target_arch = "x86_64")]
mod ifma;
mod power;
mod scalar;

pub use power::{Path, power_of_two};
