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

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::context::Port;
use super::frame::{Agree, Head};
use super::{Now, OpId};

/// The agreement of one communicator on one rank.
#[derive(Default)]
pub(super) struct Shrink {
    /// The number of the agreement that is next, or under way.
    epoch: u32,
    /// The call that waits for it.
    pub waiting: Option<(OpId, Option<(Now, Now)>)>,
    joined: BTreeSet<u32>,
    round: u32,
    proposed: Option<Vec<u32>>,
    accepted: BTreeSet<u32>,
    told: Option<usize>,
    collects: bool,
    /// What was agreed before.
    commits: BTreeMap<u32, Vec<u32>>,
}

/// What was agreed: the members, none where there is no majority.
pub(super) struct Agreed {
    pub id: OpId,
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
        self.waiting = Some((id, deadline));
        self.step(port)
    }

    /// The ranks that have not said that they want to go on, as far as this one knows.
    pub fn missing(&self, port: &Port<'_>) -> Vec<u32> {
        live(port).into_iter().filter(|rank| !self.joined.contains(rank)).collect()
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
        if let Some(members) = self.commits.get(&epoch) {
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
                if self.waiting.is_some() && all_live && first(port) == Some(from) {
                    let agree = Agree::Accept { round };
                    port.send(from, &Head::Agree { context, epoch, agree }, Bytes::new());
                }
            }
            Agree::Accept { round } => {
                if round == self.round && self.proposed.is_some() {
                    self.accepted.insert(from as u32);
                }
            }
            Agree::Commit { members } => return self.commit(members, port),
        }
        self.step(port)
    }

    /// Goes on as far as it can be gone on.
    pub fn step(&mut self, port: &mut Port<'_>) -> Option<Agreed> {
        self.waiting?;
        let (context, epoch, rank) = (port.context, self.epoch, port.rank);
        let alive = live(port);
        let collector = first(port)?;
        self.joined.insert(rank as u32);
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
            return self.commit(Vec::new(), port);
        }
        if self.proposed.as_ref() != Some(&alive) {
            self.round += 1;
            self.accepted = BTreeSet::from([rank as u32]);
            self.proposed = Some(alive.clone());
            let agree = Agree::Propose { round: self.round, members: alive.clone() };
            port.send_all(&Head::Agree { context, epoch, agree });
        }
        match alive.iter().all(|member| self.accepted.contains(member)) {
            true => self.commit(alive, port),
            false => None,
        }
    }

    fn commit(&mut self, members: Vec<u32>, port: &mut Port<'_>) -> Option<Agreed> {
        let (context, epoch) = (port.context, self.epoch);
        if first(port) == Some(port.rank) {
            let agree = Agree::Commit { members: members.clone() };
            port.send_all(&Head::Agree { context, epoch, agree });
        }
        self.commits.insert(epoch, members.clone());
        let waiting = self.waiting.take();
        let commits = std::mem::take(&mut self.commits);
        *self = Shrink { epoch: epoch + 1, commits, round: self.round, ..Shrink::default() };
        waiting.map(|(id, _)| Agreed { id, epoch, members })
    }
}

/// The ranks that live.
fn live(port: &Port<'_>) -> Vec<u32> {
    let lives = |rank: &usize| !port.gone.contains(&port.members[*rank]);
    (0..port.members.len()).filter(lives).map(|rank| rank as u32).collect()
}

/// The lowest rank that lives.
fn first(port: &Port<'_>) -> Option<usize> {
    live(port).first().map(|&rank| rank as usize)
}
