//! The collective calls on arrays.
//!
//! Unless a call says otherwise, every rank gives an array of the same length. All of them
//! fail with [`GroupError`], for the same reason at all ranks where it concerns others.

use super::element::{Element, from_bytes};
use super::shared::Function;
use super::{Combine, Communicator, GroupError, Operator, Request};
use crate::collective::Kind;
use crate::dtype::DType;
use crate::group::{Answer, Call, Counts, Fold, OwnFold, Purpose};

/// Makes both forms of calls, one that waits and one that does not, of what begins them.
macro_rules! forms {
    ($($(#[$doc:meta])* $name:ident, $later:ident = $begin:ident [$($generic:tt)*] ($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        impl Communicator {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// As [`GroupError`] tells.
            pub fn $name<$($generic)*>(&self, $($arg: $type),*) -> Result<$out, GroupError> {
                self.$begin($($arg),*).wait()
            }

            #[doc = concat!("Begins [`Communicator::", stringify!($name), "`].")]
            pub fn $later<$($generic)*>(&self, $($arg: $type),*) -> Request<$out> {
                self.$begin($($arg),*).under_way()
            }
        )*}
    };
}

forms! {
    /// Folds the arrays of all ranks element by element; the result is at `root`.
    reduce, reduce_async = begin_reduce[T: Element](data: &[T], how: impl Into<Combine<T>>, root: usize) -> Option<Vec<T>>;
    /// Folds the arrays of all ranks element by element; all have the result.
    all_reduce, all_reduce_async = begin_all_reduce[T: Element](data: &[T], how: impl Into<Combine<T>>) -> Vec<T>;
    /// Folds the arrays of all ranks, of which each keeps a block of its own length.
    reduce_scatter, reduce_scatter_async = begin_reduce_scatter[T: Element](data: &[T], counts: &[usize], how: impl Into<Combine<T>>) -> Vec<T>;
    /// Folds the arrays of all ranks, of which each keeps a block; all are of one length.
    reduce_scatter_block, reduce_scatter_block_async = begin_reduce_scatter_block[T: Element](data: &[T], how: impl Into<Combine<T>>) -> Vec<T>;
    /// The arrays of all ranks one after the other.
    all_gather, all_gather_async = begin_all_gather[T: Element](data: &[T]) -> Vec<T>;
    /// The arrays of all ranks, which may differ in length.
    all_gather_v, all_gather_v_async = begin_all_gather_v[T: Element](data: &[T]) -> Vec<Vec<T>>;
    /// The arrays of all ranks one after the other, at `root`.
    gather, gather_async = begin_gather[T: Element](data: &[T], root: usize) -> Option<Vec<T>>;
    /// The arrays of all ranks, which may differ in length, at `root`.
    gather_v, gather_v_async = begin_gather_v[T: Element](data: &[T], root: usize) -> Option<Vec<Vec<T>>>;
    /// This rank's block of the array that `root` gives, whose length is a multiple of the
    /// number of ranks. What others give is not looked at.
    scatter, scatter_async = begin_scatter[T: Element](data: &[T], root: usize) -> Vec<T>;
    /// This rank's one of the arrays that `root` gives, one for each rank. What others
    /// give is not looked at.
    scatter_v, scatter_v_async = begin_scatter_v[T: Element](data: &[Vec<T>], root: usize) -> Vec<T>;
    /// This rank's block of the array of every rank, whose length is a multiple of the
    /// number of ranks.
    all_to_all, all_to_all_async = begin_all_to_all[T: Element](data: &[T]) -> Vec<T>;
    /// What every rank gives for this one; each gives an array of any length for each.
    all_to_all_v, all_to_all_v_async = begin_all_to_all_v[T: Element](data: &[Vec<T>]) -> Vec<Vec<T>>;
    /// What `root` gives. Others give an array of the same length.
    broadcast, broadcast_async = begin_broadcast[T: Element](data: &[T], root: usize) -> Vec<T>;
    /// Folds the arrays of all ranks up to this one.
    scan, scan_async = begin_scan[T: Element](data: &[T], how: impl Into<Combine<T>>) -> Vec<T>;
    /// Folds the arrays of all ranks before this one; at rank 0 there are none.
    exscan, exscan_async = begin_exscan[T: Element](data: &[T], how: impl Into<Combine<T>>) -> Option<Vec<T>>;
    /// The smallest or largest of all ranks for each element, with the lowest of the
    /// indices that it comes with, at all ranks.
    all_reduce_located, all_reduce_located_async = begin_all_reduce_located[T: Element](data: &[(T, u64)], operator: Operator) -> Vec<(T, u64)>;
    /// [`Communicator::all_reduce_located`] at `root`.
    reduce_located, reduce_located_async = begin_reduce_located[T: Element](data: &[(T, u64)], operator: Operator, root: usize) -> Option<Vec<(T, u64)>>;
    /// Returns when all ranks have called it.
    barrier, barrier_async = begin_barrier[]() -> ();
}

impl Communicator {
    fn begin_reduce<T: Element>(
        &self,
        data: &[T],
        how: impl Into<Combine<T>>,
        root: usize,
    ) -> Request<Option<Vec<T>>> {
        let here = self.rank() == root;
        let call = self.folding(Kind::Reduce, data, how.into(), root);
        self.checked(call, move |answer| here.then(|| output(answer)))
    }

    fn begin_all_reduce<T: Element>(
        &self,
        data: &[T],
        how: impl Into<Combine<T>>,
    ) -> Request<Vec<T>> {
        self.checked(self.folding(Kind::AllReduce, data, how.into(), 0), output)
    }

    fn begin_reduce_scatter<T: Element>(
        &self,
        data: &[T],
        counts: &[usize],
        how: impl Into<Combine<T>>,
    ) -> Request<Vec<T>> {
        let counts = counts.iter().map(|&count| count as u64).collect();
        let call = self.folding(Kind::ReduceScatter, data, how.into(), 0);
        let counts = Counts::Blocks(counts);
        self.checked(call.map(|(call, own)| (Call { counts, ..call }, own)), output)
    }

    fn begin_reduce_scatter_block<T: Element>(
        &self,
        data: &[T],
        how: impl Into<Combine<T>>,
    ) -> Request<Vec<T>> {
        match self.block("reduce_scatter_block", data.len()) {
            Ok(block) => self.begin_reduce_scatter(data, &vec![block; self.size()], how),
            Err(error) => Request::failed(error),
        }
    }

    fn begin_all_gather<T: Element>(&self, data: &[T]) -> Request<Vec<T>> {
        let counts = Counts::Blocks(vec![data.len() as u64; self.size()]);
        self.start(self.moving(Kind::AllGather, data, counts, 0), output)
    }

    fn begin_all_gather_v<T: Element>(&self, data: &[T]) -> Request<Vec<Vec<T>>> {
        let counts = self.own_block(data.len());
        self.start(self.moving(Kind::AllGather, data, counts, 0), blocks)
    }

    fn begin_gather<T: Element>(&self, data: &[T], root: usize) -> Request<Option<Vec<T>>> {
        let here = self.rank() == root;
        let counts = Counts::Blocks(vec![data.len() as u64; self.size()]);
        let call = self.moving(Kind::Gather, data, counts, root);
        self.start(call, move |answer| here.then(|| output(answer)))
    }

    fn begin_gather_v<T: Element>(&self, data: &[T], root: usize) -> Request<Option<Vec<Vec<T>>>> {
        let here = self.rank() == root;
        let call = self.moving(Kind::Gather, data, self.own_block(data.len()), root);
        self.start(call, move |answer| here.then(|| blocks(answer)))
    }

    fn begin_scatter<T: Element>(&self, data: &[T], root: usize) -> Request<Vec<T>> {
        let here = self.rank() == root;
        let block = match self.block("scatter", if here { data.len() } else { 0 }) {
            Ok(block) => block as u64,
            Err(error) => return Request::failed(error),
        };
        let data = if here { data } else { &[] };
        let call = self.moving(Kind::Scatter, data, Counts::Sent(vec![block; self.size()]), root);
        self.start(call, |answer| blocks(answer).pop().unwrap_or_default())
    }

    fn begin_scatter_v<T: Element>(&self, data: &[Vec<T>], root: usize) -> Request<Vec<T>> {
        let here = self.rank() == root;
        let data = match self.for_each_rank("scatter_v", data, here) {
            Ok(data) => data,
            Err(error) => return Request::failed(error),
        };
        let call = self.moving(Kind::Scatter, &data.1, Counts::Sent(data.0), root);
        self.start(call, |answer| blocks(answer).pop().unwrap_or_default())
    }

    fn begin_all_to_all<T: Element>(&self, data: &[T]) -> Request<Vec<T>> {
        match self.block("all_to_all", data.len()) {
            Ok(block) => {
                let counts = Counts::Blocks(vec![block as u64; self.size()]);
                self.start(self.moving(Kind::AllToAll, data, counts, 0), output)
            }
            Err(error) => Request::failed(error),
        }
    }

    fn begin_all_to_all_v<T: Element>(&self, data: &[Vec<T>]) -> Request<Vec<Vec<T>>> {
        match self.for_each_rank("all_to_all_v", data, true) {
            Ok((counts, data)) => {
                self.start(self.moving(Kind::AllToAll, &data, Counts::Sent(counts), 0), blocks)
            }
            Err(error) => Request::failed(error),
        }
    }

    fn begin_broadcast<T: Element>(&self, data: &[T], root: usize) -> Request<Vec<T>> {
        let counts = Counts::Whole(data.len() as u64);
        self.start(self.moving(Kind::Broadcast, data, counts, root), output)
    }

    fn begin_scan<T: Element>(&self, data: &[T], how: impl Into<Combine<T>>) -> Request<Vec<T>> {
        self.checked(self.folding(Kind::Scan, data, how.into(), 0), output)
    }

    fn begin_exscan<T: Element>(
        &self,
        data: &[T],
        how: impl Into<Combine<T>>,
    ) -> Request<Option<Vec<T>>> {
        let some = self.rank() > 0;
        let call = self.folding(Kind::Exscan, data, how.into(), 0);
        self.checked(call, move |answer| some.then(|| output(answer)))
    }

    fn begin_all_reduce_located<T: Element>(
        &self,
        data: &[(T, u64)],
        operator: Operator,
    ) -> Request<Vec<(T, u64)>> {
        self.checked(self.locating(Kind::AllReduce, data, operator, 0), located)
    }

    fn begin_reduce_located<T: Element>(
        &self,
        data: &[(T, u64)],
        operator: Operator,
        root: usize,
    ) -> Request<Option<Vec<(T, u64)>>> {
        let here = self.rank() == root;
        let call = self.locating(Kind::Reduce, data, operator, root);
        self.checked(call, move |answer| here.then(|| located(answer)))
    }

    fn begin_barrier(&self) -> Request<()> {
        let call = self.moving::<u8>(Kind::Barrier, &[], Counts::Whole(0), 0);
        self.start(call, |_| ())
    }

    /// Folds `other` into `into` on this rank, as the calls do it.
    ///
    /// # Errors
    /// Arrays of different lengths, or an operator that does not take the type.
    pub fn reduce_local<T: Element>(
        &self,
        into: &mut [T],
        other: &[T],
        how: impl Into<Combine<T>>,
    ) -> Result<(), GroupError> {
        how.into().apply(into, other)
    }

    /// A call that folds whole arrays.
    pub(super) fn folding<T: Element>(
        &self,
        kind: Kind,
        data: &[T],
        how: Combine<T>,
        root: usize,
    ) -> Result<(Call, Option<OwnFold>), GroupError> {
        if let Combine::By(operator) = how
            && operator.is_located()
        {
            // Its elements would have no index.
            return Err(GroupError::Operator { operator, dtype: T::DTYPE });
        }
        let (fold, commutative, function) = how.into_fold();
        let call = self.moving(kind, data, Counts::Whole(data.len() as u64), root);
        Ok((Call { fold, commutative, ..call }, function))
    }

    /// A call that only moves elements.
    pub(super) fn moving<T: Element>(
        &self,
        kind: Kind,
        data: &[T],
        counts: Counts,
        root: usize,
    ) -> Call {
        Call {
            kind,
            purpose: Purpose::Plain,
            root,
            dtype: T::DTYPE,
            counts,
            fold: Fold::None,
            commutative: false,
            algorithm: self.algorithm.filter(|algorithm| algorithm.serves(kind)),
            array: Box::new(T::store(data)),
            timeout: self.timeout,
        }
    }

    fn locating<T: Element>(
        &self,
        kind: Kind,
        data: &[(T, u64)],
        operator: Operator,
        root: usize,
    ) -> Result<(Call, Option<OwnFold>), GroupError> {
        let dtype: DType = T::DTYPE;
        if !operator.is_located() {
            return Err(GroupError::Operator { operator, dtype });
        }
        let mut bytes = Vec::with_capacity(data.len() * (dtype.size_bytes() + 8));
        for (value, index) in data {
            bytes.extend_from_slice(bytemuck::bytes_of(&value.stored()));
            bytes.extend_from_slice(&index.to_le_bytes());
        }
        let call = self.moving::<T>(kind, &[], Counts::Whole(data.len() as u64), root);
        Ok((Call { fold: Fold::By(operator), array: Box::new(bytes), ..call }, None))
    }

    pub(super) fn checked<T>(
        &self,
        call: Result<(Call, Option<OwnFold>), GroupError>,
        convert: impl FnOnce(Answer) -> T + Send + 'static,
    ) -> Request<T> {
        match call {
            Ok((call, function)) => {
                self.start_with(call, function.map(Function::Own), |answer| Ok(convert(answer)))
            }
            Err(error) => Request::failed(error),
        }
    }

    /// The length of one of as many equal blocks as there are ranks.
    pub(super) fn block(&self, call: &str, length: usize) -> Result<usize, GroupError> {
        let size = self.size();
        match length.is_multiple_of(size) {
            true => Ok(length / size),
            false => Err(GroupError::Length {
                what: format!("the array of {call}, one block for each of {size} ranks,"),
                expected: (length / size * size + size) as u64,
                got: length as u64,
            }),
        }
    }

    /// The lengths of arrays, one for each rank, and all of them in a row.
    fn for_each_rank<T: Element>(
        &self,
        call: &str,
        data: &[Vec<T>],
        here: bool,
    ) -> Result<(Vec<u64>, Vec<T>), GroupError> {
        if !here {
            return Ok((vec![0; self.size()], Vec::new()));
        }
        self.is_list(call, data.len(), self.size())?;
        Ok((data.iter().map(|one| one.len() as u64).collect(), data.concat()))
    }

    /// That a list has so many arrays.
    pub(super) fn is_list(
        &self,
        call: &str,
        got: usize,
        expected: usize,
    ) -> Result<(), GroupError> {
        match got == expected {
            true => Ok(()),
            false => Err(GroupError::Length {
                what: format!("the list of arrays of {call}"),
                expected: expected as u64,
                got: got as u64,
            }),
        }
    }

    /// This rank's block among those that others do not know.
    fn own_block(&self, length: usize) -> Counts {
        let mut counts = vec![0; self.size()];
        counts[self.rank()] = length as u64;
        Counts::Sent(counts)
    }
}

pub(super) fn output<T: Element>(answer: Answer) -> Vec<T> {
    let any = answer.output.into_any();
    T::load(*any.downcast::<Vec<T::Stored>>().expect("the array that was given"))
}

fn blocks<T: Element>(answer: Answer) -> Vec<Vec<T>> {
    answer.blocks.into_values().map(|bytes| from_bytes(&bytes)).collect()
}

fn located<T: Element>(answer: Answer) -> Vec<(T, u64)> {
    let size = size_of::<T::Stored>();
    let elements = answer.output.bytes().chunks_exact(size + 8);
    elements
        .map(|element| {
            let (value, index) = element.split_at(size);
            let index = u64::from_le_bytes(index.try_into().expect("eight bytes"));
            (T::of(bytemuck::pod_read_unaligned(value)), index)
        })
        .collect()
}
