//! SQS at its plainest: every rule looks through all messages.

use std::collections::BTreeSet;

use forescale::sqs::statistics::PARTS;
use forescale::sqs::{Counters, Deleted, Depth, MAX_VISIBILITY, NewAttributes, SqsError};
use forescale::time::{Duration, Time};

/// Deduplication ids and receive attempts live this long.
const FIVE_MINUTES: Duration = Duration::from_mins(5);

/// How messages are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Standard,
    Fair,
    Fifo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Delayed,
    Visible,
    InFlight,
}

#[derive(Clone, Debug)]
pub struct Message {
    pub id: u64,
    pub queue: usize,
    pub order: u64,
    pub group: Option<u32>,
    pub size: u64,
    pub sent: Time,
    pub aged_from: Time,
    pub state: State,
    pub deadline: Time,
    requested: Time,
    pub receives: u32,
    /// Number of the receive that got it last; 0 = none here.
    pub handle: u64,
    /// Of equal deadlines the one that was set first comes first.
    turn: u64,
}

/// The three numbers that make a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    pub id: u64,
    pub number: u64,
}

#[derive(Clone, Debug, Default)]
struct Tenant {
    /// Visible messages in their order.
    line: Vec<u64>,
    in_flight: u64,
    noisy: bool,
    last_send: Time,
    busy: Fading,
}

/// Seconds of processing that fade within a minute.
#[derive(Clone, Copy, Debug, Default)]
struct Fading {
    seconds: f64,
    at: Time,
}

impl Fading {
    fn at(&self, now: Time) -> f64 {
        self.seconds * (-now.since(self.at).as_secs_f64() / 60.0).exp()
    }

    fn add(&mut self, now: Time, held: Duration) {
        *self = Fading { seconds: self.at(now) + held.as_secs_f64(), at: now };
    }
}

#[derive(Clone, Debug)]
pub struct Queue {
    pub kind: Kind,
    pub visibility: Duration,
    pub delay: Duration,
    pub retention: Duration,
    /// maxReceiveCount and the place of the dead-letter queue.
    pub redrive: Option<(u32, usize)>,
    pub limit: u64,
    pub look_ahead: usize,
    pub size: u64,
    pub exists: bool,
    pub counters: Counters,
    last_purge: Option<Time>,
    known: Vec<(u64, Time)>,
    attempts: Vec<(u64, Time, Vec<Handle>)>,
    /// Rate, start and next step of a move task.
    moving: Option<(u32, Time, Time)>,
    next: u64,
    /// Waits and sojourns, in microseconds.
    pub waits: Vec<i64>,
    pub sojourns: Vec<i64>,
    /// Depths with the instants at which they were reached.
    pub history: Vec<(Time, Depth)>,
    /// Group 0 = no group.
    tenants: Vec<Tenant>,
    all_busy: Fading,
}

impl Queue {
    pub fn new(kind: Kind) -> Self {
        Queue {
            kind,
            visibility: Duration::from_secs(30),
            delay: Duration::ZERO,
            retention: Duration::from_hours(96),
            redrive: None,
            limit: 120_000,
            look_ahead: 120_000,
            size: 1024,
            exists: true,
            counters: Counters::default(),
            last_purge: None,
            known: Vec::new(),
            attempts: Vec::new(),
            moving: None,
            next: 0,
            waits: Vec::new(),
            sojourns: Vec::new(),
            history: vec![(Time::ZERO, Depth::default())],
            tenants: vec![Tenant::default(); 10],
            all_busy: Fading::default(),
        }
    }
}

/// Parts of a billed request: a call costs one for every 64 KiB, shared by its messages.
fn parts(bytes: u64, batch: u64) -> u64 {
    (bytes * batch).div_ceil(65_536).max(1) * PARTS / batch
}

/// All queues.
pub struct Model {
    pub queues: Vec<Queue>,
    pub messages: Vec<Message>,
    handles: u64,
    /// Queues with something new by a timer or a move.
    pub woken: BTreeSet<u16>,
}

impl Model {
    pub fn new(queues: Vec<Queue>) -> Self {
        Model { queues, messages: Vec::new(), handles: 0, woken: BTreeSet::new() }
    }

    pub fn depth(&self, queue: usize) -> Depth {
        let count = |state| self.messages.iter().filter(|m| m.queue == queue && m.state == state).count() as u64;
        Depth { visible: count(State::Visible), in_flight: count(State::InFlight), delayed: count(State::Delayed) }
    }

    fn note(&mut self, now: Time, queue: usize) {
        let depth = self.depth(queue);
        self.queues[queue].history.push((now, depth));
    }

    fn place(&self, id: u64) -> usize {
        self.messages.iter().position(|message| message.id == id).expect("it is there")
    }

    fn of_queue(&self, queue: usize) -> Vec<&Message> {
        let mut all: Vec<&Message> = self.messages.iter().filter(|message| message.queue == queue).collect();
        all.sort_by_key(|message| message.order);
        all
    }

    // ---- what happens by itself ----

    pub fn advance(&mut self, now: Time) {
        loop {
            let hidden = self.messages.iter().filter(|message| message.state != State::Visible);
            let visible = hidden.map(|message| (message.deadline, 0, message.turn, message.id));
            let end = |message: &Message| (message.sent + self.queues[message.queue].retention).max(message.aged_from);
            let too_old = self.messages.iter().map(|message| (end(message), 1, message.order, message.id));
            let steps = self.queues.iter().enumerate();
            let steps = steps.filter_map(|(place, queue)| queue.moving.map(|(_, _, next)| (next, 2, 0, place as u64)));
            let Some((at, what, _, which)) =
                visible.chain(too_old).chain(steps).min().filter(|(at, _, _, _)| *at <= now)
            else {
                return;
            };
            match what {
                0 => self.appears(at, which),
                1 => {
                    let queue = self.messages[self.place(which)].queue;
                    self.queues[queue].counters.retention_expired += 1;
                    self.remove(at, which);
                    self.woken.insert(queue as u16);
                }
                _ => self.move_step(at, which as usize),
            }
        }
    }

    fn appears(&mut self, now: Time, id: u64) {
        let place = self.place(id);
        let queue = self.messages[place].queue;
        if self.messages[place].state == State::InFlight {
            self.queues[queue].counters.visibility_expired += 1;
            self.put_back(now, id);
        } else {
            self.messages[place].state = State::Visible;
            self.join_line(id, false);
            self.note(now, queue);
        }
        self.woken.insert(queue as u16);
    }

    fn put_back(&mut self, now: Time, id: u64) {
        let place = self.place(id);
        self.messages[place].state = State::Visible;
        self.leave_flight(now, id);
        self.join_line(id, true);
        let queue = self.messages[place].queue;
        self.note(now, queue);
    }

    fn remove(&mut self, now: Time, id: u64) {
        let place = self.place(id);
        let queue = self.messages[place].queue;
        self.leave_line(id);
        if self.messages[place].state == State::InFlight {
            self.leave_flight(now, id);
        }
        self.messages.remove(place);
        self.note(now, queue);
    }

    // ---- fair queues ----

    fn tenant(&mut self, id: u64) -> Option<(usize, usize)> {
        let message = &self.messages[self.place(id)];
        let fair = self.queues[message.queue].kind == Kind::Fair;
        fair.then(|| (message.queue, message.group.map_or(0, |group| group as usize + 1)))
    }

    fn join_line(&mut self, id: u64, front: bool) {
        let Some((queue, tenant)) = self.tenant(id) else { return };
        let line = &mut self.queues[queue].tenants[tenant].line;
        let at = if front { 0 } else { line.len() };
        line.insert(at, id);
    }

    fn leave_line(&mut self, id: u64) {
        if let Some((queue, tenant)) = self.tenant(id) {
            self.queues[queue].tenants[tenant].line.retain(|other| *other != id);
        }
    }

    fn leave_flight(&mut self, now: Time, id: u64) {
        let held = now.since(self.messages[self.place(id)].requested);
        if let Some((place, tenant)) = self.tenant(id) {
            let queue = &mut self.queues[place];
            queue.all_busy.add(now, held);
            queue.tenants[tenant].in_flight -= 1;
            queue.tenants[tenant].busy.add(now, held);
            queue.judge(now, tenant);
        }
    }

    // ---- calls ----

    pub fn send(
        &mut self,
        now: Time,
        at: usize,
        group: Option<u32>,
        delay: Option<Duration>,
        dedup: Option<u64>,
        size: u64,
        batch: u64,
    ) -> Result<Option<u64>, SqsError> {
        self.advance(now);
        if !self.queues[at].exists {
            return Err(SqsError::NonExistentQueue);
        }
        let queue = &self.queues[at];
        let delay = delay.filter(|_| queue.kind != Kind::Fifo).unwrap_or(queue.delay);
        Ok(self.accept(now, at, group, delay, dedup, size, batch))
    }

    fn accept(
        &mut self,
        now: Time,
        at: usize,
        group: Option<u32>,
        delay: Duration,
        dedup: Option<u64>,
        size: u64,
        batch: u64,
    ) -> Option<u64> {
        let queue = &mut self.queues[at];
        let size = if size == 0 { queue.size } else { size };
        if queue.kind == Kind::Fair {
            queue.tenants[group.map_or(0, |group| group as usize + 1)].last_send = now;
        }
        queue.counters.requests.send_parts += parts(size, batch);
        if let Some(dedup) = dedup {
            queue.known.retain(|(_, since)| *since + FIVE_MINUTES > now);
            if queue.known.iter().any(|(known, _)| *known == dedup) {
                queue.counters.deduplicated += 1;
                return None;
            }
            queue.known.push((dedup, now));
        }
        queue.counters.sent += 1;
        let id = ((at as u64) << 44) + queue.next;
        queue.next += 1;
        let order = self.handles;
        self.handles += 1;
        let delayed = delay > Duration::ZERO;
        self.messages.push(Message {
            id,
            queue: at,
            order,
            group: if self.queues[at].kind == Kind::Fifo { Some(group.unwrap_or(0)) } else { group },
            size,
            sent: now,
            aged_from: now,
            state: if delayed { State::Delayed } else { State::Visible },
            deadline: now + delay,
            requested: Time::ZERO,
            receives: 0,
            handle: 0,
            turn: order,
        });
        if !delayed {
            self.join_line(id, false);
        }
        self.note(now, at);
        Some(id)
    }

    /// ReceiveMessage: the handles of what it gets.
    pub fn receive(
        &mut self,
        now: Time,
        at: usize,
        max: u64,
        long: bool,
        visibility: Option<Duration>,
        requested: Time,
        attempt: Option<u64>,
    ) -> Result<Vec<Handle>, SqsError> {
        self.advance(now);
        let fifo = self.queues[at].kind == Kind::Fifo;
        if !self.queues[at].exists {
            return Err(SqsError::NonExistentQueue);
        }
        if let Some(again) = attempt.filter(|_| fifo).and_then(|attempt| self.repeat(now, at, attempt, visibility)) {
            return Ok(again);
        }
        let room = self.queues[at].limit.saturating_sub(self.depth(at).in_flight);
        if room == 0 && !long && !fifo {
            self.queues[at].counters.over_limit += 1;
            return Err(SqsError::OverLimit);
        }
        let mut got = Vec::new();
        let mut bytes = 0;
        let mut buried = Vec::new();
        let mut group = None;
        let some = self.depth(at).visible > 0;
        while some && (got.len() as u64) < max.min(room) {
            let Some(id) = self.next(now, at, &mut group) else { break };
            let place = self.place(id);
            if self.queues[at].redrive.is_some_and(|(limit, _)| self.messages[place].receives >= limit) {
                let gone = self.messages.remove(place);
                buried.push(gone);
                self.note(now, at);
                continue;
            }
            let timeout = visibility.unwrap_or(self.queues[at].visibility);
            got.push(self.deliver(now, at, id, timeout, requested));
            bytes += self.messages[self.place(id)].size;
        }
        for message in buried {
            self.bury(now, at, message);
        }
        let queue = &mut self.queues[at];
        queue.counters.requests.receive_parts += parts(bytes, 1);
        queue.counters.empty_receives += u64::from(got.is_empty());
        if let Some(attempt) = attempt.filter(|_| fifo && !got.is_empty()) {
            queue.attempts.retain(|(known, _, _)| *known != attempt);
            queue.attempts.push((attempt, now, got.clone()));
        }
        Ok(got)
    }

    fn repeat(&mut self, now: Time, at: usize, attempt: u64, visibility: Option<Duration>) -> Option<Vec<Handle>> {
        let timeout = visibility.unwrap_or(self.queues[at].visibility);
        let recent = |(known, since, _): &&(u64, Time, Vec<Handle>)| *known == attempt && *since + FIVE_MINUTES > now;
        let handles = self.queues[at].attempts.iter().find(recent)?.2.clone();
        let held = |handle: &Handle| {
            let message = self.messages.iter().find(|message| message.id == handle.id);
            message.is_some_and(|message| message.handle == handle.number && message.state == State::InFlight)
        };
        if !handles.iter().all(held) {
            return None;
        }
        let mut bytes = 0;
        for handle in &handles {
            let place = self.place(handle.id);
            self.handles += 1;
            let message = &mut self.messages[place];
            message.deadline = (now + timeout).min(message.requested + MAX_VISIBILITY);
            message.turn = self.handles;
            bytes += message.size;
        }
        self.queues[at].counters.requests.receive_parts += parts(bytes, 1);
        Some(handles)
    }

    /// The message that a receive gets next. `group`: FIFO, the group whose run it is in.
    fn next(&mut self, now: Time, at: usize, group: &mut Option<(u32, u64)>) -> Option<u64> {
        match self.queues[at].kind {
            Kind::Standard => self.of_queue(at).iter().find(|message| message.state == State::Visible).map(|m| m.id),
            Kind::Fair => self.queues[at].next_of_tenants(now, &self.messages),
            Kind::Fifo => {
                let all = self.of_queue(at);
                let within = &all[..all.len().min(self.queues[at].look_ahead)];
                let of = |group: u32| all.iter().filter(move |message| message.group == Some(group));
                let id = group
                    .and_then(|(group, last)| of(group).find(|message| message.order > last))
                    .filter(|message| message.state == State::Visible && within.iter().any(|m| m.id == message.id))
                    .or_else(|| {
                        let mut heads = within.iter().filter(|message| {
                            of(message.group.unwrap_or(0)).next().is_some_and(|first| first.id == message.id)
                        });
                        heads.find(|message| message.state == State::Visible)
                    })?;
                *group = Some((id.group.unwrap_or(0), id.order));
                Some(id.id)
            }
        }
    }

    fn deliver(&mut self, now: Time, at: usize, id: u64, timeout: Duration, requested: Time) -> Handle {
        self.handles += 1;
        let number = self.handles;
        let place = self.place(id);
        let message = &mut self.messages[place];
        message.receives += 1;
        (message.handle, message.turn) = (number, number);
        message.state = State::InFlight;
        message.requested = requested;
        message.deadline = (now + timeout).min(requested + MAX_VISIBILITY);
        let (receives, wait) = (message.receives, now.since(message.sent).as_micros());
        let queue = &mut self.queues[at];
        queue.counters.received += 1;
        if receives == 1 {
            queue.waits.push(wait);
        } else {
            queue.counters.redelivered += 1;
        }
        if let Some((place, tenant)) = self.tenant(id) {
            let queue = &mut self.queues[place];
            queue.tenants[tenant].in_flight += 1;
            queue.judge(now, tenant);
        }
        self.note(now, at);
        Handle { id, number }
    }

    fn bury(&mut self, now: Time, from: usize, mut message: Message) {
        let Some((_, to)) = self.queues[from].redrive else { return };
        self.queues[from].counters.dead_lettered += 1;
        self.queues[to].counters.dead_letters += 1;
        let fifo = self.queues[to].kind == Kind::Fifo;
        message.queue = to;
        message.order = self.handles;
        self.handles += 1;
        message.aged_from = now;
        message.sent = if fifo { now } else { message.sent };
        message.group = if fifo { Some(message.group.unwrap_or(0)) } else { message.group };
        message.handle = 0;
        message.state = State::Visible;
        let id = message.id;
        self.messages.push(message);
        self.join_line(id, false);
        self.note(now, to);
        self.woken.insert(to as u16);
    }

    pub fn delete(&mut self, now: Time, at: usize, handle: Handle, batch: u64) -> Result<Deleted, SqsError> {
        self.advance(now);
        if !self.queues[at].exists {
            return Err(SqsError::NonExistentQueue);
        }
        let fifo = self.queues[at].kind == Kind::Fifo;
        let message = self.messages.iter().find(|message| message.id == handle.id).cloned();
        let counters = &mut self.queues[at].counters;
        counters.requests.delete_parts += parts(0, batch);
        let latest = message.as_ref().is_some_and(|message| message.handle == handle.number);
        if fifo && message.as_ref().is_some_and(|message| !latest || message.state != State::InFlight) {
            counters.late_deletes += 1;
            return Err(SqsError::ReceiptExpired);
        }
        let Some(message) = message.as_ref().filter(|_| latest) else {
            counters.late_deletes += 1;
            return Ok(if message.is_some() { Deleted::Kept } else { Deleted::Nothing });
        };
        counters.deleted += 1;
        self.queues[at].sojourns.push(now.since(message.sent).as_micros());
        self.remove(now, handle.id);
        Ok(Deleted::Gone)
    }

    pub fn change(&mut self, now: Time, at: usize, handle: Handle, timeout: Duration) -> Result<(), SqsError> {
        self.advance(now);
        if !self.queues[at].exists {
            return Err(SqsError::NonExistentQueue);
        }
        self.queues[at].counters.requests.change_visibility_parts += PARTS;
        let fifo = self.queues[at].kind == Kind::Fifo;
        let message = self.messages.iter_mut().find(|message| message.id == handle.id);
        let message = message.ok_or(SqsError::NoSuchMessage)?;
        if message.handle != handle.number || message.state != State::InFlight {
            return if fifo { Err(SqsError::ReceiptExpired) } else { Ok(()) };
        }
        if now + timeout > message.requested + MAX_VISIBILITY {
            return Err(SqsError::BeyondTwelveHours);
        }
        if message.deadline != now + timeout {
            self.handles += 1;
            (message.deadline, message.turn) = (now + timeout, self.handles);
        }
        if timeout == Duration::ZERO {
            self.queues[at].counters.released += 1;
            self.put_back(now, handle.id);
        }
        Ok(())
    }

    pub fn purge(&mut self, now: Time, at: usize) -> Result<(), SqsError> {
        self.advance(now);
        if !self.queues[at].exists {
            return Err(SqsError::NonExistentQueue);
        }
        if self.queues[at].last_purge.is_some_and(|last| now.since(last) < Duration::from_secs(60)) {
            return Err(SqsError::PurgeInProgress);
        }
        self.queues[at].last_purge = Some(now);
        self.empty(now, at);
        Ok(())
    }

    fn empty(&mut self, now: Time, at: usize) {
        self.queues[at].known.clear();
        let all: Vec<u64> = self.of_queue(at).iter().map(|message| message.id).collect();
        for id in all {
            self.queues[at].counters.purged += 1;
            self.remove(now, id);
        }
    }

    pub fn delete_queue(&mut self, now: Time, at: usize) {
        self.advance(now);
        self.empty(now, at);
        self.queues[at].exists = false;
    }

    pub fn create_queue(&mut self, now: Time, at: usize) {
        self.advance(now);
        self.queues[at].exists = true;
    }

    pub fn set(&mut self, now: Time, at: usize, new: &NewAttributes) {
        self.advance(now);
        let queue = &mut self.queues[at];
        queue.visibility = new.visibility_timeout.unwrap_or(queue.visibility);
        queue.delay = new.delay.unwrap_or(queue.delay);
        queue.retention = new.retention.unwrap_or(queue.retention);
        queue.redrive = queue.redrive.map(|(max, to)| (new.max_receive_count.unwrap_or(max), to));
        if queue.kind == Kind::Fifo && new.delay.is_some() {
            let delay = queue.delay;
            let delayed = self.messages.iter_mut().filter(|m| m.queue == at && m.state == State::Delayed);
            delayed.for_each(|message| message.deadline = (message.sent + delay).max(now));
        }
        // What is too old by the new retention goes now.
        let retention = self.queues[at].retention;
        let old: Vec<u64> = self.of_queue(at).iter().filter(|m| m.sent + retention <= now).map(|m| m.id).collect();
        for id in old {
            self.queues[at].counters.retention_expired += 1;
            self.remove(now, id);
            self.woken.insert(at as u16);
        }
        self.advance(now);
    }

    // ---- move tasks ----

    pub fn start_move(&mut self, now: Time, at: usize, rate: u32) -> Result<(), SqsError> {
        self.advance(now);
        if !self.queues[at].exists {
            return Err(SqsError::NonExistentQueue);
        }
        let has_source = self.queues.iter().any(|queue| queue.redrive.is_some_and(|(_, to)| to == at));
        if self.queues[at].moving.is_some() || !has_source {
            return Err(SqsError::NoMove);
        }
        self.queues[at].moving = Some((rate.clamp(1, 500), now, now));
        self.advance(now);
        Ok(())
    }

    pub fn is_moving(&self, at: usize) -> bool {
        self.queues[at].moving.is_some()
    }

    /// Ten steps a second, or as many as messages where these are fewer.
    fn move_step(&mut self, now: Time, at: usize) {
        let (rate, started, _) = self.queues[at].moving.expect("a move task");
        let (count, micros) = if rate < 10 { (1, 1_000_000 / i64::from(rate)) } else { (rate / 10, 100_000) };
        for _ in 0..count {
            let some = self.depth(at).visible > 0;
            let Some(id) = some.then(|| self.next(now, at, &mut None)).flatten() else {
                self.queues[at].moving = None;
                return;
            };
            let message = self.messages[self.place(id)].clone();
            self.remove(now, id);
            let counters = &mut self.queues[at].counters;
            counters.redriven += 1;
            counters.requests.receive_parts += PARTS / 10;
            counters.requests.delete_parts += PARTS / 10;
            let leads_here = |queue: usize| self.queues[queue].redrive.is_some_and(|(_, to)| to == at);
            let origin = Some((message.id >> 44) as usize).filter(|origin| leads_here(*origin));
            let target = origin.or_else(|| (0..self.queues.len()).find(|queue| leads_here(*queue)));
            if let Some(target) = target.filter(|target| self.queues[*target].exists) {
                self.accept(now, target, message.group, Duration::ZERO, None, message.size, 10);
                self.woken.insert(target as u16);
            }
        }
        let on = now.since(started) < Duration::from_hours(36);
        self.queues[at].moving = on.then_some((rate, started, now + Duration::from_micros(micros)));
    }

    // ---- what is asked ----

    pub fn deliverable(&mut self, now: Time, at: usize) -> bool {
        let (queue, depth) = (&self.queues[at], self.depth(at));
        let some = match queue.kind {
            Kind::Fifo => self.next(now, at, &mut None).is_some(),
            _ => depth.visible > 0,
        };
        self.queues[at].exists && depth.in_flight < self.queues[at].limit && some
    }

    pub fn age(&self, now: Time, at: usize) -> Duration {
        self.of_queue(at).first().map_or(Duration::ZERO, |message| now.since(message.aged_from))
    }

    /// FIFO: groups with a message in flight.
    pub fn busy_groups(&self, at: usize) -> BTreeSet<Option<u32>> {
        let in_flight = self.messages.iter().filter(|m| m.queue == at && m.state == State::InFlight);
        in_flight.map(|message| message.group).collect()
    }

    /// FIFO: visible messages that cannot be received.
    pub fn blocked(&mut self, now: Time, at: usize) -> u64 {
        if self.queues[at].kind != Kind::Fifo {
            return 0;
        }
        let visible = self.depth(at).visible;
        if self.next(now, at, &mut None).is_none() {
            return visible;
        }
        let busy = self.busy_groups(at);
        let behind = |m: &&Message| m.queue == at && m.state != State::InFlight && busy.contains(&m.group);
        (self.messages.iter().filter(behind).count() as u64).min(visible)
    }

    pub fn is_noisy(&self, at: usize, group: u32) -> bool {
        self.queues[at].kind == Kind::Fair && self.queues[at].tenants[group as usize + 1].noisy
    }

    /// Messages of its first queue sent before it that wait, never received; and sent after it that do not.
    pub fn overtaken(&self, id: u64) -> (u64, u64) {
        let never = |m: &&Message| m.id >> 44 == id >> 44 && m.receives == 0;
        let earlier = self.messages.iter().filter(never).filter(|m| m.id < id).count() as u64;
        let later = self.messages.iter().filter(never).filter(|m| m.id > id).count() as u64;
        let first = (id >> 44) << 44;
        (earlier, self.queues[(id >> 44) as usize].next - (id - first) - 1 - later)
    }

    pub fn was_sent(&self, id: u64) -> bool {
        self.queues.get((id >> 44) as usize).is_some_and(|queue| id & ((1 << 44) - 1) < queue.next)
    }
}

impl Queue {
    /// Noisy: in the last five minutes it sent something, and it holds more than a tenth of what is in flight (of thirty messages
    /// or more) or of the recent processing time, or it was noisy and its backlog is not worked off.
    fn judge(&mut self, now: Time, tenant: usize) {
        if tenant == 0 {
            return;
        }
        let in_flight: u64 = self.tenants.iter().map(|tenant| tenant.in_flight).sum();
        let (all, one) = (self.all_busy.at(now), &mut self.tenants[tenant]);
        let by_flight = one.in_flight >= 30 && one.in_flight as f64 > 0.1 * in_flight as f64;
        let by_time = all > 0.0 && one.busy.at(now) > 0.1 * all;
        let backlog = one.noisy && !one.line.is_empty();
        one.noisy = now.since(one.last_send) < FIVE_MINUTES && (by_flight || by_time || backlog);
    }

    /// The oldest of the quiet tenants, else the first of the noisy one with the fewest in flight.
    fn next_of_tenants(&mut self, now: Time, messages: &[Message]) -> Option<u64> {
        for tenant in 0..self.tenants.len() {
            if self.tenants[tenant].noisy {
                self.judge(now, tenant);
            }
        }
        let order = |id: u64| messages.iter().find(|message| message.id == id).map(|message| message.order);
        let waiting: Vec<usize> = (0..self.tenants.len()).filter(|t| !self.tenants[*t].line.is_empty()).collect();
        let quiet = waiting.iter().copied().filter(|tenant| !self.tenants[*tenant].noisy);
        let tenant = quiet
            .min_by_key(|tenant| order(self.tenants[*tenant].line[0]))
            .or_else(|| waiting.iter().copied().min_by_key(|tenant| (self.tenants[*tenant].in_flight, *tenant)))?;
        let id = self.tenants[tenant].line.remove(0);
        self.judge(now, tenant);
        Some(id)
    }
}
