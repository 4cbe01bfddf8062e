#![doc = include_str!("../README.md")]

pub mod error;
#[cfg(feature = "microcloud")]
pub mod microcloud;
pub mod words;
