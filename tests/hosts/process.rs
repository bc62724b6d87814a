//! Processes that do not outlive their test.

use std::fs;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::program::{Run, to_run};

/// How often is looked whether something has happened.
pub const POLL: Duration = Duration::from_millis(20);

/// A child that is killed and reaped when this is dropped.
pub struct Process {
    /// `None` once it was reaped.
    child: Option<Child>,
    pub started: Instant,
}

impl Process {
    pub fn start(command: &mut Command) -> Process {
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        Process { child: Some(child), started: Instant::now() }
    }

    /// With its output to be read when it has ended.
    pub fn start_piped(command: &mut Command) -> Process {
        Process::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    pub fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().unwrap().try_wait().unwrap().is_some()
    }

    /// Sends a signal, by its name.
    pub fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Waits for its end; who takes longer than this is at fault.
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        let start = Instant::now();
        while !self.has_ended() {
            assert!(start.elapsed() < within, "a process does not end within {within:?}");
            std::thread::sleep(POLL);
        }
        let mut child = self.child.take().unwrap();
        child.wait().unwrap()
    }

    /// How it ended, and after what time.
    #[track_caller]
    pub fn end(self, within: Duration) -> (Run, Duration) {
        self.try_end(within).unwrap_or_else(|run| panic!("no end within {within:?}: {run:?}"))
    }

    /// As [`Process::end`]; if it had to be killed, what it said until then.
    pub fn try_end(mut self, within: Duration) -> Result<(Run, Duration), Run> {
        let start = Instant::now();
        let mut ended = self.has_ended();
        while !ended && start.elapsed() < within {
            std::thread::sleep(POLL);
            ended = self.has_ended();
        }
        let took = self.started.elapsed();
        let mut child = self.child.take().unwrap();
        if !ended {
            child.kill().unwrap();
        }
        let run = to_run(&child.wait_with_output().unwrap());
        if ended { Ok((run, took)) } else { Err(run) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Sends a signal to a process of this test.
pub fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args([name, &process.to_string()]).status().unwrap();
    assert!(sent.success(), "cannot send {name} to {process}");
}

/// Bytes of memory that a process has.
pub fn resident_bytes(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() << 10
}

/// Open file handles of a process.
pub fn handles(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
}
