//! One call under way on one rank: a plan, what has come, what is to be sent.
//!
//! Each part goes by itself, segment by segment:
//!
//! ```text
//!   segments of each child --> queues --> fold, when all have the next one
//!                                           |
//!                              to the parent, or at the owner into the output
//!                                           |
//!   segments from above ------> output ---> to the children below
//! ```
//!
//! What is folded or copied is consumed; the sender may then send as much again
//! (`Stream`). Nothing is folded while what was folded before waits for a rank
//! below, so what a call holds is bounded by its window, whatever its size.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use bytes::Bytes;

use super::buffer::Buffer as Array;
use super::context::Port;
use super::frame::{Head, Segment};
use super::signature::Signature;
use super::stream::{Content, Outgoing, Progress, Stream};
use super::{GroupError, Now, OpId};
use crate::buffers::Buffer;
use crate::collective::{Make, Plan, Room};
use crate::dtype::DType;
use crate::fold::Operator;

mod folding;

/// How contributions become one.
#[derive(Clone, Copy)]
pub enum Fold {
    /// Not at all.
    None,
    /// By one of the operators.
    By(Operator),
    /// By a function, in rank order, which whoever owns the machine has
    /// ([`Output::Fold`](super::Output::Fold)).
    Own,
}

/// One call under way.
pub(super) struct Operation {
    pub id: OpId,
    pub signature: Signature,
    pub deadline: Option<(Now, Now)>,
    pub probe: Option<Now>,
    call: u64,
    plan: Plan,
    unit: usize,
    dtype: DType,
    fold: Fold,
    /// Apart from the output where the plan says so.
    input: Option<Box<dyn Array>>,
    output: Box<dyn Array>,
    blocks: BTreeMap<usize, Vec<u8>>,
    parts: Vec<Progress>,
    by_id: HashMap<u32, usize>,
    streams: BTreeMap<(usize, bool), Stream>,
    undone: usize,
}

/// What a call gave.
pub struct Answer {
    /// The array of the call's kind; what is in it where this rank has no result
    /// is of no meaning.
    pub output: Box<dyn Array>,
    /// Blocks whose lengths were not known before, by their numbers.
    pub blocks: BTreeMap<usize, Vec<u8>>,
}

impl Operation {
    #[expect(clippy::too_many_arguments, reason = "all that a call is, once")]
    pub fn new(
        id: OpId,
        call: u64,
        signature: Signature,
        plan: Plan,
        fold: Fold,
        unit: usize,
        array: Box<dyn Array>,
        window: u64,
    ) -> Operation {
        let bytes = |elements: u64| elements as usize * unit;
        let (input, output) = match plan.apart {
            true => {
                let output = array.zeros(bytes(plan.output));
                (Some(array), output)
            }
            false => (None, array),
        };
        let mut streams = BTreeMap::new();
        let mut parts = Vec::new();
        for part in &plan.parts {
            let length = part.input.end - part.input.start;
            let known = match (&part.up, &part.room) {
                (_, Some(Room::Open(_))) => None,
                (None, Some(Room::At(range))) => Some(range.end - range.start),
                _ => Some(length),
            };
            let children = part.up.as_ref().map_or(0, |up| up.children.len());
            let up = part.up.iter().flat_map(|up| up.children.iter().copied().chain(up.parent));
            let down = part.down.iter().flat_map(|down| down.to.iter().copied().chain(down.from));
            let up = up.map(|rank| (rank, false));
            for stream in up.chain(down.map(|rank| (rank, true))) {
                streams
                    .entry(stream)
                    .or_insert_with(|| Stream { granted: window, ..Stream::default() });
            }
            parts.push(Progress {
                total: known.map(|elements| elements * unit as u64),
                queues: vec![Default::default(); children],
                ..Progress::default()
            });
        }
        let by_id = plan.parts.iter().zip(0..).map(|(part, index)| (part.id, index)).collect();
        Operation {
            id,
            deadline: None,
            probe: None,
            call,
            unit,
            dtype: signature.dtype,
            signature,
            fold,
            input,
            output,
            blocks: BTreeMap::new(),
            undone: parts.len(),
            parts,
            by_id,
            streams,
            plan,
        }
    }

    /// Copies what stays here and sends what can be sent.
    pub fn begin(&mut self, port: &mut Port<'_>) -> Result<(), GroupError> {
        for ((rank, _), stream) in &mut self.streams {
            stream.credit = port.first_credit(*rank);
        }
        for (from, room) in std::mem::take(&mut self.plan.local) {
            let range = self.bytes_of(&from);
            let bytes = self.input_bytes()[range].to_vec();
            self.write(&room, 0, &bytes);
        }
        for index in 0..self.parts.len() {
            if self.plan.parts[index].after.is_none() {
                self.begin_part(index, port)?;
            }
        }
        self.flush_all(port);
        Ok(())
    }

    /// Whether all has come, was folded, and was sent.
    pub fn is_done(&self) -> bool {
        self.undone == 0 && self.streams.values().all(|stream| stream.queue.is_empty())
    }

    pub fn into_answer(self) -> Answer {
        Answer { output: self.output, blocks: self.blocks }
    }

    /// The ranks from which something is still to come: of what all give, or leave to send
    /// them more.
    pub fn waits_for(&self) -> Vec<u32> {
        let waits = |rank: usize| {
            self.plan.parts.iter().zip(&self.parts).any(|(part, progress)| {
                let up = part.up.as_ref().is_some_and(|up| {
                    let merges = up.make == Make::Merge;
                    let children = up.children.iter().zip(&progress.queues);
                    children.into_iter().any(|(&child, (_, came, any))| {
                        let all = *any && (merges || Some(*came) == progress.total);
                        child == rank && !all
                    })
                });
                let from = part.down.as_ref().and_then(|down| down.from);
                up || (from == Some(rank) && !progress.arrived)
            })
        };
        // What has not left by now waits for its receiver.
        let blocked = |rank: usize| {
            let streams = [false, true].map(|down| self.streams.get(&(rank, down)));
            streams.into_iter().flatten().any(|stream| !stream.queue.is_empty())
        };
        let ranks: BTreeSet<usize> = self.streams.keys().map(|(rank, _)| *rank).collect();
        let found = ranks.into_iter().filter(|&rank| waits(rank) || blocked(rank));
        found.map(|rank| rank as u32).collect()
    }

    /// Whether a function is at work for it.
    pub fn is_folding(&self) -> bool {
        self.parts.iter().any(|progress| progress.folding)
    }

    /// The other rank may be sent so many bytes in all.
    pub fn credit(
        &mut self,
        from: (usize, bool),
        bytes: u64,
        port: &mut Port<'_>,
    ) -> Result<(), GroupError> {
        if let Some(stream) = self.streams.get_mut(&from) {
            stream.credit = stream.credit.max(bytes);
            stream.asked = false;
        }
        self.flush(from, port);
        self.fold_all(port)
    }

    /// The other rank asks whether it may send.
    pub fn answer(&mut self, from: (usize, bool), port: &mut Port<'_>) {
        if let Some(stream) = self.streams.get_mut(&from) {
            stream.granted = stream.consumed + port.config.window_bytes;
            let (context, call, bytes) = (port.context, self.call, stream.granted);
            let (to, down) = from;
            port.send(to, &Head::Credit { context, call, down, bytes }, Bytes::new());
        }
    }

    /// A segment came.
    pub fn handle(
        &mut self,
        from: usize,
        segment: Segment,
        body: Bytes,
        port: &mut Port<'_>,
    ) -> Result<(), GroupError> {
        let wrong = |what: &str| GroupError::Protocol { rank: from as u32, what: what.to_owned() };
        let index = *self.by_id.get(&segment.part).ok_or_else(|| wrong("a part of no plan"))?;
        let part = &self.plan.parts[index];
        let progress = &mut self.parts[index];
        // Contributions that are merged have lengths of their own, each.
        let merges = !segment.down && part.up.as_ref().is_some_and(|up| up.make == Make::Merge);
        let total = match merges {
            true => segment.total,
            false => *progress.total.get_or_insert(segment.total),
        };
        if merges && total > self.signature.count {
            return Err(wrong("more than its call may have"));
        }
        let end = segment.offset + body.len() as u64;
        let expected = (total - segment.offset.min(total)).min(self.signature.segment.into());
        if total != segment.total || body.len() as u64 != expected {
            return Err(wrong("a segment of another length"));
        }
        if segment.down {
            let down = part.down.as_ref().filter(|down| down.from == Some(from));
            let down = down.ok_or_else(|| wrong("a result that is not its own"))?;
            if progress.came != segment.offset || progress.arrived {
                return Err(wrong("segments out of order"));
            }
            progress.came = end;
            progress.arrived = end == total;
            let (room, id, to) = (part.room.clone(), part.id, down.to.clone());
            if let Some(room) = room {
                let at = self.write(&room, segment.offset as usize, &body);
                for to in to {
                    let outgoing = Outgoing {
                        part: id,
                        down: true,
                        offset: segment.offset,
                        at,
                        length: body.len(),
                        total,
                        content: Content::Held(body.clone()),
                    };
                    self.push(to, outgoing, port);
                }
            }
            self.consume((from, true), body.len() as u64, port);
            return self.settle(index, port);
        }
        let up = part.up.as_ref().ok_or_else(|| wrong("a contribution to nothing"))?;
        let child = up.children.iter().position(|&child| child == from);
        let child = child.ok_or_else(|| wrong("a contribution that is not its own"))?;
        let (queue, came, any) = &mut progress.queues[child];
        if *came != segment.offset || (*any && (merges || *came == total)) {
            return Err(wrong("segments out of order"));
        }
        *came = end;
        *any = !merges || end == total;
        let length = body.len() as u64;
        queue.push_back(body);
        if merges {
            self.consume((from, false), length, port);
        }
        self.fold_part(index, port)
    }

    fn begin_part(&mut self, index: usize, port: &mut Port<'_>) -> Result<(), GroupError> {
        self.parts[index].begun = true;
        let part = &self.plan.parts[index];
        let range = self.bytes_of(&part.input);
        let total = range.len() as u64;
        let whole = |down| Outgoing {
            part: part.id,
            down,
            offset: 0,
            at: range.start,
            length: range.len(),
            total,
            content: Content::Input,
        };
        let mut sends = Vec::new();
        match (&part.up, &part.down) {
            (Some(up), _) if up.children.is_empty() => {
                sends.extend(up.parent.map(|parent| (parent, whole(false))));
            }
            (None, Some(down)) if down.from.is_none() => {
                sends.extend(down.to.iter().map(|&to| (to, whole(true))));
            }
            _ => {}
        }
        for (to, outgoing) in sends {
            let to = (to, outgoing.down);
            self.streams.get_mut(&to).expect("all ranks of the plan").queue.push_back(outgoing);
            self.flush(to, port);
        }
        self.fold_part(index, port)
    }

    /// Notes whether a part is done, and begins what waited for it.
    fn settle(&mut self, index: usize, port: &mut Port<'_>) -> Result<(), GroupError> {
        let (part, progress) = (&self.plan.parts[index], &mut self.parts[index]);
        let leaf = part.up.as_ref().is_some_and(|up| up.children.is_empty() && up.parent.is_some());
        let merges = part.up.as_ref().is_some_and(|up| up.make == Make::Merge);
        let folded = part.up.is_none()
            || leaf
            || (progress.folds && (merges || Some(progress.folded) == progress.total));
        let receives = part.down.as_ref().is_some_and(|down| down.from.is_some());
        let sends = part.after.is_none() || progress.begun;
        if progress.done || !folded || (receives && !progress.arrived) || !sends {
            return Ok(());
        }
        progress.done = true;
        self.undone -= 1;
        let waiting = |part: &crate::collective::Part| part.after == Some(index);
        let next: Vec<usize> = (0..self.parts.len())
            .filter(|&other| waiting(&self.plan.parts[other]) && !self.parts[other].begun)
            .collect();
        next.into_iter().try_for_each(|other| self.begin_part(other, port))
    }

    /// Counts bytes as consumed, and lets the sender send more.
    fn consume(&mut self, from: (usize, bool), bytes: u64, port: &mut Port<'_>) {
        let window = port.config.window_bytes;
        let stream = self.streams.get_mut(&from).expect("all ranks of the plan");
        stream.consumed += bytes;
        if stream.consumed + window >= stream.granted + window / 2 {
            stream.granted = stream.consumed + window;
            let (context, call, bytes) = (port.context, self.call, stream.granted);
            let (to, down) = from;
            port.send(to, &Head::Credit { context, call, down, bytes }, Bytes::new());
        }
    }

    /// Sends a segment, or lets it wait.
    fn push(&mut self, to: usize, mut outgoing: Outgoing, port: &mut Port<'_>) {
        let to = (to, outgoing.down);
        let stream = self.streams.get_mut(&to).expect("all ranks of the plan");
        let waits = !stream.queue.is_empty() || stream.sent >= stream.credit;
        // Prefixes differ from rank to rank; all else is in the output.
        let in_output =
            matches!(self.plan.parts[self.by_id[&outgoing.part]].room, Some(Room::At(_)))
                && outgoing.down
                && !matches!(self.fold_of(outgoing.part), Some(Make::Prefixes { .. }));
        let stream = self.streams.get_mut(&to).expect("all ranks of the plan");
        if waits && in_output {
            outgoing.content = Content::Output;
        } else {
            stream.held += outgoing.length as u64;
        }
        stream.queue.push_back(outgoing);
        self.flush(to, port);
    }

    fn fold_of(&self, part: u32) -> Option<Make> {
        self.plan.parts[self.by_id[&part]].up.as_ref().map(|up| up.make)
    }

    fn flush_all(&mut self, port: &mut Port<'_>) {
        let streams: Vec<(usize, bool)> = self.streams.keys().copied().collect();
        streams.into_iter().for_each(|stream| self.flush(stream, port));
    }

    /// Sends as much as the receiver takes.
    fn flush(&mut self, stream: (usize, bool), port: &mut Port<'_>) {
        let (to, down) = stream;
        let segment_bytes = self.signature.segment as usize;
        let input = self.input.as_ref().unwrap_or(&self.output);
        let Some(stream) = self.streams.get_mut(&stream) else { return };
        while let Some(first) = stream.queue.front_mut() {
            if stream.sent >= stream.credit {
                if !stream.asked && stream.credit == 0 {
                    stream.asked = true;
                    let (context, call) = (port.context, self.call);
                    port.send(to, &Head::Ask { context, call, down }, Bytes::new());
                }
                return;
            }
            let length = first.length.min(segment_bytes);
            let body = match &mut first.content {
                Content::Input => Buffer::copy(&input.bytes()[first.at..][..length]).freeze(),
                Content::Output => {
                    Buffer::copy(&self.output.bytes()[first.at..][..length]).freeze()
                }
                Content::Held(bytes) => {
                    stream.held -= length as u64;
                    bytes.split_to(length)
                }
            };
            let segment = Segment {
                context: port.context,
                call: self.call,
                signature: self.signature,
                part: first.part,
                down: first.down,
                offset: first.offset,
                total: first.total,
            };
            stream.sent += length as u64;
            port.send_data(to, self.call, segment, body);
            if first.length == length {
                stream.queue.pop_front();
            } else {
                first.offset += length as u64;
                first.at += length;
                first.length -= length;
            }
        }
    }

    /// Writes received or folded bytes; says where they are in the output.
    fn write(&mut self, room: &Room, offset: usize, bytes: &[u8]) -> usize {
        match room {
            Room::At(range) => {
                let at = self.bytes_of(range).start + offset;
                self.output.bytes_mut()[at..at + bytes.len()].copy_from_slice(bytes);
                at
            }
            Room::Open(number) => {
                self.blocks.entry(*number).or_default().extend_from_slice(bytes);
                0
            }
        }
    }

    fn input_bytes(&self) -> &[u8] {
        self.input.as_ref().unwrap_or(&self.output).bytes()
    }

    fn bytes_of(&self, elements: &Range<u64>) -> Range<usize> {
        elements.start as usize * self.unit..elements.end as usize * self.unit
    }
}
