//! What a job without faults costs, from its numbers alone: no code of the
//! library is used here. The formula is explained in `docs/protocol.md`.

use std::time::Duration;

use crate::traffic::{Count, Counts};

/// A job whose entries all take equally long, on nodes that are connected with
/// the collector by links that all delay equally.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// Nodes, the collector included.
    pub nodes: u64,
    pub entries: u64,
    /// Files, each of the same number of entries of one byte.
    pub files: u64,
    /// Workers of each node but the collector.
    pub workers: u64,
    /// Whether the collector has as many.
    pub collector_reduces: bool,
    /// Entries that a worker takes at once; two at least.
    pub outstanding: u64,
    pub results_per_message: u64,
    /// Nodes that one speaks to before there are teams.
    pub fan_in: u64,
    /// From one node to another.
    pub delay: Duration,
    /// For an entry.
    pub work: Duration,
}

/// Tag and job.
const HEAD: u64 = 1 + 32;

/// Header of a frame.
const FRAME: u64 = 4;

/// A result but for its position: the partial of a byte after its length, and
/// what one device did.
const RESULT: u64 = 1 + PARTIAL + 1 + 4;

/// The partial of a few bytes that are one each.
const PARTIAL: u64 = 20;

/// The most positions of one message.
const POSITIONS_MAX: u64 = 4096;

impl Job {
    /// A job whose entries grow with the cluster: a file for each node but the
    /// collector, of so many entries.
    pub fn growing(nodes: u64, entries: u64, fan_in: u64) -> Job {
        Job {
            nodes,
            entries: entries * (nodes - 1),
            files: nodes - 1,
            workers: 4,
            collector_reduces: false,
            outstanding: 2,
            results_per_message: 64,
            fan_in,
            delay: Duration::from_micros(100),
            work: Duration::from_millis(10),
        }
    }

    /// Nodes that the collector speaks to.
    fn remote(&self) -> u64 {
        self.nodes - 1
    }

    /// Entries that a node takes at once.
    fn want(&self) -> u64 {
        self.workers * self.outstanding
    }

    /// Entries that the collector reduces itself, which cost no message. It is
    /// served first: at the start with what it takes at once, and then in each
    /// round before all others.
    pub fn own_entries(&self) -> u64 {
        if !self.collector_reduces {
            return 0;
        }
        let first = self.nodes * self.want();
        if self.entries <= first {
            return self.entries.min(self.want());
        }
        let round = self.nodes * self.workers;
        let rest = self.entries - first;
        self.want() + rest / round * self.workers + (rest % round).min(self.workers)
    }

    /// Messages of results for so many entries that end `workers` at a time.
    fn messages_for(&self, entries: u64) -> u64 {
        let of_round = self.workers.div_ceil(self.results_per_message);
        let last = (entries % self.workers).div_ceil(self.results_per_message);
        entries / self.workers * of_round + last
    }

    /// Who collects from whom, where the node at 0 collects the job of this id,
    /// and all names are places.
    pub fn team(&self, id: &[u8; 32]) -> Team {
        Team::of(0, (1..self.nodes as usize).collect(), self.fan_in as usize, id)
    }

    /// The messages, and their bytes, where `computed` are the positions of the
    /// entries that each node reduces itself.
    ///
    /// With teams, each entry is assigned at once: there are no more than nodes
    /// take, and there is one level of deputies.
    pub fn counts(&self, team: &Team, computed: &[&[u32]]) -> Counts {
        if team.teams.is_empty() {
            return self.flat(computed.first().copied().unwrap_or(&[]));
        }
        assert!(!self.collector_reduces && team.direct.is_empty());
        assert_eq!(self.entries, self.remote() * self.want(), "each takes all at once");
        let mut counts = Counts::new();
        let mut add = |kind, messages, bytes| {
            let count: &mut Count = counts.entry(kind).or_default();
            count.messages += messages;
            count.bytes += bytes;
        };
        let mut assigned = 0;
        for below in &team.teams {
            assert!(below.teams.is_empty(), "one level of deputies");
            let nodes = below.direct.len() as u64 + 1;
            let entries = nodes * self.want();
            let job = Job { nodes, entries, collector_reduces: true, ..*self };
            let inside = job.flat_of(self.offer(), computed[below.collector], None);
            for (kind, count) in inside {
                add(kind, count.messages, count.bytes);
            }
            let (assigns, reports) = (entries.div_ceil(POSITIONS_MAX), job.reports());
            add("Delegate", 1, FRAME + self.offer() + varint(nodes) + 16 * nodes + 1);
            add("Pull", 1, FRAME + HEAD + varint(entries));
            add("Assign", assigns, assigns * (FRAME + HEAD + 1) + varint(entries));
            add("Report", reports.messages, reports.bytes + reports.messages * varint(entries));
            add("Cancel", 1, FRAME + HEAD);
            add("Refused", 1, FRAME + HEAD + 1);
            assigned += entries;
        }
        assert_eq!(assigned, self.entries);
        // In the assignments to deputies and in their reports.
        let positions: u64 = (0..self.entries).map(varint).sum();
        add("Assign", 0, positions);
        add("Report", 0, positions);
        // In those to all others, and in their results.
        let deputies = team.teams.iter().flat_map(|below| computed[below.collector]);
        let own: u64 = deputies.map(|&position| varint(position.into())).sum();
        add("Assign", 0, positions - own);
        add("Results", 0, positions - own);
        counts
    }

    /// The reports of a deputy whose team has so many nodes, for as many entries as
    /// they take at once, but for their positions and the want. Each message from
    /// the team has what one node has done.
    fn reports(&self) -> Count {
        let quarter = (self.nodes * self.want() / 4).max(1);
        let per_report = quarter.div_ceil(self.workers);
        let all = self.nodes * self.outstanding;
        let messages = all.div_ceil(per_report);
        let entries = per_report * self.workers;
        assert!(self.workers <= self.results_per_message && entries < 128 && per_report < 128);
        // Lengths of three lists and of the partial, and five numbers.
        let fixed = FRAME + HEAD + 1 + 1 + 1 + 5 + 1 + PARTIAL;
        // A node, its entries, and what one device did.
        Count { messages, bytes: messages * fixed + all * (16 + 1 + 1 + 4) }
    }

    /// As [`Job::counts`] without teams.
    fn flat(&self, own: &[u32]) -> Counts {
        let positions: u64 = (0..self.entries).map(varint).sum::<u64>()
            - own.iter().map(|&position| varint(position.into())).sum::<u64>();
        self.flat_of(self.offer(), own, Some(positions))
    }

    /// The messages for offers of this length, and their bytes but for the
    /// positions, if their bytes are not known.
    fn flat_of(&self, offer: u64, own: &[u32], positions: Option<u64>) -> Counts {
        let positions = positions.unwrap_or(0);
        let (remote, want) = (self.remote(), self.want());
        let entries = self.entries - self.own_entries();
        assert_eq!(own.len() as u64, self.own_entries(), "entries of the collector");
        let first = entries.min(remote * want);
        let assigns = first.div_ceil(want) + self.messages_for(entries - first);
        let results = self.messages_for(entries);
        // Lists of fewer than 128 items have a length of one byte.
        assert!(want < 128 && self.results_per_message < 128 && self.workers < 128);
        let count = |messages, bytes| Count { messages, bytes };
        let mut counts = Counts::from([
            ("Offer", count(remote, remote * (FRAME + offer))),
            ("Pull", count(remote, remote * (FRAME + HEAD + 1))),
            ("Assign", count(assigns, assigns * (FRAME + HEAD + 1 + 1) + positions)),
            (
                "Results",
                count(results, results * (FRAME + HEAD + 1 + 1) + positions + entries * RESULT),
            ),
            ("Cancel", count(remote, remote * (FRAME + HEAD))),
            ("Refused", count(remote, remote * (FRAME + HEAD + 1))),
        ]);
        counts.retain(|_, count| count.messages > 0);
        counts
    }

    /// From the question to the result, where the collector does not reduce: an
    /// offer, a pull and an assignment, as many rounds as the busiest node has,
    /// and the last result. A deputy between adds one message to each.
    pub fn time(&self, team: &Team) -> Duration {
        let levels = 1 + u32::from(!team.teams.is_empty());
        assert!(!self.collector_reduces && self.outstanding >= 2 && self.work > 2 * self.delay);
        let first = self.remote() * self.want();
        let rounds = match self.entries.checked_sub(first) {
            Some(rest) => self.outstanding + rest.div_ceil(self.remote() * self.workers),
            None => self.entries.min(self.want()).div_ceil(self.workers),
        };
        4 * levels * self.delay + rounds as u32 * self.work
    }

    /// The spec of a sum of bytes has four bytes, the cut two.
    fn offer(&self) -> u64 {
        let elements = self.entries / self.files;
        // `0/NUMBER.npy`, and the file's length twice among twelve small numbers.
        let file = |index: u64| {
            let path = 2 + u64::from(index.checked_ilog10().unwrap_or(0)) + 1 + 4;
            path + 12 + 2 * varint(elements)
        };
        HEAD + 4 + 2 + varint(self.files) + (0..self.files).map(file).sum::<u64>()
    }
}

/// A collector, those whom it asks itself, and the teams of its deputies.
#[derive(Clone, Debug)]
pub struct Team {
    pub collector: usize,
    pub direct: Vec<usize>,
    pub teams: Vec<Team>,
}

impl Team {
    /// All but the collector.
    pub fn everybody(&self) -> Vec<usize> {
        let below = self.teams.iter().flat_map(|team| [vec![team.collector], team.everybody()]);
        below.flatten().chain(self.direct.iter().copied()).collect()
    }

    /// Who is asked by whom where `collector` asks `nodes`, which are in order.
    pub fn of(collector: usize, nodes: Vec<usize>, fan_in: usize, job: &[u8; 32]) -> Team {
        if nodes.len() <= fan_in {
            return Team { collector, direct: nodes, teams: Vec::new() };
        }
        let count = nodes.len().div_ceil(fan_in).min(fan_in);
        let mut team = Team { collector, direct: Vec::new(), teams: Vec::new() };
        for number in 0..count {
            let mut members =
                nodes[number * nodes.len() / count..(number + 1) * nodes.len() / count].to_vec();
            // A name begins with its place, in 32 bits.
            let job_word = u64::from_be_bytes(job[..8].try_into().expect("eight bytes"));
            let salt = job_word ^ ((collector as u64) << 32);
            let deputy = members.remove((salt % members.len() as u64) as usize);
            match members.is_empty() {
                true => team.direct.push(deputy),
                false => team.teams.push(Team::of(deputy, members, fan_in, job)),
            }
        }
        team
    }
}

/// Bytes of a number: seven bits each.
fn varint(number: u64) -> u64 {
    u64::from(number.checked_ilog2().unwrap_or(0) / 7) + 1
}
