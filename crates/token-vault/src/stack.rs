//! The stack that is left behind.
//!
//! What is erased when it is dropped may have been moved before, and a library that digests it keeps a block of it in
//! a frame of its own: the copies stay on the stack until something else is called.

use core::hint::black_box;

/// Has `work` done, and overwrites the stack that it used.
#[inline]
pub(crate) fn clear_after<T>(work: impl FnOnce() -> T) -> T {
    let done = below(work);
    clear();
    done
}

/// In a frame below the caller's, so that nothing of it is in that.
#[inline(never)]
fn below<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn clear() {
    let mut used = [0_u8; USED_BYTES];
    black_box(&mut used);
}

/// More than what is used; frames are several times larger without optimisation.
const USED_BYTES: usize = if cfg!(debug_assertions) { 32 << 10 } else { 4 << 10 };
