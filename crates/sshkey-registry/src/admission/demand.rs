use crate::authorized_keys::{Clause, Feature, Options};
use crate::error::OptionsError;
use crate::key::KeyType;

/// What the owner of a security key must do at each login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Demand {
    pub(super) touch: bool,
    pub(super) verification: bool,
}

impl Demand {
    /// The options that are wanted for a key of this type, and those that make sshd ask.
    pub(crate) fn on(self, key_type: KeyType, wanted: Options) -> Result<Options, OptionsError> {
        if !key_type.is_security_key() {
            return Ok(wanted);
        }
        if self.touch && !wanted.allows(Feature::TouchRequired) {
            return Err(OptionsError::TouchWaived);
        }
        if self.verification && !wanted.allows(Feature::VerifyRequired) {
            // Of several, sshd takes the last.
            return wanted.with(Clause::On(Feature::VerifyRequired));
        }
        Ok(wanted)
    }
}
