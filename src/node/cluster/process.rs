//! One process of a cluster, as its parent holds it.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::Notice;
use crate::node::pipe::{LINE_BYTES_MAX, Started, write_assignment};
use crate::node::random_node_id;
use crate::node::supervised::Assignment;
use crate::placement::NodeId;
use crate::transport::Secret;

/// How long a process may take from the end of its standard output to its own
/// end, before its parent goes on without knowing how it ended.
const DYING_MAX: Duration = Duration::from_millis(200);

/// A node's first line, or why there is none.
pub(super) type Said = io::Result<String>;

/// A process, killed when it is dropped.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) id: NodeId,
    pub(super) name: String,
    child: Child,
    /// While this is open, the process lives.
    stdin: Option<ChildStdin>,
    status: Option<ExitStatus>,
}

/// The name of the node with this number.
pub(super) fn name(index: usize) -> String {
    format!("node-{index}")
}

impl Process {
    /// Starts a node and tells it who it is. What it says, and that it ended,
    /// comes as notices.
    pub(super) fn spawn(
        program: &Path,
        args: &[OsString],
        index: usize,
        settings: &[u8],
        secret: &Secret,
        notices: Sender<Notice>,
    ) -> io::Result<Process> {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        keep_from_terminal(&mut command);
        let mut child = command.spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let mut process =
            Process { id: random_node_id(), name: name(index), child, stdin, status: None };
        let assignment =
            Assignment { id: process.id, name: process.name.clone(), settings: settings.to_vec() };
        if let Some(stdout) = stdout {
            std::thread::Builder::new()
                .name(process.name.clone())
                .spawn(move || listen(index, stdout, &notices))?;
        }
        if let Some(stdin) = &mut process.stdin {
            match write_assignment(stdin, secret, &assignment) {
                // It died before it read this. Its end will tell more.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                written => written?,
            }
        }
        Ok(process)
    }

    /// The number of the process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where the node listens, by its line, or what is wrong instead.
    pub(super) fn addr(&mut self, said: Said) -> Result<SocketAddr, String> {
        let line = said.map_err(|error| format!("its output cannot be read: {error}"))?;
        match Started::from_line(&line) {
            Some(Started::Ready(addr)) => Ok(addr),
            Some(Started::Failed(message)) => Err(message),
            None if line.is_empty() => Err(self.ending()),
            None => Err(format!("it said {:?} instead of where it listens", line.trim_end())),
        }
    }

    /// How a process ended whose standard output did.
    pub(super) fn ending(&mut self) -> String {
        let deadline = Instant::now() + DYING_MAX;
        while self.is_running() && Instant::now() < deadline {
            // The system closes the output a moment before the process is gone
            // and tells nobody when it is.
            std::thread::sleep(Duration::from_millis(1));
        }
        match self.status {
            Some(status) => format!("its process ended with {status}"),
            None => "its process closed its output".to_owned(),
        }
    }

    /// Whether the process still runs.
    pub(super) fn is_running(&mut self) -> bool {
        if self.status.is_none() {
            // An error says that there is no such child: somebody else waited for it.
            self.status = self.child.try_wait().unwrap_or_default();
        }
        self.status.is_none()
    }

    /// Tells the process to end.
    pub(super) fn let_go(&mut self) {
        self.stdin = None;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            // Either fails only for a process that is gone.
            let _gone = self.child.kill();
            let _gone = self.child.wait();
        }
    }
}

/// Ctrl-C is for the parent, which then ends its nodes in good order.
fn keep_from_terminal(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(windows)]
    {
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
        std::os::windows::process::CommandExt::creation_flags(command, CREATE_NEW_PROCESS_GROUP);
    }
}

/// Passes on a node's line and the end of its output. What it writes in
/// between goes nowhere.
fn listen(index: usize, stdout: ChildStdout, notices: &Sender<Notice>) {
    let mut stdout = BufReader::new(stdout);
    let mut line = String::new();
    let said = stdout.by_ref().take(LINE_BYTES_MAX).read_line(&mut line);
    // Nobody listens any more when the cluster is being dropped.
    let _unheard = notices.send(Notice::Said(index, said.map(|_| line)));
    // An error ends the output as well as its end does.
    let _ended = io::copy(&mut stdout, &mut io::sink());
    let _unheard = notices.send(Notice::Ended(index));
}
