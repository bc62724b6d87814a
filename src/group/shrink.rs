//! How those that live agree on who goes on.
//!
//! ```text
//!   all                       lowest live rank
//!    | -------- Join ------------> |   when it has those of all that live:
//!    | <------- Propose ---------- |   a round and its members
//!    | -------- Accept ----------> |   when it has those of all members:
//!    | <------- Commit ----------- |
//! ```
//!
//! A death on the way begins another round, or makes the next lowest the one that
//! collects. It asks all that live first, and takes over what anyone has seen
//! committed; if none of them has, nobody that lives ever went on. Less than half of
//! the ranks, or half of them without rank 0, do not go on: another part could.
//!
//! A rank that gave the communicator back counts as one that died. It says before what
//! was committed last, for whoever has not heard of it.
//!
//! # Calls and agreements
//!
//! The first call of `shrink` makes its rank join, and that word stands: the agreement
//! goes on whether a call still waits for it or has given up. So ranks of unlike
//! deadlines do not get out of step. What is agreed when no call waits is kept, and the
//! next call takes it. Calls that wait take agreements in the order in which they were
//! made.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;

use super::context::Port;
use super::frame::{Agree, Head};
use super::{GroupError, Now, OpId, Outcome};

/// A call that waits, with its deadline and the time that it had.
type Waiting = (OpId, Option<(Now, Now)>);

/// The agreement of one communicator on one rank.
#[derive(Default)]
pub(super) struct Shrink {
    /// The number of the agreement that is next, or under way.
    epoch: u32,
    /// Calls of which the first waits for it.
    waiting: VecDeque<Waiting>,
    joined: BTreeSet<u32>,
    round: u32,
    proposed: Option<Vec<u32>>,
    accepted: BTreeSet<u32>,
    told: Option<usize>,
    collects: bool,
    /// What was agreed last. No rank that lives is further behind.
    committed: Option<(u32, Vec<u32>)>,
    /// What came of an agreement for which no call waited.
    pub untaken: Option<Result<Outcome, GroupError>>,
}

/// What was agreed: the members, none where there is no majority.
pub(super) struct Agreed {
    pub epoch: u32,
    pub members: Vec<u32>,
}

impl Shrink {
    /// This rank wants to go on.
    pub fn begin(
        &mut self,
        id: OpId,
        deadline: Option<(Now, Now)>,
        port: &mut Port<'_>,
    ) -> Option<Agreed> {
        self.waiting.push_back((id, deadline));
        self.join(port)
    }

    fn join(&mut self, port: &mut Port<'_>) -> Option<Agreed> {
        self.joined.insert(port.rank as u32);
        self.step(port)
    }

    /// Goes on to the next agreement if a call waits for it.
    pub fn go_on(&mut self, port: &mut Port<'_>) -> Option<Agreed> {
        if self.waiting.is_empty() { None } else { self.join(port) }
    }

    /// The call that is to have what was agreed.
    pub fn next_waiting(&mut self) -> Option<OpId> {
        self.waiting.pop_front().map(|(id, _)| id)
    }

    /// The first deadline of the calls that wait.
    pub fn next_timeout(&self) -> Option<Now> {
        self.waiting.iter().filter_map(|(_, deadline)| *deadline).map(|(until, _)| until).min()
    }

    /// Takes out the calls whose time is over, with the time that they had.
    pub fn expire(&mut self, now: Now) -> Vec<(OpId, Now)> {
        let mut late = Vec::new();
        self.waiting.retain(|&(id, deadline)| {
            let over = deadline.filter(|(until, _)| *until <= now);
            late.extend(over.map(|(_, after)| (id, after)));
            over.is_none()
        });
        late
    }

    /// The ranks for which the agreement waits, as far as this one knows: those that have
    /// not joined or not accepted, or the one that knows it.
    pub fn missing(&self, port: &Port<'_>) -> Vec<u32> {
        let (alive, own) = (live(port), port.rank as u32);
        match alive.first() {
            Some(&first) if first != own => vec![first],
            _ => {
                let all_joined = alive.iter().all(|rank| self.joined.contains(rank));
                let there = if all_joined { &self.accepted } else { &self.joined };
                alive.into_iter().filter(|rank| !there.contains(rank)).collect()
            }
        }
    }

    /// Says again what was committed last, before this rank says no more.
    pub fn say_last(&self, port: &mut Port<'_>) {
        if let Some((epoch, members)) = &self.committed {
            let agree = Agree::Commit { members: members.clone() };
            port.send_all(&Head::Agree { context: port.context, epoch: *epoch, agree });
        }
    }

    /// A word from another rank.
    pub fn handle(
        &mut self,
        from: usize,
        epoch: u32,
        agree: Agree,
        port: &mut Port<'_>,
    ) -> Option<Agreed> {
        let context = port.context;
        if let Some((_, members)) = self.committed.as_ref().filter(|(last, _)| *last == epoch) {
            // It is behind.
            if matches!(agree, Agree::Join | Agree::Collect) {
                let agree = Agree::Commit { members: members.clone() };
                port.send(from, &Head::Agree { context, epoch, agree }, Bytes::new());
            }
            return None;
        }
        if epoch != self.epoch {
            return None;
        }
        match agree {
            Agree::Join => {
                self.joined.insert(from as u32);
            }
            Agree::Collect => {
                // It did not know of what this rank told another.
                self.told = None;
            }
            Agree::Propose { round, members } => {
                let alive = live(port);
                let all_live = members.iter().all(|member| alive.contains(member));
                if self.has_joined(port) && all_live && first(port) == Some(from) {
                    let agree = Agree::Accept { round };
                    port.send(from, &Head::Agree { context, epoch, agree }, Bytes::new());
                }
            }
            Agree::Accept { round } => {
                if round == self.round && self.proposed.is_some() {
                    self.accepted.insert(from as u32);
                }
            }
            Agree::Commit { members } => return Some(self.commit(members, port)),
        }
        self.step(port)
    }

    fn has_joined(&self, port: &Port<'_>) -> bool {
        self.joined.contains(&(port.rank as u32))
    }

    /// Goes on as far as it can be gone on.
    pub fn step(&mut self, port: &mut Port<'_>) -> Option<Agreed> {
        if !self.has_joined(port) {
            return None;
        }
        let (context, epoch, rank) = (port.context, self.epoch, port.rank);
        let alive = live(port);
        let collector = first(port)?;
        if collector != rank {
            if self.told != Some(collector) {
                self.told = Some(collector);
                let agree = Agree::Join;
                port.send(collector, &Head::Agree { context, epoch, agree }, Bytes::new());
            }
            return None;
        }
        if !self.collects {
            self.collects = true;
            port.send_all(&Head::Agree { context, epoch, agree: Agree::Collect });
        }
        if !alive.iter().all(|member| self.joined.contains(member)) {
            return None;
        }
        let size = port.members.len();
        let majority = 2 * alive.len() > size || (2 * alive.len() == size && alive[0] == 0);
        if !majority {
            return Some(self.commit(Vec::new(), port));
        }
        if self.proposed.as_ref() != Some(&alive) {
            self.round += 1;
            self.accepted = BTreeSet::from([rank as u32]);
            self.proposed = Some(alive.clone());
            let agree = Agree::Propose { round: self.round, members: alive.clone() };
            port.send_all(&Head::Agree { context, epoch, agree });
        }
        match alive.iter().all(|member| self.accepted.contains(member)) {
            true => Some(self.commit(alive, port)),
            false => None,
        }
    }

    fn commit(&mut self, members: Vec<u32>, port: &mut Port<'_>) -> Agreed {
        let epoch = self.epoch;
        self.committed = Some((epoch, members.clone()));
        if first(port) == Some(port.rank) {
            self.say_last(port);
        }
        let waiting = std::mem::take(&mut self.waiting);
        let (round, committed) = (self.round, self.committed.take());
        *self = Shrink { epoch: epoch + 1, waiting, round, committed, ..Shrink::default() };
        Agreed { epoch, members }
    }
}

/// The ranks that live and have not given the communicator back.
fn live(port: &Port<'_>) -> Vec<u32> {
    let lives =
        |rank: &usize| !port.gone.contains(&port.members[*rank]) && !port.closed.contains(rank);
    (0..port.members.len()).filter(lives).map(|rank| rank as u32).collect()
}

/// The lowest rank that lives.
fn first(port: &Port<'_>) -> Option<usize> {
    live(port).first().map(|&rank| rank as usize)
}
