//! What must hold for any sequence of calls and faults: no message is lost, none is both deleted and visible, receive counts never
//! fall, groups of FIFO queues keep their order.

use std::collections::{BTreeMap, BTreeSet};

use forescale::api::decode::{Decode, Problems};
use forescale::consumer::{DataPlane, PodRef};
use forescale::engine::Streams;
use forescale::scenario::Scenario;
use forescale::scenario::queues::QueueSpec;
use forescale::sqs::{Deleted, QueueId, QueueSettings, Receipt, ReceiveMessage, Received, SendMessage, Sent, Sqs};
use forescale::time::{Duration, Time};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Call {
    Send { group: u32, delay: i64 },
    Receive { max: u32, long: bool },
    Delete { which: usize },
    Change { which: usize, timeout: i64 },
    Wait { millis: i64 },
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        3 => (0_u32..4, prop_oneof![Just(0_i64), 1_i64..20]).prop_map(|(group, delay)| Call::Send { group, delay }),
        3 => (1_u32..=10, any::<bool>()).prop_map(|(max, long)| Call::Receive { max, long }),
        2 => any::<usize>().prop_map(|which| Call::Delete { which }),
        1 => (any::<usize>(), 0_i64..60).prop_map(|(which, timeout)| Call::Change { which, timeout }),
        2 => (1_i64..40_000).prop_map(|millis| Call::Wait { millis }),
    ];
    prop::collection::vec(call, 1..200)
}

fn queue(text: &str) -> Sqs {
    let mut problems = Problems::default();
    let node = forescale::scenario::toml::parse(text, 0, &mut problems);
    let spec = QueueSpec::decode(&node, &mut problems).unwrap_or_else(|| panic!("{problems:?}"));
    Sqs::new(QueueSettings::from_specs(&[spec]), &Streams::new(1, 0))
}

/// What the test knows of a message.
#[derive(Clone, Debug)]
struct Known {
    group: u32,
    order: usize,
    receives: u32,
    deadline: Time,
    deleted: bool,
}

/// Plays calls against a queue without duplicates and checks each answer. Returns the model for last checks.
fn play(sqs: &mut Sqs, fifo: bool, calls: &[Call]) -> Result<(), TestCaseError> {
    let id = QueueId(0);
    let dlq = QueueId(1);
    let mut now = Time::ZERO;
    let mut known: BTreeMap<u64, Known> = BTreeMap::new();
    let mut receipts: Vec<Receipt> = Vec::new();
    for call in calls {
        match call {
            Call::Wait { millis } => {
                now += Duration::from_millis(*millis);
                sqs.advance(now);
            }
            Call::Send { group, delay } => {
                let delay = Some(Duration::from_secs(if fifo { 0 } else { *delay }));
                let message = SendMessage { group: Some(*group), delay, ..SendMessage::default() };
                if let Ok(Sent::Enqueued(message_id)) = sqs.send(now, id, &message) {
                    let order = known.len();
                    let fresh = Known { group: *group, order, receives: 0, deadline: Time::ZERO, deleted: false };
                    prop_assert!(known.insert(message_id, fresh).is_none(), "message ids are unique");
                }
            }
            Call::Receive { max, long } => {
                let mut out = Vec::new();
                let _answer = sqs.receive(now, id, &ReceiveMessage::new(now, *max, *long), &mut out);
                prop_assert!(out.len() <= *max as usize);
                check_received(now, &out, &mut known, fifo)?;
                receipts.extend(out.iter().map(|received| received.receipt));
            }
            Call::Delete { which } if !receipts.is_empty() => {
                let receipt = receipts[which % receipts.len()];
                if sqs.delete(now, id, receipt, 1) == Ok(Deleted::Gone) {
                    let message = known.get_mut(&receipt.message_id()).expect("it was sent");
                    prop_assert!(!message.deleted, "deleted twice");
                    message.deleted = true;
                }
            }
            Call::Change { which, timeout } if !receipts.is_empty() => {
                let receipt = receipts[which % receipts.len()];
                let _result = sqs.change_visibility(now, id, receipt, Duration::from_secs(*timeout));
                // The deadline is no longer known.
                if let Some(message) = known.get_mut(&receipt.message_id()) {
                    message.deadline = Time::ZERO;
                }
            }
            Call::Delete { .. } | Call::Change { .. } => {}
        }
        let present = known.values().filter(|message| !message.deleted).count() as u64;
        let stored = sqs.queue(id).counts().depth().total() + sqs.queue(dlq).counts().depth().total();
        prop_assert_eq!(present, stored, "no message is lost, none is counted twice");
    }
    // In the end all messages that are left can be received, from one queue or the other.
    drain(sqs, now, &known)
}

/// `maxReceiveCount` of the FIFO queue.
const FIFO_RECEIVES: u32 = 3;

fn check_received(
    now: Time,
    out: &[Received],
    known: &mut BTreeMap<u64, Known>,
    fifo: bool,
) -> Result<(), TestCaseError> {
    let mut ids = BTreeSet::new();
    for received in out {
        let message_id = received.receipt.message_id();
        prop_assert!(ids.insert(message_id), "one receive gives a message once");
        let message = &known[&message_id];
        prop_assert!(!message.deleted, "a deleted message was delivered");
        prop_assert!(message.deadline <= now, "a message in flight was delivered");
        prop_assert_eq!(received.receive_count, message.receives + 1, "receive counts rise by one");
    }
    if fifo {
        for group in 0..4 {
            let order: Vec<usize> = out
                .iter()
                .map(|received| &known[&received.receipt.message_id()])
                .filter(|message| message.group == group)
                .map(|message| message.order)
                .collect();
            prop_assert!(order.windows(2).all(|pair| pair[0] < pair[1]), "a group is delivered in order");
            let Some(last) = order.last() else { continue };
            let earlier =
                |(id, message): &(&u64, &Known)| message.group == group && message.order < *last && !ids.contains(*id);
            // What comes before is deleted, or has had its receives and is in the dead-letter queue.
            let left =
                known.iter().filter(earlier).find(|(_, message)| !message.deleted && message.receives < FIFO_RECEIVES);
            prop_assert!(left.is_none(), "a message was delivered before an earlier one of its group");
        }
    }
    for received in out {
        let message = known.get_mut(&received.receipt.message_id()).expect("checked above");
        message.receives += 1;
        message.deadline = received.deadline;
    }
    Ok(())
}

fn drain(sqs: &mut Sqs, from: Time, known: &BTreeMap<u64, Known>) -> Result<(), TestCaseError> {
    let mut left: BTreeSet<u64> = known.iter().filter(|(_, message)| !message.deleted).map(|(id, _)| *id).collect();
    let mut now = from;
    for _ in 0..2000 {
        if left.is_empty() {
            return Ok(());
        }
        now += Duration::from_secs(10);
        for queue in [QueueId(0), QueueId(1)] {
            let mut out = Vec::new();
            let _answer = sqs.receive(now, queue, &ReceiveMessage::new(now, 10, true), &mut out);
            for received in out {
                prop_assert!(left.remove(&received.receipt.message_id()), "delivered after its delete");
                prop_assert_eq!(sqs.delete(now, queue, received.receipt, 1), Ok(Deleted::Gone));
            }
        }
    }
    prop_assert!(left.is_empty(), "{} messages cannot be received", left.len());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn standard_queues_lose_nothing(calls in calls()) {
        let mut sqs = queue("name = 'q'\nduplicates = 0.0\nmaxReceiveCount = 4");
        play(&mut sqs, false, &calls)?;
    }

    #[test]
    fn exact_queues_lose_nothing(calls in calls()) {
        let mut sqs = queue("name = 'q'\nservice = 'moto'\nmaxReceiveCount = 2");
        play(&mut sqs, false, &calls)?;
    }

    #[test]
    fn fair_queues_lose_nothing(calls in calls()) {
        let mut sqs = queue("name = 'q'\nfair = true\nduplicates = 0.0\nmaxReceiveCount = 4\nemptyLongPolls = 0.0");
        play(&mut sqs, false, &calls)?;
    }

    #[test]
    fn fifo_queues_lose_nothing_and_keep_their_order(calls in calls()) {
        let mut sqs = queue(&format!("name = 'q.fifo'\nfifo = true\nmaxReceiveCount = {FIFO_RECEIVES}\nlookAhead = 6"));
        play(&mut sqs, true, &calls)?;
    }

    /// Whatever happens to the pods, every message sent is deleted, or in a queue, or was lost by an early delete.
    #[test]
    fn faults_of_pods_lose_nothing(
        seed in 0_u64..1000,
        fifo in any::<bool>(),
        client in prop_oneof![Just("celery"), Just("spring-cloud-aws"), Just("boto3"), Just("shoryuken"), Just("sqs-consumer")],
        faults in prop::collection::vec((1_i64..4000, 0_u32..12, 0_u32..3), 0..40),
        on_error in prop_oneof![Just("timeout"), Just("release"), Just("backoff")],
    ) {
        let text = format!(
            "[[queues]]\nname = 'q'\nfifo = {fifo}\nduplicates = 0.0\nmaxReceiveCount = 5\nvisibilityTimeout = '20s'\n\
             [[queues.arrivals]]\npattern = 'poisson'\nrate = '5/s'\nend = '60s'\ngroups = 7\npoison = 0.02\n\
             [[consumers]]\ndeployment = 'd'\nqueue = 'q'\nclient = '{client}'\nfailures = 0.1\ncrashes = 0.02\nlostReceives = 0.01\n\
             onError = '{on_error}'\nprocessing = {{ lognormal = {{ p50 = '1s', p99 = '30s' }} }}\nheartbeat = {{ every = '8s', to = '15s' }}\n"
        );
        let mut problems = Problems::default();
        let node = forescale::scenario::toml::parse(&text, 0, &mut problems);
        let scenario = Scenario::decode(&node, &mut problems).unwrap_or_else(|| panic!("{problems:?}"));
        let mut plane = DataPlane::new(&scenario.queues, &scenario.consumers, &Streams::new(seed, 0));
        for pod in 0..6 {
            plane.add_consumer(Time::ZERO, PodRef(pod), 0);
        }
        let mut next_pod = 6;
        let mut now = Time::ZERO;
        for (after, pod, what) in faults {
            let until = now + Duration::from_millis(after);
            while let Some(notice) = plane.advance(until) {
                prop_assert!(notice.at >= now && notice.at <= until);
                // A crashed or stopped pod is replaced.
                plane.add_consumer(notice.at, PodRef(next_pod), 0);
                next_pod += 1;
            }
            now = until;
            match what {
                0 => plane.kill(now, PodRef(pod)),
                1 => plane.begin_stop(now, PodRef(pod)),
                _ => plane.add_consumer(now, PodRef(next_pod), 0),
            }
            next_pod += u32::from(what == 2);
        }
        let end = Time::ZERO + Duration::from_secs(4000);
        while let Some(notice) = plane.advance(end) {
            plane.add_consumer(notice.at, PodRef(next_pod), 0);
            next_pod += 1;
        }
        let dlq = QueueId(1);
        let depth = plane.true_counts(QueueId(0));
        let dead = plane.true_counts(dlq).total();
        let counters = plane.statistics(end, QueueId(0)).counters;
        prop_assert_eq!(counters.sent, counters.deleted + depth.total() + dead);
        prop_assert_eq!(counters.dead_lettered, dead);
        prop_assert_eq!(depth.total(), 0, "everything is worked off in the end");
        let totals = plane.totals(0);
        prop_assert!(totals.processed + totals.lost + totals.failed >= counters.deleted);
    }
}
