//! A real etcd cluster for tests, started from the program that is installed.

use std::io::{self, BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// A cluster on free ports of the loopback interface, in a folder that goes with it.
#[derive(Debug)]
pub struct Cluster {
    folder: TempDir,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    client: u16,
    peer: u16,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    // Kills the member when its standard input ends: so it does not outlive this process either.
    keeper: Child,
    process: u32,
}

impl Cluster {
    /// Starts one of this many members.
    ///
    /// # Errors
    /// When etcd is not installed, or does not start.
    pub fn start(members: usize) -> io::Result<Self> {
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
        let mut cluster = Self { folder, members };
        for member in 0..cluster.members.len() {
            cluster.spawn(member)?;
        }
        cluster.wait()?;
        Ok(cluster)
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
        let Some(mut running) = running else { return Ok(()) };
        drop(running.keeper.stdin.take());
        running.keeper.wait()?;
        for _ in 0..200 {
            if !Path::new(&format!("/proc/{}", running.process)).exists() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
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
            .arg(format!("--endpoints={address}"))
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

    fn signal(&self, member: usize, signal: &str) -> io::Result<()> {
        let running = self.members.get(member).and_then(|member| member.running.as_ref());
        let Some(running) = running else { return Ok(()) };
        Command::new("kill").args([signal, &running.process.to_string()]).status().map(drop)
    }

    fn spawn(&mut self, place: usize) -> io::Result<()> {
        let initial: Vec<String> = (0_usize..)
            .zip(&self.members)
            .map(|(place, member)| format!("m{place}=http://127.0.0.1:{}", member.peer))
            .collect();
        let folder = self.folder.path().join(format!("m{place}"));
        let log = self.folder.path().join(format!("log{place}"));
        let member = self.members.get_mut(place).ok_or_else(|| io::Error::other("no such member"))?;
        let client = format!("http://127.0.0.1:{}", member.client);
        let peer = format!("http://127.0.0.1:{}", member.peer);
        // The shell says which process it started, waits until nobody is left to tell it anything, and kills it.
        let script = r#"log=$1; shift; "$@" >>"$log" 2>&1 </dev/null & echo $!; read -r _; kill -9 $!; wait"#;
        let mut keeper = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(log)
            .args(["etcd", "--name", &format!("m{place}"), "--data-dir"])
            .arg(folder)
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &initial.join(",")])
            .args(["--max-txn-ops", "1024", "--max-request-bytes", "67108864"])
            .args(["--heartbeat-interval", "50", "--election-timeout", "500", "--log-level", "error"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut said = String::new();
        if let Some(stdout) = keeper.stdout.take() {
            BufReader::new(stdout).read_line(&mut said)?;
        }
        let process = said.trim().parse().map_err(|_| io::Error::other("the shell named no process"))?;
        member.running = Some(Running { keeper, process });
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

const SOMEWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
