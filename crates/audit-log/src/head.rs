//! The file `head`: how far the log had come at least. It stands apart from the segments, so that losing the
//! newest records does not go unseen.

use std::io;

use crate::checkpoint::Checkpoint;
use crate::files::{self, Directory, OpenFile};
use crate::hex;

/// What `head` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// The log reached this: a lower bound while it is being written, exact after a clean close.
    pub(crate) reached: Checkpoint,
    /// Every intent before this sequence was completed when `head` was written.
    pub(crate) open_from: u64,
}

/// What there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Head(Head),
    Missing,
    Malformed,
}

impl Head {
    pub(crate) fn encode(&self) -> String {
        let body = format!("{TITLE}\n{}\nopen-from {}\n", self.reached, self.open_from);
        let crc = crc32fast::hash(body.as_bytes());
        format!("{body}crc32 {crc:08x}\n")
    }

    pub(crate) fn decode(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        lines.next().filter(|line| *line == TITLE)?;
        let reached = lines.next()?.parse().ok()?;
        let open_from = hex::parse_decimal(lines.next()?.strip_prefix("open-from ")?)?;
        let head = Self { reached, open_from };
        // One spelling: this also compares the checksum, and refuses what follows it.
        (head.encode() == text).then_some(head)
    }

    pub(crate) fn read(directory: &dyn Directory) -> io::Result<Found> {
        let file = match directory.open(HEAD, OpenFile::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
            Err(error) => return Err(error),
        };
        let mut buffer = [0; MAX_HEAD_BYTES];
        let bytes = files::read_up_to(&*file, &mut buffer, 0)?;
        Ok(str::from_utf8(bytes).ok().and_then(Self::decode).map_or(Found::Malformed, Found::Head))
    }

    pub(crate) fn write(&self, directory: &dyn Directory) -> io::Result<()> {
        files::replace(directory, HEAD, self.encode().as_bytes())
    }
}

/// Its file name.
pub(crate) const HEAD: &str = "head";
const TITLE: &str = "palisade audit-log head 1";
const MAX_HEAD_BYTES: usize = 512;
