use core::fmt;

use super::MAX_ROWS;
use crate::error::ImportError;
use crate::source::shown;

/// A row: its kind (`p`, `g`, …) and its other columns.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) kind: String,
    pub(super) values: Vec<String>,
}

/// `policy.csv line 3 (p, alice, data1, read)`.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text =
            [&self.kind].into_iter().chain(&self.values).map(String::as_str).collect::<Vec<_>>().join(", ");
        write!(f, "{} line {} ({})", self.file, self.line, shown(&text))
    }
}

/// Reads the rows of a text. White space around values is not theirs, empty lines and those that begin with `#` are
/// passed over, a value in quotes may hold commas and doubled quotes.
pub(super) fn read(file: &str, text: &str, rows: &mut Vec<Row>) -> Result<(), ImportError> {
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = number.saturating_add(1);
        let place = || format!("{file} line {number}");
        let mut values =
            split(line).ok_or_else(|| ImportError::malformed(place(), "quotes that are not closed"))?;
        if values.len() < 2 {
            return Err(ImportError::malformed(place(), "no row of a policy"));
        }
        let kind = values.remove(0);
        if rows.len() >= MAX_ROWS {
            return Err(ImportError::TooMany { place: place(), what: "rows", limit: MAX_ROWS });
        }
        rows.push(Row { file: file.to_owned(), line: number, kind, values });
    }
    Ok(())
}

fn split(line: &str) -> Option<Vec<String>> {
    let mut values = Vec::new();
    let mut rest = Some(line);
    while let Some(text) = rest {
        let text = text.trim_start();
        let Some(quoted) = text.strip_prefix('"') else {
            let (value, after) = match text.split_once(',') {
                Some((value, after)) => (value, Some(after)),
                None => (text, None),
            };
            if value.contains('"') {
                return None;
            }
            values.push(value.trim().to_owned());
            rest = after;
            continue;
        };
        let mut value = String::new();
        let mut inside = quoted;
        let after = loop {
            let (head, tail) = inside.split_once('"')?;
            value.push_str(head);
            match tail.strip_prefix('"') {
                Some(more) => {
                    value.push('"');
                    inside = more;
                }
                None => break tail.trim_start(),
            }
        };
        values.push(value);
        rest = match after.strip_prefix(',') {
            Some(after) => Some(after),
            None if after.is_empty() => None,
            None => return None,
        };
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn values_may_be_quoted() {
        assert_eq!(split("p, alice ,data1,read").unwrap(), ["p", "alice", "data1", "read"]);
        assert_eq!(split(r#"p, "a, ""b""", x"#).unwrap(), ["p", "a, \"b\"", "x"]);
        assert_eq!(split("p,,x,").unwrap(), ["p", "", "x", ""]);
        for line in [r#"p, "a"#, r#"p, "a" b, c"#, r#"p, a"b"#] {
            assert_eq!(split(line), None, "{line}");
        }
    }
}
