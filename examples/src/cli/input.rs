//! Lines of a file or of standard input, each within a bound.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use super::{CliError, Streams};

/// One line of input.
pub(super) enum Line {
    /// The bytes, without the line's end.
    Whole(Vec<u8>),
    /// The line was longer than the bound; it was read past, not kept.
    TooLong,
}

/// Calls `each` with every line of `file` (`-`: standard input) and its number, counted from 1.
pub(super) fn each_line(
    file: &str,
    max_bytes: usize,
    streams: &mut Streams<'_>,
    mut each: impl FnMut(usize, Line, &mut dyn std::io::Write) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let Streams { input, output } = streams;
    let source: &mut dyn Read = if file == "-" {
        *input
    } else {
        &mut File::open(file).map_err(|error| CliError::io(file, error))?
    };
    let mut reader = BufReader::new(source);
    let mut number = 0_usize;
    while let Some(line) = next_line(&mut reader, max_bytes).map_err(|error| CliError::io(file, error))? {
        number = number.saturating_add(1);
        each(number, line, *output)?;
    }
    Ok(())
}

fn next_line(reader: &mut impl BufRead, max_bytes: usize) -> std::io::Result<Option<Line>> {
    let mut line = Vec::new();
    let mut too_long = false;
    let mut any = false;
    loop {
        let available = reader.fill_buf()?;
        if available.is_empty() {
            break;
        }
        any = true;
        let (part, used, ended) = match available.iter().position(|&byte| byte == b'\n') {
            Some(at) => (available.get(..at).unwrap_or_default(), at.saturating_add(1), true),
            None => (available, available.len(), false),
        };
        if line.len().saturating_add(part.len()) > max_bytes {
            too_long = true;
            line.clear();
        } else if !too_long {
            line.extend_from_slice(part);
        }
        reader.consume(used);
        if ended {
            break;
        }
    }
    Ok(any.then_some(if too_long { Line::TooLong } else { Line::Whole(line) }))
}
