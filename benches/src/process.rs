//! Servers in processes of their own: started, asked, measured from outside, and ended by their own id.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::scripted::Script;

/// Core of the server; the client takes [`CLIENT_CORE`].
pub const SERVER_CORE: usize = 0;
/// Core of the client.
pub const CLIENT_CORE: usize = 1;

/// A server under load.
#[derive(Debug)]
pub struct Server {
    child: Child,
    lines: BufReader<ChildStdout>,
    /// Where it listens.
    pub address: SocketAddr,
    /// From the start of the process until it said where it listens. Zero for a scripted one.
    pub serving: Duration,
    /// From the start until its models were loaded. Zero for a scripted one.
    pub ready: Duration,
    /// Its data, gone when the server is.
    folder: Option<PathBuf>,
}

/// What a process costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Processor time, user and system.
    pub cpu: Duration,
    /// Resident memory.
    pub resident_kib: u64,
    /// Threads.
    pub threads: u64,
    /// Open descriptors.
    pub descriptors: u64,
}

impl Server {
    /// Starts a scripted server, on [`SERVER_CORE`] where this machine has several.
    ///
    /// # Errors
    /// It does not start.
    pub fn scripted(script: &Script) -> io::Result<Self> {
        let load = std::env::current_exe()?;
        let mut command = pinned(&load, SERVER_CORE);
        command.arg("serve").args(script.arguments()).stdin(Stdio::piped());
        Self::start(command, None)
    }

    /// Starts the real server with the local models, on all cores.
    ///
    /// # Errors
    /// It does not start.
    pub fn real(voice: &Path) -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("voice-load-{}", uuid::Uuid::new_v4()));
        let mut command = Command::new(voice);
        command.args(["serve", "--bind", "127.0.0.1:0", "--data"]).arg(&folder);
        // The same questions are asked again and again: nothing may be said from memory.
        command.stdin(Stdio::null()).env("VOICE_LOG", "warn").env("VOICE_PHRASE_CACHE", "0");
        let begun = Instant::now();
        let mut server = Self::start(command, Some(folder))?;
        server.serving = begun.elapsed();
        while !server.line()?.trim_start().starts_with("ready ") {}
        server.ready = begun.elapsed();
        Ok(server)
    }

    fn start(mut command: Command, folder: Option<PathBuf>) -> io::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let gone = || io::Error::other("the server ended before it said where it listens");
        let lines = BufReader::new(child.stdout.take().ok_or_else(gone)?);
        let address = SocketAddr::from(([0; 4], 0));
        let mut server =
            Self { child, lines, address, serving: Duration::ZERO, ready: Duration::ZERO, folder };
        while server.address.port() == 0 {
            server.address = address_in(&server.line()?).unwrap_or(server.address);
        }
        Ok(server)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.lines.read_line(&mut line)? {
            0 => Err(io::Error::other("the server has ended")),
            _ => Ok(line),
        }
    }

    /// Calls and tasks that a scripted server counts itself.
    ///
    /// # Errors
    /// It is gone, or not a scripted one.
    pub fn calls_and_tasks(&mut self) -> io::Result<(u64, u64)> {
        let silent = || io::Error::other("the server does not count its calls");
        self.child.stdin.as_mut().ok_or_else(silent)?.write_all(b"\n")?;
        let line = self.line()?;
        let (calls, tasks) = line.trim().split_once(' ').ok_or_else(silent)?;
        Ok((calls.parse().map_err(io::Error::other)?, tasks.parse().map_err(io::Error::other)?))
    }

    /// What the process costs so far.
    ///
    /// # Errors
    /// It is gone.
    pub fn usage(&self) -> io::Result<Usage> {
        usage(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A scripted server ends when its input does; the real one when it is asked to.
        if self.child.stdin.take().is_none() {
            let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        }
        let limit = Instant::now() + END_LIMIT;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// How long a server may take to end.
const END_LIMIT: Duration = Duration::from_secs(30);

/// The address in a line of a server's greeting, if it names one.
fn address_in(line: &str) -> Option<SocketAddr> {
    let text = line.trim();
    let text = text.strip_prefix("open").map_or(text, str::trim_start);
    text.trim_start_matches("http://").trim_end_matches('/').parse().ok()
}

/// Whether runs can be kept apart on cores of their own.
pub fn can_pin() -> bool {
    let cores = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    cores.lines().filter(|line| line.starts_with("processor")).count() > CLIENT_CORE
        && Command::new("taskset")
            .arg("-V")
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
}

/// A command on one core, where that can be had.
pub fn pinned(program: &Path, core: usize) -> Command {
    if !can_pin() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.arg("-c").arg(core.to_string()).arg(program);
    command
}

fn usage(process: u32) -> io::Result<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd"))?.count() as u64;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    Ok(Usage {
        cpu: processor_time(&stat).unwrap_or_default(),
        resident_kib: field("VmRSS:"),
        threads: field("Threads:"),
        descriptors,
    })
}

/// User and system time, fields 14 and 15; the name before them may hold spaces.
fn processor_time(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_both_greetings() {
        let expected = SocketAddr::from(([127, 0, 0, 1], 4_567));
        assert_eq!(address_in("127.0.0.1:4567\n"), Some(expected));
        assert_eq!(address_in("  open     http://127.0.0.1:4567/\n"), Some(expected));
        assert_eq!(address_in("voice 0.1.0 is serving\n"), None);
    }

    #[test]
    fn processor_time_is_read_behind_any_name() {
        let stat = "42 (a name) with) S 1 42 42 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 3 0 1 1 1";
        assert_eq!(processor_time(stat), Some(Duration::from_secs(2)));
    }

    #[test]
    fn this_process_has_memory_threads_and_descriptors() {
        let usage = usage(std::process::id()).expect("this process");
        assert!(usage.resident_kib > 0 && usage.threads > 0 && usage.descriptors > 0, "{usage:?}");
    }
}
