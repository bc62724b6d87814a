//! Communicators out of communicators.

use std::sync::Arc;

use super::{Communicator, GroupError, Kept, Request};
use crate::collective::Kind;
use crate::group::{Call, Counts, Made, Outcome, Purpose};

impl Communicator {
    /// Divides the ranks by color: those of one color become a communicator of their own,
    /// ordered by key, those of equal keys as they were. A rank without a color is in none.
    ///
    /// # Errors
    /// As [`GroupError`] tells.
    pub fn split(&self, color: Option<u32>, key: i64) -> Result<Option<Communicator>, GroupError> {
        self.dividing(Purpose::Plain, color, key, |made| made).wait()
    }

    /// Begins [`Communicator::split`]. Dropping the request gives the new communicator back.
    pub fn split_async(&self, color: Option<u32>, key: i64) -> Request<Option<Communicator>> {
        self.dividing(Purpose::Plain, color, key, |made| made).under_way()
    }

    /// Another communicator of the same ranks, whose calls and messages are its own.
    ///
    /// # Errors
    /// As [`GroupError`] tells.
    pub fn dup(&self) -> Result<Communicator, GroupError> {
        self.duplicating().wait()
    }

    /// Begins [`Communicator::dup`]. Dropping the request gives the new communicator back.
    pub fn dup_async(&self) -> Request<Communicator> {
        self.duplicating().under_way()
    }

    fn duplicating(&self) -> Request<Communicator> {
        let (timeout, algorithm, stop) = (self.timeout, self.algorithm, self.stop.clone());
        self.dividing(Purpose::Dup, Some(0), 0, move |made| Communicator {
            timeout,
            algorithm,
            stop,
            ..made.expect("it has a color")
        })
    }

    /// A communicator of the ranks that live, in the same order, after one died or a
    /// call failed at all. All ranks that live must call it; calls under way in this
    /// communicator fail.
    ///
    /// # Errors
    /// [`GroupError::Minority`] where those that live are less than half, or half without
    /// rank 0; [`GroupError::Timeout`] where one of them does not call it. After a timeout
    /// the wish to go on stands, and the next call takes up the same agreement: it gives
    /// what the others got, if they agreed meanwhile.
    pub fn shrink(&self) -> Result<Communicator, GroupError> {
        self.shrinking().wait()
    }

    /// Begins [`Communicator::shrink`]. Dropping the request gives the new communicator back.
    pub fn shrink_async(&self) -> Request<Communicator> {
        self.shrinking().under_way()
    }

    fn shrinking(&self) -> Request<Communicator> {
        let (context, timeout) = (self.kept.context, self.timeout);
        let slot =
            self.kept.shared.call(self.watch(), |group, now| group.shrink(now, context, timeout));
        let kept = Arc::clone(&self.kept);
        let convert = move |outcome| Ok(kept.made(outcome).expect("this rank goes on"));
        Request::new(slot, Box::new(convert))
    }

    fn dividing<T>(
        &self,
        purpose: Purpose,
        color: Option<u32>,
        key: i64,
        then: impl FnOnce(Option<Communicator>) -> T + Send + 'static,
    ) -> Request<T> {
        let wish = [color.map_or(-1, i64::from), key];
        let mut sent = vec![0; self.size()];
        sent[self.rank()] = wish.len() as u64;
        let (context, call) =
            (self.kept.context, self.moving(Kind::Split, &wish, Counts::Sent(sent), 0));
        let call = Call { purpose, ..call };
        let slot =
            self.kept.shared.call(self.watch(), |group, now| group.start(now, context, call));
        let kept = Arc::clone(&self.kept);
        Request::new(slot, Box::new(move |outcome| Ok(then(kept.made(outcome)))))
    }
}

impl Kept {
    /// The communicator that came from this one.
    fn made(&self, outcome: Outcome) -> Option<Communicator> {
        let Made { context, members } = match outcome {
            Outcome::Made(made) => made?,
            Outcome::Answer(_) | Outcome::Message(_) => unreachable!("ranks were wanted"),
        };
        let rank = members.iter().position(|&rank| rank == self.rank);
        let members = members.iter().map(|&rank| self.members[rank]).collect();
        let rank = rank.expect("it is one of them");
        Some(Communicator::of(Arc::clone(&self.shared), context, rank, members))
    }
}
