//! The files of `tests/vectors`.

use std::path::Path;

/// A row of `ssh-keygen.txt` or `ssh-keygen-weak.txt`.
pub(crate) struct Recorded {
    pub(crate) name: String,
    pub(crate) bits: u32,
    pub(crate) sha256: String,
    pub(crate) md5: String,
    pub(crate) line: String,
}

/// Keys that ssh-keygen made, with what it says of them.
pub(crate) fn recorded() -> Vec<Recorded> {
    let row = |columns: Vec<String>| {
        let [name, bits, sha256, md5, line] = columns.try_into().unwrap();
        Recorded { name, bits: bits.parse().unwrap(), sha256, md5, line }
    };
    rows("ssh-keygen.txt").into_iter().map(row).collect()
}

/// Name and line of every key that must be admitted.
pub(crate) fn good() -> Vec<(String, String)> {
    let mut good: Vec<_> = recorded().into_iter().map(|key| (key.name, key.line)).collect();
    good.extend(rows("built.txt").into_iter().map(|columns| (columns[0].clone(), columns[1].clone())));
    good
}

/// Name, variant of `Refusal` and line of every well-formed key that must not be admitted.
pub(crate) fn degenerate() -> Vec<[String; 3]> {
    rows("degenerate.txt").into_iter().map(|columns| columns.try_into().unwrap()).collect()
}

/// Name, variant of `KeyError` and bytes of every upload that is no key.
pub(crate) fn refused() -> Vec<(String, String, Vec<u8>)> {
    let row = |columns: Vec<String>| {
        let [name, error, upload] = columns.try_into().unwrap();
        (name, error, unescape(&upload))
    };
    rows("refused-lines.txt").into_iter().map(row).collect()
}

/// The line of the key of this name.
pub(crate) fn line(name: &str) -> String {
    good().into_iter().find(|(known, _)| known == name).map(|(_, line)| line).unwrap()
}

/// The name of an error's variant.
pub(crate) fn variant(error: &impl std::fmt::Debug) -> String {
    format!("{error:?}").split([' ', '(']).next().unwrap().to_owned()
}

fn rows(file: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().filter(|row| !row.starts_with('#'));
    rows.map(|row| row.split('\t').map(str::to_owned).collect()).collect()
}

fn unescape(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(digits, 16).unwrap());
        bytes.extend_from_slice(rest.as_bytes());
    }
    bytes
}
