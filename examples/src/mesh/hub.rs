//! A store behind a Unix socket: one request and one answer a line, in JSON.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use state_store::{
    Batch, Commit, CommitError, Entry, Expect, Key, MemoryStore, Page, Prefix, ReadError, Revision,
    StateStore, Value, Watch, WatchEvent, Write,
};

use super::Failure;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Request {
    Scan { prefix: String, after: Option<String>, limit: usize },
    Commit { expect: Vec<(String, Option<u64>)>, write: Vec<(String, Option<String>)> },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Answer {
    Page { entries: Vec<(String, String, u64)>, revision: u64, more: bool },
    Committed(u64),
    Conflict(String),
    Refused(String),
}

/// Serves an empty store until the process ends.
///
/// # Errors
/// When the socket cannot be made.
pub fn serve(path: &Path) -> Result<(), Failure> {
    let listener = UnixListener::bind(path)?;
    let store = MemoryStore::new();
    for stream in listener.incoming() {
        let (stream, store) = (stream?, store.clone());
        std::thread::spawn(move || {
            let mut reader = BufReader::new(&stream);
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|len| len > 0) {
                let answer = answer(&store, &line).unwrap_or_else(|error| Answer::Refused(error.to_string()));
                let Ok(mut text) = serde_json::to_string(&answer) else { return };
                text.push('\n');
                if (&stream).write_all(text.as_bytes()).is_err() {
                    return;
                }
                line.clear();
            }
        });
    }
    Ok(())
}

fn answer(store: &MemoryStore, line: &str) -> Result<Answer, Failure> {
    match serde_json::from_str(line)? {
        Request::Scan { prefix, after, limit } => {
            let after = after.map(Key::new).transpose()?;
            let page = pollster::block_on(store.scan(&Prefix::new(prefix)?, after.as_ref(), limit))?;
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec());
            let entries = page.entries.iter().map(|entry| {
                Ok((text(entry.key.as_bytes())?, text(entry.value.as_bytes())?, entry.revision.get()))
            });
            let entries = entries.collect::<Result<_, std::string::FromUtf8Error>>()?;
            Ok(Answer::Page { entries, revision: page.revision.get(), more: page.more })
        }
        Request::Commit { expect, write } => {
            let mut batch = Batch::new();
            for (key, revision) in expect {
                let expect =
                    revision.map_or(Expect::Absent, |number| Expect::Revision(Revision::new(number)));
                batch.require(Key::new(key)?, expect)?;
            }
            for (key, value) in write {
                let write = value.map(Value::new).transpose()?.map_or(Write::Delete, Write::Put);
                batch.write(Key::new(key)?, write)?;
            }
            Ok(match pollster::block_on(store.commit(batch))? {
                Commit::Committed(revision) => Answer::Committed(revision.get()),
                Commit::Conflict(key) => {
                    Answer::Conflict(String::from_utf8_lossy(key.as_bytes()).into_owned())
                }
            })
        }
    }
}

/// The store that a hub serves.
#[derive(Debug, Clone)]
pub struct HubStore {
    path: PathBuf,
}

impl HubStore {
    /// The store behind this socket.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    fn ask(&self, request: &Request) -> io::Result<Answer> {
        let stream = UnixStream::connect(&self.path)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        (&stream).write_all(line.as_bytes())?;
        line.clear();
        BufReader::new(&stream).read_line(&mut line)?;
        match serde_json::from_str(&line)? {
            Answer::Refused(why) => Err(io::Error::other(why)),
            answer => Ok(answer),
        }
    }
}

impl StateStore for HubStore {
    type Watch = HubWatch;

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        let prefix = Prefix::new(key.as_bytes()).map_err(|error| unavailable(&io::Error::other(error)))?;
        let page = self.scan(&prefix, None, 1).await?;
        Ok(page.entries.into_iter().find(|entry| entry.key == *key))
    }

    async fn scan(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Result<Page, ReadError> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let after = after.map(|key| text(key.as_bytes()));
        let answer = self.ask(&Request::Scan { prefix: text(prefix.as_bytes()), after, limit });
        let Answer::Page { entries, revision, more } = answer.map_err(|error| unavailable(&error))? else {
            return Err(unavailable(&io::Error::other("no page")));
        };
        let entries = entries.into_iter().map(|(key, value, revision)| {
            Ok(Entry { key: Key::new(key)?, value: Value::new(value)?, revision: Revision::new(revision) })
        });
        let entries = entries.collect::<Result<_, state_store::LimitError>>();
        let entries = entries.map_err(|error| unavailable(&io::Error::other(error)))?;
        Ok(Page { entries, revision: Revision::new(revision), more })
    }

    async fn commit(&self, batch: Batch) -> Result<Commit, CommitError> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let expect = batch.expectations().map(|(key, expect)| {
            let revision = match expect {
                Expect::Absent => None,
                Expect::Revision(revision) => Some(revision.get()),
            };
            (text(key.as_bytes()), revision)
        });
        let expect = expect.collect();
        let write = batch.writes().map(|(key, write)| {
            let value = match write {
                Write::Put(value) => Some(text(value.as_bytes())),
                Write::Delete => None,
            };
            (text(key.as_bytes()), value)
        });
        let write = write.collect();
        match self.ask(&Request::Commit { expect, write }) {
            Ok(Answer::Committed(revision)) => Ok(Commit::Committed(Revision::new(revision))),
            Ok(Answer::Conflict(key)) => Ok(Commit::Conflict(Key::new(key).map_err(|_| unknown())?)),
            Ok(_) | Err(_) => Err(unknown()),
        }
    }

    async fn watch(&self, _prefix: &Prefix, after: Revision) -> Result<HubWatch, ReadError> {
        Ok(HubWatch { store: self.clone(), after })
    }
}

/// Tells that there is something new, and leaves it to the watcher to read what.
#[derive(Debug)]
pub struct HubWatch {
    store: HubStore,
    after: Revision,
}

impl Watch for HubWatch {
    async fn next(&mut self) -> Result<WatchEvent, ReadError> {
        while self.store.scan(&Prefix::all(), None, 0).await?.revision == self.after {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(WatchEvent::Lagged)
    }
}

fn unavailable(error: &io::Error) -> ReadError {
    ReadError::Unavailable { detail: error.to_string().into() }
}

fn unknown() -> CommitError {
    CommitError::OutcomeUnknown { detail: "the hub did not answer".into() }
}
