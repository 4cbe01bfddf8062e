//! The example agent: a machine that joins a cluster.

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use join_hmac::code::PairingCode;
use join_hmac::human::FingerprintWords;
use join_hmac::join::JoinSecret;
use join_hmac::ticket::Ticket;
use palisade_examples::join::agent::{Agent, AgentSettings, Membership, Said, SecretFile, Status, Wish};
use serde_json::{Value, json};
use tokio::sync::watch;
use zeroize::Zeroizing;

fn main() -> ExitCode {
    let settings = match AgentSettings::parse(std::env::args_os().skip(1)) {
        Ok(settings) => settings,
        Err(error) => return fail(&error, 2),
    };
    match settings {
        AgentSettings::Join { state_dir, wish, secret, json } => {
            let secret = match secret.as_ref().map(|file| read_secret(file, json)).transpose() {
                Ok(secret) => secret,
                Err(error) => return fail(&error, 1),
            };
            match join(&state_dir, &wish, secret, json) {
                Ok(code) => code,
                Err(error) => fail(&error, 1),
            }
        }
        AgentSettings::Status { state_dir, json } => match status(&state_dir, json) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, 1),
        },
        _ => {
            let _ = writeln!(io::stdout(), "{}", AgentSettings::usage());
            ExitCode::SUCCESS
        }
    }
}

fn join(state_dir: &Path, wish: &Wish, secret: Option<JoinSecret>, json: bool) -> Result<ExitCode, String> {
    let agent = Agent::open(state_dir).map_err(text)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(text)?;
    runtime.block_on(async {
        let (stop, stopped) = watch::channel(false);
        let mut signals = Signals::new().map_err(text)?;
        let own = FingerprintWords::of(&agent.machine().identity().certificate().fingerprint());
        print(
            json,
            &json!({"event": "started", "fingerprint": own.to_string()}),
            &format!("this machine: {own}"),
        );
        let mut say = |said: Said| match said {
            Said::Waiting { intent, words } => print(
                json,
                &json!({"event": "waiting", "intent": intent, "words": words}),
                &format!("waiting for somebody to approve this machine; both screens show: {words}"),
            ),
            Said::Resuming => print(json, &json!({"event": "resuming"}), "going on with a join"),
            Said::Again { why } => {
                print(json, &json!({"event": "again", "why": why}), &format!("again, because: {why}"));
            }
            _ => {}
        };
        let joining = agent.join(wish, secret, &mut say, stopped);
        tokio::pin!(joining);
        let outcome = loop {
            tokio::select! {
                outcome = &mut joining => break outcome,
                () = signals.told() => { let _ = stop.send(true); }
            }
        };
        Ok(match outcome {
            Ok(membership) => {
                print(json, &shown("joined", Some(&membership)), &said(&membership));
                ExitCode::SUCCESS
            }
            Err(error) => {
                let reason = error.join().map(join_hmac::error::JoinError::reason);
                print(
                    json,
                    &json!({"event": "ended", "reason": reason, "message": error.to_string()}),
                    &format!("not joined: {error}"),
                );
                ExitCode::from(1)
            }
        })
    })
}

fn status(state_dir: &Path, json: bool) -> Result<(), String> {
    // Asking makes no machine.
    let status = if state_dir.join("machine").exists() {
        Agent::open(state_dir).and_then(|agent| agent.status()).map_err(text)?
    } else {
        Status::Nothing
    };
    match status {
        Status::Joined(membership) => print(json, &shown("joined", Some(&membership)), &said(&membership)),
        Status::Pending => print(json, &shown("pending", None), "pending: run `join` again"),
        _ => print(json, &shown("nothing", None), "nothing was joined"),
    }
    Ok(())
}

fn shown(event: &str, membership: Option<&Membership>) -> Value {
    let Some(Membership { id, store, .. }) = membership else { return json!({"event": event}) };
    let members: Vec<&str> = store.members().map(|member| member.entry().name()).collect();
    json!({
        "event": event,
        "member": id.to_string(),
        "cluster": hex(store.cluster().as_bytes()),
        "epoch": store.epoch(),
        "root": hex(store.root().as_bytes()),
        "members": members,
    })
}

fn said(membership: &Membership) -> String {
    let store = &membership.store;
    let members: Vec<&str> = store.members().map(|member| member.entry().name()).collect();
    format!("joined as {}; epoch {}, members: {}", membership.id, store.epoch(), members.join(", "))
}

/// A hint is for the person who typed the code: programs, and their logs, get none.
fn read_secret(file: &SecretFile, json: bool) -> Result<JoinSecret, String> {
    let (SecretFile::Ticket(path) | SecretFile::Code(path)) = file;
    let mut typed = Zeroizing::new(String::with_capacity(MAX_SECRET_LEN));
    let limit = u64::try_from(MAX_SECRET_LEN).unwrap_or(u64::MAX);
    let read = if path.as_os_str() == "-" {
        io::stdin().take(limit).read_to_string(&mut typed)
    } else {
        std::fs::File::open(path).and_then(|open| open.take(limit).read_to_string(&mut typed))
    };
    read.map_err(|error| format!("{}: {error}", path.display()))?;
    match file {
        SecretFile::Ticket(_) => Ticket::parse(typed.trim_end()).map(JoinSecret::ticket).map_err(text),
        SecretFile::Code(_) => PairingCode::parse(&typed).map(JoinSecret::code).map_err(|error| {
            let hint = error.hint().filter(|_| !json);
            hint.map_or_else(|| error.to_string(), |hint| format!("{error}; did you mean `{hint}`?"))
        }),
    }
}

/// SIGINT and SIGTERM: told once, the agent tells the other side.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn print(json: bool, row: &Value, line: &str) {
    let mut out = io::stdout();
    let _ = if json { writeln!(out, "{row}") } else { writeln!(out, "{line}") };
    let _ = out.flush();
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn fail(error: &dyn std::fmt::Display, status: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "join_agent: {error}");
    ExitCode::from(status)
}

/// A ticket, or a code with all its blanks, and an end of line.
const MAX_SECRET_LEN: usize = 512;
