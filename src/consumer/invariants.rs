//! Laws of the consumers: what workers hold, and which pods they belong to.

use std::collections::BTreeSet;

use super::plane::DataPlane;
use super::plane::PodRef;
use super::worker::NONE;
use crate::engine::law::{Violations, laws};
use crate::time::Time;

laws! {
    W1 "a worker holds what it counts, up to its capacity";
    W2 "a pod works as long as one of its workers does";
    W3 "no receipt is in two hands";
    W4 "a kind of consumer counts what its workers hold";
}

impl DataPlane {
    /// All violations of the data plane at `now`, those of the queues first.
    pub fn check(&self, now: Time, found: &mut Violations) {
        self.sqs.check(now, found);
        let mut receipts = BTreeSet::new();
        let mut held_by_kind = vec![0; self.consumers.len()];
        for (index, worker) in self.workers.iter().enumerate().filter(|(_, worker)| worker.alive) {
            let (held, acks) = (self.chain(worker.first), self.chain(worker.acks));
            let own = held.iter().chain(&acks).all(|delivery| self.deliveries[*delivery].worker == index as u32);
            let counted = (held.len(), acks.len()) == (worker.held as usize, worker.ack_count as usize);
            held_by_kind[usize::from(worker.consumer)] += (held.len() + acks.len()) as u64;
            let capacity = self.consumers[usize::from(worker.consumer)].capacity;
            found.must(W1, own && counted && worker.held <= capacity, || {
                format!(
                    "worker {index} counts {} messages and {} deletes, holds {} and {}, all its own: {own}, capacity {capacity}",
                    worker.held,
                    worker.ack_count,
                    held.len(),
                    acks.len()
                )
            });
            for delivery in held.iter().chain(&acks) {
                let receipt = self.deliveries[*delivery].receipt;
                found.must(W3, receipts.insert((receipt.slot, receipt.generation)), || {
                    format!("worker {index} holds {receipt:?}, which another one holds too")
                });
            }
        }
        for (consumer, held) in self.consumers.iter().zip(held_by_kind) {
            found.must(W4, consumer.held == held, || {
                format!("{} counts {} messages, its workers hold {held}", consumer.settings.name, consumer.held)
            });
        }
        for (number, index) in self.pod_index.iter().enumerate().filter(|(_, index)| **index != NONE) {
            let pod = &self.pods[*index];
            let working = pod.workers.iter().filter(|worker| self.workers[**worker].alive).count();
            let own = pod.workers.iter().all(|worker| self.workers[*worker].pod == *index);
            let right = pod.alive && pod.reference.0 as usize == number && own;
            found.must(W2, right && working > 0 && working == pod.working as usize, || {
                format!("pod {number} counts {} working workers, {working} work; {pod:?}", pod.working)
            });
        }
    }

    /// The pods whose processes run.
    pub fn processes(&self) -> impl Iterator<Item = PodRef> {
        let here = self.pod_index.iter().enumerate().filter(|(_, index)| **index != NONE);
        here.map(|(number, _)| PodRef(number as u32))
    }

    /// The deliveries of a list, at most as many as there are.
    fn chain(&self, first: u32) -> Vec<u32> {
        let next = |index: &u32| Some(self.deliveries[*index].next).filter(|next| *next != NONE);
        let first = Some(first).filter(|first| *first != NONE);
        std::iter::successors(first, next).take(self.deliveries.iter().len()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::decode::{Decode, Problems};
    use crate::engine::Streams;
    use crate::engine::law::Law;
    use crate::scenario::consumers::ConsumerSpec;
    use crate::scenario::queues::QueueSpec;
    use crate::scenario::toml::parse;
    use crate::time::Duration;

    /// Two pods with a message each.
    fn plane() -> DataPlane {
        let mut problems = Problems::default();
        let queue = QueueSpec::decode(&parse("name = \"work\"\nbacklog = 2\n", 0, &mut problems), &mut problems);
        let text = "deployment = \"worker\"\nqueue = \"work\"\nbatchSize = 1\nprocessing = \"1m\"\n";
        let consumer = ConsumerSpec::decode(&parse(text, 0, &mut problems), &mut problems);
        let (queue, consumer) = (queue.expect("a queue"), consumer.expect("a consumer"));
        let mut plane = DataPlane::new(&[queue], &[consumer], &Streams::new(1, 0));
        for pod in 0..2 {
            plane.add_consumer(Time::ZERO, PodRef(pod), 0);
        }
        assert_eq!(plane.advance(at(10)), None);
        assert_eq!((plane.held(PodRef(0)), plane.held(PodRef(1))), (1, 1));
        plane
    }

    fn at(seconds: i64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn broken(tamper: impl FnOnce(&mut DataPlane)) -> Vec<Law> {
        let mut plane = plane();
        tamper(&mut plane);
        let mut found = Violations::default();
        plane.check(at(10), &mut found);
        found.laws()
    }

    #[test]
    fn each_tampering_is_named() {
        assert_eq!(broken(|_| ()), []);
        assert_eq!(plane().processes().collect::<Vec<_>>(), [PodRef(0), PodRef(1)]);
        let mut seen = Vec::new();
        let mut expect = |law: Law, tamper: &dyn Fn(&mut DataPlane)| {
            assert_eq!(broken(tamper), [law]);
            seen.push(law);
        };
        expect(W1, &|plane| plane.workers[0].held += 1);
        expect(W2, &|plane| plane.pods[1].working += 1);
        expect(W3, &|plane| plane.deliveries[1].receipt = plane.deliveries[0].receipt);
        expect(W4, &|plane| plane.consumers[0].held += 1);
        assert_eq!(seen, LAWS);
    }
}
