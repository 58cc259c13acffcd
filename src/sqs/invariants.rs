//! Laws of the queues: what the store of messages holds against what each queue counts.

use std::collections::BTreeMap;

use super::message::{Message, NONE, State};
use super::order::Order;
use super::{Depth, MAX_VISIBILITY, Queue, Sqs};
use crate::engine::law::{Violations, laws};
use crate::time::Time;

laws! {
    M1 "no message is lost or made up";
    M2 "counts are those of the messages";
    M3 "each message is listed once by age";
    M4 "a message's instants are in order";
    M5 "no more in flight than the limit";
    M6 "what is deleted was received";
    M7 "FIFO groups know what is in flight";
}

impl Sqs {
    /// All violations at `now`.
    pub fn check(&self, now: Time, found: &mut Violations) {
        let mut depths = vec![Depth::default(); self.queues.len()];
        let mut groups = vec![BTreeMap::new(); self.queues.len()];
        for slot in 0..self.messages.places() as u32 {
            let message = &self.messages[slot];
            let place = usize::from(message.queue);
            match message.state {
                State::Free | State::Lingering => continue,
                State::Delayed => depths[place].delayed += 1,
                State::Visible => depths[place].visible += 1,
                State::InFlight => depths[place].in_flight += 1,
            }
            check_message(message, now, found);
            if self.queues[place].is_fifo() {
                let group: &mut Group = groups[place].entry(message.group).or_default();
                group.in_flight += u64::from(message.state == State::InFlight);
                group.others += u64::from(message.state != State::InFlight);
            }
        }
        for (queue, (depth, groups)) in self.queues.iter().zip(depths.iter().zip(&groups)) {
            check_counts(queue, *depth, found);
            let listed = self.listed(queue);
            found.must(M3, listed == depth.total() && queue.age.len + queue.set_back.len == listed, || {
                format!("queue {} lists {listed} of {} messages by age", queue.settings.name, depth.total())
            });
            check_groups(queue, groups, found);
        }
    }

    /// How many messages of a queue its age lists name.
    fn listed(&self, queue: &Queue) -> u64 {
        let mut listed = 0;
        for head in [queue.age.head, queue.set_back.head] {
            let mut slot = head;
            // A list that runs in a circle ends too.
            while slot != NONE && listed <= self.messages.places() as u64 {
                let message = &self.messages[slot];
                let there = !matches!(message.state, State::Free | State::Lingering);
                listed += u64::from(there && message.queue == queue.id.0);
                slot = message.younger;
            }
        }
        listed
    }
}

/// Messages of a FIFO group.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    in_flight: u64,
    others: u64,
}

fn check_message(message: &Message, now: Time, found: &mut Violations) {
    let received = message.receive_count == 0 || message.received <= now;
    let in_flight = message.state != State::InFlight
        || (message.receive_count > 0 && message.deadline <= message.received + MAX_VISIBILITY);
    found.must(M4, message.sent <= message.aged_from && message.aged_from <= now && received && in_flight, || {
        format!("at {now}: {message:?}")
    });
}

fn check_counts(queue: &Queue, depth: Depth, found: &mut Violations) {
    let name = &queue.settings.name;
    let counters = &queue.statistics.counters;
    let came = counters.sent + counters.dead_letters + counters.returned;
    let removed = counters.deleted + counters.retention_expired + counters.purged;
    let went = removed + counters.dead_lettered + counters.redriven;
    let there = queue.counts.depth().total();
    found.must(M1, came == went + there, || format!("queue {name}: {came} came, {went} went, {there} are there"));
    found.must(M2, queue.counts.depth() == depth, || {
        format!("queue {name} counts {:?}, its messages are {depth:?}", queue.counts.depth())
    });
    let limit = queue.settings.in_flight_limit;
    found.must(M5, depth.in_flight <= limit, || {
        format!("queue {name}: {} in flight, the limit is {limit}", depth.in_flight)
    });
    let (deleted, received) = (counters.deleted, counters.received);
    found.must(M6, deleted <= received, || format!("queue {name}: {deleted} deleted of {received} received"));
}

fn check_groups(queue: &Queue, groups: &BTreeMap<u32, Group>, found: &mut Violations) {
    let Order::Fifo(order) = &queue.order else { return };
    let busy = || groups.values().filter(|group| group.in_flight > 0);
    let (with, behind) = (busy().count() as u64, busy().map(|group| group.others).sum::<u64>());
    let counted = (order.with_in_flight(), order.blocked());
    found.must(M7, counted == (with, behind), || {
        format!(
            "queue {} counts {counted:?} groups with messages in flight and messages behind these, not {:?}",
            queue.settings.name,
            (with, behind)
        )
    });
}

#[cfg(test)]
mod tests {
    use super::super::{QueueId, QueueSettings, ReceiveMessage, SendMessage};
    use super::*;
    use crate::api::decode::{Decode, Problems};
    use crate::engine::Streams;
    use crate::engine::law::Law;
    use crate::scenario::queues::QueueSpec;
    use crate::time::Duration;

    const ID: QueueId = QueueId(0);

    /// A FIFO queue with five messages of two groups, two of them in flight.
    fn queue() -> Sqs {
        let mut problems = Problems::default();
        let text =
            "name = \"work.fifo\"\nfifo = true\nthroughput = \"unlimited\"\ninFlightLimit = 3\nduplicates = 0.0\n";
        let node = crate::scenario::toml::parse(text, 0, &mut problems);
        let spec = QueueSpec::decode(&node, &mut problems).expect("a queue");
        let mut sqs = Sqs::new(QueueSettings::from_specs(&[spec]), &Streams::new(1, 0));
        for group in [1, 1, 2, 2, 2] {
            let message = SendMessage { group: Some(group), ..SendMessage::default() };
            sqs.send(at(1), ID, &message).expect("the queue exists");
        }
        for max in [1, 1] {
            sqs.receive(at(2), ID, &ReceiveMessage::new(at(2), max, true), &mut Vec::new()).expect("messages");
        }
        sqs
    }

    fn at(seconds: i64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn broken(tamper: impl FnOnce(&mut Sqs)) -> Vec<Law> {
        let mut sqs = queue();
        tamper(&mut sqs);
        let mut found = Violations::default();
        sqs.check(at(3), &mut found);
        found.laws()
    }

    #[test]
    fn each_tampering_is_named() {
        assert_eq!(broken(|_| ()), []);
        let mut seen = Vec::new();
        let mut expect = |law: Law, tamper: &dyn Fn(&mut Sqs)| {
            assert_eq!(broken(tamper), [law]);
            seen.push(law);
        };
        expect(M1, &|sqs| sqs.queues[0].statistics.counters.sent += 1);
        expect(M2, &|sqs| sqs.queues[0].counts.change(at(3), |depth| (depth.visible, depth.delayed) = (2, 1)));
        expect(M3, &|sqs| {
            let (head, queue) = (sqs.queues[0].age.head, &mut sqs.queues[0]);
            queue.age.remove(&mut sqs.messages, head);
        });
        expect(M4, &|sqs| sqs.messages[4].aged_from = at(4));
        expect(M5, &|sqs| sqs.queues[0].settings.in_flight_limit = 1);
        expect(M6, &|sqs| {
            let counters = &mut sqs.queues[0].statistics.counters;
            (counters.sent, counters.deleted) = (counters.sent + 3, 3);
        });
        expect(M7, &|sqs| sqs.messages[1].group = 3);
        assert_eq!(seen, LAWS);
    }
}
