//! The words after the verb, and the documents they name.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read};
use std::str::FromStr;

use core_types::{Clock as _, SystemClock, UnixTime};
use iam_policy::document::{DirectoryDocument, MAX_DOCUMENT_BYTES};

use super::super::{CliError, Streams};

/// `--name VALUE` each once, and the other words.
pub(super) struct Arguments {
    named: BTreeMap<String, String>,
    words: Vec<String>,
    pub(super) json: bool,
}

impl Arguments {
    /// Reads the words; `known` are the names, beside `--json` and `--now MILLISECONDS`.
    pub(super) fn read(mut parser: lexopt::Parser, known: &[&str]) -> Result<Self, CliError> {
        use lexopt::prelude::ValueExt as _;
        let (mut named, mut words, mut json) = (BTreeMap::new(), Vec::new(), false);
        while let Some(argument) = parser.next()? {
            match argument {
                lexopt::Arg::Long("json") => json = true,
                lexopt::Arg::Long(name) if name == "now" || known.contains(&name) => {
                    let name = name.to_owned();
                    let value = parser.value()?.string()?;
                    if named.contains_key(&name) {
                        return Err(CliError::usage(format!("--{name} is there twice")));
                    }
                    named.insert(name, value);
                }
                lexopt::Arg::Value(word) => words.push(word.string()?),
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(Self { named, words, json })
    }

    pub(super) fn optional(&self, name: &str) -> Option<&str> {
        self.named.get(name).map(String::as_str)
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, CliError> {
        self.optional(name).ok_or_else(|| CliError::usage(format!("--{name} is missing")))
    }

    /// The one file, as a word or as `--policies`.
    pub(super) fn file(&self) -> Result<&str, CliError> {
        match (self.words.as_slice(), self.optional("policies")) {
            ([word], None) => Ok(word),
            ([], Some(file)) => Ok(file),
            _ => Err(CliError::usage("one FILE or `-` is needed")),
        }
    }

    /// These many words, no more and no fewer.
    pub(super) fn words<const N: usize>(&self, usage: &str) -> Result<[&str; N], CliError> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        words.try_into().map_err(|_| CliError::usage(format!("usage: palisade {usage}")))
    }

    /// The instant of all questions that do not say theirs.
    pub(super) fn now(&self) -> Result<UnixTime, CliError> {
        match self.optional("now") {
            None => Ok(SystemClock::new().now()),
            Some(text) => text
                .parse()
                .map(UnixTime::from_millis)
                .map_err(|_| CliError::usage("--now is in milliseconds since 1970")),
        }
    }
}

/// Whether the word is among the words, and the words without it.
pub(super) fn flag(mut parser: lexopt::Parser, word: &str) -> Result<(bool, lexopt::Parser), CliError> {
    let words: Vec<OsString> = parser.raw_args()?.collect();
    let rest: Vec<OsString> = words.iter().filter(|other| *other != word).cloned().collect();
    Ok((rest.len() < words.len(), lexopt::Parser::from_args(rest)))
}

pub(super) fn parse<T: FromStr<Err: Display>>(text: &str) -> Result<T, CliError> {
    text.parse().map_err(|error| CliError::usage(format!("`{text}`: {error}")))
}

/// The directory in the file.
pub(super) fn read_document(file: &str, streams: &mut Streams<'_>) -> Result<DirectoryDocument, CliError> {
    let bytes = read(file, MAX_DOCUMENT_BYTES, streams)?;
    DirectoryDocument::parse(&bytes).map_err(|error| refused(file, &error))
}

/// What is in the file, of which one byte more than the bound is read at most.
pub(super) fn read(file: &str, max_bytes: usize, streams: &mut Streams<'_>) -> Result<Vec<u8>, CliError> {
    let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let read = if file == "-" {
        streams.input.take(limit).read_to_end(&mut bytes)
    } else {
        File::open(file).and_then(|opened| opened.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| CliError::io(file, error))?;
    Ok(bytes)
}

/// What was read is damaged, or more than can be answered.
pub(super) fn refused(what: &str, error: &dyn Display) -> CliError {
    CliError::io(what, io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
}
