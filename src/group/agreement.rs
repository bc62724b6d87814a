//! Calls of `shrink`: what the agreement of those that live is for.

use super::context::Port;
use super::frame::Agree;
use super::schedule::derived;
use super::shrink::{Agreed, Shrink};
use super::{Duration, Group, GroupError, Made, Now, OpId, Outcome, Output};

impl Group {
    /// Starts to agree with those that live on a communicator of them alone, or takes up
    /// an agreement that an earlier call began and did not wait for.
    pub fn shrink(&mut self, now: Now, context: u64, timeout: Option<Duration>) -> OpId {
        let id = self.new_id();
        let deadline = self.deadline(now, timeout);
        if let Some(error) = self.expelled.clone() {
            self.outputs.push_back(Output::Finished { id, result: Err(error) });
            return id;
        }
        // Whoever still waits in an old call would keep all others waiting.
        let next = self.calls_begun(context);
        self.give_up(context, next);
        let untaken = self.at_shrink(context, |shrink, _| shrink.untaken.take());
        let Some(untaken) = untaken else {
            let result = Err(GroupError::Closed);
            self.outputs.push_back(Output::Finished { id, result });
            return id;
        };
        if let Some(result) = untaken {
            self.outputs.push_back(Output::Finished { id, result });
            return id;
        }
        let agreed = self.at_shrink(context, |shrink, port| shrink.begin(id, deadline, port));
        self.settle_agreed(now, context, agreed.flatten());
        id
    }

    /// Fails the calls of a communicator that this rank goes on without.
    fn give_up(&mut self, id: u64, next: u64) {
        let Some(context) = self.contexts.get(&id) else { return };
        let error = self.given_up(id, context.rank);
        self.fail(id, next, error, true);
    }

    pub(super) fn handle_agree(
        &mut self,
        now: Now,
        id: u64,
        from: usize,
        epoch: u32,
        agree: Agree,
    ) {
        // Who agrees on another communicator has given this one up.
        if matches!(agree, Agree::Join) {
            let (next, error) = (self.calls_begun(id), self.given_up(id, from));
            self.fail(id, next, error, true);
        }
        let agreed =
            self.at_shrink(id, |shrink, port| shrink.handle(from, epoch, agree, port)).flatten();
        self.settle_agreed(now, id, agreed);
    }

    pub(super) fn step_shrink(&mut self, now: Now, id: u64) {
        let agreed = self.at_shrink(id, Shrink::step).flatten();
        self.settle_agreed(now, id, agreed);
    }

    /// Ends calls whose time is over. What they began goes on.
    pub(super) fn expire_shrinks(&mut self, now: Now, id: u64) {
        let late = |shrink: &mut Shrink, port: &mut Port<'_>| {
            let rank = port.rank as u32;
            let waiting_for = shrink.missing(port);
            (rank, waiting_for, shrink.expire(now))
        };
        let Some((rank, waiting_for, late)) = self.at_shrink(id, late) else { return };
        for (id, after) in late {
            let (call, waiting_for) = ("shrink".to_owned(), waiting_for.clone());
            let result = Err(GroupError::Timeout { rank, call, after, waiting_for });
            self.outputs.push_back(Output::Finished { id, result });
        }
    }

    fn at_shrink<T>(
        &mut self,
        id: u64,
        f: impl FnOnce(&mut Shrink, &mut Port<'_>) -> T,
    ) -> Option<T> {
        let context = self.contexts.get_mut(&id)?;
        let (mut port, _, _, shrink) = context.split(&self.config, &self.gone, &mut self.outputs);
        Some(f(shrink, &mut port))
    }

    /// Gives what was agreed to the call that waits, or keeps it for the next one.
    fn settle_agreed(&mut self, now: Now, id: u64, agreed: Option<Agreed>) {
        let mut next = agreed;
        while let Some(agreed) = next {
            let result = self.made_of(now, id, agreed);
            let Some(shrink) = self.contexts.get_mut(&id).map(|context| &mut context.shrink) else {
                return;
            };
            match shrink.next_waiting() {
                Some(id) => self.outputs.push_back(Output::Finished { id, result }),
                None => shrink.untaken = Some(result),
            }
            next = self.at_shrink(id, Shrink::go_on).flatten();
        }
    }

    fn made_of(&mut self, now: Now, id: u64, agreed: Agreed) -> Result<Outcome, GroupError> {
        let Agreed { epoch, members } = agreed;
        let context = &self.contexts[&id];
        let (rank, size) = (context.rank as u32, context.members.len() as u32);
        if members.is_empty() {
            let lives = |rank: &usize| {
                !self.gone.contains(&context.members[*rank]) && !context.closed.contains(rank)
            };
            let live = (0..context.members.len()).filter(lives).count() as u32;
            return Err(GroupError::Minority { live, size });
        }
        if !members.contains(&rank) {
            let reason = "those that went on did not count it".to_owned();
            return Err(GroupError::Expelled { reason });
        }
        let of_group = members.iter().map(|&rank| context.members[rank as usize]).collect();
        let new = derived(id, "shrink", u64::from(epoch), 0);
        self.create(now, new, of_group);
        let members = members.into_iter().map(|rank| rank as usize).collect();
        Ok(Outcome::Made(Some(Made { context: new, members })))
    }
}
