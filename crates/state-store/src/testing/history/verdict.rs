//! Whether a history can be.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, Answer, Call, Summary, Told};
use crate::batch::Expect;
use crate::key::Key;
use crate::store::Revision;
use crate::testing::case::{Broken, check as ensure};

pub(super) fn check(calls: &[Call], told: &[Vec<Told>]) -> Result<Summary, Broken> {
    let commits = told.first().ok_or_else(|| Broken::new("nobody watched"))?;
    for other in told {
        ensure(other == commits, || {
            let differs = commits.iter().zip(other).find(|(a, b)| a != b);
            format!(
                "two watchers were told different things ({} and {} commits; first: {differs:?})",
                commits.len(),
                other.len()
            )
        })?;
    }
    ensure(commits.is_sorted_by(|a, b| a.revision < b.revision), || "commits are not in order".into())?;
    let summary = summarize(calls, commits);
    let mut keys: BTreeMap<&Key, Register<'_>> = BTreeMap::new();
    for commit in commits {
        keys.entry(&commit.key).or_default().states.push(State::of(commit));
    }
    for call in calls {
        keys.entry(&call.key).or_default().calls.push(call);
    }
    for register in keys.values_mut() {
        register.attribute()?;
        register.order()?;
    }
    in_real_time(calls)?;
    Ok(summary)
}

/// Revisions of all keys ascend with time: who began after another returned has the later one.
fn in_real_time(calls: &[Call]) -> Result<(), Broken> {
    let mut writes: Vec<(u64, bool, Revision)> = Vec::new();
    for call in calls {
        if let Answer::Committed(revision) = call.answer {
            writes.push((call.began, false, revision));
            writes.push((call.returned, true, revision));
        }
    }
    writes.sort_unstable();
    let mut returned = Revision::ZERO;
    let mut floors: BTreeMap<Revision, Revision> = BTreeMap::new();
    for (_, is_return, revision) in writes {
        if is_return {
            returned = returned.max(revision);
        } else {
            floors.insert(revision, returned);
        }
    }
    ensure(floors.iter().all(|(revision, floor)| revision > floor), || {
        "a commit has a lower revision than one that had returned before it began".into()
    })
}

fn summarize(calls: &[Call], commits: &[Told]) -> Summary {
    let values: BTreeSet<u64> = commits.iter().filter_map(|commit| commit.value).collect();
    let mut summary = Summary::default();
    for call in calls {
        let counter = match (call.answer, call.action) {
            (Answer::Found(_), _) => &mut summary.reads,
            (Answer::Committed(_), _) => &mut summary.committed,
            (Answer::Conflict, _) => &mut summary.conflicts,
            (Answer::Failed, _) => &mut summary.failed,
            (Answer::Unknown, action) => {
                if let Action::Write { value: Some(value), .. } = action
                    && values.contains(&value)
                {
                    summary.took_effect = summary.took_effect.saturating_add(1);
                }
                &mut summary.unknown
            }
        };
        *counter = counter.saturating_add(1);
    }
    summary
}

/// What a key held, from one commit to the next.
struct State<'a> {
    revision: Revision,
    value: Option<u64>,
    writer: Option<&'a Call>,
    // The earliest and the latest instant at which it can have come to be.
    earliest: u64,
    latest: u64,
}

impl State<'_> {
    fn of(commit: &Told) -> Self {
        Self { revision: commit.revision, value: commit.value, writer: None, earliest: 0, latest: u64::MAX }
    }

    /// Whether a commit expecting this of the key would have been written.
    fn meets(&self, expect: Expect) -> bool {
        match expect {
            Expect::Absent => self.value.is_none(),
            Expect::Revision(revision) => self.value.is_some() && self.revision == revision,
        }
    }
}

/// A key, all that it held, and all that was asked of it.
#[derive(Default)]
struct Register<'a> {
    states: Vec<State<'a>>,
    calls: Vec<&'a Call>,
}

impl<'a> Register<'a> {
    /// Finds the call behind each commit.
    fn attribute(&mut self) -> Result<(), Broken> {
        // At first there is nothing, since before everything.
        let nothing = State { revision: Revision::ZERO, value: None, writer: None, earliest: 0, latest: 0 };
        self.states.insert(0, nothing);
        for &call in &self.calls {
            let Action::Write { value, .. } = call.action else { continue };
            match call.answer {
                Answer::Committed(revision) => {
                    let found = self.states.iter_mut().skip(1).find(|state| state.revision == revision);
                    match found {
                        Some(state) if state.value == value && state.writer.is_none() => {
                            state.writer = Some(call);
                        }
                        // Deleting nothing is no change: its revision is told as progress.
                        None if value.is_none() => {}
                        _ => {
                            return Err(Broken::new(format!("acknowledged, and not told: {call:?}")));
                        }
                    }
                }
                Answer::Failed | Answer::Conflict => {
                    let took_effect = value.is_some() && self.states.iter().any(|state| state.value == value);
                    ensure(!took_effect, || format!("said not to have been written, and told: {call:?}"))?;
                }
                Answer::Unknown | Answer::Found(_) => {}
            }
        }
        // What nobody has acknowledged is one of those whose outcome is unknown.
        let unknown = self.calls.iter().filter(|call| matches!(call.answer, Answer::Unknown));
        let mut unknown: Vec<&Call> = unknown.copied().collect();
        let mut before: Option<(Revision, Option<u64>)> = None;
        for state in &mut self.states {
            if state.writer.is_none() && state.revision > Revision::ZERO {
                let place = unknown.iter().position(|call| match call.action {
                    Action::Write { value: Some(value), .. } => state.value == Some(value),
                    Action::Write { value: None, expect } => {
                        state.value.is_none()
                            && before.is_some_and(|(revision, _)| expect == Some(Expect::Revision(revision)))
                    }
                    Action::Read => false,
                });
                let Some(place) = place else {
                    return Err(Broken::new(format!("revision {} is nobody's", state.revision)));
                };
                state.writer = Some(unknown.remove(place));
            }
            before = Some((state.revision, state.value));
        }
        for (before, state) in self.states.iter().zip(self.states.iter().skip(1)) {
            if let Some(Call { action: Action::Write { expect: Some(expect), .. }, .. }) = state.writer {
                ensure(before.meets(*expect), || {
                    format!(
                        "revision {} was written over {}, expecting {expect:?}",
                        state.revision, before.revision
                    )
                })?;
            }
        }
        Ok(())
    }

    /// Gives each state its instants, and each read its state.
    fn order(&mut self) -> Result<(), Broken> {
        let mut reads: Vec<Vec<&Call>> = self.states.iter().map(|_| Vec::new()).collect();
        let mut of_nothing = Vec::new();
        for &call in &self.calls {
            let Answer::Found(found) = call.answer else { continue };
            let Some((value, revision)) = found else {
                of_nothing.push(call);
                continue;
            };
            let holds = |state: &State<'_>| state.value == Some(value) && state.revision == revision;
            let place = self.states.iter().position(holds).and_then(|place| reads.get_mut(place));
            place.ok_or_else(|| Broken::new(format!("read what never was there: {call:?}")))?.push(call);
        }
        // Nothing may have been there several times: a read of it bounds the others once only one of these is left.
        loop {
            for reads in &mut reads {
                reads.sort_by_key(|read| read.began);
            }
            self.bound_from_before(&reads)?;
            self.bound_from_behind(&reads);
            let count = of_nothing.len();
            let mut undecided = Vec::new();
            for call in of_nothing {
                let mut places = (0..self.states.len()).filter(|&place| self.is_nothing_during(place, call));
                let only = match (places.next(), places.next()) {
                    (None, _) => {
                        return Err(Broken::new(format!("found nothing where something was: {call:?}")));
                    }
                    (Some(place), None) => reads.get_mut(place),
                    _ => None,
                };
                match only {
                    Some(reads) => reads.push(call),
                    None => undecided.push(call),
                }
            }
            if undecided.len() == count {
                return self.conflicts();
            }
            of_nothing = undecided;
        }
    }

    /// Whether this state is that of nothing, and can have been there at an instant of the call.
    fn is_nothing_during(&self, place: usize, call: &Call) -> bool {
        let next = self.states.get(place.saturating_add(1));
        let can_be = |state: &State<'_>| state.value.is_none() && state.earliest < call.returned;
        self.states.get(place).is_some_and(can_be) && next.is_none_or(|next| next.latest > call.began)
    }

    /// The earliest instant of each state that what comes before it allows.
    fn bound_from_before(&mut self, reads: &[Vec<&Call>]) -> Result<(), Broken> {
        let mut instant = 0;
        for (state, reads) in self.states.iter_mut().zip(reads) {
            if let Some(writer) = state.writer {
                instant = instant.max(writer.began);
                ensure(instant < writer.returned, || {
                    format!("took effect after it had returned: {writer:?}")
                })?;
            }
            state.earliest = instant;
            for read in reads {
                ensure(read.returned > state.earliest, || format!("read before it was written: {read:?}"))?;
                // What comes next comes after this read began.
                instant = instant.max(read.began);
            }
        }
        Ok(())
    }

    /// The latest instant of each state that what comes after it allows.
    fn bound_from_behind(&mut self, reads: &[Vec<&Call>]) {
        let mut instant = u64::MAX;
        for (state, reads) in self.states.iter_mut().zip(reads).rev() {
            instant = reads.iter().fold(instant, |instant, read| instant.min(read.returned));
            if let Some(writer) = state.writer {
                instant = instant.min(writer.returned);
                state.latest = instant;
            }
        }
    }

    /// What was refused because of a conflict must have met one, at some instant of its call.
    fn conflicts(&self) -> Result<(), Broken> {
        for call in self.calls.iter().filter(|call| matches!(call.answer, Answer::Conflict)) {
            let Action::Write { expect: Some(expect), .. } = call.action else {
                return Err(Broken::new("a conflict without an expectation"));
            };
            for (place, state) in self.states.iter().enumerate() {
                let ends = self.states.get(place.saturating_add(1)).map_or(u64::MAX, |next| next.earliest);
                let all_along = state.meets(expect) && state.latest <= call.began && ends >= call.returned;
                ensure(!all_along, || format!("a conflict where all held: {call:?}"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_of_nothing_may_be_of_a_later_nothing() {
        let key = Key::new("k").unwrap();
        let call =
            |began, returned, action, answer| Call { key: key.clone(), began, returned, action, answer };
        let (put, deleted) = (Revision::new(1), Revision::new(2));
        let write = |value, expect| Action::Write { value, expect };
        let mut calls = vec![
            call(10, 30, write(Some(7), None), Answer::Committed(put)),
            call(15, 16, write(Some(8), Some(Expect::Absent)), Answer::Conflict),
            call(14, 19, Action::Read, Answer::Found(Some((7, put)))),
            call(20, 22, write(None, Some(Expect::Revision(put))), Answer::Committed(deleted)),
            call(17, 40, Action::Read, Answer::Found(None)),
        ];
        let told = vec![vec![
            Told { revision: put, key: key.clone(), value: Some(7) },
            Told { revision: deleted, key: key.clone(), value: None },
        ]];
        assert!(check(&calls, &told).is_ok());
        // Had it returned earlier, nothing could not have been there any more, or not yet again.
        calls.last_mut().unwrap().returned = 20;
        assert!(check(&calls, &told).is_err());
    }
}
