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
//! refused it: a live holder of the entries whose files it has, or a deputy, which
//! holds what its team holds. It takes entries once it pulls. A member with room is **hungry** until it is served,
//! and **idle** when there was nothing for it, until the backlog grows by an entry
//! that it has, or one is late. So a node that can do nothing costs nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fixedbitset::FixedBitSet;

use super::Now;
use super::backlog::Backlog;
use super::config::Config;
use super::holders::{Group, Groups};
use super::member::{Member, Rate};
use super::orphans::Orphans;
use super::teams::Team;
use crate::manifest::Manifest;
use crate::placement::{EntryKey, Holders, NodeId, NodeKey};
use crate::shard::ShardError;
use crate::wire::{Course, POSITIONS_MAX};

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
    exhausted: BTreeSet<u32>,
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

/// A node that could not reduce an entry, and what was wrong.
pub(super) type Failure = (NodeId, ShardError);

/// The nodes that failed an entry, and what the last of them said.
#[derive(Clone, Debug)]
pub(super) struct Failures {
    pub(super) nodes: BTreeSet<NodeId>,
    pub(super) last: Failure,
}

/// Entries that are to be asked of a node.
pub(super) type Assignments = BTreeMap<NodeId, Vec<u32>>;

impl Schedule {
    /// None of the entries of `manifest` yet, among those of `nodes` that have any
    /// of its files. None has pulled yet. Teams stand behind their deputies.
    pub(super) fn new(
        manifest: Arc<Manifest>,
        holders: Holders,
        nodes: impl Iterator<Item = NodeId>,
        teams: impl FnOnce(Vec<NodeId>) -> Vec<Team>,
    ) -> Schedule {
        let entries = manifest.entries();
        let keys: Vec<EntryKey> =
            entries.iter().map(|entry| EntryKey::new(manifest.file(entry), entry)).collect();
        let mut groups = Groups::new(holders);
        // With nothing to do, nobody is needed.
        let nodes = nodes.filter(|&node| !keys.is_empty() && groups.holds_any(node));
        let nodes: BTreeSet<NodeId> = nodes.collect();
        let mut deputies = BTreeSet::new();
        for Team { deputy, others } in teams(nodes.iter().copied().collect()) {
            if !others.is_empty() {
                deputies.insert(deputy);
            }
            others.into_iter().for_each(|node| groups.set_deputy(node, deputy));
        }
        let direct = nodes.into_iter().filter(|&node| groups.deputy_of(node).is_none());
        let mut members: BTreeMap<NodeId, Member> =
            direct.map(|node| (node, Member::new(node))).collect();
        for deputy in deputies {
            members.get_mut(&deputy).expect("it stands behind nobody").is_deputy = true;
        }
        Schedule {
            member_keys: members.iter().map(|(&node, member)| (member.key, node)).collect(),
            members,
            groups,
            backlog: Backlog::default(),
            flights: BTreeMap::new(),
            orphans: Orphans::default(),
            exhausted: BTreeSet::new(),
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
        }
    }

    /// Gives an entry that is in no place one: it is to be reduced.
    pub(super) fn want(&mut self, now: Now, position: u32) {
        self.place(now, position);
    }

    /// The live holders.
    pub(super) fn members(&self) -> impl Iterator<Item = NodeId> {
        self.members.keys().copied()
    }

    /// Number of entries in all places.
    pub(super) fn entries(&self) -> usize {
        self.backlog.len() + self.flights.len() + self.orphans.len() + self.exhausted.len()
    }

    /// Whether an entry is in any place.
    pub(super) fn contains(&self, position: u32) -> bool {
        self.flights.contains_key(&position)
            || self.backlog.contains(position)
            || self.orphans.contains(position)
            || self.exhausted.contains(&position)
    }

    /// How many entries all members take at once; `None` as long as one has not
    /// said it.
    pub(super) fn wants(&self) -> Option<usize> {
        self.members.values().map(Member::want).sum()
    }

    /// As [`Schedule::wants`], of those who have said it.
    pub(super) fn wants_so_far(&self) -> usize {
        self.members.values().filter_map(Member::want).sum()
    }

    /// The entries without a live holder.
    pub(super) fn orphans(&self) -> &Orphans {
        &self.orphans
    }

    /// The entries without a live holder, which are in no place from now on.
    pub(super) fn take_orphans(&mut self) -> Vec<u32> {
        let positions: Vec<u32> = self.orphans.positions().collect();
        self.orphans = Orphans::default();
        positions.iter().for_each(|position| drop(self.failures.remove(position)));
        positions
    }

    /// The first entry that every live holder has failed, which is in no place from
    /// now on, and who failed it.
    pub(super) fn take_exhausted(&mut self) -> Option<(u32, Failures)> {
        let position = self.exhausted.pop_first()?;
        let failures = self.failures.remove(&position).expect("its holders failed it");
        Some((position, failures))
    }

    /// Whether a member collects from a team.
    pub(super) fn is_deputy(&self, node: NodeId) -> bool {
        self.members.get(&node).is_some_and(|member| member.is_deputy)
    }

    /// Those who stand behind a deputy.
    pub(super) fn team(&self, deputy: NodeId) -> BTreeSet<NodeId> {
        self.groups.team(deputy)
    }

    /// The holders of all files, as far as they are of `team`.
    pub(super) fn holders_among(&self, team: &BTreeSet<NodeId>) -> Holders {
        self.groups.among(team)
    }

    /// Lets a node stand behind nobody. What its deputy has under way stays there;
    /// what waits there and only this node has goes elsewhere.
    pub(super) fn leave_team(&mut self, now: Now, node: NodeId) {
        let Some(deputy) = self.groups.deputy_of(node) else { return };
        for group in self.groups.leave_team(node) {
            for position in self.backlog.take_group_of(deputy, group) {
                self.place(now, position);
            }
        }
    }

    /// What happened since this was last asked.
    pub(super) fn take_course(&mut self) -> Course {
        Course {
            recomputed: std::mem::take(&mut self.reassigned),
            speculated: std::mem::take(&mut self.speculated),
            ..Course::default()
        }
    }

    /// The nodes that reduce an entry.
    pub(super) fn flight(&self, position: u32) -> &[NodeId] {
        self.flights.get(&position).map_or(&[], Vec::as_slice)
    }

    /// The nodes that have an entry's file, or `None` if all do.
    pub(super) fn holders(&self, position: u32) -> Option<&BTreeSet<NodeId>> {
        self.groups.nodes(self.group(position))
    }

    /// Takes in what another request knows about who has what.
    pub(super) fn add_holders(&mut self, holders: Holders, now: Now) {
        self.groups.extend(holders);
        // The queues are kept by groups, which are others now.
        let queued = std::mem::take(&mut self.backlog);
        queued.iter().for_each(|(position, ..)| self.place(now, position));
        self.place_orphans(|_, _| true);
    }

    /// Counts `node` among the live holders if it has any file. Queued entries
    /// that prefer it move to it, and orphans that it has get a place. Returns
    /// whether it is new.
    pub(super) fn add_member(&mut self, node: NodeId) -> bool {
        let stands_behind = self.groups.deputy_of(node).is_some();
        if stands_behind || !self.groups.holds_any(node) || self.members.contains_key(&node) {
            return false;
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
        self.place_orphans(|groups, group| groups.holds(node, group));
        true
    }

    /// Takes `node` from the live holders and gives its entries other places.
    /// Returns how many it had been asked for that nobody else was.
    pub(super) fn remove_member(&mut self, now: Now, node: NodeId) -> usize {
        let Some(member) = self.members.remove(&node) else { return 0 };
        self.member_keys.retain(|&(_, other)| other != node);
        self.hungry.remove(&node);
        self.idle.remove(&node);
        let mut homeless: Vec<u32> =
            member.assigned().filter(|&position| self.leave_flight(node, position)).collect();
        let taken_over = homeless.len();
        homeless.extend(self.backlog.take_all_of(node));
        homeless.into_iter().for_each(|position| self.place(now, position));
        taken_over
    }

    /// A member has not begun what it was asked for: another that does is the first.
    pub(super) fn unbegin(&mut self, node: NodeId) {
        let Some(member) = self.members.get(&node) else { return };
        for position in member.assigned() {
            if self.flights.get(&position).is_some_and(|nodes| nodes.len() == 1) {
                self.assigned_once.set(position as usize, false);
            }
        }
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

    /// A node answered for some entries at once, with whatever. Returns those of
    /// which it was asked.
    pub(super) fn answered(
        &mut self,
        now: Now,
        node: NodeId,
        positions: impl IntoIterator<Item = u32>,
    ) -> BTreeSet<u32> {
        let Some(member) = self.members.get_mut(&node) else { return BTreeSet::new() };
        let answer = member.answer(now, positions);
        if !answer.positions.is_empty() {
            self.rate.add(answer.bytes, answer.busy);
        }
        answer.positions
    }

    /// An entry is in the total, and so in no place any more.
    pub(super) fn complete(&mut self, position: u32) {
        if self.flights.remove(&position).is_none() && !self.backlog.remove(position) {
            self.orphans.remove(position);
            self.exhausted.remove(&position);
        }
        self.failures.remove(&position);
    }

    /// A node that was asked for an entry, which is not in the total, cannot
    /// reduce it.
    pub(super) fn fail(&mut self, now: Now, node: NodeId, position: u32, last: Failure) {
        let failures = self
            .failures
            .entry(position)
            .or_insert_with(|| Failures { nodes: BTreeSet::new(), last: last.clone() });
        failures.nodes.insert(node);
        failures.last = last;
        if self.leave_flight(node, position) {
            self.place(now, position);
        }
    }

    /// A node that was asked for an entry has given it back: if it is not in the
    /// total, it goes to another, or to the same one again.
    pub(super) fn return_entry(&mut self, now: Now, node: NodeId, position: u32) {
        if self.leave_flight(node, position) {
            self.place(now, position);
        }
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
    fn place(&mut self, since: Now, position: u32) {
        let (key, group) = (self.key(position), self.group(position));
        let failed = self.failures.get(&position).map(|failures| &failures.nodes);
        let fit = |node: NodeId| failed.is_none_or(|failed| !failed.contains(&node));
        let home = match self.groups.seats(group) {
            // Pairs of entries and nodes are many, and failures few.
            None if failed.is_none() => self.heaviest(key, |_| true),
            None => self.heaviest(key, fit),
            Some(seats) => {
                let live = seats.keys().filter_map(|node| self.members.get_key_value(node));
                let fit = live.filter(|&(&node, _)| fit(node));
                fit.map(|(&node, member)| (member.key.weight(key), node)).max().map(|best| best.1)
            }
        };
        let live = |schedule: &Schedule| match schedule.groups.seats(group) {
            None => !schedule.members.is_empty(),
            Some(seats) => seats.keys().any(|node| schedule.members.contains_key(node)),
        };
        match home {
            Some(home) => {
                self.backlog.insert(position, group, home);
                match self.groups.seats(group) {
                    None => self.hungry.append(&mut self.idle),
                    Some(seats) => {
                        let woken = seats.keys().filter(|node| self.idle.remove(node));
                        self.hungry.extend(woken);
                    }
                }
            }
            None if live(self) => drop(self.exhausted.insert(position)),
            None => self.orphans.insert(position, since),
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
    fn place_orphans(&mut self, has: impl Fn(&Groups, Group) -> bool) {
        let orphans = self.orphans.positions();
        let found: Vec<u32> =
            orphans.filter(|&position| has(&self.groups, self.group(position))).collect();
        for position in found {
            if let Some(since) = self.orphans.remove(position) {
                self.place(since, position);
            }
        }
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
