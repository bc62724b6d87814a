//! The process that starts the ranks of one host, and ends them.
//!
//! It lives between `adsum run` and the ranks so that nobody is left behind
//! when either dies: when its standard input ends, whatever the reason, it ends
//! every process group that it started, with all that the ranks have started
//! themselves. When it is killed itself, the ranks go with it where the system
//! can do that (Linux), and `adsum run` sees the end of its output and ends the
//! groups if they are of its own machine.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Read, Write};
use std::iter;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::super::exit::{self, Blame, Failure};
use super::channel::{self, Ending, Event, Order, Output, Start};
use super::lines::{self, Sink};
use crate::launch::{Root, variable};
use crate::os::process::{self, Signal};
use crate::transport::{self, Secret, socket};

/// How long the end of output is waited for after all processes were ended. It
/// comes at once, unless a process that left its group holds the pipe.
const OUTPUT_MAX: Duration = Duration::from_secs(2);

/// Longer than any run.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// What the threads of this process tell the one that started the ranks.
enum Notice {
    Order(Order),
    /// Nobody is left who could give orders.
    Orphaned,
    Ended(usize, Ending),
    OutputEnded,
    Interrupted,
}

/// Starts the ranks that standard input says, and waits for them.
pub fn run() -> Result<u8, Failure> {
    let parent = |error: io::Error| {
        Failure::new(
            Blame::Usage,
            format!(
                "'--remote' is for 'adsum run' itself, which does not speak on standard input: {error}"
            ),
        )
    };
    channel::greet(io::stdout()).map_err(parent)?;
    let start = match first_order(io::stdin().lock()) {
        Ok(Some(start)) => start,
        // The other end compares versions, too, and says so.
        Ok(None) => return Ok(Blame::Cluster as u8),
        // It has ended before all hosts were there, and said why; a person is told more.
        Err(error)
            if error.kind() == io::ErrorKind::UnexpectedEof && !io::stdin().is_terminal() =>
        {
            return Ok(Blame::Cluster as u8);
        }
        Err(error) => return Err(parent(error)),
    };
    let (secret, start) = start;
    let (notices, inbox) = mpsc::channel();
    let interrupts = notices.clone();
    // A handler is there already only if this runs twice, which it does not.
    let _installed = crate::os::on_end(move || drop(interrupts.send(Notice::Interrupted)));
    let tell = Tell::default();
    let ranks = match Ranks::start(&start, &secret, &notices, &tell) {
        Ok(ranks) => ranks,
        Err(event) => {
            tell.event(&event);
            return Ok(exit::ANSWERED);
        }
    };
    tell.event(&Event::Started(ranks.children.iter().map(Child::id).collect()));
    let orders = notices;
    spawn("adsum-orders", move || hear(&orders)).map_err(parent)?;
    ranks.supervise(&inbox, &tell, Duration::from_millis(start.grace_ms));
    Ok(exit::ANSWERED)
}

/// The secret, and what to start with it; nothing if the other end is of another version.
fn first_order(mut stdin: impl Read) -> io::Result<Option<(Secret, Start)>> {
    if channel::read_greeting(&mut stdin)? != channel::VERSION {
        return Ok(None);
    }
    let secret = channel::read_secret(&mut stdin)?;
    match channel::read(&mut stdin)? {
        Some(Order::Start(start)) => Ok(Some((secret, start))),
        Some(_) => Err(io::Error::other("its first order is another")),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Standard output, shared by all who have something to tell.
#[derive(Clone, Default)]
struct Tell {
    /// How many wait for their turn, or for a reader who is slow.
    waiting: Arc<AtomicUsize>,
}

impl Tell {
    /// Tells `adsum run`. When it is gone nobody hears this, and the end of
    /// standard input says so.
    fn event(&self, event: &Event) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _unheard = channel::write(io::stdout().lock(), event);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

/// The ranks' processes; killed with their groups when dropped.
struct Ranks {
    children: Vec<Child>,
    numbers: Vec<u32>,
    input: Option<Sender<Order>>,
    /// Threads that read output.
    outputs: usize,
}

impl Ranks {
    fn start(
        start: &Start,
        secret: &Secret,
        notices: &Sender<Notice>,
        tell: &Tell,
    ) -> Result<Ranks, Event> {
        let directory = PathBuf::from(OsString::from_vec(start.directory.clone()));
        if !directory.is_dir() {
            let message = format!(
                "{} has no directory '{}'; start from one that all hosts have",
                start.host,
                directory.display()
            );
            return Err(Event::Failed { code: Blame::Usage as u8, message });
        }
        let internal = |what: &str, error: io::Error| Event::Failed {
            code: Blame::Internal as u8,
            message: format!("cannot {what} on {}: {error}", start.host),
        };
        let inherited = match start.output {
            Output::Inherited(fd) => Some(
                process::take_inherited(fd).map_err(|error| internal("take over output", error))?,
            ),
            Output::Piped | Output::Prefixed => None,
        };
        let mut root = Root { host: start.root.clone(), port: start.port };
        let mut listener = None;
        if start.ranks.contains(&0) {
            listener = Some(listen(start, &mut root)?);
            tell.event(&Event::Listening(root.port));
        }
        let mut ranks =
            Ranks { children: Vec::new(), numbers: start.ranks.clone(), input: None, outputs: 0 };
        for (local_rank, &rank) in start.ranks.iter().enumerate() {
            let (token, mut writer) = io::pipe().map_err(|error| internal("make a pipe", error))?;
            // It fits into a pipe, so nothing waits for the rank to read it.
            writer
                .write_all(secret.to_token().as_bytes())
                .map_err(|error| internal("hand over the token", error))?;
            drop(writer);
            let mut command = command(start, &directory, rank, local_rank);
            command.env(variable::ROOT, root.to_string());
            command.env(variable::TOKEN_FD, token.as_raw_fd().to_string());
            let socket = if rank == 0 { listener.take() } else { None };
            match &socket {
                Some(socket) => command.env(variable::ROOT_FD, socket.as_raw_fd().to_string()),
                // This process may be a rank 0 itself, of another run.
                None => command.env_remove(variable::ROOT_FD),
            };
            match &inherited {
                Some(file) => {
                    let file = file.try_clone();
                    command.stdout(file.map_err(|error| internal("pass on output", error))?);
                }
                None => drop(command.stdout(Stdio::piped())),
            }
            if start.output == Output::Prefixed {
                command.stderr(Stdio::piped());
            }
            command.stdin(if rank == 0 { Stdio::piped() } else { Stdio::null() });
            let inherit: Vec<_> =
                iter::once(token.as_fd()).chain(socket.as_ref().map(AsFd::as_fd)).collect();
            process::lead_group(&mut command, &inherit);
            // This is the main thread, which lives as long as the process.
            process::end_with_this_process(&mut command);
            let mut child = command.spawn().map_err(|error| not_started(start, &error))?;
            let threads = ranks.attend(&mut child, start.output, rank, notices, tell);
            ranks.children.push(child);
            threads.map_err(|error| internal("start a thread", error))?;
        }
        Ok(ranks)
    }

    /// Starts the threads around a process.
    fn attend(
        &mut self,
        child: &mut Child,
        output: Output,
        rank: u32,
        notices: &Sender<Notice>,
        tell: &Tell,
    ) -> io::Result<()> {
        let (index, pid, ended) = (self.children.len(), child.id(), notices.clone());
        spawn("adsum-wait", move || {
            // It fails only for what is no child.
            if let Ok(how) = process::wait_for_end(pid) {
                let _unheard = ended.send(Notice::Ended(index, how.into()));
            }
        })?;
        let sink = |is_error| {
            let tell = tell.clone();
            Sink {
                prefix: (output == Output::Prefixed).then(|| format!("[{rank}] ")),
                write: Box::new(move |bytes| tell.event(&Event::Output { is_error, bytes })),
            }
        };
        if let Some(stdout) = child.stdout.take() {
            self.outputs += 1;
            let (sink, ended) = (sink(false), notices.clone());
            spawn("adsum-output", move || {
                lines::pass_on(stdout, sink);
                let _unheard = ended.send(Notice::OutputEnded);
            })?;
        }
        if let Some(stderr) = child.stderr.take() {
            self.outputs += 1;
            let (sink, ended) = (sink(true), notices.clone());
            spawn("adsum-output", move || {
                lines::pass_on(stderr, sink);
                let _unheard = ended.send(Notice::OutputEnded);
            })?;
        }
        if let Some(stdin) = child.stdin.take() {
            // Bounded by who sends: so much at once, and more when it is taken.
            let (sender, receiver) = mpsc::channel();
            self.input = Some(sender);
            let tell = tell.clone();
            spawn("adsum-input", move || feed(stdin, &receiver, &tell))?;
        }
        Ok(())
    }

    /// Waits until all ranks have ended, by themselves or because they were told to.
    fn supervise(mut self, inbox: &Receiver<Notice>, tell: &Tell, grace: Duration) {
        let mut running = self.children.len();
        let mut outputs = self.outputs;
        let mut deadline = None;
        while running > 0 {
            let left =
                deadline.map_or(NEVER, |at: Instant| at.saturating_duration_since(Instant::now()));
            match inbox.recv_timeout(left) {
                Ok(Notice::Ended(index, how)) => {
                    running -= 1;
                    tell.event(&Event::Ended { rank: self.numbers[index], how });
                }
                Ok(Notice::OutputEnded) => outputs -= 1,
                Ok(Notice::Order(order @ (Order::Input(_) | Order::InputEnd))) => self.feed(order),
                Ok(Notice::Order(Order::Kill)) => self.signal(Signal::Kill),
                // Given once, before.
                Ok(Notice::Order(Order::Start(_))) => {}
                Ok(Notice::Order(Order::End) | Notice::Orphaned | Notice::Interrupted) => {
                    if deadline.is_none() {
                        deadline = Some(Instant::now() + grace);
                        self.signal(Signal::Terminate);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    self.signal(Signal::Kill);
                    deadline = None;
                }
            }
        }
        // What the ranks have started and left behind.
        self.signal(Signal::Kill);
        while outputs > 0 {
            match inbox.recv_timeout(OUTPUT_MAX) {
                Ok(Notice::OutputEnded) => outputs -= 1,
                Ok(Notice::Orphaned) => break,
                Ok(_) => {}
                // Somebody reads, and slowly.
                Err(_) if tell.is_waiting() => {}
                Err(_) => break,
            }
        }
        tell.event(&Event::Done);
    }

    fn feed(&mut self, order: Order) {
        let is_end = order == Order::InputEnd;
        if let Some(input) = &self.input {
            // Rank 0 does not read any more, if this fails.
            let _unread = input.send(order);
        }
        if is_end {
            self.input = None;
        }
    }

    fn signal(&self, signal: Signal) {
        self.children.iter().for_each(|child| process::signal_group(child.id(), signal));
    }
}

impl Drop for Ranks {
    fn drop(&mut self) {
        self.signal(Signal::Kill);
        for child in &mut self.children {
            // It is a child that nobody else waits for.
            let _status = child.wait();
        }
    }
}

fn command(start: &Start, directory: &PathBuf, rank: u32, local_rank: usize) -> Command {
    let text = |bytes: &Vec<u8>| OsString::from_vec(bytes.clone());
    let mut words = start.program.iter().map(text);
    let mut command = Command::new(words.next().unwrap_or_default());
    command
        .args(words)
        .current_dir(directory)
        .envs(start.environment.iter().map(|(name, value)| (text(name), text(value))))
        .env(variable::RANK, rank.to_string())
        .env(variable::SIZE, start.size.to_string())
        .env(variable::LOCAL_RANK, local_rank.to_string())
        .env(variable::LOCAL_SIZE, start.ranks.len().to_string());
    command
}

/// Binds the port on which rank 0 is to listen; any that is free, if it is 0.
fn listen(start: &Start, root: &mut Root) -> Result<UdpSocket, Event> {
    // A name that is not known here may be known to the others.
    let found = (root.host.as_str(), root.port).to_socket_addrs();
    let found: Vec<SocketAddr> = found.map_or_else(|_| Vec::new(), Iterator::collect);
    let addr = root.bind_addr(&found);
    let advice = match root.port {
        0 => "give another address of this host, or another host first",
        _ => "give another --port, or none for one that is free",
    };
    let mut bind = || {
        let bound = socket::bind(addr, transport::Config::group(addr).socket_buffer_bytes)?;
        root.port = bound.socket.local_addr()?.port();
        Ok(bound.socket)
    };
    bind().map_err(|error: io::Error| Event::Failed {
        code: Blame::Usage as u8,
        message: format!("rank 0 cannot listen on {addr} of {}: {error}; {advice}", start.host),
    })
}

/// Why a program could not be started, with the code that shells give it.
fn not_started(start: &Start, error: &io::Error) -> Event {
    let program = start
        .program
        .first()
        .map_or_else(String::new, |program| String::from_utf8_lossy(program).into_owned());
    let (code, advice) = match error.kind() {
        io::ErrorKind::NotFound => (127, "give its path, or see that it is in PATH there"),
        _ => (126, "see that it is a program which this user may run"),
    };
    let message = format!("cannot start '{program}' on {}: {error}; {advice}", start.host);
    Event::Failed { code, message }
}

/// Passes on orders until there are no more.
fn hear(notices: &Sender<Notice>) {
    let mut stdin = io::stdin().lock();
    while let Ok(Some(order)) = channel::read(&mut stdin) {
        if notices.send(Notice::Order(order)).is_err() {
            return;
        }
    }
    let _unheard = notices.send(Notice::Orphaned);
}

/// Writes rank 0's standard input.
fn feed(stdin: ChildStdin, pieces: &Receiver<Order>, tell: &Tell) {
    let mut stdin = Some(stdin);
    while let Ok(Order::Input(bytes)) = pieces.recv() {
        if let Some(pipe) = &mut stdin
            && pipe.write_all(&bytes).is_err()
        {
            // It reads no more, which is its own affair.
            stdin = None;
        }
        tell.event(&Event::InputTaken);
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map(drop)
}
