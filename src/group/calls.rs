//! What is called, what comes, and when time is over.

use super::frame::{PointSegment, Segment};
use super::schedule::scheduled;
use super::*;

impl Group {
    /// Starts a call. Its end comes as [`Output::Finished`].
    pub fn start(&mut self, now: Now, context: u64, call: Call) -> OpId {
        let id = self.new_id();
        if let Err(error) = self.try_start(now, context, call, id) {
            self.outputs.push_back(Output::Finished { id, result: Err(error) });
        }
        id
    }

    fn try_start(
        &mut self,
        now: Now,
        context_id: u64,
        call: Call,
        id: OpId,
    ) -> Result<(), GroupError> {
        let next = self.calls_begun(context_id);
        let context = self.usable(context_id, next)?;
        let (rank, size, tuning) = (context.rank, context.members.len(), context.tuning);
        let segment_bytes = self.config.segment_bytes;
        let (plan, signature, unit) = scheduled(&call, rank, size, segment_bytes, &tuning)?;
        let context = self.usable(context_id, next)?;
        let number = context.next_call;
        context.next_call += 1;
        let Call { fold, array, timeout, .. } = call;
        let window = self.config.window_bytes;
        let mut operation = Operation::new(id, number, signature, plan, fold, unit, array, window);
        operation.deadline = self.deadline(now, timeout);
        let mut times: Vec<Now> = operation.deadline.iter().map(|(until, _)| *until).collect();
        if size > 1 {
            operation.probe = Some(now.saturating_add(self.config.probe_after));
            times.extend(operation.probe);
        }
        self.timers.extend(times.into_iter().map(|at| (at, context_id, number)));
        let context = self.contexts.get_mut(&context_id).expect("it is usable");
        context.calls.insert(number, operation);
        let early = context.early.remove(&number).unwrap_or_default();
        let (mut port, calls, ..) = context.split(&self.config, &self.gone, &mut self.outputs);
        let begun = calls.get_mut(&number).expect("it was inserted").begin(&mut port);
        self.after(now, context_id, number, begun);
        for (from, early) in early {
            match early {
                Early::Data(segment, body) => {
                    self.handle_data(now, context_id, from, segment, body);
                }
                Early::Ask(down) => self.handle_ask(context_id, (from, down), number),
                Early::Probe(theirs) => self.compare(context_id, from, number, &theirs),
            }
        }
        self.look_for_left(context_id, Some(number));
        Ok(())
    }

    /// Calls that were begun in a communicator: the number of the next one.
    pub fn calls_begun(&self, context: u64) -> u64 {
        self.contexts.get(&context).map_or(0, |context| context.next_call)
    }

    /// Starts to send a message of little-endian elements to one rank. The end comes when
    /// it is on its way, or not before a receive takes it.
    #[expect(clippy::too_many_arguments, reason = "all that a message is")]
    pub fn send(
        &mut self,
        now: Now,
        context: u64,
        to: usize,
        tag: u32,
        dtype: DType,
        bytes: Bytes,
        until_received: bool,
        timeout: Option<Duration>,
    ) -> OpId {
        let id = self.new_id();
        let deadline = self.deadline(now, timeout);
        let size = self.contexts.get(&context).map_or(0, |context| context.members.len());
        let there = || match to < size {
            true => Ok(()),
            false => Err(GroupError::Rank { rank: to, size }),
        };
        if let Err(error) = self.usable(context, u64::MAX).map(|_| ()).and_then(|()| there()) {
            self.outputs.push_back(Output::Finished { id, result: Err(error) });
            return id;
        }
        let left = self.has_left(context, to);
        self.at_points(context, |points, port| match left {
            true => points.finished.push((id, Err(has_left(to)))),
            false => points.send(id, to, tag, dtype, bytes, until_received, deadline, port),
        });
        id
    }

    /// Starts to receive a message, or to wait for one, from one rank or any, of one tag or
    /// any.
    pub fn receive(
        &mut self,
        now: Now,
        context: u64,
        from: Option<usize>,
        tag: Option<u32>,
        wanted: Wanted,
        timeout: Option<Duration>,
    ) -> OpId {
        let id = self.new_id();
        let deadline = self.deadline(now, timeout);
        if let Err(error) = self.receivable(context, from) {
            self.outputs.push_back(Output::Finished { id, result: Err(error) });
            return id;
        }
        let left = from.filter(|&from| self.has_left(context, from));
        self.at_points(context, |points, port| {
            let has_begun = false;
            points.receive(Receive { id, from, tag, wanted, deadline, has_begun }, port);
            if let Some(from) = left {
                points.lose(from, &has_left(from));
            }
        });
        id
    }

    /// What is known of the first message that a receive would be given now.
    ///
    /// # Errors
    /// As those of a receive.
    pub fn look(
        &mut self,
        context: u64,
        from: Option<usize>,
        tag: Option<u32>,
    ) -> Result<Option<Message>, GroupError> {
        self.receivable(context, from)?;
        let points = self.contexts.get(&context).map(|context| &context.points);
        Ok(points.and_then(|points| points.look(from, tag)))
    }

    /// Ends a receive with [`GroupError::Cancelled`] if no message has come for it. Whether
    /// it did; all other calls go on.
    pub fn cancel(&mut self, receive: OpId) -> bool {
        let mut cancelled = false;
        for id in self.contexts.keys().copied().collect::<Vec<_>>() {
            self.at_points(id, |points, _| cancelled |= points.cancel(receive));
        }
        cancelled
    }

    /// Whether a message may be received from a rank.
    fn receivable(&mut self, context: u64, from: Option<usize>) -> Result<(), GroupError> {
        let size = self.contexts.get(&context).map_or(0, |context| context.members.len());
        self.usable(context, u64::MAX)?;
        match from.filter(|&from| from >= size) {
            None => Ok(()),
            Some(rank) => Err(GroupError::Rank { rank, size }),
        }
    }

    /// A frame came from another rank of the group.
    pub fn handle_frame(&mut self, now: Now, from: usize, bytes: Bytes) {
        if self.gone.contains(&from) || self.expelled.is_some() {
            return;
        }
        let Some((head, body)) = parse(&bytes) else {
            return self.handle_lost(now, from, "it sent what is no frame".to_owned());
        };
        let id = match &head {
            Head::Dead { rank, reason } => {
                return self.hear_of_death(now, from, *rank as usize, reason);
            }
            Head::Bye => return self.handle_left(now, from),
            Head::Data(segment) => segment.context,
            Head::Point(segment) => segment.context,
            Head::Credit { context, .. }
            | Head::Ask { context, .. }
            | Head::Probe { context, .. }
            | Head::Abort { context, .. }
            | Head::Agree { context, .. }
            | Head::Close { context }
            | Head::PointCredit { context, .. }
            | Head::PointTaken { context, .. } => *context,
        };
        let Some(context) = self.contexts.get_mut(&id) else {
            return self.keep_unknown(now, id, from, bytes);
        };
        let Some(from) = context.rank_of(from) else {
            return self.handle_lost(now, from, "it spoke in a communicator of others".to_owned());
        };
        let call = match &head {
            Head::Data(segment) => segment.call,
            Head::Credit { call, .. } | Head::Ask { call, .. } => *call,
            Head::Probe { call, .. } | Head::Abort { call, .. } => *call,
            Head::Agree { .. } | Head::Dead { .. } | Head::Bye => 0,
            Head::Close { .. } => u64::MAX,
            Head::Point(_) | Head::PointCredit { .. } | Head::PointTaken { .. } => u64::MAX,
        };
        if context.failure_of(call).is_some()
            && !matches!(head, Head::Agree { .. } | Head::Close { .. })
        {
            return;
        }
        match head {
            Head::Data(segment) => {
                context.heard(from, segment.call);
                let call = segment.call;
                self.handle_data(now, id, from, segment, body);
                // What came may be to be sent to a rank that has left.
                self.look_for_left(id, Some(call));
            }
            Head::Credit { call, down, bytes, .. } => {
                context.heard(from, call);
                let (mut port, calls, ..) =
                    context.split(&self.config, &self.gone, &mut self.outputs);
                if let Some(operation) = calls.get_mut(&call) {
                    let result = operation.credit((from, down), bytes, &mut port);
                    self.after(now, id, call, result);
                }
                self.look_for_left(id, Some(call));
            }
            Head::Ask { call, down, .. } => self.handle_ask(id, (from, down), call),
            Head::Probe { call, signature, .. } => {
                context.heard(from, call);
                self.compare(id, from, call, &signature);
            }
            // Told on, so that it comes before the word that this rank leaves.
            Head::Abort { call, error, .. } => self.fail(id, call, error, true),
            Head::Agree { epoch, agree, .. } => self.handle_agree(now, id, from, epoch, agree),
            Head::Point(segment) => self.handle_point(id, from, segment, &body),
            Head::PointCredit { number, .. } => {
                self.at_points(id, |points, port| points.credit(from, number, port));
            }
            Head::PointTaken { bytes, .. } => {
                self.at_points(id, |points, _| points.taken(from, bytes));
            }
            Head::Close { .. } => {
                context.closed.insert(from);
                self.look_for_left(id, None);
                self.at_points(id, |points, _| points.lose(from, &has_left(from)));
                self.step_shrink(now, id);
            }
            Head::Dead { .. } | Head::Bye => {}
        }
    }

    /// Nothing more will come from a rank. If it did not say that it leaves, it is dead,
    /// which all others are told.
    pub fn handle_lost(&mut self, now: Now, peer: usize, reason: String) {
        if self.gone.contains(&peer) || self.expelled.is_some() || peer >= self.size {
            return;
        }
        self.gone.insert(peer);
        self.dead.insert(peer, reason.clone());
        self.outputs.push_back(Output::Abandon { peer });
        let head = Head::Dead { rank: peer as u32, reason: reason.clone() };
        for to in (0..self.size).filter(|to| *to != self.rank && !self.gone.contains(to)) {
            self.outputs.push_back(Output::Send { to, frame: Frame::new(&head, Bytes::new()) });
        }
        for id in self.contexts.keys().copied().collect::<Vec<_>>() {
            let Some(rank) = self.contexts[&id].rank_of(peer) else { continue };
            let error = GroupError::PeerLost { rank: rank as u32, reason: reason.clone() };
            self.fail(id, 0, error, false);
            self.step_shrink(now, id);
        }
    }

    /// The time of [`Group::poll_timeout`] has come. Does nothing before it.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(&timer) = self.timers.first().filter(|(at, ..)| *at <= now) {
            self.timers.remove(&timer);
            let (_, id, call) = timer;
            self.look_at_call(now, id, call);
        }
        for id in self.contexts.keys().copied().collect::<Vec<_>>() {
            let mut late = None;
            self.at_points(id, |points, port| late = points.expire(now, port));
            if let Some(error) = late {
                let next = self.calls_begun(id);
                self.fail(id, next, error, true);
            }
            self.expire_shrinks(now, id);
        }
    }

    fn look_at_call(&mut self, now: Now, id: u64, call: u64) {
        let Some(context) = self.contexts.get_mut(&id) else { return };
        let rank = context.rank as u32;
        let (mut port, calls, ..) = context.split(&self.config, &self.gone, &mut self.outputs);
        let Some(operation) = calls.get_mut(&call) else { return };
        if operation.probe.is_some_and(|at| at <= now) {
            operation.probe = None;
            let signature = operation.signature;
            port.send_all(&Head::Probe { context: id, call, signature });
        }
        if let Some((_, after)) = operation.deadline.filter(|(until, _)| *until <= now) {
            let own = operation.is_folding().then_some(rank);
            let waiting_for = operation.waits_for().into_iter().chain(own).collect();
            let what = operation.signature.to_string();
            let error = GroupError::Timeout { rank, call: what, after, waiting_for };
            self.fail(id, call, error, true);
        }
    }

    pub(super) fn new_id(&mut self) -> OpId {
        self.next_id += 1;
        self.next_id
    }

    /// A communicator that works for this call and has room.
    fn usable(&mut self, id: u64, call: u64) -> Result<&mut Context, GroupError> {
        let max = self.config.calls_max;
        if let Some(error) = &self.expelled {
            return Err(error.clone());
        }
        let context = self.contexts.get_mut(&id).ok_or(GroupError::Closed)?;
        if let Some(error) = context.failure_of(call) {
            return Err(error.clone());
        }
        match context.calls.len() + context.points.under_way() < max {
            true => Ok(context),
            false => Err(GroupError::Busy { max }),
        }
    }

    /// A call was worked on: it may have failed, or be done.
    pub(super) fn after(&mut self, now: Now, id: u64, call: u64, result: Result<(), GroupError>) {
        if let Err(error) = result {
            return self.fail(id, call, error, true);
        }
        let Some(context) = self.contexts.get_mut(&id) else { return };
        if context.calls.get(&call).is_some_and(Operation::is_done) {
            let operation = context.calls.remove(&call).expect("it is there");
            context.remember(call, operation.signature);
            self.forget_timers(id, call, &operation);
            let (op, kind) = (operation.id, operation.signature.kind);
            let answer = operation.into_answer();
            let result = match kind {
                Kind::Split => self.divide(now, id, call, &answer.blocks),
                _ => Ok(Outcome::Answer(answer)),
            };
            if let Err(error) = &result {
                self.fail(id, call, error.clone(), true);
            }
            self.outputs.push_back(Output::Finished { id: op, result });
        }
    }

    fn forget_timers(&mut self, id: u64, call: u64, operation: &Operation) {
        let deadline = operation.deadline.map(|(until, _)| until);
        for at in operation.probe.into_iter().chain(deadline) {
            self.timers.remove(&(at, id, call));
        }
    }

    /// A communicator gives no results from a call on; all others of it are told if
    /// `tell`. Calls before that one go on: whoever makes them late can still end them.
    pub(super) fn fail(&mut self, id: u64, from: u64, error: GroupError, tell: bool) {
        let Some(context) = self.contexts.get_mut(&id) else { return };
        if context.failure_of(from).is_some() {
            return;
        }
        context.failure = Some((from, error.clone()));
        context.early.split_off(&from);
        let calls = context.calls.split_off(&from);
        context.points.fail(&error);
        let points = std::mem::take(&mut context.points.finished);
        if tell {
            let (mut port, ..) = context.split(&self.config, &self.gone, &mut self.outputs);
            port.send_all(&Head::Abort { context: id, call: from, error: error.clone() });
        }
        for (call, operation) in calls {
            self.forget_timers(id, call, &operation);
            let result = Err(error.clone());
            self.outputs.push_back(Output::Finished { id: operation.id, result });
        }
        self.finish_points(points);
    }

    fn handle_data(&mut self, now: Now, id: u64, from: usize, segment: Segment, body: Bytes) {
        let call = segment.call;
        let Some(context) = self.contexts.get_mut(&id) else { return };
        if let Some(error) = context.mismatch(call, from, &segment.signature) {
            return self.fail(id, call, error, true);
        }
        let next = context.next_call;
        let (mut port, calls, ..) = context.split(&self.config, &self.gone, &mut self.outputs);
        match calls.get_mut(&call) {
            Some(operation) => {
                let result = operation.handle(from, segment, body, &mut port);
                self.after(now, id, call, result);
            }
            None if call >= next => {
                context.early.entry(call).or_default().push((from, Early::Data(segment, body)));
            }
            // A call that ended has taken all that it needs.
            None => {
                let what = "more than its call has".to_owned();
                self.fail(id, call, GroupError::Protocol { rank: from as u32, what }, true);
            }
        }
    }

    fn handle_ask(&mut self, id: u64, from: (usize, bool), call: u64) {
        let Some(context) = self.contexts.get_mut(&id) else { return };
        if call >= context.next_call {
            let (rank, down) = from;
            context.early.entry(call).or_default().push((rank, Early::Ask(down)));
            return;
        }
        let (mut port, calls, ..) = context.split(&self.config, &self.gone, &mut self.outputs);
        if let Some(operation) = calls.get_mut(&call) {
            operation.answer(from, &mut port);
        }
    }

    fn compare(&mut self, id: u64, from: usize, call: u64, theirs: &Signature) {
        let Some(context) = self.contexts.get_mut(&id) else { return };
        if call >= context.next_call {
            context.early.entry(call).or_default().push((from, Early::Probe(*theirs)));
        } else if let Some(error) = context.mismatch(call, from, theirs) {
            self.fail(id, call, error, true);
        }
    }

    fn handle_point(&mut self, id: u64, from: usize, segment: PointSegment, body: &Bytes) {
        let mut fits = true;
        self.at_points(id, |points, port| fits = points.handle(from, segment, body, port));
        if !fits {
            let what = "a message out of order".to_owned();
            let next = self.calls_begun(id);
            self.fail(id, next, GroupError::Protocol { rank: from as u32, what }, true);
        }
    }

    fn at_points(&mut self, id: u64, f: impl FnOnce(&mut points::Points, &mut Port<'_>)) {
        let Some(context) = self.contexts.get_mut(&id) else { return };
        let (mut port, _, points, _) = context.split(&self.config, &self.gone, &mut self.outputs);
        f(points, &mut port);
        let finished = std::mem::take(&mut points.finished);
        self.finish_points(finished);
    }

    fn finish_points(&mut self, finished: Vec<(OpId, Result<Message, GroupError>)>) {
        for (id, result) in finished {
            let result = result.map(Outcome::Message);
            self.outputs.push_back(Output::Finished { id, result });
        }
    }

    /// Frames for a communicator that is not made here yet wait for it.
    fn keep_unknown(&mut self, now: Now, id: u64, from: usize, bytes: Bytes) {
        if self.closed.contains(&id) {
            return;
        }
        let (contexts_max, frames_max) = UNKNOWN_MAX;
        let known = self.unknown.len();
        let frames = self.unknown.entry(id).or_default();
        frames.push((from, bytes));
        if known > contexts_max || frames.len() > frames_max {
            self.unknown.remove(&id);
            self.handle_lost(now, from, "it spoke in communicators that are not".to_owned());
        }
    }

    /// A rank leaves in peace: what needs it fails.
    fn handle_left(&mut self, now: Now, peer: usize) {
        self.left.insert(peer);
        self.gone.insert(peer);
        for id in self.contexts.keys().copied().collect::<Vec<_>>() {
            self.look_for_left(id, None);
            if let Some(rank) = self.contexts.get(&id).and_then(|context| context.rank_of(peer)) {
                self.at_points(id, |points, _| points.lose(rank, &has_left(rank)));
            }
            self.step_shrink(now, id);
        }
    }

    /// Why a communicator that a rank gave up for another is of no use: for the reason that
    /// the rank had, where it has one. Its calls from a later one on have failed then, of
    /// which all were told before.
    pub(super) fn given_up(&self, id: u64, rank: usize) -> GroupError {
        let known = self.contexts.get(&id).and_then(|context| context.failure.as_ref());
        known.map_or_else(
            || GroupError::PeerLost {
                rank: rank as u32,
                reason: "it went over to another communicator by shrink()".to_owned(),
            },
            |(_, error)| error.clone(),
        )
    }

    /// Whether a rank of a communicator says nothing more in it.
    fn has_left(&self, id: u64, rank: usize) -> bool {
        self.contexts.get(&id).is_some_and(|context| {
            context.closed.contains(&rank) || self.gone.contains(&context.members[rank])
        })
    }

    /// Fails a communicator in which a call waits for a rank that has left.
    fn look_for_left(&mut self, id: u64, only: Option<u64>) {
        let Some(context) = self.contexts.get(&id) else { return };
        if self.left.is_empty() && context.closed.is_empty() {
            return;
        }
        let calls = context.calls.iter().filter(|(call, _)| only.is_none_or(|one| one == **call));
        let left = |rank: &u32| {
            let rank = *rank as usize;
            self.left.contains(&context.members[rank]) || context.closed.contains(&rank)
        };
        let waits = |operation: &Operation| operation.waits_for().into_iter().find(left);
        let found = calls.into_iter().find_map(|(call, one)| Some((*call, waits(one)?)));
        if let Some((call, rank)) = found {
            self.fail(id, call, has_left(rank as usize), true);
        }
    }

    /// Another rank says that one is dead.
    fn hear_of_death(&mut self, now: Now, from: usize, rank: usize, reason: &str) {
        if rank != self.rank {
            return self.handle_lost(now, rank, format!("{reason} (as rank {from} found)"));
        }
        let error = GroupError::Expelled { reason: format!("rank {from}: {reason}") };
        for id in self.contexts.keys().copied().collect::<Vec<_>>() {
            self.fail(id, 0, error.clone(), false);
            let Some(context) = self.contexts.get_mut(&id) else { continue };
            while let Some(id) = context.shrink.next_waiting() {
                let result = Err(error.clone());
                self.outputs.push_back(Output::Finished { id, result });
            }
        }
        self.expelled = Some(error);
    }
}

fn has_left(rank: usize) -> GroupError {
    GroupError::PeerLost { rank: rank as u32, reason: "it left".to_owned() }
}
