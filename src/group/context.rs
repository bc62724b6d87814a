//! One communicator on one rank: its calls, in the order in which they were made.
//!
//! Calls have numbers, the same at all ranks since all make the same calls in the same
//! order. What comes for a call that was not made here yet is kept: a rank can be ahead of
//! another by as much as [`Config::ahead_bytes_max`] before it asks first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::frame::{Frame, Head, Segment};
use super::operation::Operation;
use super::points::Points;
use super::shrink::Shrink;
use super::signature::Signature;
use super::{Config, GroupError, Output};
use crate::collective::Tuning;

/// Bytes that a message counts beside its body.
const MESSAGE_BYTES: u64 = 64;

/// Calls that ended and whose signatures are kept, to be compared with those of ranks
/// that are late.
const RECENT_MAX: usize = 256;

/// What one rank has sent to another in calls that the other has perhaps not begun.
#[derive(Default)]
pub(super) struct Ahead {
    calls: VecDeque<(u64, u64)>,
    bytes: u64,
}

impl Ahead {
    fn add(&mut self, call: u64, bytes: u64) {
        self.bytes += bytes;
        match self.calls.back_mut().filter(|(last, _)| *last == call) {
            Some((_, sent)) => *sent += bytes,
            None => self.calls.push_back((call, bytes)),
        }
    }

    /// The other has begun this call, and so all before it.
    fn begun(&mut self, call: u64) {
        while let Some(&(first, bytes)) = self.calls.front().filter(|(first, _)| *first <= call) {
            debug_assert!(first <= call, "calls in order");
            self.bytes -= bytes;
            self.calls.pop_front();
        }
    }
}

/// What came for a call before it was made here.
pub(super) enum Early {
    Data(Segment, Bytes),
    Ask(bool),
    Probe(Signature),
}

/// One communicator on one rank.
pub(super) struct Context {
    pub id: u64,
    /// The ranks of the group that its ranks are.
    pub members: Vec<usize>,
    pub rank: usize,
    pub calls: BTreeMap<u64, Operation>,
    pub next_call: u64,
    pub early: BTreeMap<u64, Vec<(usize, Early)>>,
    pub recent: VecDeque<(u64, Signature)>,
    /// Why all calls from one on have no result.
    pub failure: Option<(u64, GroupError)>,
    /// Ranks that make no more calls here.
    pub closed: BTreeSet<usize>,
    pub points: Points,
    pub shrink: Shrink,
    /// By what its calls choose their schedules.
    pub tuning: Tuning,
    ahead: Vec<Ahead>,
}

/// What the parts of a context need to send.
pub(super) struct Port<'a> {
    pub context: u64,
    pub rank: usize,
    pub config: &'a Config,
    pub members: &'a [usize],
    pub gone: &'a BTreeSet<usize>,
    /// Ranks of the communicator that make no more calls in it.
    pub closed: &'a BTreeSet<usize>,
    pub outputs: &'a mut VecDeque<Output>,
    ahead: &'a mut Vec<Ahead>,
}

impl Port<'_> {
    /// Sends to a rank of the communicator, if it lives.
    pub fn send(&mut self, to: usize, head: &Head, body: Bytes) {
        let to = self.members[to];
        if !self.gone.contains(&to) {
            self.outputs.push_back(Output::Send { to, frame: Frame::new(head, body) });
        }
    }

    /// Sends a segment of a call.
    pub fn send_data(&mut self, to: usize, call: u64, segment: Segment, body: Bytes) {
        self.ahead[to].add(call, MESSAGE_BYTES + body.len() as u64);
        self.send(to, &Head::Data(segment), body);
    }

    /// Sends to all other ranks of the communicator that live.
    pub fn send_all(&mut self, head: &Head) {
        let own = self.rank;
        for to in (0..self.members.len()).filter(|&to| to != own) {
            self.send(to, head, Bytes::new());
        }
    }

    /// Bytes that may be sent to a rank in a new call before it says anything.
    pub fn first_credit(&self, to: usize) -> u64 {
        match self.ahead[to].bytes < self.config.ahead_bytes_max {
            true => self.config.window_bytes,
            false => 0,
        }
    }
}

impl Context {
    pub fn new(id: u64, members: Vec<usize>, rank: usize, tuning: Tuning) -> Context {
        let ahead = members.iter().map(|_| Ahead::default()).collect();
        Context {
            id,
            points: Points::new(members.len()),
            shrink: Shrink::default(),
            members,
            rank,
            calls: BTreeMap::new(),
            next_call: 0,
            early: BTreeMap::new(),
            recent: VecDeque::new(),
            failure: None,
            closed: BTreeSet::new(),
            tuning,
            ahead,
        }
    }

    pub fn split<'a>(
        &'a mut self,
        config: &'a Config,
        gone: &'a BTreeSet<usize>,
        outputs: &'a mut VecDeque<Output>,
    ) -> (Port<'a>, &'a mut BTreeMap<u64, Operation>, &'a mut Points, &'a mut Shrink) {
        let port = Port {
            context: self.id,
            rank: self.rank,
            config,
            members: &self.members,
            gone,
            closed: &self.closed,
            outputs,
            ahead: &mut self.ahead,
        };
        (port, &mut self.calls, &mut self.points, &mut self.shrink)
    }

    /// The rank here of a rank of the group.
    pub fn rank_of(&self, member: usize) -> Option<usize> {
        self.members.iter().position(|&one| one == member)
    }

    /// Why a call has no result, if that is so.
    pub fn failure_of(&self, call: u64) -> Option<&GroupError> {
        self.failure.as_ref().filter(|(from, _)| *from <= call).map(|(_, error)| error)
    }

    /// A rank said something of a call, so it has begun it.
    pub fn heard(&mut self, from: usize, call: u64) {
        self.ahead[from].begun(call);
    }

    pub fn remember(&mut self, call: u64, signature: Signature) {
        self.recent.push_back((call, signature));
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
    }

    /// What this rank called, if it is known.
    pub fn signature_of(&self, call: u64) -> Option<Signature> {
        let under_way = self.calls.get(&call).map(|operation| operation.signature);
        let ended = || self.recent.iter().find(|(number, _)| *number == call);
        under_way.or_else(|| ended().map(|(_, signature)| *signature))
    }

    /// That another rank called something else, if it did.
    pub fn mismatch(&self, call: u64, from: usize, theirs: &Signature) -> Option<GroupError> {
        let ours = self.signature_of(call).filter(|ours| ours != theirs)?;
        let mut both = [(self.rank, ours.to_string()), (from, theirs.to_string())];
        both.sort();
        let [(first, first_call), (second, second_call)] = both;
        Some(GroupError::Mismatch {
            first: first as u32,
            first_call,
            second: second as u32,
            second_call,
        })
    }
}
