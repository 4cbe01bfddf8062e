//! The benches are under `benches/`, one file per crate: each hot path beside its floor and its rivals, over
//! the same inputs, in the same run. Read the ratios; machines are noisy.
