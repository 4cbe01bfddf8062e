//! A `join_agent` in a process of its own, with a folder of its own.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper that fails is a test that fails"
)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Client, Server};

/// A machine that joins, or has.
pub(crate) struct Machine {
    pub(crate) name: String,
    folder: TempDir,
}

impl Machine {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn secret_file(&self) -> PathBuf {
        self.folder.path().join("secret")
    }

    /// Starts its agent; the secret is in a file.
    pub(crate) fn start(&self, to: &str, secret: Option<(&str, &str)>) -> Agent {
        let mut command = Command::new(env!("CARGO_BIN_EXE_join_agent"));
        command.args(["join", "--json", "--to", to, "--name", &self.name, "--patience", "20"]);
        command.arg("--state-dir").arg(self.state_dir());
        if let Some((option, secret)) = secret {
            let file = self.secret_file();
            std::fs::write(&file, format!("{secret}\n")).unwrap();
            command.arg(option).arg(file);
        }
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Agent { child, lines }
    }

    pub(crate) fn join_by_ticket(&self, to: &str, ticket: &str) -> Ended {
        self.start(to, Some(("--ticket-file", ticket))).end()
    }

    /// What the agent says of it.
    pub(crate) fn status(&self) -> Value {
        status(&self.state_dir())
    }
}

pub(crate) fn status(state_dir: &Path) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_join_agent"))
        .args(["status", "--json", "--state-dir"])
        .arg(state_dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A running agent; killed when dropped.
pub(crate) struct Agent {
    child: Child,
    lines: BufReader<ChildStdout>,
}

/// What a run of the agent ended with.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) exit: Option<i32>,
    pub(crate) last: Value,
    pub(crate) errors: String,
}

impl Agent {
    /// Waits until it says this; the row.
    pub(crate) fn says(&mut self, event: &str) -> Value {
        loop {
            let mut line = String::new();
            assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "it ended without saying `{event}`");
            let row: Value = serde_json::from_str(&line).unwrap();
            if row["event"] == event {
                return row;
            }
        }
    }

    /// Waits until it ends.
    pub(crate) fn end(mut self) -> Ended {
        let mut last = Value::Null;
        for line in self.lines.by_ref().lines() {
            last = serde_json::from_str(&line.unwrap()).unwrap();
        }
        let exit = self.child.wait().unwrap().code();
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        Ended { exit, last, errors }
    }

    /// Kills it as `kill -9` does, unless it has ended.
    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A ticket for workers, and its id.
pub(crate) fn ticket(admin: &Client, uses: u32) -> (String, String) {
    let wish = json!({"role": "worker", "names": "*", "uses": uses, "label": "for a test"});
    let (status, body) = admin.post("/api/v1/join-tickets", &wish);
    assert_eq!(status, 201, "{body}");
    (body["ticket"].as_str().unwrap().to_owned(), body["id"].as_str().unwrap().to_owned())
}

/// A code of two words.
pub(crate) fn code(admin: &Client) -> String {
    let (status, body) = admin.post("/api/v1/join-code", &json!({}));
    assert_eq!(status, 201, "{body}");
    body["code"].as_str().unwrap().to_owned()
}

/// The members' names, in order.
pub(crate) fn members(admin: &Client) -> Vec<String> {
    let (status, body) = admin.get("/api/v1/members");
    assert_eq!(status, 200, "{body}");
    let names = body["items"].as_array().unwrap().iter();
    let mut names: Vec<String> = names.map(|member| member["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// That the machine and the cluster know the same members.
pub(crate) fn assert_agreed(admin: &Client, machine: &Machine) {
    let (status, cluster) = admin.get("/api/v1/members");
    assert_eq!(status, 200, "{cluster}");
    let known = machine.status();
    assert_eq!(known["event"], "joined", "{known}");
    for field in ["cluster", "epoch", "root"] {
        assert_eq!(known[field], cluster[field], "{field}");
    }
}

/// The only machine that waits.
pub(crate) fn waiting(admin: &Client) -> Value {
    let (status, body) = admin.get("/api/v1/joins");
    assert_eq!(status, 200, "{body}");
    let all = body["waiting"].as_array().unwrap();
    assert_eq!(all.len(), 1, "{body}");
    all[0].clone()
}

pub(crate) fn joins_at(server: &Server) -> String {
    server.joins.clone().unwrap_or_else(|| panic!("nobody listens for machines"))
}

/// The audit log's entries of joins, oldest first: action, outcome, reason.
pub(crate) fn recorded(admin: &Client) -> Vec<(String, String, String)> {
    let (status, body) = admin.get("/api/v1/audit-logs?limit=500");
    assert_eq!(status, 200, "{body}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut all: Vec<_> = body["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| text(&entry["action"]).starts_with("joins:"))
        .map(|entry| {
            (
                entry["sequence"].as_u64(),
                text(&entry["action"]),
                text(&entry["outcome"]),
                text(&entry["reason"]),
            )
        })
        .collect();
    all.sort();
    all.into_iter().map(|(_, action, outcome, reason)| (action, outcome, reason)).collect()
}
