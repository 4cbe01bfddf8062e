//! Taking a log over: creating it, or making good what a crash left behind.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use core_types::{Clock, Permission, Scope, SecureRandom, UnixTime};

use super::options::Options;
use super::policy::{Detail, Policies};
use super::writer::{Effect, OpenSegment, Standing, Writer};
use crate::checkpoint::{Checkpoint, LogId};
use crate::error::{FileError, OpenError, VerifyError};
use crate::event::{self, Actor, Completion, Intent, Outcome, Public, Record};
use crate::files::{self, Directory, OpenFile};
use crate::format::{self, Seed, SegmentHeader};
use crate::head::{Found, HEAD, Head};
use crate::scan::{self, SegmentReader, Step};
use crate::verify::{self, End, Finding, FindingKind, Mode, OpenCall, Report};

pub(super) fn open(
    directory: Arc<dyn Directory>,
    clock: &dyn Clock,
    rng: &dyn SecureRandom,
    options: &Options,
) -> Result<Writer, OpenError> {
    options.validate()?;
    let fence = directory.fence().map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked,
        _ => FileError::new("lock", ".")(error).into(),
    })?;
    let (log, end) = examine(&*directory, rng, options)?;
    let found = prepare(&*directory, log, &end, options.segment_bytes)?;
    let open = end.open.keys().copied().collect();
    let standing = Standing { checkpoint: found.checkpoint, segment: found.segment, open };
    let mut writer = Writer::new(Arc::clone(&directory), fence, options.segment_bytes, standing);
    let now = clock.now();
    recover(&*directory, &mut writer, now, log, &end)?;
    if let Some(entry) = options.policies.and_then(|policies| policy_entry(now, &policies)) {
        writer.append(&[(&entry, Effect::Neither)])?;
    }
    writer.write_head()?;
    writer.spares().prepare();
    Ok(writer)
}

/// Checks what is there, and makes what a new log begins with.
fn examine(
    directory: &dyn Directory,
    rng: &dyn SecureRandom,
    options: &Options,
) -> Result<(LogId, End), OpenError> {
    let numbers = scan::segment_numbers(directory)?;
    let mut head = verify::read_head(directory)?;
    if numbers.is_empty() && head == Found::Missing && options.known.is_none() {
        // `head` comes first: a segment without it is damage.
        let new = Head { reached: Checkpoint::genesis(LogId::generate(rng)?), open_from: 1 };
        new.write(directory).map_err(FileError::new("create", HEAD))?;
        head = Found::Head(new);
    }
    let from = first_needed(directory, head, options.known.as_ref(), &numbers)?;
    let (report, end) =
        verify::examine(directory, head, options.known.as_slice(), &numbers, Mode::Fenced { from }).map_err(
            |error| match error {
                VerifyError::File(error) => OpenError::File(error),
                VerifyError::Version { file, found } => OpenError::Version { file, found },
                VerifyError::NoLog => {
                    OpenError::Damaged(Box::new(Finding::new(FindingKind::HeadMissing, 0, 0)))
                }
            },
        )?;
    if let Some(finding) = objection(&report, options.known.as_ref()) {
        return Err(OpenError::Damaged(Box::new(finding.clone())));
    }
    let log = report
        .log()
        .ok_or_else(|| OpenError::Damaged(Box::new(Finding::new(FindingKind::HeadMissing, 0, 0))))?;
    Ok((log, end))
}

/// The first damage that keeps the log shut. A lost `head` does not, when the log contains what is known of it
/// from elsewhere.
fn objection<'a>(report: &'a Report, known: Option<&Checkpoint>) -> Option<&'a Finding> {
    let is_vouched_for = known.is_some_and(|known| report.confirmed_to() == Some(known.sequence()));
    report.findings().iter().find(|finding| match finding.kind() {
        FindingKind::HeadMissing | FindingKind::HeadDamaged => !is_vouched_for,
        kind => kind.is_damage(),
    })
}

/// The last segment from which on all is read that has to be: the calls that may be open, and the checkpoints.
///
/// Of the segments before, only the headers are looked at; where one is not as it should be, all is read.
fn first_needed(
    directory: &dyn Directory,
    head: Found,
    known: Option<&Checkpoint>,
    numbers: &[u64],
) -> Result<u64, OpenError> {
    let Found::Head(head) = head else { return Ok(1) };
    let needed = [Some(&head.reached), known]
        .into_iter()
        .flatten()
        .map(|checkpoint| checkpoint.sequence().saturating_add(1))
        .fold(head.open_from, u64::min);
    let last = numbers.last().copied();
    let (mut from, mut first) = (1, 1);
    for (expected, number) in (1..).zip(numbers) {
        let Some(mut segment) = SegmentReader::open(directory, *number)? else { return Ok(1) };
        match segment.header()? {
            Ok(header)
                if *number == expected
                    && header.number == expected
                    && header.log == head.reached.log()
                    && header.first >= first =>
            {
                first = header.first;
                from = if first <= needed { expected } else { from };
            }
            // One that was just being made is dealt with later.
            Err(_) if Some(*number) == last => {}
            _ => return Ok(1),
        }
    }
    Ok(from)
}

struct Prepared {
    checkpoint: Checkpoint,
    segment: OpenSegment,
}

/// Removes what is unfinished, and opens the last segment.
fn prepare(directory: &dyn Directory, log: LogId, end: &End, limit: u64) -> Result<Prepared, OpenError> {
    if let Some(number) = end.unborn {
        let name = format::segment_name(number);
        directory.remove(&name).and_then(|()| directory.sync()).map_err(FileError::new("remove", name))?;
    }
    let genesis = Checkpoint::genesis(log);
    if end.segment == 0 {
        let header = SegmentHeader { log, number: 1, first: 1, chain: *genesis.chain() };
        let segment = OpenSegment::create(directory, &header, limit)?;
        return Ok(Prepared { checkpoint: genesis, segment });
    }
    let name = format::segment_name(end.segment);
    let take_over = || {
        let file = directory.open(&name, OpenFile::Write)?;
        if end.is_torn {
            file.set_size(end.offset)?;
        }
        // After a failed sync the system may show what is not on the disk. Writing the last batch once more
        // makes sure of it; there is never more than one batch that was not synced.
        let from = end.last_batch.unwrap_or(0);
        let length = usize::try_from(end.offset.saturating_sub(from)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length];
        let read = files::read_up_to(&*file, &mut bytes, from)?.len();
        if read != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        files::write_all(&*file, &bytes, from)?;
        file.sync()?;
        let size = file.size()?;
        Ok(OpenSegment { number: end.segment, file, offset: end.offset, size, limit })
    };
    let segment = take_over().map_err(FileError::new("recover", &*name))?;
    let (sequence, chain) = end.tip;
    Ok(Prepared { checkpoint: Checkpoint::new(log, sequence, chain), segment })
}

/// Completes the calls that were under way, and says so.
fn recover(
    directory: &dyn Directory,
    writer: &mut Writer,
    now: UnixTime,
    log: LogId,
    end: &End,
) -> Result<(), OpenError> {
    let is_cut = end.is_torn || end.unborn.is_some();
    if end.open.is_empty() && !is_cut {
        return Ok(());
    }
    let completion = Completion::new(Outcome::Unknown, None);
    let calls: Vec<(u64, OpenCall)> = end.open.iter().map(|(begun, call)| (*begun, *call)).collect();
    for some in calls.chunks(RECOVERED_AT_ONCE) {
        let mut closing = Vec::with_capacity(some.len());
        for (begun, call) in some {
            let intent = read_intent(directory, log, *begun, *call)?;
            let entry = event::encode_closing(now, *begun, &intent, &completion);
            closing.push((entry.unwrap_or_default(), Effect::Completes(*begun)));
        }
        let records: Vec<(&[u8], Effect)> =
            closing.iter().map(|(entry, effect)| (&**entry, *effect)).collect();
        writer.append(&records)?;
    }
    if let Some(entry) = recovery_entry(now, scan::to_u64(calls.len()), is_cut) {
        writer.append(&[(&entry, Effect::Neither)])?;
    }
    Ok(())
}

fn read_intent(
    directory: &dyn Directory,
    log: LogId,
    begun: u64,
    call: OpenCall,
) -> Result<Intent, OpenError> {
    let finding = || {
        let name = format::segment_name(call.segment);
        OpenError::Damaged(Box::new(Finding::new(FindingKind::Edited, begun, begun).at(name, call.offset)))
    };
    let mut segment = SegmentReader::open(directory, call.segment)?.ok_or_else(finding)?;
    let seed = Seed::new(log, call.segment);
    let Step::Batch(header, bytes) = segment.step(&seed, call.offset, u64::MAX)? else {
        return Err(finding());
    };
    let records = format::records(&header, bytes, &seed).ok_or_else(finding)?;
    let record = records.iter().find(|record| record.sequence == begun && record.intact);
    record.and_then(|record| Record::decode(record.entry)).map(|record| record.intent).ok_or_else(finding)
}

/// The log's own word on what it found when it was opened.
fn recovery_entry(now: UnixTime, closed_calls: u64, is_cut: bool) -> Option<Vec<u8>> {
    let action = Permission::new("audit", "recover").ok()?;
    let intent = Intent::new(Actor::System, action, Scope::root(), now);
    let completion = Completion::allowed(Duration::ZERO)
        .with_detail("closed_calls", closed_calls)
        .and_then(|completion| completion.with_detail("cut_unfinished_write", is_cut))
        .ok()?;
    event::encode_event(now, &intent, &completion)
}

/// The log's own word on what it promises from now on.
fn policy_entry(now: UnixTime, policies: &Policies) -> Option<Vec<u8>> {
    let action = Permission::new("audit", "configure").ok()?;
    let intent = Intent::new(Actor::System, action, Scope::root(), now);
    let mut completion = Completion::allowed(Duration::ZERO);
    for (name, value) in policies.details() {
        completion = match value {
            Detail::Text(text) => completion.with_detail(name, Public::text(text).ok()?),
            Detail::Number(number) => completion.with_detail(name, number),
        }
        .ok()?;
    }
    event::encode_event(now, &intent, &completion)
}

/// How many calls are completed in one batch: as many of the longest entries as always fit.
const RECOVERED_AT_ONCE: usize = 15;
