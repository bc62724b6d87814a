//! Collective calls whose result is put where what was given is: what MPI has as
//! `MPI_IN_PLACE`.
//!
//! Each is the call of its name on what this rank gives, whose place in the array is that
//! of MPI: of blocks this rank's own among those of all. They differ in nothing else, so
//! ranks may mix the two forms of one call. They wait, since the array is lent.

use std::any::Any;
use std::ops::Range;

use super::collectives::output;
use super::element::Element;
use super::lent::{Lent, lend};
use super::{Combine, Communicator, GroupError, Operator};
use crate::collective::Kind;
use crate::group::{Answer, Buffer, Call, Counts, OwnFold};

impl Buffer for Lent {
    fn bytes(&self) -> &[u8] {
        Lent::bytes(self)
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        Lent::bytes_mut(self)
    }

    fn zeros(&self, bytes: usize) -> Box<dyn Buffer> {
        Box::new(vec![0_u8; bytes])
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// The result, where the schedule has it in an array of its own.
fn elsewhere(answer: Answer) -> Option<Vec<u8>> {
    answer.output.into_any().downcast().ok().map(|bytes| *bytes)
}

/// Makes calls whose result is as long as what was given.
macro_rules! in_place {
    ($($(#[$doc:meta])* $name:ident<$item:ty>($($arg:ident: $type:ty),*) = $call:ident;)*) => {
        impl Communicator {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// As [`GroupError`] tells; the array is as it was.
            pub fn $name<T: Element>(&self, data: &mut [$item], $($arg: $type),*) -> Result<(), GroupError> {
                let result = self.$call(data, $($arg),*)?;
                let result: Option<Vec<$item>> = result.into();
                if let Some(result) = result {
                    data.copy_from_slice(&result);
                }
                Ok(())
            }
        )*}
    };
}

in_place! {
    /// [`Communicator::reduce`] into the array, at `root`; at others it stays as it is.
    reduce_in_place<T>(how: impl Into<Combine<T>>, root: usize) = reduce;
    /// [`Communicator::reduce_located`] into the array, at `root`; at others it stays as it
    /// is.
    reduce_located_in_place<(T, u64)>(operator: Operator, root: usize) = reduce_located;
    /// [`Communicator::all_reduce_located`] into the array.
    all_reduce_located_in_place<(T, u64)>(operator: Operator) = all_reduce_located;
    /// [`Communicator::scan`] into the array.
    scan_in_place<T>(how: impl Into<Combine<T>>) = scan;
    /// [`Communicator::exscan`] into the array; at rank 0 it stays as it is.
    exscan_in_place<T>(how: impl Into<Combine<T>>) = exscan;
    /// [`Communicator::all_to_all`] into the array.
    all_to_all_in_place<T>() = all_to_all;
}

impl Communicator {
    /// [`Communicator::all_reduce`] into the array, which is the only memory of its size
    /// that this takes.
    ///
    /// # Errors
    /// As [`GroupError`] tells; what is in the array then is of no meaning.
    pub fn all_reduce_in_place<T: Element>(
        &self,
        data: &mut [T],
        how: impl Into<Combine<T>>,
    ) -> Result<(), GroupError> {
        let call = self.folding(Kind::AllReduce, &[], how.into(), 0);
        self.call_on(data, call)
    }

    /// [`Communicator::broadcast`] into the array, which is the only memory of its size
    /// that this takes.
    ///
    /// # Errors
    /// As [`GroupError`] tells; what is in the array then is of no meaning, but at `root`
    /// it is as it was.
    pub fn broadcast_in_place<T: Element>(
        &self,
        data: &mut [T],
        root: usize,
    ) -> Result<(), GroupError> {
        let call = self.moving::<T>(Kind::Broadcast, &[], Counts::Whole(0), root);
        self.call_on(data, Ok((call, None)))
    }

    /// Makes a call whose array is the caller's memory itself, where it may be.
    fn call_on<T: Element>(
        &self,
        data: &mut [T],
        call: Result<(Call, Option<OwnFold>), GroupError>,
    ) -> Result<(), GroupError> {
        let counts = Counts::Whole(data.len() as u64);
        let Some(memory) = T::memory(data) else {
            let array = Box::new(T::store(data));
            let call = call.map(|(call, own)| (Call { counts, array, ..call }, own));
            data.copy_from_slice(&self.checked(call, output).wait()?);
            return Ok(());
        };
        let elsewhere = lend(memory, |array| {
            let array = Box::new(array);
            let call = call.map(|(call, own)| (Call { counts, array, ..call }, own));
            self.checked(call, elsewhere).wait()
        })?;
        if let (Some(result), Some(memory)) = (elsewhere, T::memory(data)) {
            memory.copy_from_slice(&result);
        }
        Ok(())
    }

    /// [`Communicator::reduce_scatter`] into the beginning of the array; what follows stays
    /// as it is.
    ///
    /// # Errors
    /// As [`GroupError`] tells; the array is as it was.
    pub fn reduce_scatter_in_place<T: Element>(
        &self,
        data: &mut [T],
        counts: &[usize],
        how: impl Into<Combine<T>>,
    ) -> Result<(), GroupError> {
        let block = self.reduce_scatter(data, counts, how)?;
        put(&mut data[..block.len()], &block)
    }

    /// [`Communicator::reduce_scatter_block`] into the beginning of the array; what follows
    /// stays as it is.
    ///
    /// # Errors
    /// As [`GroupError`] tells; the array is as it was.
    pub fn reduce_scatter_block_in_place<T: Element>(
        &self,
        data: &mut [T],
        how: impl Into<Combine<T>>,
    ) -> Result<(), GroupError> {
        let block = self.reduce_scatter_block(data, how)?;
        put(&mut data[..block.len()], &block)
    }

    /// [`Communicator::all_gather`] into an array of a block for each rank, of which this
    /// rank's is what it gives.
    ///
    /// # Errors
    /// As [`GroupError`] tells; the array is as it was.
    pub fn all_gather_in_place<T: Element>(&self, data: &mut [T]) -> Result<(), GroupError> {
        let own = self.own("all_gather_in_place", data.len())?;
        put(data, &self.all_gather(&data[own])?)
    }

    /// [`Communicator::all_gather_v`] into a list of the arrays of all ranks, of which this
    /// rank's is what it gives. The others may have any length before.
    ///
    /// # Errors
    /// As [`GroupError`] tells; the list is as it was.
    pub fn all_gather_v_in_place<T: Element>(&self, data: &mut [Vec<T>]) -> Result<(), GroupError> {
        self.is_list("all_gather_v_in_place", data.len(), self.size())?;
        replace(data, self.all_gather_v(&data[self.rank()])?);
        Ok(())
    }

    /// [`Communicator::gather`], at `root` into an array of a block for each rank, of which
    /// its own is what it gives. Others give the array, which stays as it is.
    ///
    /// # Errors
    /// As [`GroupError`] tells; the array is as it was.
    pub fn gather_in_place<T: Element>(
        &self,
        data: &mut [T],
        root: usize,
    ) -> Result<(), GroupError> {
        let own = match self.rank() == root {
            true => self.own("gather_in_place", data.len())?,
            false => 0..data.len(),
        };
        self.gather(&data[own], root)?.map_or(Ok(()), |all| put(data, &all))
    }

    /// [`Communicator::gather_v`], at `root` into a list of the arrays of all ranks, of which
    /// its own is what it gives. Others have a list of the one array that they give.
    ///
    /// # Errors
    /// As [`GroupError`] tells; the list is as it was.
    pub fn gather_v_in_place<T: Element>(
        &self,
        data: &mut [Vec<T>],
        root: usize,
    ) -> Result<(), GroupError> {
        let here = self.rank() == root;
        let (arrays, own) = if here { (self.size(), self.rank()) } else { (1, 0) };
        self.is_list("gather_v_in_place", data.len(), arrays)?;
        if let Some(all) = self.gather_v(&data[own], root)? {
            replace(data, all);
        }
        Ok(())
    }

    /// [`Communicator::scatter`] into the array. At `root` it has a block for each rank and
    /// stays as it is, with its own block in it.
    ///
    /// # Errors
    /// As [`GroupError`] tells, and [`GroupError::Length`] where a block of another length
    /// came; the array is as it was.
    pub fn scatter_in_place<T: Element>(
        &self,
        data: &mut [T],
        root: usize,
    ) -> Result<(), GroupError> {
        let block = self.scatter(data, root)?;
        if self.rank() == root { Ok(()) } else { put(data, &block) }
    }

    /// [`Communicator::scatter_v`] into the one array of the list. At `root` the list has an
    /// array for each rank and stays as it is, with its own in it.
    ///
    /// # Errors
    /// As [`GroupError`] tells; the list is as it was.
    pub fn scatter_v_in_place<T: Element>(
        &self,
        data: &mut [Vec<T>],
        root: usize,
    ) -> Result<(), GroupError> {
        let here = self.rank() == root;
        self.is_list("scatter_v_in_place", data.len(), if here { self.size() } else { 1 })?;
        let own = self.scatter_v(data, root)?;
        if !here {
            replace(data, vec![own]);
        }
        Ok(())
    }

    /// [`Communicator::all_to_all_v`] into the list: what was for a rank is replaced by what
    /// it gives for this one.
    ///
    /// # Errors
    /// As [`GroupError`] tells; the list is as it was.
    pub fn all_to_all_v_in_place<T: Element>(&self, data: &mut [Vec<T>]) -> Result<(), GroupError> {
        replace(data, self.all_to_all_v(data)?);
        Ok(())
    }

    /// This rank's own block in an array of one for each rank.
    fn own(&self, call: &str, length: usize) -> Result<Range<usize>, GroupError> {
        let block = self.block(call, length)?;
        Ok(self.rank() * block..(self.rank() + 1) * block)
    }
}

/// Copies a result to where it belongs.
fn put<T: Element>(into: &mut [T], result: &[T]) -> Result<(), GroupError> {
    match into.len() == result.len() {
        true => {
            into.copy_from_slice(result);
            Ok(())
        }
        false => Err(GroupError::Length {
            what: "the array for the result".to_owned(),
            expected: result.len() as u64,
            got: into.len() as u64,
        }),
    }
}

/// Puts the arrays of a result in the places of those that were given.
fn replace<T>(into: &mut [Vec<T>], result: Vec<Vec<T>>) {
    into.iter_mut().zip(result).for_each(|(one, other)| *one = other);
}
