//! Servers that run for a test, and not for longer than its process.

use std::ffi::OsStr;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// A program that runs, and is killed with this, or with this process.
#[derive(Debug)]
pub struct Keeper {
    // Kills the program when its standard input ends.
    shell: Child,
    process: u32,
}

impl Keeper {
    /// Starts a program; what it prints is added to `log`. `shell` is a shell's command, in whatever folder and as
    /// whatever user the program is to run.
    ///
    /// # Errors
    /// When there is no such shell.
    pub fn start<A: AsRef<OsStr>>(
        shell: &mut Command,
        log: &Path,
        program: impl IntoIterator<Item = A>,
    ) -> io::Result<Self> {
        // The shell says which process it started, waits until nobody is left to tell it anything, and kills it.
        let script = r#"log=$1; shift; "$@" >>"$log" 2>&1 </dev/null & echo $!; read -r _; kill -9 $!; wait"#;
        shell.args(["-c", script, "sh"]).arg(log).args(program);
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut said = String::new();
        if let Some(stdout) = shell.stdout.take() {
            BufReader::new(stdout).read_line(&mut said)?;
        }
        let process = said.trim().parse().map_err(|_| io::Error::other("the shell named no process"))?;
        Ok(Self { shell, process })
    }

    /// Which process it is.
    #[must_use]
    pub const fn process(&self) -> u32 {
        self.process
    }

    /// Whether it is there, if only as what is left of it.
    #[must_use]
    pub fn is_there(&self) -> bool {
        Path::new(&format!("/proc/{}", self.process)).exists()
    }

    /// Kills it (`kill -9`), and waits until it is gone, two seconds at most.
    ///
    /// # Errors
    /// When its shell cannot be waited for.
    pub fn kill(mut self) -> io::Result<()> {
        drop(self.shell.stdin.take());
        self.shell.wait()?;
        for _ in 0..200 {
            if !self.is_there() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}
