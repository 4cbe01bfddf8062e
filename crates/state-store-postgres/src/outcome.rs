use core::fmt;
use core::str::FromStr;

use state_store::Revision;

use crate::error::CommitIdError;

/// Names one commit, before it is made: whoever loses the answer asks for its outcome by this.
///
/// Its text is 64 lower-case hexadecimal digits. It is good for as long as the store's history goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommitId {
    // Random bytes of the node, its counter, and the revision it had heard of: so ids of one node ascend, and
    // it can be told whether one is older than what the store still remembers.
    bytes: [u8; 32],
}

impl CommitId {
    pub(crate) fn new(node: &[u8; 16], count: u64, seen: u64) -> Self {
        let mut bytes = [0; 32];
        let parts = node.iter().chain(&count.to_be_bytes()).copied().collect::<Vec<u8>>();
        for (to, from) in bytes.iter_mut().zip(parts.into_iter().chain(seen.to_be_bytes())) {
            *to = from;
        }
        Self { bytes }
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The last revision its node had heard of when it was made.
    pub(crate) fn seen(&self) -> u64 {
        self.bytes.iter().skip(24).fold(0, |number, &byte| (number << 8) | u64::from(byte))
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for CommitId {
    type Err = CommitIdError;

    fn from_str(text: &str) -> Result<Self, CommitIdError> {
        if text.len() != 64 {
            return Err(CommitIdError);
        }
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte.wrapping_sub(b'0')),
            b'a'..=b'f' => Ok(byte.wrapping_sub(b'a').wrapping_add(10)),
            _ => Err(CommitIdError),
        };
        let mut bytes = [0; 32];
        for (to, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let &[high, low] = pair else { return Err(CommitIdError) };
            *to = (digit(high)? << 4) | digit(low)?;
        }
        Ok(Self { bytes })
    }
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "another outcome must break the caller")]
pub enum Outcome {
    /// It took effect, at this revision.
    Committed(Revision),
    /// It wrote nothing, and never will.
    NothingWritten,
    /// It is older than what the store remembers.
    Forgotten,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = CommitId::new(&[0xa5; 16], 7, 0x0102_0304_0506_0708);
        assert_eq!(id.seen(), 0x0102_0304_0506_0708);
        let text = id.to_string();
        assert_eq!(text.parse(), Ok(id));
        for other in
            [text.to_uppercase(), text.replacen("a5", "a", 1), format!("{text}0"), text.replace('a', "g")]
        {
            assert_eq!(other.parse::<CommitId>(), Err(CommitIdError), "{other}");
        }
    }
}
