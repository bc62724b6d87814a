//! Communicators out of communicators.

use std::sync::Arc;

use super::collectives::blocks;
use super::{Communicator, GroupError, Request};
use crate::collective::Kind;
use crate::group::{Counts, Outcome, derived};

impl Communicator {
    /// Divides the ranks by color: those of one color become a communicator of their own,
    /// ordered by key, those of equal keys as they were. A rank without a color is in none.
    ///
    /// # Errors
    /// As [`GroupError`] tells.
    pub fn split(&self, color: Option<u32>, key: i64) -> Result<Option<Communicator>, GroupError> {
        let own = [color.map_or(-1, i64::from), key];
        let mut sent = vec![0; self.size()];
        sent[self.rank()] = 2;
        let call = self.moving(Kind::Split, &own, Counts::Sent(sent), 0);
        // Its number is the same at all ranks, and no other call's.
        let context = self.kept.context;
        let mut number = 0;
        let slot = self.kept.shared.call(|group, now| {
            number = group.calls_begun(context);
            group.start(now, context, call)
        });
        let answer = match slot.wait()? {
            Outcome::Answer(answer) => answer,
            Outcome::Message(_) | Outcome::Shrunk { .. } => unreachable!("arrays were wanted"),
        };
        let wishes: Vec<(usize, i64, i64)> = blocks::<i64>(answer)
            .into_iter()
            .enumerate()
            .map(|(rank, wish)| (rank, wish[0], wish[1]))
            .collect();
        let Some(color) = color.map(i64::from) else { return Ok(None) };
        let mut ours: Vec<(usize, i64, i64)> =
            wishes.into_iter().filter(|(_, theirs, _)| *theirs == color).collect();
        ours.sort_by_key(|&(rank, _, key)| (key, rank));
        let name = derived(context, "split", number, color);
        let rank = ours.iter().position(|(rank, ..)| *rank == self.rank());
        let members: Vec<usize> = ours.iter().map(|(rank, ..)| self.kept.members[*rank]).collect();
        Ok(Some(self.made(name, rank.expect("it has its own color"), members)))
    }

    /// Another communicator of the same ranks, whose calls and messages are its own.
    ///
    /// # Errors
    /// As [`GroupError`] tells.
    pub fn dup(&self) -> Result<Communicator, GroupError> {
        let same = self.split(Some(0), 0)?;
        Ok(Communicator {
            timeout: self.timeout,
            algorithm: self.algorithm,
            ..same.expect("it has a color")
        })
    }

    /// A communicator of the ranks that live, in the same order, after one died or a
    /// call failed at all. All ranks that live must call it; calls under way in this
    /// communicator fail.
    ///
    /// # Errors
    /// [`GroupError::Minority`] where those that live are less than half, or half without
    /// rank 0; [`GroupError::Timeout`] where one of them does not call it.
    pub fn shrink(&self) -> Result<Communicator, GroupError> {
        self.shrink_async().wait()
    }

    /// Begins [`Communicator::shrink`].
    pub fn shrink_async(&self) -> Request<Communicator> {
        let (context, timeout) = (self.kept.context, self.timeout);
        let slot = self.kept.shared.call(|group, now| group.shrink(now, context, timeout));
        let kept = Arc::clone(&self.kept);
        let convert = move |outcome| match outcome {
            Outcome::Shrunk { context, members } => {
                let rank = members.iter().position(|&rank| rank == kept.rank);
                let members = members.iter().map(|&rank| kept.members[rank]).collect();
                let rank = rank.expect("it is one of them");
                Ok(Communicator::of(Arc::clone(&kept.shared), context, rank, members))
            }
            Outcome::Answer(_) | Outcome::Message(_) => unreachable!("ranks were wanted"),
        };
        Request::new(slot, Box::new(convert))
    }

    fn made(&self, context: u64, rank: usize, members: Vec<usize>) -> Communicator {
        let of_group = members.clone();
        self.kept.shared.tell(|group, now| group.create(now, context, of_group));
        Communicator::of(Arc::clone(&self.kept.shared), context, rank, members)
    }
}
