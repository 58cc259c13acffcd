//! The queues against the plainest model of them (`model.rs`): the same calls must have the same answers and leave the same behind.

mod model;

use forescale::api::decode::{Decode, Problems};
use forescale::engine::Streams;
use forescale::engine::law::Violations;
use forescale::scenario::queues::QueueSpec;
use forescale::sqs::{
    Depth, Extremes, NewAttributes, Place, QueueId, QueueSettings, Receipt, ReceiveMessage, Received, SendMessage,
    Sent, Sqs,
};
use forescale::time::{Duration, Time};
use model::{Handle, Kind, Message, Model, Queue, State};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Call {
    Wait {
        micros: i64,
    },
    Send {
        group: Option<u32>,
        delay: Option<i64>,
        dedup: Option<u64>,
        size: u32,
        batch: u32,
        count: usize,
    },
    Receive {
        dlq: bool,
        max: u32,
        long: bool,
        visibility: Option<i64>,
        earlier: i64,
        attempt: Option<u64>,
        armed: bool,
    },
    Delete {
        which: usize,
        batch: u32,
    },
    Change {
        which: usize,
        timeout: i64,
    },
    Copy {
        which: usize,
    },
    Set {
        visibility: Option<i64>,
        delay: Option<i64>,
        retention: Option<i64>,
        max: Option<u32>,
    },
    Move {
        dlq: bool,
        rate: u32,
    },
    Purge,
    DeleteQueue,
    CreateQueue,
    Ask,
}

/// Timeouts have odd fractions of seconds, so that no two things happen by themselves at one instant.
fn seconds(number: i64) -> Duration {
    Duration::from_micros(number * 1_000_000 + 37_003)
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let group = || prop_oneof![1 => Just(None), 4 => (0_u32..5).prop_map(Some)];
    let some = |range: std::ops::Range<i64>| prop_oneof![2 => Just(None), 1 => range.prop_map(Some)];
    let size = || prop_oneof![3 => Just(0_u32), 1 => prop_oneof![Just(65_536_u32), Just(65_537), Just(200_000)]];
    let send = (group(), some(0..30), some(0..4), size(), 1_u32..=10, prop_oneof![6 => 1_usize..4, 1 => 20_usize..60]);
    let receive = (
        (prop::bool::weighted(0.2), 1_u32..=10, any::<bool>(), some(0..50_000), 0_i64..20),
        (some(0..3), any::<bool>()),
    );
    let set = (some(0..60), some(0..40), some(20..400), some(1..5));
    let call = prop_oneof![
        20 => prop_oneof![8 => 1_i64..20_000_000, 1 => 1_i64..400_000_000].prop_map(|micros| Call::Wait { micros }),
        20 => send.prop_map(|(group, delay, dedup, size, batch, count)| Call::Send {
            group, delay, dedup: dedup.map(|dedup| dedup as u64), size, batch, count,
        }),
        30 => receive.prop_map(|((dlq, max, long, visibility, earlier), (attempt, armed))| Call::Receive {
            dlq, max, long, visibility, earlier, attempt: attempt.map(|attempt| attempt as u64), armed,
        }),
        14 => (any::<usize>(), 1_u32..=10).prop_map(|(which, batch)| Call::Delete { which, batch }),
        8 => (any::<usize>(), prop_oneof![3 => 0_i64..60, 1 => 43_000_i64..43_400])
            .prop_map(|(which, timeout)| Call::Change { which, timeout }),
        2 => any::<usize>().prop_map(|which| Call::Copy { which }),
        2 => set.prop_map(|(visibility, delay, retention, max)| Call::Set {
            visibility,
            delay,
            // Only one of them may end something at once.
            retention: retention.filter(|_| delay.is_none()),
            max: max.map(|max| max as u32),
        }),
        3 => (prop::bool::weighted(0.9), prop_oneof![1_u32..20, 400_u32..700]).prop_map(|(dlq, rate)| Call::Move { dlq, rate }),
        1 => Just(Call::Purge),
        1 => prop_oneof![1 => Just(Call::DeleteQueue), 3 => Just(Call::CreateQueue)],
        4 => Just(Call::Ask),
    ];
    prop::collection::vec(call, 1..120)
}

/// Both sides, and what the test keeps of its receipts.
struct Both {
    sqs: Sqs,
    model: Model,
    receipts: Vec<(usize, Receipt, Handle)>,
    /// All that was received.
    received: Vec<Received>,
    sent: Vec<u64>,
    now: Time,
    /// Where the windows of the counts began, by queue: the place in the model's history.
    looked: [usize; 2],
}

fn both(kind: Kind, retention: i64, limit: u64) -> Both {
    let text = match kind {
        Kind::Standard => "name = 'q'",
        Kind::Fair => "name = 'q'\nfair = true",
        Kind::Fifo => "name = 'q.fifo'\nfifo = true\nlookAhead = 12",
    };
    let text =
        format!("{text}\nservice = 'moto'\nmaxReceiveCount = 3\ninFlightLimit = {limit}\nretention = '{retention}s'");
    let mut problems = Problems::default();
    let node = forescale::scenario::toml::parse(&text, 0, &mut problems);
    let spec = QueueSpec::decode(&node, &mut problems).unwrap_or_else(|| panic!("{problems:?}"));
    let mut settings = QueueSettings::from_specs(&[spec]);
    settings[1].retention = Duration::from_secs(500) + Duration::from_micros(511_117);
    settings[0].retention += Duration::from_micros(513_019);
    settings[0].visibility_timeout = seconds(30);
    settings[1].visibility_timeout = seconds(30);
    let mut queues = [Queue::new(kind), Queue::new(kind)];
    for (queue, settings) in queues.iter_mut().zip(&settings) {
        queue.retention = settings.retention;
        queue.visibility = settings.visibility_timeout;
        queue.limit = limit;
        queue.look_ahead = if kind == Kind::Fifo { 12 } else { queue.look_ahead };
    }
    queues[0].redrive = Some((3, 1));
    Both {
        sqs: Sqs::new(settings, &Streams::new(1, 0)),
        model: Model::new(queues.into()),
        receipts: Vec::new(),
        received: Vec::new(),
        sent: Vec::new(),
        now: Time::ZERO,
        looked: [0; 2],
    }
}

impl Both {
    fn play(&mut self, call: &Call) -> Result<(), TestCaseError> {
        let (now, q, id) = (self.now, 0, QueueId(0));
        match *call {
            Call::Wait { micros } => {
                self.now += Duration::from_micros(micros);
                self.model.advance(self.now);
                // Timers are done one by one, as the simulation does, or all at once.
                while micros % 2 == 0 && self.sqs.next_timer() <= self.now {
                    let next = self.sqs.next_timer();
                    self.sqs.advance(next);
                }
                self.sqs.advance(self.now);
            }
            Call::Send { .. } => self.send(call)?,
            Call::Receive { .. } => self.receive(call)?,
            Call::Delete { which, batch } => {
                let Some((q, receipt, handle)) = self.receipt(which) else { return Ok(()) };
                let got = self.sqs.delete(now, QueueId(q as u16), receipt, batch);
                prop_assert_eq!(got, self.model.delete(now, q, handle, u64::from(batch)));
            }
            Call::Change { which, timeout } => {
                let Some((q, receipt, handle)) = self.receipt(which) else { return Ok(()) };
                let timeout = if timeout == 0 { Duration::ZERO } else { seconds(timeout) };
                let got = self.sqs.change_visibility(now, QueueId(q as u16), receipt, timeout);
                prop_assert_eq!(got, self.model.change(now, q, handle, timeout));
            }
            Call::Copy { which } => {
                let Some((_, receipt, handle)) = self.receipt(which) else { return Ok(()) };
                self.model.advance(now);
                let held = self.model.messages.iter().find(|m| m.id == handle.id && m.handle == handle.number).cloned();
                let Some(message) = held else { return Ok(()) };
                let got = self.sqs.send_copy(now, id, receipt);
                let expected = self.model.send(now, q, message.group, None, None, message.size, 1);
                prop_assert_eq!(got, expected.map(|_| ()));
            }
            Call::Set { visibility, delay, retention, max } => {
                let new = NewAttributes {
                    visibility_timeout: visibility.map(seconds),
                    delay: delay.map(seconds),
                    retention: retention.map(|retention| seconds(retention) + Duration::from_micros(101_101)),
                    max_receive_count: max,
                };
                self.sqs.set_attributes(now, id, &new);
                self.model.set(now, q, &new);
                self.sqs.advance(now);
            }
            Call::Move { dlq, rate } => {
                let q = usize::from(dlq);
                let got = self.sqs.start_move(now, QueueId(q as u16), rate);
                prop_assert_eq!(got, self.model.start_move(now, q, rate));
                self.sqs.advance(now);
            }
            Call::Purge => prop_assert_eq!(self.sqs.purge(now, id), self.model.purge(now, q)),
            Call::DeleteQueue => {
                self.sqs.delete_queue(now, id);
                self.model.delete_queue(now, q);
            }
            Call::CreateQueue => {
                self.sqs.create_queue(now, id);
                self.model.create_queue(now, q);
            }
            Call::Ask => {
                self.model.advance(now);
                let got = self.sqs.attributes(now, id);
                prop_assert_eq!(got.is_ok(), self.model.queues[q].exists);
                if let Ok(attributes) = got {
                    self.model.queues[q].counters.requests.attributes_parts += forescale::sqs::statistics::PARTS;
                    let seen = (attributes.visible, attributes.not_visible, attributes.delayed);
                    let depth = self.model.depth(q);
                    prop_assert_eq!(seen, (depth.visible, depth.in_flight, depth.delayed));
                }
                self.windows()?;
                self.glimpses()?;
            }
        }
        self.compare()
    }

    fn send(&mut self, call: &Call) -> Result<(), TestCaseError> {
        let Call::Send { group, delay, dedup, size, batch, count } = *call else { return Ok(()) };
        for _ in 0..count {
            let delay = delay.map(seconds);
            // What a message asks of its consumer goes with its size.
            let (work, poison) = if size == 0 { (1.0, false) } else { (size as f32, true) };
            let message = SendMessage { group, delay, deduplication: dedup, size, batch, work, poison };
            let got = self.sqs.send(self.now, QueueId(0), &message).map(|sent| match sent {
                Sent::Enqueued(id) => Some(id),
                Sent::Duplicate => None,
            });
            let expected = self.model.send(self.now, 0, group, delay, dedup, u64::from(size), u64::from(batch));
            prop_assert_eq!(&got, &expected);
            self.sent.extend(got.ok().flatten());
        }
        Ok(())
    }

    fn receive(&mut self, call: &Call) -> Result<(), TestCaseError> {
        let Call::Receive { dlq, max, long, visibility, earlier, attempt, armed } = *call else { return Ok(()) };
        let (now, q, id) = (self.now, usize::from(dlq), QueueId(u16::from(dlq)));
        let requested = now.max(Time::ZERO + Duration::from_secs(earlier)) - Duration::from_secs(earlier);
        let visibility = visibility.map(seconds);
        let receive = ReceiveMessage { max, long, visibility, requested, attempt, armed };
        let mut out = std::mem::take(&mut self.received);
        let before = out.len();
        let one = max == 1 && !self.sqs.queue(id).is_fifo();
        let mut received = Received::NONE;
        let got = if one {
            self.sqs.receive_one(now, id, &receive, &mut received).map(|found| out.extend(found.then_some(received)))
        } else {
            self.sqs.receive(now, id, &receive, &mut out).map(|count| assert_eq!(count as usize, out.len() - before))
        };
        let expected = self.model.receive(now, q, u64::from(max), long, visibility, requested, attempt);
        prop_assert_eq!(got.err(), expected.as_ref().err().copied());
        let handles = expected.unwrap_or_default();
        prop_assert_eq!(out.len() - before, handles.len());
        for (received, handle) in out[before..].iter().zip(handles) {
            let message = self.message(handle.id);
            prop_assert_eq!(received.receipt.message_id(), handle.id);
            prop_assert_eq!(received.receive_count, message.receives);
            prop_assert_eq!((received.deadline, received.sent), (message.deadline, message.sent));
            prop_assert_eq!(received.group, message.group.unwrap_or(u32::MAX));
            prop_assert_eq!((received.poison, received.work > 1.0), (message.size != 1024, message.size != 1024));
            if !armed {
                self.sqs.arm(received.receipt, received.deadline);
            }
            self.receipts.push((q, received.receipt, handle));
        }
        self.received = out;
        Ok(())
    }

    fn receipt(&self, which: usize) -> Option<(usize, Receipt, Handle)> {
        // Late receipts are the better ones.
        let last = self.receipts.len().checked_sub(1)?;
        Some(self.receipts[last - (which % self.receipts.len()).min(which % 16)])
    }

    fn message(&self, id: u64) -> &Message {
        self.model.messages.iter().find(|message| message.id == id).expect("the model has it")
    }

    /// What can be asked of the queues at any time.
    fn compare(&mut self) -> Result<(), TestCaseError> {
        let mut found = Violations::default();
        self.sqs.check(self.now, &mut found);
        prop_assert!(found.0.is_empty(), "{found:?}");
        let mut woken = std::collections::BTreeSet::new();
        while self.sqs.has_woken() {
            woken.extend(self.sqs.take_woken().map(|id| id.0));
        }
        // A timer that finds nothing to do may wake too.
        prop_assert!(woken.is_superset(&std::mem::take(&mut self.model.woken)));
        for q in 0..2 {
            let (now, id) = (self.now, QueueId(q as u16));
            let queue = self.sqs.queue(id);
            prop_assert_eq!(queue.counts().depth(), self.model.depth(q));
            prop_assert_eq!(queue.statistics().counters, self.model.queues[q].counters);
            prop_assert_eq!(queue.exists(), self.model.queues[q].exists);
            prop_assert_eq!(
                queue.groups_in_flight(),
                if queue.is_fifo() { self.model.busy_groups(q).len() as u64 } else { 0 }
            );
            for group in 0..5 {
                prop_assert_eq!(queue.is_noisy(group), self.model.is_noisy(q, group));
            }
            prop_assert_eq!(self.sqs.age_of_oldest(now, id), self.model.age(now, q));
            prop_assert_eq!(self.sqs.blocked(id), self.model.blocked(now, q));
            prop_assert_eq!(self.sqs.deliverable(id), self.model.deliverable(now, q));
            prop_assert_eq!(self.sqs.is_moving(id), self.model.is_moving(q));
        }
        Ok(())
    }

    /// Integrals, extremes and histograms.
    fn windows(&mut self) -> Result<(), TestCaseError> {
        for q in 0..2 {
            let history = &self.model.queues[q].history;
            let ends = history[1..].iter().map(|(at, _)| *at).chain([self.now]);
            let spans =
                history.iter().zip(ends).map(|((from, depth), to)| (i128::from(to.since(*from).as_micros()), depth));
            let areas = spans.fold((0, 0), |(visible, in_flight), (micros, depth)| {
                (visible + micros * i128::from(depth.visible), in_flight + micros * i128::from(depth.in_flight))
            });
            let id = QueueId(q as u16);
            prop_assert_eq!(self.sqs.queue(id).counts().areas(self.now), areas);
            let window = self.sqs.take_window(self.now, id);
            let (began, since) = self.window_of(q);
            prop_assert_eq!(window.visible, extremes(began, &since, |depth| depth.visible));
            prop_assert_eq!(window.in_flight, extremes(began, &since, |depth| depth.in_flight));
            prop_assert_eq!(self.sqs.queue(id).counts().areas(self.now), areas);
            let statistics = self.sqs.queue(id).statistics();
            for (durations, all) in
                [(&statistics.wait, &self.model.queues[q].waits), (&statistics.sojourn, &self.model.queues[q].sojourns)]
            {
                let (count, sum) = (all.len() as i64, all.iter().sum::<i64>());
                prop_assert_eq!(durations.count(), all.len() as u64);
                let mean = (count > 0).then(|| Duration::from_micros((sum + count / 2) / count));
                prop_assert_eq!(durations.mean(), mean);
            }
            let unfinished = self.sqs.unfinished(self.now, id);
            let own: Vec<&Message> = self.model.messages.iter().filter(|m| m.queue == q).collect();
            let first = |m: &&&Message| (m.id >> 44) as usize == q;
            prop_assert_eq!(unfinished.dead_letters, own.iter().filter(|m| !first(m)).count() as u64);
            prop_assert_eq!(unfinished.present.count(), own.iter().filter(first).count() as u64);
            prop_assert_eq!(
                unfinished.waiting.count(),
                own.iter().filter(first).filter(|m| m.receives == 0).count() as u64
            );
        }
        Ok(())
    }

    /// The counts since the last look, and when that was.
    fn window_of(&mut self, q: usize) -> (Time, Vec<(Time, Depth)>) {
        let history = &mut self.model.queues[q].history;
        let since = history[self.looked[q]..].to_vec();
        let last = *history.last().expect("it is never empty");
        history.push((self.now, last.1));
        self.looked[q] = history.len() - 1;
        (since[0].0, since)
    }

    fn glimpses(&mut self) -> Result<(), TestCaseError> {
        let next = self.sent.last().map_or(0, |last| last + 1);
        prop_assert_eq!(self.sqs.was_sent(next), self.model.was_sent(next));
        prop_assert!(!self.sqs.was_sent(Sqs::message_id(QueueId(7), 1)));
        for id in self.sent.iter().copied().rev().step_by(3).take(20) {
            prop_assert!(self.sqs.was_sent(id));
            prop_assert_eq!(self.sqs.overtaken(id), self.model.overtaken(id));
            let message = self.model.messages.iter().find(|message| message.id == id);
            let slot = self.sqs.find_message(id);
            prop_assert_eq!(slot.is_some(), message.is_some());
            let (Some(slot), Some(message)) = (slot, message) else { continue };
            let Some(glimpse) = self.sqs.glimpse(slot, id) else { panic!("found, and not there") };
            let place = match message.state {
                State::Delayed => Place::Delayed,
                State::Visible => Place::Visible,
                State::InFlight => Place::InFlight,
            };
            let blocked = self.sqs.queue(glimpse.queue).is_fifo()
                && place == Place::Visible
                && self.model.busy_groups(message.queue).contains(&message.group);
            prop_assert_eq!((glimpse.place, usize::from(glimpse.queue.0)), (place, message.queue));
            prop_assert_eq!((glimpse.receive_count, glimpse.sent), (message.receives, message.sent));
            prop_assert_eq!(glimpse.group_blocked, blocked);
            prop_assert_eq!(self.sqs.glimpse(slot, id + 1), None);
            if place == Place::InFlight {
                prop_assert_eq!(glimpse.deadline, message.deadline);
            }
        }
        Ok(())
    }
}

/// The least and the most, each where it was first reached.
fn extremes(began: Time, since: &[(Time, Depth)], count: impl Fn(&Depth) -> u64) -> Extremes {
    let mut found = Extremes { least: (began, count(&since[0].1)), most: (began, count(&since[0].1)) };
    for (at, depth) in since {
        let count = count(depth);
        if count < found.least.1 {
            found.least = (*at, count);
        }
        if count > found.most.1 {
            found.most = (*at, count);
        }
    }
    found
}

fn play(kind: Kind, (retention, limit): (i64, u64), calls: &[Call]) -> Result<(), TestCaseError> {
    let mut both = both(kind, retention, limit);
    for call in calls {
        both.play(call)?;
    }
    both.play(&Call::Ask)
}

/// Retention in seconds, and messages in flight at most: few, or enough for noisy tenants.
fn bounds() -> impl Strategy<Value = (i64, u64)> {
    (60_i64..3000, prop_oneof![3_u64..12, Just(70)])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn standard_queues_do_what_the_plainest_model_does(calls in calls(), bounds in bounds()) {
        play(Kind::Standard, bounds, &calls)?;
    }

    #[test]
    fn fair_queues_do_what_the_plainest_model_does(calls in calls(), bounds in bounds()) {
        play(Kind::Fair, bounds, &calls)?;
    }

    #[test]
    fn fifo_queues_do_what_the_plainest_model_does(calls in calls(), bounds in bounds()) {
        play(Kind::Fifo, bounds, &calls)?;
    }
}
