//! audit-log by itself: an intent before the effect, the outcome after it, and a verdict on the whole.

use std::sync::Arc;
use std::time::Duration;

use audit_log::{Actor, AuditLog, Completion, Cursor, Filter, Intent, Options, verify};
use core_types::{Clock, Permission, Scope, SystemClock, SystemRandom};

#[expect(clippy::print_stdout, reason = "printing is what it is for")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("audit");
    let clock = SystemClock::new();
    let log = AuditLog::open(&path, Arc::new(clock), &SystemRandom::new(), &Options::new())?;
    let action: Permission = "volumes:delete".parse()?;
    let web: Scope = "project/web".parse()?;
    let intent = || Intent::new(Actor::System, action.clone(), web.clone(), clock.now());

    let guard = log.begin_blocking(intent())?;
    println!("record {} is durable: the volume may be deleted now", guard.sequence());
    guard.finish_blocking(Completion::allowed(Duration::from_micros(850)))?;
    log.record_blocking(intent(), Completion::denied(Duration::from_micros(40)).with_reason("no_grant")?)?;
    // A call that nobody finishes.
    drop(log.begin_blocking(intent())?);
    let checkpoint = log.close_blocking()?;
    println!("checkpoint to keep elsewhere: {checkpoint}");

    let reader = audit_log::Reader::open(&path, web.clone())?;
    for entry in reader.query(&Filter::new(), Cursor::oldest_first(), 10)?.entries {
        println!("{} {}", entry.intent().action(), entry.outcome());
    }
    println!("intact: {}", verify(&path, &[checkpoint])?.is_intact());

    let segment = path.join("00000001.log");
    let mut bytes = std::fs::read(&segment)?;
    if let Some(byte) = bytes.last_mut() {
        *byte ^= 1;
    }
    std::fs::write(&segment, bytes)?;
    println!("with one byte changed:\n{}", verify(&path, &[checkpoint])?);
    Ok(())
}
