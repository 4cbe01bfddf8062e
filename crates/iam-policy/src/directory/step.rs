//! Where another thread may come between. Nothing at all, but in the tests that try out every order.

#[cfg(not(test))]
#[inline]
pub(super) const fn step() {}

#[cfg(test)]
pub(super) use super::orders::step;
