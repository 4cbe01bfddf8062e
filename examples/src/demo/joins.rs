//! Machines join: the agent's own code over real TLS, an operator at the API.

#![expect(clippy::indexing_slicing, reason = "a JSON value indexed by a name is null where there is none")]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use join_hmac::code::PairingCode;
use join_hmac::error::JoinError;
use join_hmac::human::FingerprintWords;
use join_hmac::join::JoinSecret;
use join_hmac::ticket::Ticket;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::http::Client;
use super::story::{expect, same, text};
use super::{DemoError, Narrator, unexpected};
use crate::join::agent::{Agent, AgentError, Membership, Said, Wish};

/// Lets machines join at `to`, with folders of their own in `folder`.
pub(super) fn tell(
    admin: &Client,
    to: SocketAddr,
    folder: &Path,
    out: &mut Narrator,
) -> Result<(), DemoError> {
    by_ticket(admin, to, folder, out)?;
    by_code(admin, to, folder, out)?;
    log(admin, out)
}

fn by_ticket(admin: &Client, to: SocketAddr, folder: &Path, out: &mut Narrator) -> Result<(), DemoError> {
    out.step("A machine joins by a ticket, unattended");
    let wish = json!({"role": "worker", "names": "web-*", "uses": 1, "label": "rack 7"});
    let ticket = expect(admin.post("/api/v1/join-tickets", &wish)?, 201, "a ticket")?;
    let secret = || Ticket::parse(text(&ticket.body["ticket"])?).map(JoinSecret::ticket).map_err(failed);
    out.say(format_args!(
        "ticket {}: one worker named web-*, for an hour; 256 bits, shown once, stored as what checks it",
        text(&ticket.body["id"])?
    ));
    let first = Machine::start("web-1", to, folder, secret()?)?;
    let member = first.end()?.map_err(failed)?;
    agree(admin, &member)?;
    out.say(format_args!(
        "web-1 joined over TLS 1.3 at {to}: epoch {}, and the same Merkle root of the members on both sides",
        member.store.epoch()
    ));
    let second = Machine::start("web-2", to, folder, secret()?)?;
    refused(second.end()?, "a second machine with the ticket")?;
    out.say("web-2 with the same ticket: refused, and not told why");
    Ok(())
}

fn by_code(admin: &Client, to: SocketAddr, folder: &Path, out: &mut Narrator) -> Result<(), DemoError> {
    out.step("A machine joins by two words that one person reads to another");
    let code = expect(admin.post("/api/v1/join-code", &json!({}))?, 201, "a code")?;
    let right = text(&code.body["code"])?;
    out.say("two words, 20.7 bits: enough, because nothing that is sent lets anybody try others offline");
    let guess = if right == WRONG { OTHER } else { WRONG };
    let guess = PairingCode::parse(guess).map(JoinSecret::code).map_err(failed)?;
    refused(Machine::start("web-3", to, folder, guess)?.end()?, "a machine with another code")?;
    let joins = expect(admin.get("/api/v1/joins")?, 200, "the joins")?;
    if joins.body["code"]["guesses_left"] != 9 {
        return Err(unexpected(format!("a wrong guess was not counted: {}", joins.body)));
    }
    out.say("a machine that guesses: refused; nine guesses are left, then the code is gone");
    let secret = PairingCode::parse(right).map(JoinSecret::code).map_err(failed)?;
    let mut machine = Machine::start("web-3", to, folder, secret)?;
    let (intent, words) = machine.waits()?;
    let joins = expect(admin.get("/api/v1/joins")?, 200, "the joins")?;
    let asked = &joins.body["waiting"][0];
    same(&asked["id"], &intent, "the intent")?;
    same(&asked["words"], &words, "the words on both screens")?;
    same(&asked["machine"]["fingerprint_words"], &machine.fingerprint, "the fingerprint on both screens")?;
    out.say(format_args!("web-3 with the code waits to be approved; both screens show «{words}»"));
    out.say(format_args!("and its certificate as «{}»", machine.fingerprint));
    let approve = format!("/api/v1/joins/{intent}/approve");
    expect(admin.post(&approve, &json!({}))?, 200, "approving what was shown")?;
    let member = machine.end()?.map_err(failed)?;
    agree(admin, &member)?;
    let members: Vec<&str> = member.store.members().map(|member| member.entry().name()).collect();
    out.say(format_args!(
        "POST …/approve: web-3 joined; it knows {} members, itself among them",
        members.len()
    ));
    Ok(())
}

fn log(admin: &Client, out: &mut Narrator) -> Result<(), DemoError> {
    out.step("What the audit log has of it");
    let answer = expect(admin.get("/api/v1/audit-logs?limit=500")?, 200, "the audit log")?;
    let mut entries: Vec<&Value> = answer.body["items"]
        .as_array()
        .ok_or_else(|| unexpected("no entries"))?
        .iter()
        .filter(|entry| entry["action"].as_str().is_some_and(|action| action.starts_with("joins:")))
        .collect();
    entries.sort_by_key(|entry| entry["sequence"].as_u64());
    for wanted in ["joins:found", "joins:write", "joins:prove", "joins:approve", "joins:admit"] {
        if !entries.iter().any(|entry| entry["action"] == wanted && entry["outcome"] == "allowed") {
            return Err(unexpected(format!("the log has no `{wanted}`")));
        }
    }
    for entry in entries {
        let detail = |name: &str| entry["details"][name].as_str().unwrap_or_default().to_owned();
        out.say(format_args!(
            "{:<14} {:<15} {}",
            text(&entry["action"])?,
            text(&entry["outcome"])?,
            [entry["reason"].as_str().unwrap_or_default().to_owned(), detail("name"), detail("secret")]
                .join(" ")
                .trim(),
        ));
    }
    Ok(())
}

/// A machine that is at it.
struct Machine {
    fingerprint: String,
    said: mpsc::UnboundedReceiver<Said>,
    joining: JoinHandle<Result<Membership, AgentError>>,
}

impl Machine {
    fn start(name: &str, to: SocketAddr, folder: &Path, secret: JoinSecret) -> Result<Self, DemoError> {
        let agent = Agent::open(&folder.join(name)).map_err(failed)?;
        let certificate = agent.machine().identity().certificate().fingerprint();
        let (sender, said) = mpsc::unbounded_channel();
        let wish = Wish {
            to,
            name: name.to_owned(),
            role: "worker".to_owned(),
            addresses: Vec::new(),
            patience: Duration::from_secs(10),
        };
        let joining = Handle::current().spawn(async move {
            let (_nobody, stop) = watch::channel(false);
            let mut say = |what: Said| {
                let _ = sender.send(what);
            };
            agent.join(&wish, Some(secret), &mut say, stop).await
        });
        Ok(Self { fingerprint: FingerprintWords::of(&certificate).to_string(), said, joining })
    }

    /// Until it waits for somebody: the intent and the words.
    fn waits(&mut self) -> Result<(String, String), DemoError> {
        while let Some(said) = self.said.blocking_recv() {
            if let Said::Waiting { intent, words } = said {
                return Ok((intent, words));
            }
        }
        Err(unexpected("the machine did not wait to be approved"))
    }

    fn end(self) -> Result<Result<Membership, AgentError>, DemoError> {
        Handle::current().block_on(self.joining).map_err(failed)
    }
}

/// That the machine and the cluster know the same members.
fn agree(admin: &Client, member: &Membership) -> Result<(), DemoError> {
    let members = expect(admin.get("/api/v1/members")?, 200, "the members")?;
    let root: String = member.store.root().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    same(&members.body["root"], &root, "the root of the members")
}

fn refused(outcome: Result<Membership, AgentError>, what: &str) -> Result<(), DemoError> {
    match outcome {
        Err(error) if error.join() == Some(&JoinError::Refused) => Ok(()),
        Err(error) => Err(unexpected(format!("{what}: {error}"))),
        Ok(_) => Err(unexpected(format!("{what} joined"))),
    }
}

fn failed(error: impl std::fmt::Display) -> DemoError {
    unexpected(error.to_string())
}

const WRONG: &str = "zebra zombie";
const OTHER: &str = "zombie zebra";
