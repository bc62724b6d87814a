//! Totals over the elements of all ranks together, whatever rank has which.
//!
//! Each rank's elements become a [`Partial`], an exact state of some hundred bytes, and
//! partials are merged: by all ranks where they are few, else along a tree. Merging is
//! associative and commutative, so neither changes a bit.

use std::sync::{Arc, Weak};

use super::element::{Element, to_bytes};
use super::shared::{Called, Ended, Function, Shared, Slot, Then};
use super::{Communicator, GroupError, Request};
use crate::backend::cpu::{CpuBackend, TILE_BYTES};
use crate::backend::{Backend, Place, Run};
use crate::collective::Kind;
use crate::dtype::{DType, Layout};
use crate::finish::{self, Finished, Options};
use crate::group::{
    Answer, Call, Counts, Fold, Outcome, OwnFold, Purpose, Signature, Unmergeable, derived,
};
use crate::op::{Op, Spec};
use crate::partial::{Partial, encoded_bytes_max};

impl Communicator {
    /// Merges the partials of all ranks; all have the same one, of the same bytes.
    ///
    /// # Errors
    /// [`GroupError::Mismatch`] where one is of another reduction, or of another number of
    /// outputs, and as [`GroupError`] tells.
    pub fn all_reduce_partial(&self, partial: &Partial) -> Result<Partial, GroupError> {
        self.merging_at_all(partial).wait()
    }

    /// Begins [`Communicator::all_reduce_partial`].
    pub fn all_reduce_partial_async(&self, partial: &Partial) -> Request<Partial> {
        self.merging_at_all(partial).under_way()
    }

    fn merging_at_all(&self, partial: &Partial) -> Request<Partial> {
        self.merging(Kind::AllMerge, partial, 0, |merged| Ok(merged.expect("all have it")))
    }

    /// Merges the partials of all ranks; the result is at `root`.
    ///
    /// # Errors
    /// As [`Communicator::all_reduce_partial`].
    pub fn reduce_partial(
        &self,
        partial: &Partial,
        root: usize,
    ) -> Result<Option<Partial>, GroupError> {
        self.merging(Kind::Merge, partial, root, Ok).wait()
    }

    /// Begins [`Communicator::reduce_partial`].
    pub fn reduce_partial_async(&self, partial: &Partial, root: usize) -> Request<Option<Partial>> {
        self.merging(Kind::Merge, partial, root, Ok).under_way()
    }

    /// One number of the elements of all ranks together, the arrays one after the other
    /// in rank order: exact where the operation is, rounded once, and the same however
    /// they are divided among however many ranks. Arrays may differ in length.
    ///
    /// The type of the result is the operation's own ([`Op::natural_output`]).
    ///
    /// # Errors
    /// [`GroupError::Partial`] for an operation that is not of this type, or that does not
    /// give one number, and as [`GroupError`] tells.
    pub fn all_reduce_exact<T: Element>(&self, data: &[T], op: Op) -> Result<Finished, GroupError> {
        self.totalling_at_all(data, op).wait()
    }

    /// Begins [`Communicator::all_reduce_exact`].
    pub fn all_reduce_exact_async<T: Element>(&self, data: &[T], op: Op) -> Request<Finished> {
        self.totalling_at_all(data, op).under_way()
    }

    fn totalling_at_all<T: Element>(&self, data: &[T], op: Op) -> Request<Finished> {
        self.totalling(Kind::AllMerge, data, op, 0, |total| total.expect("all have it"))
    }

    /// [`Communicator::all_reduce_exact`] at `root`.
    ///
    /// # Errors
    /// As [`Communicator::all_reduce_exact`].
    pub fn reduce_exact<T: Element>(
        &self,
        data: &[T],
        op: Op,
        root: usize,
    ) -> Result<Option<Finished>, GroupError> {
        self.totalling(Kind::Merge, data, op, root, |total| total).wait()
    }

    /// Begins [`Communicator::reduce_exact`].
    pub fn reduce_exact_async<T: Element>(
        &self,
        data: &[T],
        op: Op,
        root: usize,
    ) -> Request<Option<Finished>> {
        self.totalling(Kind::Merge, data, op, root, |total| total).under_way()
    }

    fn merging<T>(
        &self,
        kind: Kind,
        partial: &Partial,
        root: usize,
        then: impl FnOnce(Option<Partial>) -> Result<T, GroupError> + Send + 'static,
    ) -> Request<T> {
        let purpose = Purpose::Partial(partial.spec().dtype);
        self.merging_for(purpose, kind, partial, root, then)
    }

    fn merging_for<T>(
        &self,
        purpose: Purpose,
        kind: Kind,
        partial: &Partial,
        root: usize,
        then: impl FnOnce(Option<Partial>) -> Result<T, GroupError> + Send + 'static,
    ) -> Request<T> {
        let call = self.merge_of(purpose, kind, partial.spec(), partial.outputs(), root);
        let call = Call { array: Box::new(partial.to_bytes()), ..call };
        self.start_with(call, Some(Function::Merge(merge())), move |answer| then(merged(answer)?))
    }

    /// The call that merges partials of a reduction, without this rank's.
    fn merge_of(
        &self,
        purpose: Purpose,
        kind: Kind,
        spec: &Spec,
        outputs: usize,
        root: usize,
    ) -> Call {
        // What tells reductions apart is in the bytes of no elements.
        let of = Signature::of_bytes(&Partial::identity(spec, outputs).to_bytes());
        let counts = Counts::Bounded { most: encoded_bytes_max(spec, outputs as u64), of };
        let call = self.moving::<u8>(kind, &[], counts, root);
        Call { purpose, fold: Fold::Own, commutative: true, ..call }
    }

    fn totalling<T: Element, R: 'static>(
        &self,
        kind: Kind,
        data: &[T],
        op: Op,
        root: usize,
        then: impl FnOnce(Option<Finished>) -> R + Send + 'static,
    ) -> Request<R> {
        let rank = self.rank();
        let spec = match spec_of(op, T::DTYPE) {
            Ok(spec) => spec,
            Err(reason) => return Request::failed(refused(rank, reason)),
        };
        let finish = move |partial: Option<Partial>| {
            let output = op.natural_output(T::DTYPE);
            let finish = |partial: Partial| {
                finish::finish(op, partial.states(0), Options::default(), output)
                    .map_err(|error| refused(rank, error.to_string()))
            };
            partial.map(finish).transpose().map(then)
        };
        let (bytes, purpose) = (to_bytes(data), Purpose::Number(op, T::DTYPE));
        if spec.is_indexed() {
            let merge = self.merge_of(purpose, kind, &spec, 1, root);
            return self.placed(merge, spec, (data.len() as u64, bytes), finish);
        }
        match partial_of(&spec, &bytes, 0) {
            Ok(partial) => self.merging_for(purpose, kind, &partial, root, finish),
            Err(reason) => Request::failed(refused(rank, reason)),
        }
    }

    /// Where the places of elements count, the ranks first tell each other how many they
    /// have. What follows is in a communicator of this call alone, since the next calls
    /// may have been made meanwhile. Each of the two may take the time of a call.
    fn placed<R: 'static>(
        &self,
        merge: Call,
        spec: Spec,
        elements: (u64, Vec<u8>),
        finish: impl FnOnce(Option<Partial>) -> Result<R, GroupError> + Send + 'static,
    ) -> Request<R> {
        let (count, bytes) = elements;
        let counts = Counts::Blocks(vec![1; self.size()]);
        let tell = self.moving(Kind::AllGather, &[count], counts, 0);
        let (shared, rank) = (&self.kept.shared, self.rank());
        let (context, members) = (self.kept.context, self.kept.members.clone());
        let slot = shared.slot(self.watch());
        let (end, weak) = (Arc::clone(&slot), shared.weak());
        shared.begin(|group, now| {
            let own = derived(context, "exact", group.calls_begun(context), 0);
            group.create(now, own, members);
            let go = move |told: Ended| {
                let partial = told.and_then(|told| {
                    let before = before(told, rank);
                    partial_of(&spec, &bytes, before).map_err(|reason| refused(rank, reason))
                });
                let end = Ending { shared: weak, context: own, slot: end };
                match partial {
                    Ok(partial) => end.after(Call { array: Box::new(partial.to_bytes()), ..merge }),
                    Err(error) => end.instead(error),
                }
            };
            let then = Then::Go(context, Box::new(go));
            (group.start(now, context, tell), Called { then, function: None })
        });
        let convert = |outcome| match outcome {
            Outcome::Answer(answer) => finish(merged(answer)?),
            Outcome::Message(_) | Outcome::Made(_) => unreachable!("arrays were wanted"),
        };
        Request::new(slot, Box::new(convert))
    }
}

/// Where the end of a call goes that has a communicator of its own.
struct Ending {
    shared: Weak<Shared>,
    context: u64,
    slot: Arc<Slot>,
}

impl Ending {
    /// Makes the call, whose end it is.
    fn after(self, call: Call) {
        let context = self.context;
        match self.shared.upgrade() {
            Some(shared) => shared.begin(|group, now| {
                let then = Then::Go(context, Box::new(|result| self.put(result)));
                let function = Some(Function::Merge(merge()));
                (group.start(now, context, call), Called { then, function })
            }),
            None => self.put(Err(GroupError::Closed)),
        }
    }

    /// There is no call, for this reason, of which those hear that have made it.
    fn instead(self, error: GroupError) {
        if let Some(shared) = self.shared.upgrade() {
            shared.tell(|group, _| group.abort(self.context, error.clone()));
        }
        self.put(Err(error));
    }

    fn put(self, result: Ended) {
        if let Some(shared) = self.shared.upgrade() {
            shared.close(self.context);
        }
        self.slot.put(result);
    }
}

/// Elements of the ranks before this one, of what all have told.
fn before(told: Outcome, rank: usize) -> u64 {
    let Outcome::Answer(answer) = told else { unreachable!("arrays were wanted") };
    let counts = answer.output.bytes().chunks_exact(8).take(rank);
    let count = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    counts.map(count).fold(0, u64::saturating_add)
}

fn refused(rank: usize, reason: String) -> GroupError {
    GroupError::Partial { rank: rank as u32, reason }
}

/// The reduction of one number of one array.
fn spec_of(op: Op, dtype: DType) -> Result<Spec, String> {
    let spec = Spec { dtype, monoids: op.monoids(dtype) };
    let is_one_number =
        spec.is_valid() && !spec.is_paired() && ![Op::MinMax, Op::Stats].contains(&op);
    match op.takes(dtype) && is_one_number {
        true => Ok(spec),
        false => Err(format!("{op} of {dtype} is not one number of one array")),
    }
}

/// What elements reduce to that have so many before them.
fn partial_of(spec: &Spec, bytes: &[u8], before: u64) -> Result<Partial, String> {
    let place = Place::line(bytes.len() / spec.dtype.size_bytes(), before);
    let run = Run { layout: Layout::little(spec.dtype), bytes, second: None, place };
    let mut backend = CpuBackend::new(TILE_BYTES);
    let added = backend.add(spec, 1, &run).and_then(|()| backend.flush(spec, 1));
    added.map_err(|error| error.to_string())
}

/// Merges the bytes of partials.
fn merge() -> OwnFold {
    Arc::new(|all| {
        let mut total: Option<Partial> = None;
        for (position, bytes) in all.iter().enumerate() {
            let wrong = |reason| Unmergeable { position, reason };
            let one = Partial::from_bytes(bytes).map_err(|error| wrong(error.to_string()))?;
            match &mut total {
                None => total = Some(one),
                Some(total) => total.merge(&one).map_err(|error| wrong(error.to_string()))?,
            }
        }
        Ok(total.expect("at least one").to_bytes())
    })
}

/// The merged partial, where it is.
fn merged(answer: Answer) -> Result<Option<Partial>, GroupError> {
    let read = |bytes: Vec<u8>| Partial::from_bytes(&bytes);
    let merged = answer.blocks.into_values().next().map(read).transpose();
    merged.map_err(|error| {
        let what = format!("a partial that cannot be read: {error}");
        GroupError::Protocol { rank: 0, what }
    })
}
