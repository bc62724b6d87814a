//! Totals over the elements of all ranks together, whatever rank has which.

use super::element::{Element, to_bytes};
use super::{Communicator, GroupError};
use crate::backend::cpu::{CpuBackend, TILE_BYTES};
use crate::backend::{Backend, Place, Run};
use crate::dtype::Layout;
use crate::finish::{self, Finished, Options};
use crate::op::{Op, Spec};
use crate::partial::Partial;

impl Communicator {
    /// Merges the partials of all ranks; all have the same one, of the same bytes.
    ///
    /// # Errors
    /// [`GroupError::Partial`] where one is of another reduction, and as
    /// [`GroupError`] tells.
    pub fn all_reduce_partial(&self, partial: &Partial) -> Result<Partial, GroupError> {
        self.merged(self.all_gather_v(&partial.to_bytes())?)
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
        let gathered = self.gather_v(&partial.to_bytes(), root)?;
        gathered.map(|all| self.merged(all)).transpose()
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
        let partial = self.partial_of(data, op)?;
        self.finished(&self.all_reduce_partial(&partial)?, op)
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
        let partial = self.partial_of(data, op)?;
        let merged = self.reduce_partial(&partial, root)?;
        merged.map(|merged| self.finished(&merged, op)).transpose()
    }

    /// What the elements of this rank reduce to. Where their places count, the ranks tell
    /// each other first how many they have.
    fn partial_of<T: Element>(&self, data: &[T], op: Op) -> Result<Partial, GroupError> {
        let spec = Spec { dtype: T::DTYPE, monoids: op.monoids(T::DTYPE) };
        if !op.takes(T::DTYPE)
            || !spec.is_valid()
            || spec.is_paired()
            || op == Op::MinMax
            || op == Op::Stats
        {
            return Err(
                self.refused(format!("{op} of {} is not one number of one array", T::DTYPE))
            );
        }
        let before = match spec.is_indexed() {
            true => self.elements_before(data.len() as u64)?,
            false => 0,
        };
        let bytes = to_bytes(data);
        let mut backend = CpuBackend::new(TILE_BYTES);
        let place = Place::line(data.len(), before);
        let run = Run { layout: Layout::little(T::DTYPE), bytes: &bytes, second: None, place };
        let added = backend.add(&spec, 1, &run).and_then(|()| backend.flush(&spec, 1));
        added.map_err(|error| self.refused(error.to_string()))
    }

    fn elements_before(&self, own: u64) -> Result<u64, GroupError> {
        let all = self.all_gather(&[own])?;
        Ok(all[..self.rank()].iter().sum())
    }

    fn merged(&self, all: Vec<Vec<u8>>) -> Result<Partial, GroupError> {
        let mut total: Option<Partial> = None;
        for (rank, bytes) in (0_u32..).zip(all) {
            let wrong = |reason: String| GroupError::Partial { rank, reason };
            let partial = Partial::from_bytes(&bytes).map_err(|error| wrong(error.to_string()))?;
            match &mut total {
                None => total = Some(partial),
                Some(total) => {
                    total.merge(&partial).map_err(|error| wrong(error.to_string()))?;
                }
            }
        }
        Ok(total.expect("a group has a rank"))
    }

    fn finished(&self, partial: &Partial, op: Op) -> Result<Finished, GroupError> {
        let output = op.natural_output(partial.spec().dtype);
        finish::finish(op, partial.states(0), Options::default(), output)
            .map_err(|error| self.refused(error.to_string()))
    }

    fn refused(&self, reason: String) -> GroupError {
        GroupError::Partial { rank: self.rank() as u32, reason }
    }
}
