//! `palisade token scan`: where are tokens that should not be there? In a text, a folder, a git repository with
//! its history; as they were issued, narrowed by their holders, or signed; offline, in bounded memory, and without
//! showing them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use token_vault::scan::{Finding, Leaked, Scanner, git, scan_reader};
use token_vault::{Prefix, TokenFormat};

use super::{Answer, CliError, Streams, print_json, print_line};
use crate::control_plane::token_format;

/// Says where tokens are: path, object of a git repository, byte, line, column, form, kind and public id, or the names
/// of a signed token and of its key. Exit status 1 when there are any, and when something could not be read.
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
        } else if is_pack(&path) {
            pack(format, &path, report)
        } else if is_loose(&path) {
            loose(format, &path, report)
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

fn loose(format: &TokenFormat, path: &Path, report: &mut Report<'_>) -> io::Result<Result<(), CliError>> {
    let file = File::open(path)?;
    let mut scanner = Scanner::new(format);
    let mut found = Vec::new();
    let read = git::loose(file, &mut |piece| scanner.feed(piece, |finding| found.push(finding)));
    scanner.finish(|finding| found.push(finding));
    let object = id_of(path);
    let told = found.iter().try_for_each(|finding| report.found(path, Some(&object), finding));
    if told.is_err() { Ok(told) } else { read.map(Ok) }
}

fn pack(format: &TokenFormat, path: &Path, report: &mut Report<'_>) -> io::Result<Result<(), CliError>> {
    let mut pack = git::Pack::open(File::open(path)?, File::open(index_of(path))?)?;
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

/// Whether this is a loose object by where it lies.
fn is_loose(path: &Path) -> bool {
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut parts = path.iter().rev().map(|part| part.to_str().unwrap_or(""));
    let (file, folder, objects) = (parts.next(), parts.next(), parts.next());
    file.is_some_and(|name| matches!(name.len(), 38 | 62) && is_hex(name))
        && folder.is_some_and(|name| name.len() == 2 && is_hex(name))
        && objects == Some("objects")
}

/// Whether this is a pack with its index beside it.
fn is_pack(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "pack")
        && fs::symlink_metadata(index_of(path)).is_ok_and(|index| index.is_file())
}

fn index_of(pack: &Path) -> PathBuf {
    pack.with_extension("idx")
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
        let (form, kind, id, names) = match &finding.leaked {
            Leaked::Token { kind, id } => ("token", Some(kind), Some(id), None),
            Leaked::Narrowed { kind, id } => ("narrowed", Some(kind), Some(id), None),
            Leaked::Signed { jti, kid } => ("signed", None, None, Some((jti, kid))),
            // A form this program does not know yet is none to be silent about.
            _ => ("other", None, None, None),
        };
        if !self.json {
            let at = object.map_or(String::new(), |object| format!(" object {object}"));
            let what = match (id, names) {
                (Some(id), _) => format!("id {id}"),
                (_, Some((jti, kid))) => format!("jti {jti}, kid {kid}"),
                _ => "no name".into(),
            };
            let line = format!(
                "{path}{at}:{}:{}: {} ({form}, byte {}, {what})",
                finding.line, finding.column, finding.redacted, finding.offset
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
            "form": form,
            "kind": kind,
            "id": id,
            "jti": names.map(|(jti, _)| jti),
            "kid": names.map(|(_, kid)| kid),
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
