//! `adsum run`: a program as the ranks of a group, here or on several hosts.
//!
//! ```text
//!   adsum run --+-- adsum run --remote (this machine) ----- rank 0, rank 1
//!               |
//!               +-- ssh b --- adsum run --remote (b) ------ rank 2, rank 3
//!      orders, and the secret, on stdin -->    token by an inherited pipe -->
//!      <-- events on stdout
//! ```
//!
//! Every rank leads a process group, and so does each of the processes between:
//! Ctrl-C reaches this process alone, which ends the others in good order. The
//! first rank that fails ends all, and its code is the code of the run.

use std::io::{self, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

mod agent;
mod channel;
mod hosts;
mod lines;
mod template;

use super::args::RanksArgs;
use super::exit::{self, Blame, Failure};
use crate::os::process::{self, Signal};
use crate::transport::Secret;
use channel::{Ending, Event, Order, Output, PIECE_BYTES_MAX, PIECES_MAX, Start};
use hosts::{Here, Host};
use template::{Template, grace_of};

/// How much longer than the ranks' time of grace their hosts have to end.
const HOSTS_GRACE: Duration = Duration::from_secs(5);

/// How long a host has until its adsum speaks: also where somebody logs in by hand.
const GREETING_MAX: Duration = Duration::from_secs(60);

/// How long hosts have to say that they have killed their ranks.
const KILLED_GRACE: Duration = Duration::from_secs(1);

/// Longer than any run.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// The code of a run whose output nobody reads any more: that of SIGPIPE.
const OUTPUT_CLOSED: u8 = 128 + 13;

/// Runs the program to its end.
pub fn run(args: &RanksArgs) -> Result<u8, Failure> {
    if args.remote {
        return agent::run();
    }
    let hosts = match (&args.hostfile, args.hosts.as_slice()) {
        (Some(path), _) => hosts::of_file(path)?,
        (None, []) => vec![Host::here()],
        (None, given) => hosts::of_argument(given)?,
    };
    let ranks = hosts::place(&hosts, args.ranks, args.placement)?;
    let here = Here::ask().map_err(|error| internal("ask for this machine's addresses", error))?;
    let start = Template::new(args, &hosts, &ranks, &here)?;
    let secret = Secret::generate().map_err(|error| Failure::new(Blame::Internal, error))?;
    let (notices, inbox) = mpsc::channel();
    let interrupts = notices.clone();
    crate::os::on_end(move || drop(interrupts.send(Notice::Interrupted)))
        .map_err(|error| internal("listen to Ctrl-C", error))?;
    let mut run = Run {
        agents: Vec::new(),
        notices,
        port: None,
        permits: None,
        deadline: None,
        verdict: None,
    };
    for (host, ranks) in hosts.into_iter().zip(ranks) {
        if !ranks.is_empty() {
            let is_here = host.is_here(&here);
            run.start(args, host, is_here, start.with_ranks(ranks), &secret)?;
        }
    }
    Ok(run.supervise(&inbox, grace_of(args)))
}

fn internal(what: &str, error: impl std::fmt::Display) -> Failure {
    Failure::new(Blame::Internal, format!("cannot {what}: {error}"))
}

/// What the threads around the hosts' processes tell.
enum Notice {
    /// The process of a host speaks; the version is checked.
    Greeted(usize),
    Event(usize, Event),
    /// The process of a host is gone.
    Gone(usize, Result<Ending, String>),
    Input(Vec<u8>),
    InputEnd,
    /// Nobody reads this program's output any more.
    OutputClosed,
    Interrupted,
}

/// The process that starts the ranks of a host.
struct Agent {
    host: String,
    child: Child,
    orders: Option<Sender<Order>>,
    begun: Instant,
    /// It speaks.
    has_greeted: bool,
    /// What it is to start, until it is told.
    start: Option<Start>,
    /// The ranks' process groups, if they are of this machine.
    groups: Vec<u32>,
    is_here: bool,
    has_rank_0: bool,
    /// Ranks that have not ended.
    running: usize,
    /// It has told all.
    is_done: bool,
    is_gone: bool,
}

/// A run, and all of its processes; those are killed when it is dropped.
struct Run {
    agents: Vec<Agent>,
    notices: Sender<Notice>,
    /// The port of rank 0, once it is bound.
    port: Option<u16>,
    /// Lets standard input go on.
    permits: Option<Sender<()>>,
    /// When all must have ended.
    deadline: Option<Instant>,
    /// The code of a run that failed.
    verdict: Option<u8>,
}

impl Run {
    fn start(
        &mut self,
        args: &RanksArgs,
        host: Host,
        is_here: bool,
        mut start: Start,
        secret: &Secret,
    ) -> Result<(), Failure> {
        let failed = |error: io::Error| {
            let what = format!("start the processes of '{}'", host.name);
            internal(&what, error)
        };
        let own = args.again.words().map_err(failed)?;
        let mut output = None;
        let mut command = if is_here {
            let mut command = Command::new(&own[0]);
            command.args(&own[1..]).args(["run", "--remote"]);
            output = Some(io::stdout().as_fd().try_clone_to_owned().map_err(failed)?);
            command
        } else {
            let mut words = args.rsh.split_whitespace();
            let rsh = words.next().ok_or_else(|| {
                Failure::new(
                    Blame::Usage,
                    "--rsh is empty; it is the command that runs another on a host",
                )
            })?;
            let mut command = Command::new(rsh);
            let adsum = match &args.adsum {
                Some(path) => quoted(path),
                None => {
                    let words = own.iter().map(|word| quoted(&word.to_string_lossy()));
                    words.collect::<Vec<_>>().join(" ")
                }
            };
            command.args(words).arg(&host.name).arg(format!("{adsum} run --remote"));
            command
        };
        start.output = match &output {
            _ if args.prefix => Output::Prefixed,
            Some(file) => Output::Inherited(file.as_raw_fd()),
            None => Output::Piped,
        };
        start.host.clone_from(&host.name);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let inherit: Vec<_> = output.iter().map(OwnedFd::as_fd).collect();
        process::lead_group(&mut command, &inherit);
        let mut child = command.spawn().map_err(|error| match is_here {
            true => failed(error),
            false => Failure::new(
                Blame::Usage,
                format!(
                    "--rsh '{}' cannot be started: {error}; it is the command that runs another on a host",
                    args.rsh
                ),
            ),
        })?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (orders, order_receiver) = mpsc::channel();
        let (index, pid) = (self.agents.len(), child.id());
        self.agents.push(Agent {
            host: host.name.clone(),
            child,
            orders: Some(orders),
            has_rank_0: start.ranks.first() == Some(&0),
            running: start.ranks.len(),
            begun: Instant::now(),
            has_greeted: false,
            start: Some(start),
            groups: Vec::new(),
            is_here,
            is_done: false,
            is_gone: false,
        });
        let (notices, secret) = (self.notices.clone(), secret.clone());
        if let (Some(stdin), Some(stdout)) = (stdin, stdout) {
            spawn("adsum-orders", move || give_orders(stdin, &secret, &order_receiver))
                .and_then(|()| spawn("adsum-events", move || listen(index, pid, stdout, &notices)))
                .map_err(failed)?;
        }
        Ok(())
    }

    /// Waits for all ranks; the code to exit with.
    fn supervise(mut self, inbox: &Receiver<Notice>, grace: Duration) -> u8 {
        while self.agents.iter().any(|agent| !agent.is_gone) {
            let now = Instant::now();
            let silent = self.first_silent().filter(|_| self.verdict.is_none());
            let greeted_by = silent.map(|index| self.agents[index].begun + GREETING_MAX);
            let until = self.deadline.into_iter().chain(greeted_by).min();
            let left = until.map_or(NEVER, |at| at.saturating_duration_since(now));
            match (inbox.recv_timeout(left), silent) {
                (Ok(notice), _) => self.handle(notice, grace),
                (Err(RecvTimeoutError::Timeout), Some(index)) if greeted_by == until => {
                    let host = &self.agents[index].host;
                    let message = format!(
                        "'{host}' says nothing for {GREETING_MAX:?}: what should start its adsum still runs; try it by hand"
                    );
                    self.fail(Blame::Cluster as u8, Some(&message), grace);
                }
                (Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected), _) => break,
            }
        }
        self.verdict.unwrap_or(exit::ANSWERED)
    }

    /// The host that was started first of those that have not spoken, as that of rank 0
    /// has not before it has said where it listens.
    fn first_silent(&self) -> Option<usize> {
        let has_spoken = |agent: &Agent| match agent.has_rank_0 {
            true => self.port.is_some(),
            false => agent.has_greeted,
        };
        self.agents.iter().position(|agent| !has_spoken(agent) && !agent.is_gone)
    }

    fn handle(&mut self, notice: Notice, grace: Duration) {
        match notice {
            Notice::Greeted(index) => {
                self.agents[index].has_greeted = true;
                self.order_starts();
                if self.agents[index].has_rank_0 {
                    self.pump_input();
                }
            }
            Notice::Event(_, Event::Listening(port)) => {
                self.port = Some(port);
                self.order_starts();
            }
            Notice::Event(index, Event::Ended { rank, how }) => {
                let agent = &mut self.agents[index];
                agent.running -= 1;
                if how.code() != 0 {
                    let others = match self.agents.iter().any(|agent| agent.running > 0) {
                        true => "; the others are told to end",
                        false => "",
                    };
                    let host = &self.agents[index].host;
                    let message = format!("rank {rank} on {host} {how}{others}");
                    self.fail(how.code(), Some(&message), grace);
                }
            }
            Notice::Event(index, Event::Done) => {
                self.agents[index].is_done = true;
                if self.agents.iter().all(|agent| agent.is_done || agent.is_gone) {
                    // All has been said. A remote shell may wait for a process
                    // that left its group and holds its output.
                    self.set_deadline(Duration::ZERO);
                }
            }
            Notice::Event(index, Event::Failed { code, message }) => {
                self.agents[index].running = 0;
                self.fail(code, Some(&message), grace);
            }
            Notice::Event(_, Event::InputTaken) => {
                if let Some(permits) = &self.permits {
                    // Standard input has ended, if this fails.
                    let _ended = permits.send(());
                }
            }
            Notice::Event(index, Event::Started(groups)) => {
                let agent = &mut self.agents[index];
                if agent.is_here {
                    agent.groups = groups;
                }
            }
            // Written by the thread that reads it.
            Notice::Event(_, Event::Output { .. }) => {}
            Notice::Gone(index, how) => {
                self.agents[index].is_gone = true;
                self.agents[index].orders = None;
                if self.agents[index].running > 0 {
                    // What the ranks have started is nobody's now. Nothing else
                    // has taken the numbers in so short a time.
                    let groups = &self.agents[index].groups;
                    groups.iter().for_each(|&group| process::signal_group(group, Signal::Kill));
                    let message = self.lost(index, how);
                    self.fail(Blame::Cluster as u8, Some(&message), grace);
                }
            }
            Notice::Input(bytes) => self.order_rank_0(Order::Input(bytes)),
            Notice::InputEnd => self.order_rank_0(Order::InputEnd),
            Notice::OutputClosed => self.fail(OUTPUT_CLOSED, None, grace),
            Notice::Interrupted => {
                if self.verdict.is_some() {
                    self.order_all(&Order::Kill);
                    self.end_by(Instant::now() + KILLED_GRACE);
                }
                let message =
                    "interrupted; all ranks are told to end, and killed by another Ctrl-C";
                self.fail(Blame::Interrupted as u8, Some(message), grace);
            }
        }
    }

    /// What it means that the process of a host is gone before its ranks.
    fn lost(&self, index: usize, how: Result<Ending, String>) -> String {
        let agent = &self.agents[index];
        let host = &agent.host;
        match how {
            Err(message) => format!("'{host}' cannot be used: {message}"),
            Ok(how) if !agent.has_greeted => format!(
                "'{host}' cannot be reached, or has no adsum: what should start it {how}; try it by hand, and give the path with --adsum"
            ),
            Ok(how) => {
                format!("'{host}' is lost with its ranks: the process that started them {how}")
            }
        }
    }

    /// Ends the run for the first reason that there is.
    fn fail(&mut self, code: u8, message: Option<&str>, grace: Duration) {
        if self.verdict.is_some() {
            return;
        }
        self.verdict = Some(code);
        if let Some(message) = message {
            exit::say(&format!("adsum: error: {message}"));
        }
        self.order_all(&Order::End);
        // One that has not been told what to start will not be.
        let silent = self.agents.iter_mut().filter(|agent| agent.start.is_some());
        for agent in silent.filter(|agent| !agent.is_gone) {
            agent.orders = None;
            process::signal_group(agent.child.id(), Signal::Kill);
        }
        self.set_deadline(grace);
    }

    fn set_deadline(&mut self, grace: Duration) {
        self.end_by(Instant::now() + grace + HOSTS_GRACE);
    }

    /// All must have ended by then, or earlier.
    fn end_by(&mut self, at: Instant) {
        self.deadline = Some(self.deadline.map_or(at, |before| before.min(at)));
    }

    /// Tells hosts that have spoken what to start; others than rank 0's when it has bound
    /// its port.
    fn order_starts(&mut self) {
        let port = self.port;
        let is_ready =
            |agent: &&mut Agent| agent.has_greeted && (agent.has_rank_0 || port.is_some());
        for agent in self.agents.iter_mut().filter(is_ready) {
            if let Some(start) = agent.start.take() {
                let port = port.unwrap_or(start.port);
                agent.order(Order::Start(Start { port, ..start }));
            }
        }
    }

    fn order_all(&self, order: &Order) {
        let started = self.agents.iter().filter(|agent| agent.start.is_none());
        started.for_each(|agent| agent.order(order.clone()));
    }

    fn order_rank_0(&self, order: Order) {
        if let Some(agent) = self.agents.iter().find(|agent| agent.has_rank_0) {
            agent.order(order);
        }
    }

    /// Starts to pass on standard input.
    fn pump_input(&mut self) {
        let (permits, permit_receiver) = mpsc::channel();
        for _ in 0..PIECES_MAX {
            let _received = permits.send(());
        }
        self.permits = Some(permits);
        let notices = self.notices.clone();
        let pump = move || {
            if process::may_read_input() {
                read_input(&permit_receiver, &notices);
            }
            let _unheard = notices.send(Notice::InputEnd);
        };
        if let Err(error) = spawn("adsum-input", pump) {
            exit::say(&format!("adsum: warning: standard input is not passed on: {error}"));
        }
    }
}

impl Agent {
    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // Its process is gone, if this fails, and that is told.
            let _gone = orders.send(order);
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        for agent in &mut self.agents {
            // One that does not end its ranks, since it was stopped.
            let groups = agent.groups.iter().filter(|_| !agent.is_gone && !agent.is_done);
            groups.for_each(|&group| process::signal_group(group, Signal::Kill));
            process::signal_group(agent.child.id(), Signal::Kill);
            // It is a child that nobody else waits for.
            let _status = agent.child.wait();
        }
    }
}

/// Writes orders until there are no more. The secret goes only to who has
/// greeted, since only then there is a first order.
fn give_orders(mut stdin: ChildStdin, secret: &Secret, orders: &Receiver<Order>) {
    let mut is_first = true;
    let mut give = |order: &Order| {
        if std::mem::take(&mut is_first) {
            channel::greet(&mut stdin)?;
            channel::write_secret(&mut stdin, secret)?;
        }
        channel::write(&mut stdin, order)
    };
    while let Ok(order) = orders.recv() {
        if give(&order).is_err() {
            // The process is gone, or its words are too long, and it ends
            // because it hears no more.
            return;
        }
    }
}

/// Reads what the process of a host says, to its end.
fn listen(index: usize, pid: u32, stdout: ChildStdout, notices: &Sender<Notice>) {
    let mut stdout = BufReader::with_capacity(PIECE_BYTES_MAX, stdout);
    let said = hear(index, &mut stdout, notices);
    // What it still says goes nowhere.
    let _ended = io::copy(&mut stdout, &mut io::sink());
    let ended = process::wait_for_end(pid).map(Ending::from).map_err(|error| error.to_string());
    let how = said.and(ended);
    let _unheard = notices.send(Notice::Gone(index, how));
}

fn hear(index: usize, mut from: impl Read, notices: &Sender<Notice>) -> Result<(), String> {
    match channel::read_greeting(&mut from) {
        Ok(channel::VERSION) => {}
        Ok(version) => {
            return Err(format!(
                "its adsum speaks version {version} of this, and this one {}; run the same on all hosts",
                channel::VERSION
            ));
        }
        // How it ended says more.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
        Err(error) => return Err(error.to_string()),
    }
    let _unheard = notices.send(Notice::Greeted(index));
    loop {
        match channel::read(&mut from) {
            Ok(Some(Event::Output { is_error, bytes })) => print(is_error, &bytes, notices),
            Ok(Some(event)) => drop(notices.send(Notice::Event(index, event))),
            Ok(None) => return Ok(()),
            Err(error) => return Err(format!("what it says makes no sense: {error}")),
        }
    }
}

/// Writes a piece of output whole. A reader who is slow slows down the ranks.
fn print(is_error: bool, bytes: &[u8], notices: &Sender<Notice>) {
    let written = match is_error {
        true => io::stderr().lock().write_all(bytes),
        false => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes).and_then(|()| stdout.flush())
        }
    };
    if written.is_err() && !is_error {
        let _unheard = notices.send(Notice::OutputClosed);
    }
}

/// Passes on standard input, a piece for each permit.
fn read_input(permits: &Receiver<()>, notices: &Sender<Notice>) {
    let mut stdin = io::stdin().lock();
    let mut buffer = vec![0; PIECE_BYTES_MAX];
    while permits.recv().is_ok() {
        let count = match stdin.read(&mut buffer) {
            Ok(count @ 1..) => count,
            // An error ends it as well.
            Ok(0) | Err(_) => return,
        };
        if notices.send(Notice::Input(buffer[..count].to_vec())).is_err() {
            return;
        }
    }
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-._+:@%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map(drop)
}
