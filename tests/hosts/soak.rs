//! Faults by chance, for as long as one likes.

use std::env;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::chance::Chance;
use crate::cluster::{Cluster, Shape, bits, name};
use crate::numbers::Op;
use crate::process::{handles, resident_bytes};

/// The node that nobody kills.
const SPARED: usize = 4;

/// What happens to a node, until it is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Kill,
    Stop,
    Unplug,
}

/// Faults under way, and what comes next.
struct Faults {
    chance: Chance,
    under_way: Vec<(usize, Fault, Instant)>,
    /// All so far.
    count: usize,
    /// All processes that ever were nodes.
    processes: Vec<u32>,
}

impl Faults {
    /// Ends faults whose time has come, and perhaps begins one. At most two nodes
    /// have one at a time, so one holder of each file has none.
    fn step(&mut self, cluster: &mut Cluster) {
        let now = Instant::now();
        let over: Vec<_> = self.under_way.iter().filter(|fault| fault.2 <= now).copied().collect();
        self.under_way.retain(|fault| fault.2 > now);
        over.iter().for_each(|&(host, fault, _)| self.undo(cluster, host, fault));
        let host = self.chance.below(cluster.shape.hosts);
        let has_one = self.under_way.iter().any(|fault| fault.0 == host);
        if self.under_way.len() == 2 || has_one || self.chance.below(3) == 0 {
            return;
        }
        let fault = match self.chance.below(3) {
            0 if host != SPARED => Fault::Kill,
            1 => Fault::Unplug,
            _ => Fault::Stop,
        };
        match fault {
            Fault::Kill => cluster.kill(host),
            Fault::Stop => cluster.nodes[host].running().signal("-STOP"),
            Fault::Unplug => cluster.lan.set_link(host, false),
        }
        let long = [50, 300, 1000, 2500][self.chance.below(4)];
        self.under_way.push((host, fault, now + Duration::from_millis(long)));
        self.count += 1;
    }

    fn undo(&mut self, cluster: &mut Cluster, host: usize, fault: Fault) {
        match fault {
            Fault::Kill => {
                cluster.launch(host);
                self.processes.push(cluster.nodes[host].running().id());
            }
            Fault::Stop => cluster.nodes[host].running().signal("-CONT"),
            Fault::Unplug => cluster.lan.set_link(host, true),
        }
    }

    fn undo_all(&mut self, cluster: &mut Cluster) {
        for (host, fault, _) in std::mem::take(&mut self.under_way) {
            self.undo(cluster, host, fault);
        }
    }
}

#[test]
fn faults_by_chance() {
    let seconds = match env::var("ADSUM_SOAK_SECONDS") {
        Ok(seconds) => seconds.parse().expect("ADSUM_SOAK_SECONDS is a number of seconds"),
        Err(_) if env::var_os("CI").is_some() => 60,
        Err(_) => 20,
    };
    let Some(mut cluster) = Cluster::start(Shape { hosts: 5, copies: 3, files: 60 }) else {
        return;
    };
    let seed = env::var("ADSUM_SOAK_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64);
    println!("ADSUM_SOAK_SEED={seed} ADSUM_SOAK_SECONDS={seconds}");
    let processes = cluster.nodes.iter().map(|node| node.running().id()).collect();
    let mut faults = Faults { chance: Chance(seed), under_way: Vec::new(), count: 0, processes };
    let spared = cluster.nodes[SPARED].running().id();
    let (open, resident) = (handles(spared), resident_bytes(spared));

    let (mut right, mut answers) = (0, 0);
    let mut slowest = Duration::ZERO;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(seconds) {
        let op = [Op::Sum, Op::Columns][faults.chance.below(2)];
        let via = faults.chance.below(5);
        let mut asked = cluster.begin(op, via);
        while !asked.has_ended() && asked.started.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(faults.chance.below(300) as u64));
            faults.step(&mut cluster);
        }
        let (run, took) = asked.end(Duration::ZERO);
        answers += 1;
        match run.code {
            Some(0) => {
                assert_eq!(bits(&run), cluster.right(op), "seed {seed}: {run:?}");
                right += 1;
                slowest = slowest.max(took);
            }
            Some(code @ (5 | 6 | 10)) => {
                run.refused(code, &[]);
                println!("{took:?} by {}: {}", name(via), run.stderr.trim());
            }
            _ => panic!("seed {seed}: {run:?}"),
        }
    }
    println!("{} faults, {right} of {answers} answers, the slowest {slowest:?}", faults.count);
    assert!(3 * right >= answers, "seed {seed}: {right} of {answers}");

    faults.undo_all(&mut cluster);
    println!("after it, all see each other after {:?}", cluster.settle());
    (0..5).for_each(|via| drop(cluster.check(Op::Sum, via)));
    let (open_now, resident_now) = (handles(spared), resident_bytes(spared));
    let (before, now) = (open.len(), open_now.len());
    println!("handles {before} then {now}, memory {resident} then {resident_now}");
    assert!(now < before + 8, "{open_now:?}, before {open:?}");
    assert!(resident_now < resident + (96 << 20), "{resident_now} bytes, before {resident}");

    (0..5).for_each(|host| cluster.stop(host));
    (0..5).for_each(|host| cluster.launch(host));
    faults.processes.extend(cluster.nodes.iter().map(|node| node.running().id()));
    cluster.settle();
    (0..5).for_each(|via| drop(cluster.check(Op::Columns, via)));
    let network = cluster.lan.prefix().to_owned();
    drop(cluster);
    assert_eq!(crate::lan::left_over(&network), Vec::<String>::new());
    for process in faults.processes {
        assert!(!Path::new(&format!("/proc/{process}")).exists(), "{process} is still there");
    }
}
