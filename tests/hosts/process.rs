//! Processes that do not outlive their test.

use std::fs;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::program::Run;

/// How often is looked whether something has happened.
pub const POLL: Duration = Duration::from_millis(20);

/// A child that is killed and reaped when this is dropped.
pub struct Process {
    /// `None` once it was reaped.
    child: Option<Child>,
    pub started: Instant,
    /// What it says on standard output and standard error, read as it comes.
    said: [Option<JoinHandle<String>>; 2],
}

impl Process {
    pub fn start(command: &mut Command) -> Process {
        let mut child = command.stdin(Stdio::null()).spawn().unwrap();
        let said = [child.stdout.take().map(read), child.stderr.take().map(read)];
        Process { child: Some(child), started: Instant::now(), said }
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
        let code = child.wait().unwrap().code();
        let [stdout, stderr] =
            self.said.each_mut().map(|said| said.take().map_or(String::new(), join));
        let run = Run { code, stdout, stderr };
        if ended { Ok((run, took)) } else { Err(run) }
    }
}

/// Reads all, so that the writer never waits.
fn read(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        text
    })
}

fn join(thread: JoinHandle<String>) -> String {
    thread.join().unwrap()
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

/// What file handles a process has open, besides the few arrays that it keeps.
pub fn handles(process: u32) -> Vec<String> {
    let open = fs::read_dir(format!("/proc/{process}/fd")).unwrap().flatten();
    // One may be closed meanwhile.
    let targets = open.filter_map(|handle| fs::read_link(handle.path()).ok());
    let names = targets.map(|target| target.to_string_lossy().into_owned());
    let (arrays, others): (Vec<_>, Vec<_>) = names.partition(|name| name.contains(".npy"));
    assert!(arrays.len() <= 32, "{arrays:?}");
    others
}
