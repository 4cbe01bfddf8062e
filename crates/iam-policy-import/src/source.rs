use crate::error::ImportError;

/// The most bytes a file of a source has.
pub const MAX_SOURCE_BYTES: usize = 8 << 20;

/// One file of a source: what it is called in messages, and what is in it.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "the caller builds it")]
pub struct SourceFile<'a> {
    /// What it is called.
    pub name: &'a str,
    /// What is in it.
    pub bytes: &'a [u8],
}

impl<'a> SourceFile<'a> {
    /// The text, within the bound.
    pub(crate) fn text(&self) -> Result<&'a str, ImportError> {
        if self.bytes.len() > MAX_SOURCE_BYTES {
            let place = self.name.to_owned();
            return Err(ImportError::TooMany { place, what: "bytes", limit: MAX_SOURCE_BYTES });
        }
        let bytes = self.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(self.bytes);
        str::from_utf8(bytes).map_err(|_| ImportError::malformed(self.name, "not UTF-8"))
    }
}

/// A part of a foreign text, short enough for a message.
pub(crate) fn shown(text: &str) -> String {
    let head: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().nth(80).is_some() { format!("`{head}…`") } else { format!("`{head}`") }
}
