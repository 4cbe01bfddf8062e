//! A real etcd cluster for tests, started from the program that is installed.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use state_store::Key;
use state_store::testing::keeper::Keeper;
use tempfile::TempDir;

use crate::client::{Client, TXN};
use crate::proto::{Compare, Compared, PutRequest, Request, Target, TxnRequest, TxnResponse};

/// A cluster on free ports of the loopback interface, in a folder that goes with it.
#[derive(Debug)]
pub struct Cluster {
    folder: TempDir,
    members: Vec<Member>,
    // Whether clients connect by TLS.
    is_encrypted: bool,
}

#[derive(Debug)]
struct Member {
    client: u16,
    peer: u16,
    running: Option<Keeper>,
}

impl Cluster {
    /// Starts one of this many members.
    ///
    /// # Errors
    /// When etcd is not installed, or does not start.
    pub fn start(members: usize) -> io::Result<Self> {
        let mut cluster = Self::prepare(members)?;
        cluster.spawn_all()?;
        Ok(cluster)
    }

    /// Starts one that takes clients by TLS alone, with this certificate and its key, as PEM.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with_tls(members: usize, certificate: &str, key: &str) -> io::Result<Self> {
        let mut cluster = Self::prepare(members)?;
        cluster.is_encrypted = true;
        cluster.show(certificate, key)?;
        cluster.spawn_all()?;
        Ok(cluster)
    }

    /// Shows another certificate from now on: the members read it for each connection.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn show(&self, certificate: &str, key: &str) -> io::Result<()> {
        fs::write(self.folder.path().join("certificate"), certificate)?;
        fs::write(self.folder.path().join("key"), key)
    }

    fn prepare(members: usize) -> io::Result<Self> {
        let is_there = Command::new("etcd").arg("--version").stdout(Stdio::null()).status();
        is_there.map_err(|_| io::Error::other("`etcd` is not installed (Debian: etcd-server)"))?;
        let folder = tempfile::tempdir()?;
        // All at once, so that no port is given out twice.
        let free = || TcpListener::bind(("127.0.0.1", 0));
        let listeners = (0..members).map(|_| Ok((free()?, free()?))).collect::<io::Result<Vec<_>>>()?;
        let members = listeners
            .iter()
            .map(|(client, peer)| {
                let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
                Ok(Member { client: port(client)?, peer: port(peer)?, running: None })
            })
            .collect::<io::Result<Vec<_>>>()?;
        drop(listeners);
        Ok(Self { folder, members, is_encrypted: false })
    }

    fn spawn_all(&mut self) -> io::Result<()> {
        (0..self.members.len()).try_for_each(|member| self.spawn(member))?;
        self.wait()
    }

    /// The store of this namespace in it.
    #[must_use]
    pub fn url(&self, namespace: &str) -> String {
        self.url_at(&self.addresses(), namespace)
    }

    /// The same by way of other addresses, those of proxies.
    #[must_use]
    pub fn url_at(&self, addresses: &[SocketAddr], namespace: &str) -> String {
        let members: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        format!("etcd://{}/{namespace}", members.join(","))
    }

    /// Where the members listen.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.members.iter().map(|member| SocketAddr::from(([127, 0, 0, 1], member.client))).collect()
    }

    /// Which member leads now, as far as they say.
    ///
    /// # Errors
    /// When `etcdctl` is not installed, or nobody leads.
    pub fn leader(&self) -> io::Result<usize> {
        for place in 0..self.members.len() {
            let said = self.etcdctl(place, &["endpoint", "status", "-w", "simple"]).unwrap_or_default();
            // endpoint, id, version, size, is leader, …
            if said.split(", ").nth(4) == Some("true") {
                return Ok(place);
            }
        }
        Err(io::Error::other("nobody leads"))
    }

    /// Kills a member.
    ///
    /// # Errors
    /// When there is no signal to be sent.
    pub fn kill(&mut self, member: usize) -> io::Result<()> {
        let running = self.members.get_mut(member).and_then(|member| member.running.take());
        running.map_or(Ok(()), Keeper::kill)
    }

    /// Starts a member again that was killed, and waits until it takes part.
    ///
    /// # Errors
    /// When it does not, in half a minute.
    pub fn resume(&mut self, member: usize) -> io::Result<()> {
        self.spawn(member)?;
        self.wait()
    }

    /// Stops a member where it is.
    ///
    /// # Errors
    /// When there is no signal to be sent.
    pub fn freeze(&self, member: usize) -> io::Result<()> {
        self.signal(member, "-STOP")
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When there is no signal to be sent.
    pub fn thaw(&self, member: usize) -> io::Result<()> {
        self.signal(member, "-CONT")
    }

    /// Has `etcdctl` carry out a command at a member, and returns what it prints.
    ///
    /// # Errors
    /// With what it says when it fails.
    pub fn etcdctl(&self, member: usize, arguments: &[&str]) -> io::Result<String> {
        let address =
            self.addresses().get(member).copied().ok_or_else(|| io::Error::other("no such member"))?;
        let output = Command::new("etcdctl")
            // Whom it talks to is not what is tested by it.
            .arg(format!("--endpoints={}{address}", self.scheme()))
            .args(if self.is_encrypted { ENCRYPTED } else { [].as_slice() })
            .args(["--dial-timeout=1s", "--command-timeout=2s"])
            .args(arguments)
            .env("ETCDCTL_API", "3")
            .stdin(Stdio::null())
            .output()?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
        } else {
            Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim_end().to_owned()))
        }
    }

    const fn scheme(&self) -> &'static str {
        if self.is_encrypted { "https://" } else { "http://" }
    }

    fn signal(&self, member: usize, signal: &str) -> io::Result<()> {
        let running = self.members.get(member).and_then(|member| member.running.as_ref());
        let Some(running) = running else { return Ok(()) };
        Command::new("kill").args([signal, &running.process().to_string()]).status().map(drop)
    }

    fn spawn(&mut self, place: usize) -> io::Result<()> {
        let initial: Vec<String> = (0_usize..)
            .zip(&self.members)
            .map(|(place, member)| format!("m{place}=http://127.0.0.1:{}", member.peer))
            .collect();
        let scheme = self.scheme();
        let certificate = self.folder.path().join("certificate");
        let key = self.folder.path().join("key");
        let folder = self.folder.path().join(format!("m{place}"));
        let log = self.folder.path().join(format!("log{place}"));
        let member = self.members.get_mut(place).ok_or_else(|| io::Error::other("no such member"))?;
        let client = format!("{scheme}127.0.0.1:{}", member.client);
        let peer = format!("http://127.0.0.1:{}", member.peer);
        let name = format!("m{place}");
        let initial = initial.join(",");
        let mut program: Vec<&OsStr> = ["etcd", "--name", &name, "--data-dir"].map(OsStr::new).to_vec();
        program.push(folder.as_os_str());
        let settings = [
            ["--listen-client-urls", &client],
            ["--advertise-client-urls", &client],
            ["--listen-peer-urls", &peer],
            ["--initial-advertise-peer-urls", &peer],
            ["--initial-cluster", &initial],
            ["--max-txn-ops", "1024"],
            ["--max-request-bytes", "67108864"],
            ["--heartbeat-interval", "50"],
            ["--election-timeout", "500"],
            ["--log-level", "error"],
        ];
        program.extend(settings.as_flattened().iter().map(OsStr::new));
        if self.is_encrypted {
            program.extend([OsStr::new("--cert-file"), certificate.as_os_str()]);
            program.extend([OsStr::new("--key-file"), key.as_os_str()]);
        }
        member.running = Some(Keeper::start(&mut Command::new("sh"), &log, program)?);
        Ok(())
    }

    /// Waits until every member that runs answers a read that needs the others.
    fn wait(&self) -> io::Result<()> {
        let mut last = io::Error::other("etcd was not started");
        for _ in 0..300 {
            let outcome = (0..self.members.len())
                .filter(|&place| self.members.get(place).is_some_and(|member| member.running.is_some()))
                .try_for_each(|place| {
                    TcpStream::connect(self.addresses().get(place).copied().unwrap_or(SOMEWHERE))?;
                    self.etcdctl(place, &["get", "nothing"]).map(drop)
                });
            match outcome {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
            thread::sleep(Duration::from_millis(100));
        }
        Err(io::Error::other(format!("etcd does not start: {last}")))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in 0..self.members.len() {
            let _ = self.kill(member);
        }
    }
}

/// The engine without the store: what the store's figures are compared with.
pub struct Bare {
    client: Client,
}

impl Bare {
    /// To the members of a store's URL; within a runtime, which has the connections from then on.
    ///
    /// # Errors
    /// When the URL names no store.
    pub fn connect(url: &str) -> io::Result<Self> {
        let options = url.parse().map_err(io::Error::other)?;
        Ok(Self { client: Client::new(options).map_err(io::Error::other)? })
    }

    /// Puts what there is not, in one transaction; says whether there was nothing.
    ///
    /// # Errors
    /// When no member says so.
    pub async fn create(&self, key: &[u8], value: &[u8]) -> io::Result<bool> {
        let layout = &self.client.layout;
        let key = layout.entry(&Key::new(key).map_err(io::Error::other)?);
        let compared = Some(Compared::CreateRevision(0));
        let put = PutRequest { key: key.clone(), value: value.to_vec(), lease: 0 };
        let question = TxnRequest {
            compare: vec![Compare { target: Target::Create.into(), key, compared }],
            success: vec![Request::Put(put).into()],
            failure: Vec::new(),
        };
        let answer = self.client.once::<_, TxnResponse>(TXN, question).await;
        Ok(answer.map_err(|failure| io::Error::other(String::from(failure.into_detail())))?.succeeded)
    }
}

const ENCRYPTED: &[&str] = &["--insecure-transport=false", "--insecure-skip-tls-verify"];
const SOMEWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
