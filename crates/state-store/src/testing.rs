//! What tests of backends share.
