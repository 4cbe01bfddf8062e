//! `palisade token scan`: where are tokens that should not be there? In a text, a folder, a git repository with
//! its history; offline, in bounded memory, and without showing them.

mod git;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use token_vault::scan::{Finding, Scanner, scan_reader};
use token_vault::{Prefix, TokenFormat};

use super::{Answer, CliError, Streams, print_json, print_line};
use crate::control_plane::token_format;

/// Says where tokens are: path, object of a git repository, byte, line, column, kind, public id. Exit status 1 when
/// there are any, and when something could not be read.
pub(super) fn scan(mut parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let (mut paths, mut json, mut kinds) = (Vec::new(), false, Vec::new());
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("json") => json = true,
            lexopt::Arg::Long("prefix") => {
                let text = parser.value()?.to_string_lossy().into_owned();
                let kind: Prefix =
                    text.parse().map_err(|_| CliError::usage(format!("`{text}` is no prefix")))?;
                kinds.push(kind);
            }
            lexopt::Arg::Value(word) => paths.push(word),
            other => return Err(other.unexpected().into()),
        }
    }
    if paths.is_empty() {
        return Err(CliError::usage("token scan needs a FILE, a FOLDER or `-`"));
    }
    let format = if kinds.is_empty() { token_format() } else { TokenFormat::new(kinds) };
    let format = format.map_err(|error| CliError::usage(error.to_string()))?;
    let Streams { input, output } = streams;
    let mut report =
        Report { streams: Streams { input: &mut io::empty(), output: *output }, json, any: false };
    for path in paths {
        if path == "-" {
            let read = scan_all(&format, &mut *input, &mut report, Path::new("-"), None);
            read.map_err(|error| CliError::io("standard input", error))??;
        } else {
            walk(&format, PathBuf::from(path), &mut report)?;
        }
    }
    Ok(if report.any { Answer::No } else { Answer::Yes })
}

/// Scans what is at `path` and, of a folder, below; links are not followed.
fn walk(format: &TokenFormat, path: PathBuf, report: &mut Report<'_>) -> Result<(), CliError> {
    let top = fs::metadata(&path).map_err(|error| CliError::io(path.display().to_string(), error))?;
    let mut waiting = vec![(path, top.is_dir())];
    while let Some((path, is_folder)) = waiting.pop() {
        let outcome = if is_folder {
            children(&path).map(|found| {
                waiting.extend(found);
                Ok(())
            })
        } else if git::is_pack(&path) {
            pack(format, &path, report)
        } else if git::is_loose(&path) {
            let mut scanner = Scanner::new(format);
            let mut found = Vec::new();
            let read = git::loose(&path, &mut |piece| scanner.feed(piece, |finding| found.push(finding)));
            scanner.finish(|finding| found.push(finding));
            let object = id_of(&path);
            found.iter().try_for_each(|finding| report.found(&path, Some(&object), finding))?;
            read.map(Ok)
        } else {
            File::open(&path).and_then(|file| scan_all(format, file, report, &path, None))
        };
        match outcome {
            Ok(written) => written?,
            Err(error) => report.unreadable(&path, None, &error)?,
        }
    }
    Ok(())
}

/// What lies in a folder, the last name first; neither links nor devices.
fn children(folder: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() || kind.is_file() {
            found.push((entry.path(), kind.is_dir()));
        }
    }
    found.sort_unstable_by(|one, other| other.cmp(one));
    Ok(found)
}

fn pack(format: &TokenFormat, path: &Path, report: &mut Report<'_>) -> io::Result<Result<(), CliError>> {
    let mut pack = git::Pack::open(path)?;
    for (object, at) in pack.objects() {
        let mut scanner = Scanner::new(format);
        let mut found = Vec::new();
        let read = pack.read(at, &mut |piece| scanner.feed(piece, |finding| found.push(finding)));
        scanner.finish(|finding| found.push(finding));
        let mut told = found.iter().try_for_each(|finding| report.found(path, Some(&object), finding));
        if let Err(error) = read {
            told = told.and_then(|()| report.unreadable(path, Some(&object), &error));
        }
        if told.is_err() {
            return Ok(told);
        }
    }
    Ok(Ok(()))
}

/// The outer result is of reading, the inner one of writing.
fn scan_all(
    format: &TokenFormat,
    reader: impl Read,
    report: &mut Report<'_>,
    path: &Path,
    object: Option<&str>,
) -> io::Result<Result<(), CliError>> {
    let mut told = Ok(());
    scan_reader(format, reader, |finding| {
        if told.is_ok() {
            told = report.found(path, object, &finding);
        }
    })?;
    Ok(told)
}

/// The id of a loose object: its folder's name and its own.
fn id_of(path: &Path) -> String {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    [path.parent().and_then(name), name(path)].into_iter().flatten().collect()
}

struct Report<'a> {
    streams: Streams<'a>,
    json: bool,
    any: bool,
}

impl Report<'_> {
    fn found(&mut self, path: &Path, object: Option<&str>, finding: &Finding) -> Result<(), CliError> {
        self.any = true;
        let path = path.display().to_string();
        if !self.json {
            let at = object.map_or(String::new(), |object| format!(" object {object}"));
            let line = format!(
                "{path}{at}:{}:{}: {} (byte {}, id {})",
                finding.line, finding.column, finding.redacted, finding.offset, finding.id
            );
            return print_line(&mut self.streams, &line);
        }
        let row = json!({
            "path": path,
            "object": object,
            "offset": finding.offset,
            "line": finding.line,
            "column": finding.column,
            "length": finding.length,
            "kind": finding.kind,
            "id": finding.id,
            "redacted": finding.redacted,
        });
        print_json(&mut self.streams, &row)
    }

    fn unreadable(&mut self, path: &Path, object: Option<&str>, error: &io::Error) -> Result<(), CliError> {
        self.any = true;
        let path = path.display().to_string();
        if !self.json {
            let at = object.map_or(String::new(), |object| format!(" object {object}"));
            return print_line(&mut self.streams, &format!("{path}{at}: not read: {error}"));
        }
        let row: Value = json!({"path": path, "object": object, "unread": error.to_string()});
        print_json(&mut self.streams, &row)
    }
}
