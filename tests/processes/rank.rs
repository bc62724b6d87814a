//! What one process does as a rank of a group.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use adsum::communicator::{Communicator, Config, GroupError, Operator};
use adsum::launch::{Given, Launch};
use adsum::rendezvous::{self, environment, meet};

use crate::chance::Chance;
use crate::every;
use crate::faulty::{Fault, FaultyLink};
use crate::launching::{PROCESS, ROLE};
use crate::limits::{LENGTHS_BYTES, small, tiny};
use crate::sequence;
use crate::single::{self, CALLS};

/// No call takes so long, unless it hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// After this silence a rank counts as dead: sooner than it would otherwise, since these
/// ranks die often.
const SILENCE: Duration = Duration::from_millis(2500);

/// Less than that: a call that ends before the rank that it waits for is known to be dead.
const IMPATIENCE: Duration = Duration::from_millis(600);

/// Without a role it makes every call as a group of one.
#[test]
fn as_a_rank() {
    let Ok(role) = std::env::var(ROLE) else {
        return every::every(&Communicator::solo(), &LENGTHS_BYTES).unwrap();
    };
    say(&format!("{PROCESS}{}", std::process::id()));
    let words: Vec<&str> = role.split(' ').collect();
    let number = |place: usize| words[place].parse::<u64>().unwrap();
    match words[0] {
        "every" => every::every(&connect(small()), &LENGTHS_BYTES).unwrap(),
        "large" => large(&connect(Config::default())).unwrap(),
        "sequence" => {
            let config = if number(3) == 0 { small() } else { Config::default() };
            sequence::run(&connect(config), number(1), number(2)).unwrap();
        }
        "pause" => pauses(number(1) as usize).unwrap(),
        "late" => late(),
        fault => {
            let fault = match fault {
                "kill" => Fault::Kill,
                "stop" => Fault::Stop,
                "panic" => Fault::Panic,
                _ => panic!("no such role: '{role}'"),
            };
            deaths(fault, number(1) as usize, [2, 3].map(|place| number(place) as usize));
        }
    }
    say("right to the end");
}

/// One line, whole.
fn say(line: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    // What the harness writes before it has no end of line.
    out.write_all(format!("\n{line}\n").as_bytes()).expect("somebody reads the output");
    out.flush().expect("somebody reads the output");
}

/// The group, over connections as they are.
fn connect(config: Config) -> Communicator {
    let launch = Launch::resolve(&Given::default(), &environment()).unwrap();
    Communicator::from_launch(&launch, &rendezvous::Config::default(), config).unwrap()
}

/// The group, over connections that find out soon who is dead, and by a link that can
/// have a fault.
fn connect_faulty() -> (FaultyLink, Communicator) {
    let launch = Launch::resolve(&Given::default(), &environment()).unwrap();
    let mut meeting = rendezvous::Config::default();
    meeting.transport.idle_timeout = SILENCE;
    meeting.transport.keep_alive = SILENCE / 5;
    let link = FaultyLink::new(meet(&launch, &meeting).unwrap());
    let comm = Communicator::connect(Arc::new(link.clone()), tiny());
    (link, comm)
}

/// Arrays of more than a segment of a group that nobody configured, and, where few ranks
/// make it fast, of more than a window.
fn large(comm: &Communicator) -> Result<(), GroupError> {
    every::one::<f32>(comm, Operator::Sum, 530 << 10)?;
    match comm.size() {
        1..=3 => every::one::<u8>(comm, Operator::Max, 5 << 20),
        _ => Ok(()),
    }
}

/// Pauses of one rank after the other, instead of every n-th frame of every call.
fn pauses(every: usize) -> Result<(), GroupError> {
    let (link, comm) = connect_faulty();
    let comm = comm.within(LIMIT);
    for number in 0..CALLS {
        link.count();
        single::call(number, &comm)?;
        let steps = comm.all_gather(&[link.steps() as u64])?;
        let victim = number % comm.size();
        for step in (0..=steps[victim] as usize).step_by(every) {
            comm.barrier()?;
            if comm.rank() == victim {
                link.arm(Fault::Pause(5), step);
            }
            single::call(number, &comm)?;
            if comm.rank() == victim {
                link.strike();
            }
        }
    }
    comm.barrier()
}

/// Until one rank is left, one dies in a call of this number, each time in a later phase:
/// before its first frame, between two frames, and after its end. Those that live make the
/// call again. Of so many groups that do this, each has phases of its own.
fn deaths(fault: Fault, number: usize, [shift, groups]: [usize; 2]) {
    let (link, mut comm) = connect_faulty();
    let rounds = comm.size() - 1;
    let mut chance = Chance::new((number * 100 + shift) as u64);
    for round in 0..rounds {
        let size = comm.size();
        // Half of the ranks go on only with rank 0.
        let victim = if size == 2 { 1 } else { chance.index(size) };
        let whole = comm.within(LIMIT);
        let process = whole.all_gather(&[std::process::id()]).unwrap()[victim];
        link.count();
        single::call(number, &whole).unwrap();
        let steps = link.steps();
        whole.barrier().unwrap();
        let is_victim = whole.rank() == victim;
        if is_victim {
            // From the first to one behind the last.
            let phases = (groups * (rounds - 1)).max(1);
            link.arm(fault, (groups * round + shift) * (steps + 1) / phases);
        }
        let hurried = fault == Fault::Stop && round % 2 == 1;
        let limit = if hurried { IMPATIENCE } else { LIMIT };
        let what = format!("{fault:?} of {victim} in call {number}, round {round}");
        let first = single::call(number, &whole.within(limit));
        if is_victim {
            link.strike();
            loop {
                std::thread::park();
            }
        }
        let is_due = |error: &GroupError| match error {
            GroupError::PeerLost { rank, .. } => *rank as usize == victim,
            GroupError::Timeout { waiting_for, .. } => hurried && !waiting_for.is_empty(),
            _ => false,
        };
        if let Err(error) = &first {
            assert!(is_due(error), "{what}: {error}");
        }
        let then = whole.barrier().expect_err("a barrier without one rank");
        assert!(is_due(&then), "{what}, then: {then}");
        let rest = whole.shrink().unwrap_or_else(|error| panic!("{what}, shrink: {error}"));
        let rank = whole.rank() - usize::from(whole.rank() > victim);
        assert_eq!((rest.size(), rest.rank()), (size - 1, rank), "{what}");
        let again = single::call(number, &rest.within(LIMIT));
        again.unwrap_or_else(|error| panic!("{what}, again: {error}"));
        if fault == Fault::Stop && rest.rank() == 0 {
            let killed = Command::new("kill").args(["-KILL", &process.to_string()]).status();
            assert!(killed.unwrap().success(), "{what}: it was not there any more");
        }
        comm = rest;
    }
    say(&format!("alone after {rounds} deaths"));
}

/// A rank that is stopped for so long that the others go on without it.
fn late() {
    let (link, comm) = connect_faulty();
    let comm = comm.within(LIMIT);
    comm.barrier().unwrap();
    if comm.rank() == 1 {
        link.arm(Fault::Pause(4 * SILENCE.as_millis() as u64), 0);
        let error = single::call(1, &comm).expect_err("a group that has gone on");
        let told = matches!(error, GroupError::Expelled { .. } | GroupError::PeerLost { .. });
        assert!(told, "{error}");
        let error = comm.shrink().err().expect("a part that others have left");
        let told = matches!(error, GroupError::Expelled { .. } | GroupError::Minority { .. });
        assert!(told, "{error}");
        return;
    }
    let error = single::call(1, &comm).expect_err("a rank is missing");
    assert!(matches!(error, GroupError::PeerLost { rank: 1, .. }), "{error}");
    let rest = comm.shrink().unwrap();
    for number in 0..CALLS {
        single::call(number, &rest).unwrap();
    }
}
