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
const RESULT: u64 = 1 + 20 + 1 + 4;

impl Job {
    /// A job whose entries, one file per node, grow with the cluster.
    pub fn growing(nodes: u64, results_per_message: u64) -> Job {
        Job {
            nodes,
            entries: 16 * nodes,
            files: nodes,
            workers: 4,
            collector_reduces: false,
            outstanding: 2,
            results_per_message,
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

    /// The messages, and their bytes where `own` are the positions of the
    /// entries that the collector reduces itself.
    pub fn counts(&self, own: &[u32]) -> Counts {
        let (remote, want) = (self.remote(), self.want());
        let entries = self.entries - self.own_entries();
        assert_eq!(own.len() as u64, self.own_entries(), "entries of the collector");
        let first = entries.min(remote * want);
        let assigns = first.div_ceil(want) + self.messages_for(entries - first);
        let results = self.messages_for(entries);
        // Lists of fewer than 128 items have a length of one byte.
        assert!(want < 128 && self.results_per_message < 128 && self.workers < 128);
        let positions: u64 = (0..self.entries).map(varint).sum::<u64>()
            - own.iter().map(|&position| varint(position.into())).sum::<u64>();
        let count = |messages, bytes| Count { messages, bytes };
        let mut counts = Counts::from([
            ("Offer", count(remote, remote * (FRAME + self.offer()))),
            ("Pull", count(remote, remote * (FRAME + HEAD + 1))),
            ("Assign", count(assigns, assigns * (FRAME + HEAD + 1) + positions)),
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
    /// and the last result.
    pub fn time(&self) -> Duration {
        assert!(!self.collector_reduces && self.outstanding >= 2 && self.work > 2 * self.delay);
        let first = self.remote() * self.want();
        let rounds = match self.entries.checked_sub(first) {
            Some(rest) => self.outstanding + rest.div_ceil(self.remote() * self.workers),
            None => self.entries.min(self.want()).div_ceil(self.workers),
        };
        4 * self.delay + rounds as u32 * self.work
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

/// Bytes of a number: seven bits each.
fn varint(number: u64) -> u64 {
    u64::from(number.checked_ilog2().unwrap_or(0) / 7) + 1
}
