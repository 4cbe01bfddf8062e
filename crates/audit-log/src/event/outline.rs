//! What checking a log needs of a record, without making values of all the rest.

use std::str::FromStr;
use std::sync::Arc;

use core_types::Scope;

use super::actor::{Action, Actor};
use super::client::MAX_USER_AGENT_BYTES;
use super::completion::{MAX_REASON_BYTES, Outcome};
use super::details::{MAX_DETAILS, MAX_DETAILS_BYTES, is_name};
use super::entry::{Kind, Record};
use super::text::{MAX_RESOURCE_BYTES, MAX_TEXT_BYTES};

/// A record, as far as checking a log needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outline<'a> {
    pub(crate) kind: Kind,
    /// The sequence of the intent that a call completes.
    pub(crate) begun: Option<u64>,
    /// The intent's bytes, which a call repeats.
    pub(crate) intent_json: &'a str,
    pub(crate) tenant: Arc<Scope>,
}

/// Reads records, and remembers what it has read lately: records resemble each other.
///
/// What stands as this program writes it is looked through as it lies there; whatever is not is decoded. What the quick
/// way takes, decoding takes, too, and says the same of it.
#[derive(Debug, Default)]
pub(crate) struct OutlineReader {
    tenant: Memo<Arc<Scope>>,
    scope: Memo<Arc<Scope>>,
    actor: Memo<Actor>,
    action: Memo<Action>,
    peer: Memo<std::net::IpAddr>,
    forwarded: Memo<std::net::IpAddr>,
    // How the last intent begins: all of it that does not differ from one request of a client's to the next.
    start: String,
}

impl OutlineReader {
    /// Reads an entry; `None` when it is none of this version.
    pub(crate) fn read<'a>(&mut self, entry: &'a [u8]) -> Option<Outline<'a>> {
        self.read_quickly(entry).or_else(|| Self::read_slowly(entry))
    }

    pub(crate) fn read_slowly(entry: &[u8]) -> Option<Outline<'_>> {
        let Record { kind, begun, intent_json, intent, .. } = Record::decode(entry)?;
        Some(Outline { kind, begun, intent_json, tenant: Arc::new(intent.tenant().clone()) })
    }

    pub(crate) fn read_quickly<'a>(&mut self, entry: &'a [u8]) -> Option<Outline<'a>> {
        // JSON has control characters as escapes only.
        // All of them are looked at: that takes less time than to stop at the first.
        if entry.iter().fold(false, |found, byte| found | (*byte < b' ')) {
            return None;
        }
        let mut rest = Rest(str::from_utf8(entry).ok()?);
        rest.take("{\"v\":1,\"kind\":\"")?;
        let kinds = [(Kind::Intent, "intent"), (Kind::Call, "call"), (Kind::Event, "event")];
        let (kind, _) = kinds.into_iter().find(|(_, name)| rest.take(name).is_some())?;
        rest.take("\",\"at\":")?;
        rest.number()?;
        let begun = match kind {
            Kind::Call => {
                rest.take(",\"begun\":")?;
                Some(rest.number()?)
            }
            _ => None,
        };
        rest.take(",\"intent\":")?;
        let from = rest.0;
        let tenant = self.intent(&mut rest)?;
        let intent_json = from.get(..from.len().checked_sub(rest.0.len())?)?;
        if kind != Kind::Intent {
            completion(&mut rest)?;
        }
        (rest.0 == "}").then_some(Outline { kind, begun, intent_json, tenant })
    }

    fn intent(&mut self, rest: &mut Rest<'_>) -> Option<Arc<Scope>> {
        let is_known = rest.0.strip_prefix(&*self.start).filter(|after| {
            // No field that may stand in between.
            after.starts_with(REQUEST) || after.starts_with(STARTED_AT)
        });
        let tenant = match (is_known, &self.tenant.value) {
            (Some(after), Some(tenant)) if !self.start.is_empty() => {
                rest.0 = after;
                Arc::clone(tenant)
            }
            _ => self.start(rest)?,
        };
        if rest.take(REQUEST).is_some() && !is_request_id(rest.text(usize::MAX)?) {
            return None;
        }
        rest.take(STARTED_AT)?;
        rest.number()?;
        details(rest)?;
        rest.take("}")?;
        Some(tenant)
    }

    fn start(&mut self, rest: &mut Rest<'_>) -> Option<Arc<Scope>> {
        self.start.clear();
        let from = rest.0;
        rest.take("{\"tenant\":")?;
        let tenant = self.tenant.parse(rest.text(usize::MAX)?)?;
        rest.take(",\"scope\":")?;
        let scope = self.scope.parse(rest.text(usize::MAX)?)?;
        if !tenant.contains(scope) {
            return None;
        }
        rest.take(",\"actor\":")?;
        self.actor.parse(rest.text(usize::MAX)?)?;
        rest.take(",\"action\":")?;
        self.action.parse(rest.text(usize::MAX)?)?;
        if rest.take(",\"resource\":").is_some() && rest.text(MAX_RESOURCE_BYTES)?.is_empty() {
            return None;
        }
        if rest.take(",\"client\":{\"peer\":").is_some() {
            self.peer.parse(rest.text(usize::MAX)?)?;
            if rest.take(",\"forwarded\":").is_some() {
                self.forwarded.parse(rest.text(usize::MAX)?)?;
            }
            rest.take("}")?;
        }
        if rest.take(",\"user_agent\":{\"text\":").is_some() {
            rest.text(MAX_USER_AGENT_BYTES)?;
            if rest.take(",\"cut_from\":").is_some() {
                rest.number()?;
            }
            rest.take("}")?;
        }
        self.start.push_str(from.get(..from.len().checked_sub(rest.0.len())?)?);
        Some(Arc::clone(tenant))
    }
}

/// Whether this is the id of a request in its one spelling: a ULID, in Crockford's base 32, of 128 bits.
fn is_request_id(text: &str) -> bool {
    let Some(digits) = text.strip_prefix("req_").map(str::as_bytes) else { return false };
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'A'..=b'H' | b'J' | b'K' | b'M' | b'N' | b'P'..=b'T' | b'V'..=b'Z');
    digits.len() == 26 && digits.first().is_some_and(|first| *first <= b'7') && digits.iter().all(is_digit)
}

fn completion(rest: &mut Rest<'_>) -> Option<()> {
    rest.take(",\"outcome\":")?;
    rest.text(usize::MAX)?.parse::<Outcome>().ok()?;
    if rest.take(",\"duration_us\":").is_some() {
        rest.number()?;
    }
    if rest.take(",\"reason\":").is_some() {
        rest.text(MAX_REASON_BYTES)?;
    }
    details(rest)
}

/// Details, where there are any: in the order of their names, and none of them sealed or redacted.
fn details(rest: &mut Rest<'_>) -> Option<()> {
    if rest.take(",\"details\":{").is_none() {
        return Some(());
    }
    let (mut before, mut count, mut json_len) = ("", 0_usize, 2_usize);
    loop {
        let name = rest.text(usize::MAX)?;
        if !is_name(name) || name <= before {
            return None;
        }
        rest.take(":")?;
        let value_len = match rest.0.as_bytes().first()? {
            b'"' => rest.text(MAX_TEXT_BYTES)?.len().checked_add(2)?,
            b't' => rest.take("true").map(|()| 20)?,
            b'f' => rest.take("false").map(|()| 20)?,
            _ => rest.number().map(|_| 20)?,
        };
        json_len = json_len.checked_add(name.len())?.checked_add(value_len)?.checked_add(4)?;
        (before, count) = (name, count.checked_add(1)?);
        if count > MAX_DETAILS || json_len > MAX_DETAILS_BYTES {
            return None;
        }
        if rest.take(",").is_none() {
            return rest.take("}");
        }
    }
}

/// What is still to be read.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn take(&mut self, expected: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    /// A text without escapes.
    fn text(&mut self, limit: usize) -> Option<&'a str> {
        let rest = self.0.strip_prefix('"')?;
        let end = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\'))?;
        let (text, rest) = rest.split_at_checked(end)?;
        self.0 = rest.strip_prefix('"')?;
        (text.len() <= limit).then_some(text)
    }

    /// A whole number.
    fn number(&mut self) -> Option<u64> {
        let (mut number, mut digits) = (0_u64, 0_usize);
        for byte in self.0.bytes().take_while(u8::is_ascii_digit) {
            number = number.checked_mul(10)?.checked_add(u64::from(byte.checked_sub(b'0')?))?;
            digits = digits.checked_add(1)?;
        }
        let is_canonical = digits == 1 || (digits > 1 && !self.0.starts_with('0'));
        self.0 = self.0.get(digits..)?;
        is_canonical.then_some(number)
    }
}

const REQUEST: &str = ",\"request\":";
const STARTED_AT: &str = ",\"started_at\":";

/// The last text that was parsed, and what it is.
#[derive(Debug)]
struct Memo<T> {
    text: String,
    value: Option<T>,
}

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self { text: String::new(), value: None }
    }
}

impl<T: Parsed> Memo<T> {
    fn parse(&mut self, text: &str) -> Option<&T> {
        if self.value.is_none() || self.text != text {
            self.value = None;
            let value = T::parsed(text)?;
            text.clone_into(&mut self.text);
            self.value = Some(value);
        }
        self.value.as_ref()
    }
}

trait Parsed: Sized {
    fn parsed(text: &str) -> Option<Self>;
}

macro_rules! parsed {
    ($($type:ty),+) => {
        $(
            impl Parsed for $type {
                fn parsed(text: &str) -> Option<Self> {
                    Self::from_str(text).ok()
                }
            }
        )+
    };
}

parsed!(Actor, Action, std::net::IpAddr);

impl Parsed for Arc<Scope> {
    fn parsed(text: &str) -> Option<Self> {
        text.parse().ok().map(Self::new)
    }
}
