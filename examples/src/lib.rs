#![doc = include_str!("../../README.md")]

pub mod backend;
pub mod cli;
pub mod control_plane;
pub mod demo;
mod entry;
mod files;
pub mod join;
pub mod mesh;
mod prometheus;
