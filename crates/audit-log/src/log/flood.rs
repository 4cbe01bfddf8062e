//! Unauthenticated attempts that come in masses: counted by source, never dropped, in bounded memory.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use core_types::{Permission, Scope, UnixTime};

use super::policy::Policies;
use crate::event::{Action, Actor, Client, Completion, Intent};

/// The most sources that are told apart at a time; attempts from further ones are counted together.
pub const MAX_SOURCES: usize = 1024;

/// Who keeps trying what: an IPv4 address or the /64 of an IPv6 address (RFC 6177), one action, in one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Source {
    tenant: Scope,
    action: Action,
    network: Option<IpAddr>,
}

impl Source {
    fn of(intent: &Intent) -> Self {
        Self {
            tenant: intent.tenant().clone(),
            action: intent.action().clone(),
            network: intent.client().map(|client| network(client.address())),
        }
    }

    /// All those that there is no room for.
    fn others() -> Option<Self> {
        let action = Action::from(Permission::new("audit", "count").ok()?);
        Some(Self { tenant: Scope::root(), action, network: None })
    }
}

#[derive(Debug, Clone, Copy)]
struct Count {
    since: UnixTime,
    until: UnixTime,
    individually: u32,
    counted: u64,
}

/// What becomes of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Record,
    Counted,
}

/// The counts.
#[derive(Debug)]
pub(super) struct Flood {
    policies: Policies,
    sources: HashMap<Source, Count>,
    others: Option<Count>,
    // No window ends before this.
    next_due: UnixTime,
}

impl Flood {
    pub(super) fn new(policies: Policies) -> Self {
        Self { policies, sources: HashMap::new(), others: None, next_due: UnixTime::EPOCH }
    }

    /// Notes an attempt. What is due by now has been taken before.
    pub(super) fn note(&mut self, intent: &Intent, now: UnixTime) -> Verdict {
        let source = Source::of(intent);
        let limit = self.policies.individually;
        if let Some(count) = self.sources.get_mut(&source) {
            count.until = now;
            if count.individually < limit {
                count.individually = count.individually.saturating_add(1);
                return Verdict::Record;
            }
            count.counted = count.counted.saturating_add(1);
            return Verdict::Counted;
        }
        let fresh = Count { since: now, until: now, individually: 1, counted: 0 };
        let due = now.saturating_add(self.policies.window);
        if self.sources.is_empty() && self.others.is_none() || due < self.next_due {
            self.next_due = due;
        }
        if self.sources.len() < MAX_SOURCES {
            self.sources.insert(source, fresh);
            return Verdict::Record;
        }
        let others = self.others.get_or_insert(Count { individually: 0, ..fresh });
        others.until = now;
        others.counted = others.counted.saturating_add(1);
        Verdict::Counted
    }

    /// The sums of the windows that are over, as entries; a clock that went back ends them too.
    pub(super) fn take_due(&mut self, now: UnixTime) -> Vec<(Intent, Completion)> {
        if now < self.next_due && self.next_due.saturating_since(now) <= self.policies.window {
            return Vec::new();
        }
        let window = self.policies.window;
        self.take(|count| now < count.since || now >= count.since.saturating_add(window))
    }

    /// All sums.
    pub(super) fn take_all(&mut self) -> Vec<(Intent, Completion)> {
        self.take(|_| true)
    }

    fn take(&mut self, is_due: impl Fn(&Count) -> bool) -> Vec<(Intent, Completion)> {
        let due: Vec<(Source, Count)> = self.sources.extract_if(|_, count| is_due(count)).collect();
        let others =
            self.others.take_if(|count| is_due(count)).and_then(|count| Some((Source::others()?, count)));
        let starts = self.sources.values().chain(&self.others).map(|count| count.since);
        self.next_due =
            starts.min().map_or(UnixTime::EPOCH, |since| since.saturating_add(self.policies.window));
        let mut sums: Vec<(Source, Count)> =
            due.into_iter().chain(others).filter(|(_, count)| count.counted > 0).collect();
        // In the order in which they began, so that the same attempts make the same log.
        sums.sort_by(|(a, x), (b, y)| (x.since, a.network, &a.tenant).cmp(&(y.since, b.network, &b.tenant)));
        sums.into_iter().filter_map(|(source, count)| entry(source, count)).collect()
    }
}

/// One entry for all of them: how many there were beyond those that have an entry of their own, and until when.
fn entry(source: Source, count: Count) -> Option<(Intent, Completion)> {
    let intent = Intent::new(Actor::Anonymous, source.action, source.tenant, count.since);
    let intent = match source.network {
        Some(network) => intent.with_client(Client::peer(network)),
        None => intent,
    };
    let completion = Completion::unauthenticated(count.until.saturating_since(count.since))
        .with_reason("counted")
        .and_then(|completion| completion.with_detail("count", count.counted))
        .and_then(|completion| completion.with_detail("until", count.until))
        .ok()?;
    Some((intent, completion))
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from(address.octets())),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn attempt(address: impl Into<IpAddr>) -> Intent {
        let action: Action = "tokens:login".parse().unwrap();
        Intent::new(Actor::Anonymous, action, Scope::root(), UnixTime::EPOCH)
            .with_client(Client::peer(address.into()))
    }

    fn count(entries: &[(Intent, Completion)]) -> u64 {
        entries
            .iter()
            .map(|(_, completion)| completion.details().value("count").unwrap().as_number().unwrap())
            .sum()
    }

    fn flood() -> Flood {
        Flood::new(Policies::new().with_failures(3, Duration::from_secs(60)))
    }

    #[test]
    fn the_first_few_of_a_source_are_recorded_and_the_rest_is_counted() {
        let mut flood = flood();
        let now = UnixTime::from_secs(1000);
        let verdicts: Vec<Verdict> = (0..10).map(|_| flood.note(&attempt([192, 0, 2, 1]), now)).collect();
        assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Record).count(), 3);
        assert_eq!(flood.note(&attempt([192, 0, 2, 2]), now), Verdict::Record, "another source");
        assert!(flood.take_due(UnixTime::from_secs(1059)).is_empty());
        let due = flood.take_due(UnixTime::from_secs(1060));
        assert_eq!((due.len(), count(&due)), (1, 7));
        assert_eq!(due[0].0.client().unwrap().address(), IpAddr::from([192, 0, 2, 1]));
        assert!(flood.sources.is_empty(), "what is over takes no memory");
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_source() {
        let mut flood = flood();
        let now = UnixTime::from_secs(1000);
        for last in 0..10_u16 {
            flood.note(&attempt([0x2001, 0xdb8, 0, 1, last, 2, 3, last]), now);
        }
        assert_eq!(flood.sources.len(), 1);
        assert_eq!(count(&flood.take_all()), 7);
    }

    #[test]
    fn memory_is_bounded_and_every_attempt_is_recorded_or_counted() {
        let mut flood = flood();
        let (mut recorded, mut counted) = (0_u64, 0);
        for second in 0..200_u64 {
            let now = UnixTime::from_secs(second);
            counted += count(&flood.take_due(now));
            for source in 0..50_u32 {
                let address = Ipv4Addr::from_bits(u32::try_from(second).unwrap() * 37 + source * 1001);
                recorded += u64::from(flood.note(&attempt(address), now) == Verdict::Record);
            }
            assert!(flood.sources.len() <= MAX_SOURCES);
        }
        counted += count(&flood.take_all());
        assert_eq!(recorded + counted, 200 * 50);
        assert!(counted > 0);
    }

    #[test]
    fn a_clock_that_goes_back_ends_the_windows() {
        let mut flood = flood();
        for _ in 0..5 {
            flood.note(&attempt([192, 0, 2, 1]), UnixTime::from_secs(1_000_000));
        }
        assert_eq!(count(&flood.take_due(UnixTime::from_secs(10))), 2);
        assert!(flood.take_all().is_empty());
    }
}
