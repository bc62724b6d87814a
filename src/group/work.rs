//! What is folded outside of the machine: by a function of the user's, which may take its
//! time, panic, or want the machine itself.
//!
//! ```text
//!   all contributions of a segment --> Output::Fold(work)
//!                                             |   no lock held, on any thread
//!                                        work.run(function)
//!                                             |
//!                goes on with it <-- handle_folded(folded)
//! ```
//!
//! One segment of a part is out at a time; meanwhile the machine does all else.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;

use super::{Group, Now, OpId};
use crate::collective::Make;

/// Folds contributions of little-endian bytes, given in rank order, at least one.
pub type OwnFold = Arc<dyn Fn(&[&[u8]]) -> Result<Vec<u8>, Unmergeable> + Send + Sync>;

/// A contribution that is no contribution to this fold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmergeable {
    /// Its position among the contributions.
    pub position: usize,
    /// Why.
    pub reason: String,
}

/// Contributions that are to be folded.
pub struct Work {
    pub(super) id: OpId,
    pub(super) context: u64,
    pub(super) call: u64,
    pub(super) part: usize,
    pub(super) make: Make,
    pub(super) contributions: Vec<Bytes>,
}

/// What became of [`Work`].
pub struct Folded {
    pub(super) context: u64,
    pub(super) call: u64,
    pub(super) part: usize,
    pub(super) made: Result<Vec<Bytes>, Failure>,
}

/// Why there is no fold.
pub(super) enum Failure {
    Panicked(String),
    Unmergeable(Unmergeable),
}

impl Work {
    /// The call that it is of.
    pub fn id(&self) -> OpId {
        self.id
    }

    /// The communicator that it is of.
    pub fn context(&self) -> u64 {
        self.context
    }

    /// Bytes of the contributions together.
    pub fn bytes(&self) -> usize {
        self.contributions.iter().map(Bytes::len).sum()
    }

    /// Applies the function of its call. A panic of it ends here.
    pub fn run(self, function: &OwnFold) -> Folded {
        let made = catch_unwind(AssertUnwindSafe(|| self.made(function)));
        let made = match made {
            Ok(made) => made.map_err(Failure::Unmergeable),
            Err(payload) => Err(Failure::Panicked(message_of(&*payload))),
        };
        Folded { context: self.context, call: self.call, part: self.part, made }
    }

    fn made(&self, function: &OwnFold) -> Result<Vec<Bytes>, Unmergeable> {
        let all: Vec<&[u8]> = self.contributions.iter().map(|one| &one[..]).collect();
        let Make::Prefixes { exclusive } = self.make else {
            return Ok(vec![function(&all)?.into()]);
        };
        // Each prefix is the one before and one contribution more.
        let mut prefixes = vec![Bytes::new(), self.contributions[0].clone()];
        for next in &all[1..] {
            let last = prefixes.last().expect("the first");
            prefixes.push(function(&[last, next])?.into());
        }
        let first = if exclusive { 0 } else { 1 };
        Ok(prefixes.split_off(first).into_iter().take(all.len()).collect())
    }
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let owned = || payload.downcast_ref::<String>().cloned();
    text.or_else(owned).unwrap_or_else(|| "no message".to_owned())
}

impl Group {
    /// The work of an [`Output::Fold`](super::Output::Fold) was done. Of a call that has
    /// ended meanwhile it is of no use any more.
    pub fn handle_folded(&mut self, now: Now, folded: Folded) {
        let Folded { context: id, call, part, made } = folded;
        let Some(context) = self.contexts.get_mut(&id) else { return };
        let (mut port, calls, ..) = context.split(&self.config, &self.gone, &mut self.outputs);
        let Some(operation) = calls.get_mut(&call) else { return };
        let result = operation.folded_apart(part, made, &mut port);
        self.after(now, id, call, result);
    }
}
