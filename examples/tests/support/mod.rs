//! A control plane in a process of its own, and a client for it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a test that fails")]
#![allow(dead_code, reason = "each test file uses its own part of this module")]

pub(crate) mod nodes;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

/// A running `control_plane serve`; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) base: String,
    /// Only of a first start.
    pub(crate) admin_token: Option<String>,
    /// Where machines join, of a server that was told to listen for them.
    pub(crate) joins: Option<String>,
    log: Option<JoinHandle<String>>,
}

impl Server {
    /// Starts one on a free loopback port and waits until it listens.
    pub(crate) fn start(data_dir: &Path) -> Self {
        Self::start_with(data_dir, &[])
    }

    /// Starts one that machines join at, too.
    pub(crate) fn start_with_joins(data_dir: &Path) -> Self {
        Self::start_with(data_dir, &["--join-listen", "127.0.0.1:0"])
    }

    pub(crate) fn start_with(data_dir: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_control_plane"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let (mut admin_token, mut joins) = (None, None);
        loop {
            let Ok(line) = lines.recv_timeout(START_TIMEOUT) else {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the server did not start: {}", log.join().unwrap());
            };
            if let Some(token) = line.strip_prefix("administrator token (shown this once): ") {
                admin_token = Some(token.to_owned());
            }
            if let Some(address) = line.strip_prefix("machines join at ") {
                joins = Some(address.to_owned());
            }
            if let Some(base) = line.strip_prefix("listening on ") {
                return Self { child, base: base.to_owned(), admin_token, joins, log: Some(log) };
            }
        }
    }

    /// Kills it as `kill -9` does and returns what it logged.
    pub(crate) fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log.take().unwrap().join().unwrap()
    }

    /// Asks it to stop, waits until it has, and returns its exit status and what it logged.
    pub(crate) fn stop(mut self) -> (std::process::ExitStatus, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        (status, self.log.take().unwrap().join().unwrap())
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn admin(&self) -> Client {
        Client::new(&self.base, self.admin_token.as_deref())
    }

    pub(crate) fn client(&self, token: Option<&str>) -> Client {
        Client::new(&self.base, token)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A caller with one token.
#[derive(Clone)]
pub(crate) struct Client {
    agent: Agent,
    base: String,
    token: Option<String>,
}

impl Client {
    pub(crate) fn new(base: &str, token: Option<&str>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(20)))
            .build();
        Self { agent: config.new_agent(), base: base.to_owned(), token: token.map(str::to_owned) }
    }

    /// One request and its answer; an error when the connection broke.
    pub(crate) fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, ureq::Error> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = match body {
            Some(body) => {
                let request =
                    request.header("content-type", "application/json").body(body.to_string()).unwrap();
                self.agent.run(request)?
            }
            None => self.agent.run(request.body(()).unwrap())?,
        };
        let status = response.status().as_u16();
        let request_id = response.headers().get("x-request-id").map(|id| id.to_str().unwrap().to_owned());
        let text = response.body_mut().read_to_string()?;
        Ok(Answer { status, request_id, body: serde_json::from_str(&text).unwrap_or(Value::Null) })
    }

    /// What is answered, as it is.
    pub(crate) fn text(&self, path: &str) -> String {
        self.agent.get(format!("{}{path}", self.base)).call().unwrap().body_mut().read_to_string().unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        self.send("GET", path, None).unwrap().into_pair()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send("POST", path, Some(body)).unwrap().into_pair()
    }

    pub(crate) fn delete(&self, path: &str) -> (u16, Value) {
        self.send("DELETE", path, None).unwrap().into_pair()
    }
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) request_id: Option<String>,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn into_pair(self) -> (u16, Value) {
        (self.status, self.body)
    }
}

/// What `palisade` printed, and its exit status.
pub(crate) fn palisade(arguments: &[&str], input: &[u8]) -> (i32, String, String) {
    use std::io::Write;
    let mut child = Command::new(env!("CARGO_BIN_EXE_palisade"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // A program that needs no input may close it early.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// Every file below a folder.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

const START_TIMEOUT: Duration = Duration::from_secs(20);
