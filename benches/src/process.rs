//! Servers in processes of their own: started, asked, measured from outside, and ended by their own id.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
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
    lines: Option<BufReader<ChildStdout>>,
    /// Whether it leads a process group, which ends with it.
    leads: bool,
    /// Where it listens.
    pub address: SocketAddr,
    /// From the start of the process until it said where it listens. Zero for a scripted one.
    pub serving: Duration,
    /// From the start until its models were loaded. Zero for a scripted one.
    pub ready: Duration,
    /// Its data, gone when the server is.
    folder: Option<PathBuf>,
}

/// What a process and its children cost.
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

    /// Starts another engine on [`SERVER_CORE`], which takes `--port` and `--services`, and waits until it is healthy. What it
    /// prints goes to `log`.
    ///
    /// # Errors
    /// It does not start, ends, or is not healthy in time.
    pub fn peer(program: &Path, arguments: &[&str], services: &str, log: &Path) -> io::Result<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let begun = Instant::now();
        let mut command = mortal(program, SERVER_CORE);
        command.args(arguments).arg(format!("--port={}", address.port()));
        command.arg(format!("--services={services}"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(log)?).process_group(0);
        let (serving, ready) = (Duration::ZERO, Duration::ZERO);
        let child = command.spawn()?;
        let mut server = Self { child, lines: None, leads: true, address, serving, ready, folder: None };
        while begun.elapsed() < START_LIMIT {
            if server.child.try_wait()?.is_some() {
                return Err(io::Error::other(format!(
                    "the engine ended at its start, see {}",
                    log.display()
                )));
            }
            if server.health().is_ok() {
                server.ready = begun.elapsed();
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(io::Error::other("the engine was not healthy in time"))
    }

    /// The body of `GET /health`.
    ///
    /// # Errors
    /// It does not answer, or not with 200.
    pub fn health(&self) -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.address, HEALTH_LIMIT)?;
        stream.set_read_timeout(Some(HEALTH_LIMIT))?;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(HEALTH_LONGEST).read_to_string(&mut answer)?;
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.trim().to_owned()),
            _ => Err(io::Error::other("the server is not healthy")),
        }
    }

    fn start(mut command: Command, folder: Option<PathBuf>) -> io::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let gone = || io::Error::other("the server ended before it said where it listens");
        let lines = Some(BufReader::new(child.stdout.take().ok_or_else(gone)?));
        let address = SocketAddr::from(([0; 4], 0));
        let mut server = Self {
            child,
            lines,
            leads: false,
            address,
            serving: Duration::ZERO,
            ready: Duration::ZERO,
            folder,
        };
        while server.address.port() == 0 {
            server.address = address_in(&server.line()?).unwrap_or(server.address);
        }
        Ok(server)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        let lines = self.lines.as_mut();
        match lines.map_or(Ok(0), |lines| lines.read_line(&mut line))? {
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

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What the process costs so far, with its children.
    ///
    /// # Errors
    /// It is gone.
    pub fn usage(&self) -> io::Result<Usage> {
        usage_with_children(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A scripted server ends when its input does; the real one when it is asked to.
        if self.child.stdin.take().is_none() {
            self.signal("-TERM");
        }
        let limit = Instant::now() + if self.leads { PEER_END_LIMIT } else { END_LIMIT };
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(50));
        }
        if self.leads {
            // Its children too, whatever it did with them.
            self.signal("-KILL");
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

impl Server {
    /// Sends a signal to the process, or to the group that it leads.
    fn signal(&self, signal: &str) {
        let group = if self.leads { "-" } else { "" };
        let whom = format!("{group}{}", self.child.id());
        let _ = Command::new("kill").args([signal, "--", &whom]).stderr(Stdio::null()).status();
    }
}

/// How long a server may take to end.
const END_LIMIT: Duration = Duration::from_secs(30);
/// How long another engine may take; it has nothing to store.
const PEER_END_LIMIT: Duration = Duration::from_secs(3);
/// How long another engine may take until it is healthy: a cold start of Python's larger libraries on one core.
const START_LIMIT: Duration = Duration::from_secs(90);
/// How long an answer about health may take.
const HEALTH_LIMIT: Duration = Duration::from_secs(2);
/// And how long it may be, in bytes.
const HEALTH_LONGEST: u64 = 16_384;

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

/// The same for a program that would not see the end of this one: where the system can, it is ended with it.
fn mortal(program: &Path, core: usize) -> Command {
    let inner = pinned(program, core);
    if Command::new("setpriv").arg("--version").stdout(Stdio::null()).status().is_err() {
        return inner;
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(inner.get_program()).args(inner.get_args());
    command
}

/// How long a core was at work since the system started.
///
/// # Errors
/// The system does not say.
pub fn busy(core: usize) -> io::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let name = format!("cpu{core} ");
    let line = stat.lines().find_map(|line| line.strip_prefix(&name));
    let line = line.ok_or_else(|| io::Error::other("the system does not know the core"))?;
    // user nice system idle iowait irq softirq
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    let working = ticks.iter().enumerate().filter(|(k, _)| matches!(k, 0..=2 | 5..=6));
    Ok(Duration::from_millis(working.map(|(_, ticks)| ticks * 10).sum()))
}

/// Time of all cores since the system started, and what of it the machine's host gave to others.
///
/// # Errors
/// The system does not say.
pub fn stolen() -> io::Result<[u64; 2]> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "));
    let line = line.ok_or_else(|| io::Error::other("the system does not tell of its cores"))?;
    // user nice system idle iowait irq softirq steal; what follows is in the first two already.
    let ticks: Vec<u64> = line.split_whitespace().take(8).filter_map(|field| field.parse().ok()).collect();
    Ok([ticks.iter().sum(), ticks.get(7).copied().unwrap_or_default()])
}

/// What a process costs together with all that descend from it.
fn usage_with_children(process: u32) -> io::Result<Usage> {
    let parents = std::fs::read_dir("/proc")?.flatten().filter_map(|entry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        Some((id, parent(&std::fs::read_to_string(entry.path().join("stat")).ok()?)?))
    });
    let mut all = usage(process)?;
    for child in descendants(&parents.collect::<Vec<_>>(), process) {
        // One that has ended meanwhile costs nothing any more.
        let Ok(own) = usage(child) else { continue };
        all.cpu += own.cpu;
        all.resident_kib += own.resident_kib;
        all.threads += own.threads;
        all.descriptors += own.descriptors;
    }
    Ok(all)
}

/// All that descend from a process, by pairs of a process and its parent.
fn descendants(parents: &[(u32, u32)], process: u32) -> Vec<u32> {
    let mut found = vec![process];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(parents.iter().filter(|pair| pair.1 == parent).map(|pair| pair.0));
        at += 1;
    }
    found.split_off(1)
}

/// The parent, field 4; the name before it may hold spaces.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
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
        assert_eq!(parent(stat), Some(1));
    }

    #[test]
    fn children_and_their_children_are_found() {
        let parents = [(1, 0), (2, 1), (3, 1), (4, 2), (5, 9)];
        assert_eq!(descendants(&parents, 1), [2, 3, 4]);
        assert!(descendants(&parents, 4).is_empty());
        assert!(busy(SERVER_CORE).expect("a core") > Duration::ZERO);
    }

    #[test]
    fn this_process_has_memory_threads_and_descriptors() {
        let usage = usage(std::process::id()).expect("this process");
        assert!(usage.resident_kib > 0 && usage.threads > 0 && usage.descriptors > 0, "{usage:?}");
    }
}
