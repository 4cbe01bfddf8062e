//! A real PostgreSQL server for tests, started from the programs that are installed.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use state_store::testing::keeper::Keeper;
use tempfile::TempDir;

/// A server of its own, on a free port of the loopback interface, in a folder that goes with it.
///
/// PostgreSQL refuses to run as root: it runs as `nobody` then. It ends when this does, or its process.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    port: u16,
    settings: Vec<String>,
    running: Option<Keeper>,
}

impl Server {
    /// Starts one.
    ///
    /// # Errors
    /// When the programs are not installed (the error says which), or do not start.
    pub fn start() -> io::Result<Self> {
        Self::start_with(&[])
    }

    /// Starts one with settings beside the defaults: `name=value`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with(settings: &[&str]) -> io::Result<Self> {
        let mut server = Self::prepare(settings)?;
        server.resume()?;
        Ok(server)
    }

    /// Starts one that takes connections by TLS alone, with this certificate and its key, as PEM.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with_tls(certificate: &str, key: &str) -> io::Result<Self> {
        let mut server = Self::prepare(&["ssl=on"])?;
        server.write("pg_hba.conf", "hostssl all all 127.0.0.1/32 scram-sha-256\n")?;
        server.write("server.crt", certificate)?;
        server.write("server.key", key)?;
        server.resume()?;
        Ok(server)
    }

    /// Shows another certificate from now on.
    ///
    /// # Errors
    /// When the files cannot be written, or the server does not answer.
    pub fn show(&self, certificate: &str, key: &str) -> io::Result<()> {
        self.write("server.crt", certificate)?;
        self.write("server.key", key)?;
        self.psql("SELECT pg_reload_conf()")?;
        // The postmaster reads the files when it comes to it.
        thread::sleep(Duration::from_millis(500));
        Ok(())
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        let path = self.data().join(file);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        match self.user {
            Some((user, group)) => chown(&path, Some(user), Some(group)),
            None => Ok(()),
        }
    }

    fn prepare(settings: &[&str]) -> io::Result<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir()?;
        let user = (fs::metadata("/proc/self")?.uid() == 0).then_some((NOBODY, NOBODY));
        if let Some((user, group)) = user {
            chown(folder.path(), Some(user), Some(group))?;
        }
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        let server = Self { folder, programs, user, port, settings, running: None };
        server.make_cluster()?;
        Ok(server)
    }

    /// The store of this schema in it.
    #[must_use]
    pub fn url(&self, schema: &str) -> String {
        self.url_at(self.address(), schema)
    }

    /// The same by way of another address, a proxy's.
    #[must_use]
    pub fn url_at(&self, address: SocketAddr, schema: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@{address}/postgres?schema={schema}")
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Kills it, as a crash of its machine would but for the disk's cache.
    ///
    /// # Errors
    /// When there is no signal to be sent.
    pub fn kill(&mut self) -> io::Result<()> {
        // Its children end when they see that it is gone.
        self.running.take().map_or(Ok(()), Keeper::kill)
    }

    /// Starts it again, and waits until it takes commands.
    ///
    /// # Errors
    /// When it does not, in half a minute.
    pub fn resume(&mut self) -> io::Result<()> {
        let mut last = io::Error::other("PostgreSQL was not started");
        for _ in 0..300 {
            if self.running.is_none() {
                self.running = Some(self.spawn()?);
            }
            match self.is_ready() {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
            // What is left of one that was killed may keep the next from starting, for a moment.
            if let Some(running) = self.running.take_if(|running| !running.is_there()) {
                running.kill()?;
            }
            thread::sleep(Duration::from_millis(100));
        }
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        Err(io::Error::other(format!("PostgreSQL does not start: {last}\n{log}")))
    }

    /// Stops all of its processes where they are.
    ///
    /// # Errors
    /// When there is no signal to be sent.
    pub fn freeze(&self) -> io::Result<()> {
        self.signal("-STOP")
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// When there is no signal to be sent.
    pub fn thaw(&self) -> io::Result<()> {
        self.signal("-CONT")
    }

    /// Has `psql` carry out a command, as the administrator, and returns what it prints.
    ///
    /// # Errors
    /// With what `psql` says when it fails.
    pub fn psql(&self, command: &str) -> io::Result<String> {
        let output = Command::new(self.programs.join("psql"))
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", USER, "-d", "postgres"])
            .args(["-p", &self.port.to_string(), "-c", command])
            .env("PGPASSWORD", PASSWORD)
            .env("PGCONNECT_TIMEOUT", "2")
            .stdin(Stdio::null())
            .output()?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
        } else {
            Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim_end().to_owned()))
        }
    }

    fn is_ready(&self) -> io::Result<()> {
        self.psql("SELECT 1").map(drop)
    }

    fn make_cluster(&self) -> io::Result<()> {
        let password = self.folder.path().join("password");
        fs::write(&password, PASSWORD)?;
        if let Some((user, group)) = self.user {
            chown(&password, Some(user), Some(group))?;
        }
        let mut initdb = self.command(&self.programs.join("initdb"));
        initdb.arg("-D").arg(self.data());
        initdb.args(["-U", USER, "-E", "UTF8", "--locale=C", "--no-sync", "--auth=scram-sha-256"]);
        let output = initdb.arg("--pwfile").arg(&password).output()?;
        if output.status.success() {
            Ok(())
        } else {
            Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
        }
    }

    fn spawn(&self) -> io::Result<Keeper> {
        let mut program =
            vec![self.programs.join("postgres").into_os_string(), "-D".into(), self.data().into()];
        let port = format!("port={}", self.port);
        let fixed = ["listen_addresses=127.0.0.1", "unix_socket_directories=", &port];
        for setting in fixed.into_iter().chain(self.settings.iter().map(String::as_str)) {
            program.extend(["-c".into(), setting.into()]);
        }
        Keeper::start(&mut self.command(Path::new("sh")), &self.folder.path().join("log"), program)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).env("LC_ALL", "C");
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn signal(&self, signal: &str) -> io::Result<()> {
        let Some(running) = &self.running else { return Ok(()) };
        let mut processes = vec![running.process().to_string()];
        processes.extend(children_of(running.process())?);
        // A process may have ended by itself meanwhile.
        Command::new("kill").arg(signal).args(processes).stderr(Stdio::null()).status().map(drop)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A process that is frozen still dies of this.
        let _ = self.kill();
    }
}

/// The processes whose parent this is.
fn children_of(parent: u32) -> io::Result<Vec<String>> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // After the name in brackets: the state, then the parent.
        let rest = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        if rest.split_whitespace().nth(1) == Some(&parent.to_string()) {
            children.extend(entry.file_name().to_str().map(ToOwned::to_owned));
        }
    }
    Ok(children)
}

/// The folder of the newest server's programs.
fn programs() -> io::Result<PathBuf> {
    let missing = "PostgreSQL's server is not installed: there is no /usr/lib/postgresql/*/bin/postgres \
                   (Debian: postgresql)";
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir("/usr/lib/postgresql").map_err(|_| io::Error::other(missing))? {
        let entry = entry?;
        let programs = entry.path().join("bin");
        let version = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(version) = version
            && ["postgres", "initdb", "psql"].iter().all(|program| programs.join(program).exists())
        {
            found.push((version, programs));
        }
    }
    found.sort();
    found.pop().map(|(_, programs)| programs).ok_or_else(|| io::Error::other(missing))
}

const NOBODY: u32 = 65_534;
const USER: &str = "palisade";
const PASSWORD: &str = "not-a-secret";
