//! Who reduces which entry of a job.
//!
//! Every entry that is not in the total is in exactly one place:
//!
//! ```text
//!            place              serve               first result
//!    (new) --------> backlog -----------> flight ----------------> (in the ledger)
//!      |              |   ^                |   |
//!      |   home lost, |   | to another     |   +-- late: one idle holder more is asked
//!      |   no other   |   | live holder    |
//!      v   holder     v   |                v   its last node is lost, or failed it
//!     orphan <------------+---- place -----+
//!      |   a holder came  |
//!      |                  +---> Exhausted: every live holder has failed it
//!      +---> the job ends after the grace
//! ```
//!
//! A **member** is a connected node that was offered the job and has not
//! refused it: a live holder of the entries whose files it has. It takes
//! entries once it pulls. A member with room is **hungry** until it is served,
//! and **idle** when there was nothing for it, until the backlog grows by an entry
//! that it has, or one is late. So a node that can do nothing costs nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fixedbitset::FixedBitSet;

use super::Now;
use super::backlog::Backlog;
use super::config::Config;
use super::holders::{Group, Groups, Holders};
use super::member::{Member, Rate};
use super::orphans::Orphans;
use crate::manifest::Manifest;
use crate::placement::{EntryKey, NodeId, NodeKey};
use crate::shard::ShardError;
use crate::wire::POSITIONS_MAX;

/// The places of all entries of a job, and the nodes among which they move.
#[derive(Debug)]
pub(super) struct Schedule {
    manifest: Arc<Manifest>,
    /// The key of each entry, by position.
    keys: Vec<EntryKey>,
    groups: Groups,
    members: BTreeMap<NodeId, Member>,
    /// The keys of all members side by side, in the order of their ids, since
    /// every entry that all nodes have is compared with every one of them.
    member_keys: Vec<(NodeKey, NodeId)>,
    backlog: Backlog,
    /// The nodes that reduce an entry: one, or two for an entry that was late.
    flights: BTreeMap<u32, Vec<NodeId>>,
    orphans: Orphans,
    failures: BTreeMap<u32, Failures>,
    hungry: BTreeSet<NodeId>,
    idle: BTreeSet<NodeId>,
    /// When to look for late entries.
    look_at: Option<Now>,
    /// The rate of all members together, to judge those that have none yet.
    rate: Rate,
    assigned_once: FixedBitSet,
    reassigned: u64,
    speculated: u64,
}

/// The nodes that failed an entry, and what the last of them said.
#[derive(Clone, Debug)]
pub(super) struct Failures {
    pub(super) nodes: BTreeSet<NodeId>,
    pub(super) last: (NodeId, ShardError),
}

/// Entries that are to be asked of a node.
pub(super) type Assignments = BTreeMap<NodeId, Vec<u32>>;

/// Every live holder of an entry has failed it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exhausted {
    pub(super) position: u32,
}

impl Schedule {
    /// All entries of `manifest`, placed among `nodes`, who have not pulled yet.
    pub(super) fn new(
        now: Now,
        manifest: Arc<Manifest>,
        holders: Holders,
        nodes: impl Iterator<Item = NodeId>,
    ) -> Schedule {
        let entries = manifest.entries();
        let keys: Vec<EntryKey> =
            entries.iter().map(|entry| EntryKey::new(manifest.file(entry), entry)).collect();
        let groups = Groups::new(holders);
        // With nothing to do, nobody is needed.
        let nodes = nodes.filter(|&node| !keys.is_empty() && groups.holds_any(node));
        let members: BTreeMap<NodeId, Member> =
            nodes.map(|node| (node, Member::new(node))).collect();
        let mut schedule = Schedule {
            member_keys: members.iter().map(|(&node, member)| (member.key, node)).collect(),
            members,
            groups,
            backlog: Backlog::default(),
            flights: BTreeMap::new(),
            orphans: Orphans::default(),
            failures: BTreeMap::new(),
            hungry: BTreeSet::new(),
            idle: BTreeSet::new(),
            look_at: None,
            rate: Rate::default(),
            assigned_once: FixedBitSet::with_capacity(keys.len()),
            reassigned: 0,
            speculated: 0,
            keys,
            manifest,
        };
        for position in 0..schedule.keys.len() as u32 {
            schedule.place(now, position).expect("nobody has failed an entry yet");
        }
        schedule
    }

    /// The live holders.
    pub(super) fn members(&self) -> impl Iterator<Item = NodeId> {
        self.members.keys().copied()
    }

    /// Number of entries in all places.
    pub(super) fn entries(&self) -> usize {
        self.backlog.len() + self.flights.len() + self.orphans.len()
    }

    /// The entries without a live holder.
    pub(super) fn orphans(&self) -> &Orphans {
        &self.orphans
    }

    /// Who failed an entry.
    pub(super) fn failures(&self, position: u32) -> Option<&Failures> {
        self.failures.get(&position)
    }

    /// The nodes that have an entry's file, or `None` if all do.
    pub(super) fn holders(&self, position: u32) -> Option<&BTreeSet<NodeId>> {
        self.groups.nodes(self.group(position))
    }

    /// How often an entry was assigned after the first time.
    pub(super) fn reassigned(&self) -> u64 {
        self.reassigned
    }

    /// How often it was because the entry was late.
    pub(super) fn speculated(&self) -> u64 {
        self.speculated
    }

    /// Takes in what another request knows about who has what.
    pub(super) fn add_holders(&mut self, holders: Holders, now: Now) -> Result<(), Exhausted> {
        self.groups.extend(holders);
        // The queues are kept by groups, which are others now.
        let queued = std::mem::take(&mut self.backlog);
        queued.iter().try_for_each(|(position, ..)| self.place(now, position))?;
        self.place_orphans(|_, _| true)
    }

    /// Counts `node` among the live holders if it has any file. Queued entries
    /// that prefer it move to it, and orphans that it has get a place. Returns
    /// whether it is new.
    pub(super) fn add_member(&mut self, node: NodeId) -> Result<bool, Exhausted> {
        if !self.groups.holds_any(node) || self.members.contains_key(&node) {
            return Ok(false);
        }
        let member = Member::new(node);
        let won: Vec<(u32, Group)> = self
            .backlog
            .iter()
            .filter(|&(position, home, group)| {
                let key = self.key(position);
                let home_weight = self.members.get(&home).map(|home| home.key.weight(key));
                home_weight < Some(member.key.weight(key))
                    && self.groups.holds(node, group)
                    && !self.has_failed(node, position)
            })
            .map(|(position, _, group)| (position, group))
            .collect();
        let place = self.member_keys.partition_point(|&(_, other)| other < node);
        self.member_keys.insert(place, (member.key, node));
        self.members.insert(node, member);
        for (position, group) in won {
            self.backlog.remove(position);
            self.backlog.insert(position, group, node);
        }
        self.place_orphans(|groups, group| groups.holds(node, group))?;
        Ok(true)
    }

    /// Takes `node` from the live holders and gives its entries other places.
    /// Returns how many it had been asked for that nobody else was.
    pub(super) fn remove_member(&mut self, now: Now, node: NodeId) -> Result<usize, Exhausted> {
        let Some(member) = self.members.remove(&node) else { return Ok(0) };
        self.member_keys.retain(|&(_, other)| other != node);
        self.hungry.remove(&node);
        self.idle.remove(&node);
        let mut homeless: Vec<u32> =
            member.assigned().filter(|&position| self.leave_flight(node, position)).collect();
        let taken_over = homeless.len();
        homeless.extend(self.backlog.take_all_of(node));
        homeless.into_iter().try_for_each(|position| self.place(now, position))?;
        Ok(taken_over)
    }

    /// A member says how many entries it takes at once. One that takes none
    /// refuses; one that pulls none would hold up the entries that only it has.
    /// Returns whether the node is a member.
    pub(super) fn set_want(&mut self, node: NodeId, want: usize) -> bool {
        let Some(member) = self.members.get_mut(&node) else { return false };
        member.set_want(want.clamp(1, POSITIONS_MAX));
        self.feed(node);
        true
    }

    /// A member may have room.
    pub(super) fn feed(&mut self, node: NodeId) {
        if self.members.contains_key(&node) && !self.idle.contains(&node) {
            self.hungry.insert(node);
        }
    }

    /// A node answered for an entry, with whatever. Returns whether it was asked.
    pub(super) fn answered(&mut self, now: Now, node: NodeId, position: u32) -> bool {
        let answer = self.members.get_mut(&node).and_then(|m| m.answer(now, position));
        if let Some((bytes, busy)) = answer {
            self.rate.add(bytes, busy);
        }
        answer.is_some()
    }

    /// An entry is in the total, and so in no place any more.
    pub(super) fn complete(&mut self, position: u32) {
        if self.flights.remove(&position).is_none() && !self.backlog.remove(position) {
            self.orphans.remove(position);
        }
        self.failures.remove(&position);
    }

    /// A node that was asked for an entry, which is not in the total, cannot
    /// reduce it.
    pub(super) fn fail(
        &mut self,
        now: Now,
        node: NodeId,
        position: u32,
        error: ShardError,
    ) -> Result<(), Exhausted> {
        let last = (node, error);
        let failures = self
            .failures
            .entry(position)
            .or_insert_with(|| Failures { nodes: BTreeSet::new(), last: last.clone() });
        failures.nodes.insert(node);
        failures.last = last;
        if self.leave_flight(node, position) { self.place(now, position) } else { Ok(()) }
    }

    /// Gives hungry members what they can take.
    pub(super) fn serve(&mut self, now: Now) -> Assignments {
        let mut assignments = Assignments::new();
        while let Some(node) = self.hungry.pop_first() {
            while self.members.get(&node).is_some_and(|member| member.room() > 0) {
                let Some(position) = self.take(node) else {
                    self.idle.insert(node);
                    break;
                };
                self.assign(now, node, position);
                assignments.entry(node).or_default().push(position);
            }
        }
        assignments
    }

    /// Asks one idle member more for each entry that is late, if there is one
    /// that has it.
    pub(super) fn speculate(&mut self, now: Now, config: &Config) -> Assignments {
        self.look_at = None;
        let single = self.flights.iter().filter(|(_, nodes)| nodes.len() == 1);
        let late: Vec<u32> = single
            .filter(|&(&position, nodes)| self.is_late(now, nodes[0], position, config))
            .map(|(&position, _)| position)
            .collect();
        let mut assignments = Assignments::new();
        for position in late {
            let (key, group) = (self.key(position), self.group(position));
            let fit = self.idle.iter().filter(|&&node| {
                self.groups.holds(node, group)
                    && !self.flights[&position].contains(&node)
                    && !self.has_failed(node, position)
                    && self.members[&node].room() > 0
            });
            let best = fit.max_by_key(|node| (self.members[node].key.weight(key), **node));
            if let Some(&node) = best {
                self.assign(now, node, position);
                self.speculated += 1;
                assignments.entry(node).or_default().push(position);
            }
        }
        assignments
    }

    /// Sets the time to look for late entries while somebody could take one.
    /// Twice in the least delay is soon enough: an entry is found when it is
    /// late by no more than half of what makes it late.
    pub(super) fn arm(&mut self, now: Now, config: &Config) {
        if self.idle.is_empty() || self.flights.is_empty() {
            self.look_at = None;
        } else if self.look_at.is_none() {
            self.look_at = Some(now + (config.straggler_min / 2).max(Duration::from_millis(1)));
        }
    }

    /// When to [`Schedule::speculate`].
    pub(super) fn look_at(&self) -> Option<Now> {
        self.look_at
    }

    /// Gives an entry that is in no place its place. One without a live holder
    /// has been an orphan `since`.
    fn place(&mut self, since: Now, position: u32) -> Result<(), Exhausted> {
        let (key, group) = (self.key(position), self.group(position));
        let failed = self.failures.get(&position).map(|failures| &failures.nodes);
        let fit = |node: NodeId| failed.is_none_or(|failed| !failed.contains(&node));
        let home = match self.groups.nodes(group) {
            // Pairs of entries and nodes are many, and failures few.
            None if failed.is_none() => self.heaviest(key, |_| true),
            None => self.heaviest(key, fit),
            Some(nodes) => {
                let live = nodes.iter().filter_map(|node| self.members.get_key_value(node));
                let fit = live.filter(|&(&node, _)| fit(node));
                fit.map(|(&node, member)| (member.key.weight(key), node)).max().map(|best| best.1)
            }
        };
        let live = |schedule: &Schedule| match schedule.groups.nodes(group) {
            None => !schedule.members.is_empty(),
            Some(nodes) => nodes.iter().any(|node| schedule.members.contains_key(node)),
        };
        match home {
            Some(home) => {
                self.backlog.insert(position, group, home);
                match self.groups.nodes(group) {
                    None => self.hungry.append(&mut self.idle),
                    Some(nodes) => {
                        let woken = nodes.iter().filter(|node| self.idle.remove(node));
                        self.hungry.extend(woken);
                    }
                }
                Ok(())
            }
            None if live(self) => Err(Exhausted { position }),
            None => {
                self.orphans.insert(position, since);
                Ok(())
            }
        }
    }

    /// The member that an entry prefers of those that are fit; of equal ones the
    /// last.
    fn heaviest(&self, key: EntryKey, fit: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        let mut best = None;
        let mut most = 0;
        for &(member, node) in &self.member_keys {
            let weight = member.weight(key);
            if weight >= most && fit(node) {
                (most, best) = (weight, Some(node));
            }
        }
        best
    }

    /// Gives places to the orphans of those groups that have a live holder now.
    fn place_orphans(&mut self, has: impl Fn(&Groups, Group) -> bool) -> Result<(), Exhausted> {
        let orphans = self.orphans.positions();
        let found: Vec<u32> =
            orphans.filter(|&position| has(&self.groups, self.group(position))).collect();
        for position in found {
            if let Some(since) = self.orphans.remove(position) {
                self.place(since, position)?;
            }
        }
        Ok(())
    }

    /// Takes an entry for `node` from the backlog.
    fn take(&mut self, node: NodeId) -> Option<u32> {
        let own = self.backlog.take_own(node);
        own.or_else(|| {
            let failures = &self.failures;
            self.backlog.steal(self.groups.held_by(node), |position| {
                failures.get(&position).is_none_or(|f| !f.nodes.contains(&node))
            })
        })
    }

    fn assign(&mut self, now: Now, node: NodeId, position: u32) {
        let entry = &self.manifest.entries()[position as usize];
        let bytes = self.manifest.entry_bytes(entry);
        if let Some(member) = self.members.get_mut(&node) {
            member.assign(now, position, bytes);
        }
        self.flights.entry(position).or_default().push(node);
        if self.assigned_once.put(position as usize) {
            self.reassigned += 1;
        }
    }

    /// Takes `node` from those that reduce an entry; says whether nobody is left.
    fn leave_flight(&mut self, node: NodeId, position: u32) -> bool {
        let Some(nodes) = self.flights.get_mut(&position) else { return false };
        nodes.retain(|&other| other != node);
        let nobody = nodes.is_empty();
        if nobody {
            self.flights.remove(&position);
        }
        nobody
    }

    fn is_late(&self, now: Now, node: NodeId, position: u32, config: &Config) -> bool {
        let assumed = Rate::assumed(config.rate_assumed);
        let others = if self.rate.is_measured() { &self.rate } else { &assumed };
        let delay = self.members.get(&node).and_then(|m| m.delay(now, position, others));
        delay.is_some_and(|(elapsed, expected)| {
            let limit = expected.saturating_mul(config.straggler_factor);
            elapsed > limit.max(config.straggler_min)
        })
    }

    fn has_failed(&self, node: NodeId, position: u32) -> bool {
        self.failures.get(&position).is_some_and(|failures| failures.nodes.contains(&node))
    }

    fn group(&self, position: u32) -> Group {
        self.groups.of_file(self.manifest.entries()[position as usize].file)
    }

    fn key(&self, position: u32) -> EntryKey {
        self.keys[position as usize]
    }
}
