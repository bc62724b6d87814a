//! Contributions of a call become one: here, or by a function elsewhere.

use bytes::Bytes;

use super::{Content, Fold, Operation, Outgoing};
use crate::buffers::Buffer;
use crate::collective::Make;
use crate::fold;
use crate::group::context::Port;
use crate::group::work::{Failure, Work};
use crate::group::{GroupError, Output};

impl Operation {
    pub(super) fn fold_all(&mut self, port: &mut Port<'_>) -> Result<(), GroupError> {
        for index in 0..self.parts.len() {
            if !self.parts[index].done {
                self.fold_part(index, port)?;
            }
        }
        Ok(())
    }

    /// Folds as many segments of a part as there are.
    pub(super) fn fold_part(
        &mut self,
        index: usize,
        port: &mut Port<'_>,
    ) -> Result<(), GroupError> {
        while self.can_fold(index, port.config.window_bytes) {
            self.fold_segment(index, port)?;
        }
        self.settle(index, port)
    }

    fn can_fold(&self, index: usize, window: u64) -> bool {
        let (part, progress) = (&self.plan.parts[index], &self.parts[index]);
        let Some(up) = &part.up else { return false };
        // A leaf sends what it has; it folds only what is its own alone.
        let leaf = up.children.is_empty() && up.parent.is_some();
        let merges = up.make == Make::Merge;
        let all =
            progress.queues.iter().all(|(queue, _, any)| !queue.is_empty() && (*any || !merges));
        let open = progress.folded < progress.total.unwrap_or(0) || !progress.folds;
        let down = part.down.iter().flat_map(|down| &down.to).map(|&to| (to, true));
        let to = down.chain(up.parent.map(|to| (to, false)));
        let mut below = to.filter_map(|to| self.streams.get(&to));
        let free = progress.begun && !progress.folding;
        !leaf && all && open && free && below.all(|stream| stream.held <= window)
    }

    fn fold_segment(&mut self, index: usize, port: &mut Port<'_>) -> Result<(), GroupError> {
        let part = &self.plan.parts[index];
        let up = part.up.clone().expect("it folds");
        let input = self.bytes_of(&part.input);
        let progress = &mut self.parts[index];
        let own = match up.make {
            Make::Merge => input,
            Make::Fold | Make::Prefixes { .. } => {
                let at = input.start + progress.folded as usize;
                at..input.end.min(at + self.signature.segment as usize)
            }
        };
        let queues = progress.queues.iter_mut();
        let bodies = queues.filter_map(|(queue, ..)| match up.make {
            Make::Merge => Some(std::mem::take(queue).into_iter().flatten().collect()),
            Make::Fold | Make::Prefixes { .. } => queue.pop_front(),
        });
        let mut bodies: Vec<Bytes> = bodies.collect();
        if matches!(self.fold, Fold::Own) && bodies.len() + usize::from(up.own.is_some()) > 1 {
            if let Some(own_at) = up.own {
                bodies.insert(own_at, Buffer::copy(&self.input_bytes()[own]).freeze());
            }
            self.parts[index].folding = true;
            let (id, context, call) = (self.id, port.context, self.call);
            let work =
                Work { id, context, call, part: index, make: up.make, contributions: bodies };
            port.outputs.push_back(Output::Fold(work));
            return Ok(());
        }
        let own = &self.input_bytes()[own];
        let mut all: Vec<&[u8]> = bodies.iter().map(|body| &body[..]).collect();
        if let Some(own_at) = up.own {
            all.insert(own_at, own);
        }
        let made = match up.make {
            Make::Fold | Make::Merge => vec![self.make(&all)],
            Make::Prefixes { exclusive } => {
                let up_to = |rank: usize| if exclusive { rank } else { rank + 1 };
                (0..all.len()).map(|rank| self.make(&all[..up_to(rank)])).collect()
            }
        };
        self.folded(index, &made, port);
        Ok(())
    }

    /// What contributions of a part were folded to elsewhere.
    pub fn folded_apart(
        &mut self,
        index: usize,
        made: Result<Vec<Bytes>, Failure>,
        port: &mut Port<'_>,
    ) -> Result<(), GroupError> {
        self.parts[index].folding = false;
        let made = made.map_err(|failure| match failure {
            Failure::Panicked(message) => {
                let (rank, call) = (port.rank as u32, self.signature.to_string());
                GroupError::Panicked { rank, call, message }
            }
            Failure::Unmergeable(one) => {
                let up = self.plan.parts[index].up.as_ref().expect("it folds");
                let mut ranks = up.children.clone();
                up.own.into_iter().for_each(|at| ranks.insert(at, port.rank));
                let what = format!("a partial that cannot be merged: {}", one.reason);
                GroupError::Protocol { rank: ranks[one.position] as u32, what }
            }
        })?;
        self.folded(index, &made, port);
        self.fold_part(index, port)
    }

    /// Sends a folded segment on, or writes it; the contributions to it are consumed.
    fn folded(&mut self, index: usize, made: &[Bytes], port: &mut Port<'_>) {
        let part = &self.plan.parts[index];
        let up = part.up.clone().expect("it folds");
        let (room, down, id) = (part.room.clone(), part.down.clone(), part.id);
        let input = self.bytes_of(&part.input);
        let progress = &mut self.parts[index];
        let merges = up.make == Make::Merge;
        let offset = progress.folded;
        let (length, total) = match merges {
            true => (made[0].len(), made[0].len() as u64),
            false => {
                let total = input.len() as u64;
                ((total - offset).min(self.signature.segment.into()) as usize, total)
            }
        };
        progress.folded += length as u64;
        progress.folds = true;
        let outgoing = |down: bool, bytes: &Bytes| Outgoing {
            part: id,
            down,
            offset,
            at: input.start + offset as usize,
            length,
            total,
            content: Content::Held(bytes.clone()),
        };
        let of = |rank: usize| made.get(if made.len() > 1 { rank } else { 0 });
        if let Some(parent) = up.parent {
            self.push(parent, outgoing(false, &made[0]), port);
        } else if let (Some(room), Some(bytes)) = (&room, of(port.rank)) {
            self.write(room, offset as usize, bytes);
        }
        if let (Some(down), None) = (&down, up.parent) {
            for &to in &down.to {
                let bytes = of(to).expect("a prefix for each rank").clone();
                self.push(to, outgoing(true, &bytes), port);
            }
        }
        for &child in up.children.iter().filter(|_| !merges) {
            self.consume((child, false), length as u64, port);
        }
    }

    /// The fold of contributions, of none an empty one.
    fn make(&self, all: &[&[u8]]) -> Bytes {
        let Some(first) = all.first() else { return Bytes::new() };
        match self.fold {
            // A function has nothing to do with one contribution.
            Fold::None | Fold::Own => Buffer::copy(first).freeze(),
            Fold::By(operator) => {
                let mut out = Buffer::of(first.len());
                fold::fold(operator, self.dtype, all, out.as_mut());
                out.freeze()
            }
        }
    }
}
