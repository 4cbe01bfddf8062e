//! `control_plane demo`: the whole story, told by a program that checks every step of it.
//!
//! It starts a server on a free loopback port, and from then on is a client like any other: real keys, real
//! HTTP. The first step that does not end as it should ends the demo.

mod http;
mod joins;
mod keys;
mod mesh;
mod story;

use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::control_plane::{Server, StartError, StateSettings, StateUrl};

/// Why the demo ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The server did not start or stop.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The connection broke.
    #[error("HTTP: {0}")]
    Http(String),
    /// The terminal, a file, or `ssh-keygen`.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A step ended otherwise than it should.
    #[error("not as it should be: {0}")]
    Unexpected(String),
}

impl From<ureq::Error> for DemoError {
    fn from(error: ureq::Error) -> Self {
        Self::Http(error.to_string())
    }
}

/// Tells the story, and prints it to `out`. Keeps everything in `data_dir` when one is given. Where `state` names a
/// store, two servers share it, and the story's requests go to each in turn.
///
/// # Errors
/// [`DemoError`] at the first thing that is not as it should be.
pub async fn run(
    data_dir: Option<PathBuf>,
    state: Option<StateUrl>,
    out: &mut (dyn Write + Send),
) -> Result<(), DemoError> {
    let temporary = tempfile::tempdir()?;
    let folder = data_dir.clone().unwrap_or_else(|| temporary.path().join("data"));
    let settings = StateSettings::at(state.clone());
    let mut first = Server::start(ANY_PORT, &folder, &settings).await?;
    let Some(first_start) = first.take_first_start() else {
        let held = if state.is_some() { "the state".into() } else { folder.display().to_string() };
        let message = format!("{held} holds an earlier run: the demo needs a new folder, and an empty state");
        return Err(DemoError::Unexpected(message));
    };
    first.listen_for_joins(ANY_PORT, &folder).await?;
    let joins = first.joins_address().ok_or_else(|| unexpected("nobody listens for machines"))?;
    let token = first_start.expose_token_once(str::to_owned);
    let mut folders = vec![folder.clone()];
    let mut servers = vec![first];
    if state.is_some() {
        let second = folder.join("second");
        join_fleet(&folder, &second)?;
        servers.push(Server::start(ANY_PORT, &second, &settings).await?);
        folders.push(second);
    }
    let bases: Vec<String> = servers.iter().map(|server| format!("http://{}", server.address())).collect();
    let (stop, _) = tokio::sync::broadcast::channel::<()>(1);
    let serving: Vec<_> = servers
        .into_iter()
        .map(|server| {
            let mut stopped = stop.subscribe();
            tokio::spawn(server.serve(async move {
                let _ = stopped.recv().await;
            }))
        })
        .collect();

    let keys_folder = temporary.path().join("keys");
    std::fs::create_dir(&keys_folder)?;
    let machines = temporary.path().join("machines");
    // The client blocks; it has a thread of its own, and what it prints comes out as it happens.
    let (lines, mut printed) = tokio::sync::mpsc::unbounded_channel();
    let telling = tokio::task::spawn_blocking(move || {
        let mut narrator = Narrator { lines, step: 0 };
        let admin = story::tell(bases, &token, &keys_folder, &mut narrator)?;
        // The second node takes nobody in.
        joins::tell(&admin.at_first_node(), joins, &machines, &mut narrator)?;
        story::audit(&admin, &mut narrator)
    });
    while let Some(line) = printed.recv().await {
        writeln!(out, "{line}")?;
        out.flush()?;
    }
    telling.await.map_err(|error| DemoError::Unexpected(error.to_string()))??;

    drop(stop);
    for serving in serving {
        serving.await.map_err(|error| DemoError::Unexpected(error.to_string()))??;
    }
    for folder in folders {
        writeln!(out, "\n{}", check_log(&folder.join("audit"))?)?;
    }
    match data_dir {
        Some(folder) => writeln!(out, "Everything is kept in {}.", folder.display())?,
        None => writeln!(out, "Nothing is kept; --data-dir DIR would.")?,
    }
    writeln!(out, "The demo ended as it should.")?;
    Ok(())
}

/// Gives another node what the nodes of a fleet have in common besides the state.
fn join_fleet(first: &Path, other: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().mode(0o700).create(other)?;
    for secret in ["pepper", "ssh-bundle-key"] {
        // The mode goes with it: for nobody else's eyes.
        std::fs::copy(first.join(secret), other.join(secret))?;
    }
    Ok(())
}

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Prints the steps, numbered.
struct Narrator {
    lines: tokio::sync::mpsc::UnboundedSender<String>,
    step: usize,
}

impl Narrator {
    fn step(&mut self, title: &str) {
        self.step = self.step.saturating_add(1);
        let _ = self.lines.send(format!("\n{}. {title}", self.step));
    }

    fn say(&self, line: impl Display) {
        let _ = self.lines.send(format!("   {line}"));
    }
}

fn unexpected(what: impl Into<String>) -> DemoError {
    DemoError::Unexpected(what.into())
}

/// What `palisade audit verify` says of the log.
fn check_log(folder: &Path) -> Result<String, DemoError> {
    let mut output = Vec::new();
    let arguments = ["audit".into(), "verify".into(), folder.into()];
    let answer = crate::cli::run(
        arguments.to_vec(),
        &mut crate::cli::Streams { input: &mut io::empty(), output: &mut output },
    );
    let said = String::from_utf8_lossy(&output).trim_end().to_owned();
    match answer {
        Ok(crate::cli::Answer::Yes) => Ok(format!("The audit log, read back from its files:\n   {said}")),
        Ok(crate::cli::Answer::No) => Err(unexpected(format!("the audit log does not verify: {said}"))),
        Err(error) => Err(unexpected(error.to_string())),
    }
}
