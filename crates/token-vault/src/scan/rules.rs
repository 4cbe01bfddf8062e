//! What other scanners need to know of our tokens. They see no checksum and no claims: their regular expressions are
//! of the kind of RE2, which both of them use.

use crate::base64url;
use crate::format::{Prefix, TAIL_LEN, TokenFormat, base62};
use crate::service::{SIGNATURE_LEN, TYPE};

/// Rules for gitleaks (its TOML configuration) that find tokens of these kinds, narrowed ones, and signed ones.
#[must_use]
pub fn gitleaks_rules(format: &TokenFormat) -> String {
    let mut rules = String::from("title = \"tokens by their registered prefixes\"\n");
    for rule in all(format) {
        let keywords: Vec<String> = rule.keywords.iter().map(|keyword| format!("\"{keyword}\"")).collect();
        rules.push_str(&format!(
            "\n[[rules]]\nid = \"{}\"\ndescription = \"{}\"\nregex = '''{}'''\nsecretGroup = 1\n\
             entropy = 3.5\nkeywords = [{}]\n",
            rule.id,
            rule.description,
            rule.regex,
            keywords.join(", ")
        ));
    }
    rules
}

/// Custom detectors for trufflehog (its YAML configuration) that find the same.
#[must_use]
pub fn trufflehog_rules(format: &TokenFormat) -> String {
    let mut rules = String::from("detectors:\n");
    for rule in all(format) {
        rules.push_str(&format!("  - name: {}\n    keywords:\n", rule.id));
        for keyword in &rule.keywords {
            rules.push_str(&format!("      - {keyword}\n"));
        }
        rules.push_str(&format!("    regex:\n      token: '{}'\n", rule.regex));
    }
    rules
}

struct Rule {
    id: String,
    description: String,
    // The first group is the token.
    regex: String,
    // One of these is in every text that the expression matches.
    keywords: Vec<String>,
}

fn all(format: &TokenFormat) -> Vec<Rule> {
    let of_kind = format.kinds().iter().flat_map(|kind| [whole(kind), narrowed(kind)]);
    of_kind.chain([signed()]).collect()
}

fn whole(kind: &Prefix) -> Rule {
    Rule {
        id: kind.to_string(),
        description: format!("Token with the prefix {kind}_"),
        regex: format!("({kind}_[0-9A-Za-z]{{{}}})(?:[^0-9A-Za-z]|$)", TAIL_LEN - 1),
        keywords: vec![format!("{kind}_")],
    }
}

fn narrowed(kind: &Prefix) -> Rule {
    let (id, tag) = (base62::LEN_128, base62::LEN_256);
    Rule {
        id: format!("{kind}-narrowed"),
        description: format!("Narrowed token with the prefix {kind}_"),
        regex: format!(
            "({kind}_[0-9A-Za-z]{{{id}}}\\.[0-9A-Za-z_-]+\\.[0-9A-Za-z]{{{tag}}})(?:[^0-9A-Za-z]|$)"
        ),
        keywords: vec![format!("{kind}_")],
    }
}

fn signed() -> Rule {
    let types: Vec<String> = (0..3).map(encoded_type).collect();
    Rule {
        id: "plsvc-jwt".into(),
        description: format!("Signed token of the type {TYPE}"),
        regex: format!(
            "(eyJ[0-9A-Za-z_-]*(?:{})[0-9A-Za-z_-]*\\.[0-9A-Za-z_-]+\\.[0-9A-Za-z_-]{{{SIGNATURE_LEN}}})(?:[^0-9A-Za-z_-]|$)",
            types.join("|")
        ),
        keywords: types,
    }
}

/// What the base64 of a header always has in it when the type begins `before` bytes, modulo three, from its start.
fn encoded_type(before: usize) -> String {
    let text = [b"xx".get(..before).unwrap_or(&[]), TYPE.as_bytes()].concat();
    let encoded = base64url::encode(&text);
    // The characters that hold bits of what stands before, or would hold bits of what follows, say nothing.
    let first = before.saturating_mul(8).div_ceil(6);
    let last = text.len().saturating_mul(8).wrapping_div(6);
    encoded.get(first..last).unwrap_or("").into()
}
