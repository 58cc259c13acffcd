//! How consumers of a queue behave: each test derives its instants by hand.

use forescale::api::decode::{Decode, Problems};
use forescale::consumer::{DataPlane, Notice, NoticeKind, PodRef, WorkerEventKind};
use forescale::engine::Streams;
use forescale::scenario::Scenario;
use forescale::sqs::{Depth, QueueId};
use forescale::time::{Duration, Time};

const Q: QueueId = QueueId(0);
const POD: PodRef = PodRef(0);

fn at(seconds: f64) -> Time {
    Time::from_secs_f64(seconds)
}

/// A data plane with one exact queue (`queue` adds fields to it) and one kind of consumer.
fn plane(queue: &str, sends: &str, consumer: &str) -> DataPlane {
    let text = format!(
        "[[queues]]\nname = \"q\"\nservice = \"moto\"\n{queue}\n[[queues.arrivals]]\npattern = \"list\"\nsends = [{sends}]\n\
         [[consumers]]\ndeployment = \"d\"\nqueue = \"q\"\n{consumer}\n"
    );
    let mut problems = Problems::default();
    let node = forescale::scenario::toml::parse(&text, 0, &mut problems);
    let scenario = Scenario::decode(&node, &mut problems).unwrap_or_else(|| panic!("{text}\n{problems:?}"));
    assert!(!problems.has_errors(), "{text}\n{problems:?}");
    let mut plane = DataPlane::new(&scenario.queues, &scenario.consumers, &Streams::new(1, 0));
    plane.record_workers();
    plane
}

fn notices(plane: &mut DataPlane, until: f64) -> Vec<Notice> {
    std::iter::from_fn(|| plane.advance(at(until))).collect()
}

fn steps(plane: &mut DataPlane) -> Vec<(f64, WorkerEventKind)> {
    plane.take_worker_events().into_iter().map(|event| (event.at.as_secs_f64(), event.kind)).collect()
}

fn depth(visible: u64, in_flight: u64) -> Depth {
    Depth { visible, in_flight, delayed: 0 }
}

/// The worker of the recordings: one message at a time, short polls, a pause after an empty one.
const RECORDED: &str = "batchSize = 1\nwaitTime = \"0s\"\nidlePoll = \"2s\"\nprocessing = \"20s\"";

#[test]
fn a_short_polling_worker_polls_at_its_own_phase() {
    // Ready at 1: polls at 1, 3, 5; the message of 4.2 waits for the poll at 5; done at 25, polls at 25, 27, ...
    let mut plane = plane("visibilityTimeout = \"120s\"", "{ at = \"4200ms\" }, { at = \"25500ms\" }", RECORDED);
    plane.add_consumer(at(1.0), POD, 0);
    assert_eq!(notices(&mut plane, 60.0), []);
    use WorkerEventKind::{Done, Receive, Start};
    let expected = [(1.0, Start), (5.0, Receive(1)), (25.0, Done), (27.0, Receive(1)), (47.0, Done)];
    assert_eq!(steps(&mut plane), expected);
    // Empty polls: 1, 3; 25; 47, 49, 51, 53, 55, 57 and (at 59 exactly, not over before 61) none more.
    assert_eq!(plane.statistics(at(60.0), Q).counters.empty_receives, 2 + 1 + 6);
}

#[test]
fn a_graceful_worker_finishes_the_message_in_hand() {
    let mut plane = plane("visibilityTimeout = \"120s\"", "{ at = \"0s\", messages = 2 }", RECORDED);
    plane.add_consumer(at(1.0), POD, 0);
    assert_eq!(notices(&mut plane, 6.0), []);
    plane.begin_stop(at(6.0), POD);
    assert_eq!(notices(&mut plane, 60.0), [Notice { at: at(21.0), pod: POD, kind: NoticeKind::Stopped }]);
    assert_eq!(plane.true_counts(Q), depth(1, 0));
    assert!(!plane.is_running(POD));
}

#[test]
fn a_worker_that_dies_leaves_its_message_to_the_timeout() {
    let consumer = format!("{RECORDED}\nonTerm = \"die\"");
    let mut plane = plane("visibilityTimeout = \"120s\"", "{ at = \"0s\" }", &consumer);
    plane.add_consumer(at(1.0), POD, 0);
    notices(&mut plane, 6.0);
    plane.begin_stop(at(6.0), POD);
    assert_eq!(notices(&mut plane, 100.0), [Notice { at: at(6.0), pod: POD, kind: NoticeKind::Stopped }]);
    assert_eq!(plane.true_counts(Q), depth(0, 1));
    notices(&mut plane, 121.0);
    assert_eq!(plane.true_counts(Q), depth(1, 0));
}

#[test]
fn a_cut_off_poll_may_be_answered_while_its_pod_still_works() {
    // One message in hand until 11, and a poll for more outstanding when SIGTERM comes at 3: the message of 5 goes to nobody.
    let consumer = "batchSize = 1\nslots = 2\nwaitTime = \"20s\"\nprocessing = \"10s\"\npollMode = \"continuous\"\norphanedPolls = true\nonTerm = \"drain\"";
    let mut plane = plane("visibilityTimeout = \"60s\"", "{ at = \"1s\" }, { at = \"5s\" }", consumer);
    plane.add_consumer(at(1.0), POD, 0);
    notices(&mut plane, 3.0);
    plane.begin_stop(at(3.0), POD);
    notices(&mut plane, 6.0);
    assert_eq!((plane.true_counts(Q), plane.held(POD)), (depth(0, 2), 1));
    assert_eq!(notices(&mut plane, 30.0), [Notice { at: at(11.0), pod: POD, kind: NoticeKind::Stopped }]);
    notices(&mut plane, 65.0);
    assert_eq!(plane.true_counts(Q), depth(1, 0));
}

/// A worker with room for ten messages, which always waits for more.
const ROOMY: &str = "batchSize = 10\nslots = 10\nwaitTime = \"20s\"\nprocessing = \"10s\"\npollMode = \"continuous\"\nonTerm = \"drain\"";

#[test]
fn a_poll_that_was_cut_off_does_not_keep_its_pod() {
    // SIGTERM at 3 cuts off the poll for more; the message in hand is done at 11, and no message comes to end the poll.
    let mut plane = plane("", "{ at = \"1s\" }", &format!("{ROOMY}\norphanedPolls = true"));
    plane.add_consumer(at(0.0), POD, 0);
    notices(&mut plane, 3.0);
    plane.begin_stop(at(3.0), POD);
    assert_eq!(notices(&mut plane, 15.0), [Notice { at: at(11.0), pod: POD, kind: NoticeKind::Stopped }]);
}

#[test]
fn the_poll_of_a_killed_pod_takes_a_message_to_nobody() {
    let mut plane = plane("visibilityTimeout = \"60s\"", "{ at = \"5s\" }", &format!("{ROOMY}\norphanedPolls = true"));
    plane.add_consumer(at(0.0), POD, 0);
    notices(&mut plane, 3.0);
    plane.kill(at(3.0), POD);
    assert_eq!(notices(&mut plane, 6.0), []);
    assert_eq!((plane.true_counts(Q), plane.held(POD)), (depth(0, 1), 0));
    notices(&mut plane, 65.0);
    assert_eq!(plane.true_counts(Q), depth(1, 0));
}

#[test]
fn the_last_poll_of_a_stopping_worker_brings_one_answer() {
    // SIGTERM at 3: the poll begun at 0 may last until 20. The message of 5 answers it; that of 6 is nobody's.
    let mut plane = plane("", "{ at = \"5s\" }, { at = \"6s\" }", &format!("{ROOMY}\nfinishPoll = true"));
    plane.add_consumer(at(0.0), POD, 0);
    notices(&mut plane, 3.0);
    plane.begin_stop(at(3.0), POD);
    assert_eq!(notices(&mut plane, 60.0), [Notice { at: at(15.0), pod: POD, kind: NoticeKind::Stopped }]);
    use WorkerEventKind::{Done, Receive, Start, Stop};
    assert_eq!(steps(&mut plane), [(0.0, Start), (5.0, Receive(1)), (15.0, Done), (15.0, Stop)]);
    assert_eq!(plane.true_counts(Q), depth(1, 0));
}

#[test]
fn a_worker_with_room_takes_no_more_than_its_messages() {
    let sends = "{ at = \"1s\" }, { at = \"2s\" }, { at = \"3s\" }";
    let mut plane = plane("", sends, &format!("{ROOMY}\nmaxMessages = 2"));
    plane.add_consumer(at(0.0), POD, 0);
    let ended = notices(&mut plane, 60.0);
    assert!(matches!(ended[..], [Notice { kind: NoticeKind::Exited { ok: true }, .. }]), "{ended:?}");
    use WorkerEventKind::Receive;
    let received: Vec<f64> =
        steps(&mut plane).iter().filter(|(_, kind)| *kind == Receive(1)).map(|step| step.0).collect();
    assert_eq!(received, [1.0, 2.0]);
    assert_eq!(plane.true_counts(Q), depth(1, 0));
}

#[test]
fn a_message_that_a_long_poll_misses_goes_to_the_next() {
    // A tenth of the answers is empty: of two workers that wait the second gets what the first has missed, at the same instant.
    let queue = "visibilityTimeout = \"60s\"\nemptyLongPolls = 0.1";
    let sends = (1..=400).map(|second| format!("{{ at = \"{second}s\" }}")).collect::<Vec<_>>().join(", ");
    // No end of processing, which would ask again, falls on an instant of a send.
    let mut plane = plane(queue, &sends, &ROOMY.replace("10s", "9500ms"));
    plane.add_consumer(at(0.0), POD, 0);
    plane.add_consumer(at(0.0), PodRef(1), 0);
    notices(&mut plane, 500.0);
    let steps = steps(&mut plane);
    let received = steps.iter().filter(|(_, kind)| matches!(kind, WorkerEventKind::Receive(_)));
    let at_once = received.filter(|(at, _)| at.fract() == 0.0).count();
    // One of a hundred comes later; a tenth if the first alone were asked.
    assert!(at_once >= 385, "{at_once}");
}

#[test]
fn a_pod_whose_other_threads_have_ended_stops() {
    // Two threads, one message each; the second thread finds none and exits. SIGTERM comes while the first works.
    let text = "[[queues]]\nname = \"q\"\nservice = \"moto\"\n[[queues.arrivals]]\npattern = \"list\"\nsends = [{ at = \"0s\" }]\n\
                [[consumers]]\njob = \"j\"\nqueue = \"q\"\nwaitTime = \"0s\"\nthreads = 2\nprocessing = \"20s\"\nonTerm = \"die\"";
    let mut problems = Problems::default();
    let node = forescale::scenario::toml::parse(text, 0, &mut problems);
    let scenario = Scenario::decode(&node, &mut problems).unwrap_or_else(|| panic!("{problems:?}"));
    let mut plane = DataPlane::new(&scenario.queues, &scenario.consumers, &Streams::new(1, 0));
    plane.add_consumer(at(1.0), POD, 0);
    assert_eq!(notices(&mut plane, 5.0), []);
    plane.begin_stop(at(5.0), POD);
    assert_eq!(notices(&mut plane, 9.0), [Notice { at: at(5.0), pod: POD, kind: NoticeKind::Stopped }]);
}

#[test]
fn an_idle_worker_stops_at_once_and_a_killed_one_says_nothing() {
    let mut plane = plane("", "{ at = \"100s\" }", RECORDED);
    plane.add_consumer(at(1.0), POD, 0);
    plane.add_consumer(at(1.0), PodRef(7), 0);
    notices(&mut plane, 6.0);
    plane.begin_stop(at(6.0), POD);
    plane.kill(at(6.0), PodRef(7));
    assert_eq!(notices(&mut plane, 99.0), [Notice { at: at(6.0), pod: POD, kind: NoticeKind::Stopped }]);
    notices(&mut plane, 200.0);
    assert_eq!(plane.true_counts(Q), depth(1, 0));
    // Polls at 1, 3 and 5 of each.
    assert_eq!(plane.statistics(at(200.0), Q).counters.empty_receives, 6);
}

#[test]
fn a_job_takes_one_message_or_exits() {
    let mut plane = plane("", "{ at = \"0s\", messages = 2 }", "client = \"keda-job\"\nprocessing = \"20s\"");
    plane.add_consumer(at(1.0), POD, 0);
    plane.add_consumer(at(2.0), PodRef(1), 0);
    plane.add_consumer(at(3.0), PodRef(2), 0);
    let exited = |seconds, pod| Notice { at: at(seconds), pod: PodRef(pod), kind: NoticeKind::Exited { ok: true } };
    // A client that takes one message and is no job would not exit on an empty queue.
    assert_eq!(notices(&mut plane, 60.0), [exited(21.0, 0), exited(22.0, 1)]);
    assert_eq!(plane.true_counts(Q), depth(0, 0));
}

#[test]
fn a_scaled_job_without_message_exits_at_once() {
    let text = "[[queues]]\nname = \"q\"\nservice = \"moto\"\n[[consumers]]\njob = \"j\"\nqueue = \"q\"\nwaitTime = \"0s\"\nprocessing = \"20s\"";
    let mut problems = Problems::default();
    let node = forescale::scenario::toml::parse(text, 0, &mut problems);
    let scenario = Scenario::decode(&node, &mut problems).unwrap_or_else(|| panic!("{problems:?}"));
    let mut plane = DataPlane::new(&scenario.queues, &scenario.consumers, &Streams::new(1, 0));
    plane.add_consumer(at(3.0), POD, 0);
    let exited = Notice { at: at(3.0), pod: POD, kind: NoticeKind::Exited { ok: true } };
    assert_eq!(notices(&mut plane, 60.0), [exited]);
    assert_eq!(plane.statistics(at(60.0), Q).counters.empty_receives, 1);
}

#[test]
fn prefetched_messages_age_in_the_pod() {
    // Ten at once, five seconds each, timeout 31 s: the message that would start at 30 and end at 35 comes back at 31, and so do
    // the three behind it. The pod works on nevertheless; its deletes are late, and still succeed by the latest handle.
    let consumer = "batchSize = 10\nwaitTime = \"20s\"\nprocessing = \"5s\"";
    let mut plane = plane("visibilityTimeout = \"31s\"", "{ at = \"0s\", messages = 10 }", consumer);
    plane.add_consumer(at(1.0), POD, 0);
    notices(&mut plane, 31.5);
    assert_eq!(plane.true_counts(Q), depth(0, 4));
    notices(&mut plane, 32.5);
    assert_eq!(plane.true_counts(Q), depth(4, 0));
    notices(&mut plane, 60.0);
    let counters = plane.statistics(at(60.0), Q).counters;
    assert_eq!((counters.visibility_expired, counters.deleted, counters.redelivered), (4, 10, 0));
}

#[test]
fn a_heartbeat_keeps_a_long_message_and_dies_with_the_pod() {
    let consumer =
        "batchSize = 1\nwaitTime = \"20s\"\nprocessing = \"100s\"\nheartbeat = { every = \"10s\", to = \"30s\" }";
    let queue = "visibilityTimeout = \"30s\"";
    let mut first = plane(queue, "{ at = \"5s\" }", consumer);
    first.add_consumer(at(1.0), POD, 0);
    notices(&mut first, 200.0);
    let counters = first.statistics(at(200.0), Q).counters;
    assert_eq!((counters.deleted, counters.visibility_expired), (1, 0));
    // Killed at 47: the last beat was at 45, so the message comes back at 75.
    let mut second = plane(queue, "{ at = \"5s\" }", consumer);
    second.add_consumer(at(1.0), POD, 0);
    notices(&mut second, 47.0);
    second.kill(at(47.0), POD);
    notices(&mut second, 74.9);
    assert_eq!(second.true_counts(Q), depth(0, 1));
    notices(&mut second, 75.0);
    assert_eq!(second.true_counts(Q), depth(1, 0));
}

#[test]
fn an_early_delete_loses_what_a_crash_interrupts() {
    let consumer = "client = \"celery\"\nslots = 1\nprefetch = 2\nprocessing = \"10s\"";
    let mut plane = plane("visibilityTimeout = \"1800s\"", "{ at = \"0s\", messages = 3 }", consumer);
    plane.add_consumer(at(1.0), POD, 0);
    notices(&mut plane, 5.0);
    // One runs and is deleted, two wait in the pod.
    assert_eq!(plane.true_counts(Q), depth(0, 2));
    notices(&mut plane, 11.5);
    assert_eq!(plane.true_counts(Q), depth(0, 1));
    plane.kill(at(12.0), POD);
    notices(&mut plane, 1801.0);
    assert_eq!(plane.true_counts(Q), depth(1, 0));
    assert_eq!(plane.totals(0).lost, 1);
}

#[test]
fn celery_sends_again_what_it_has_not_started() {
    let consumer = "client = \"celery\"\nslots = 1\nprefetch = 2\nprocessing = \"10s\"";
    let mut plane = plane("visibilityTimeout = \"1800s\"", "{ at = \"0s\", messages = 3 }", consumer);
    plane.add_consumer(at(1.0), POD, 0);
    notices(&mut plane, 5.0);
    plane.begin_stop(at(5.0), POD);
    // The running task ends; of the two others there are copies at once, and the originals come back too.
    assert_eq!(plane.true_counts(Q), depth(2, 2));
    assert_eq!(notices(&mut plane, 60.0), [Notice { at: at(11.0), pod: POD, kind: NoticeKind::Stopped }]);
    notices(&mut plane, 1802.0);
    assert_eq!(plane.true_counts(Q), depth(4, 0));
    assert_eq!(plane.statistics(at(1802.0), Q).counters.sent, 5);
}

#[test]
fn clients_have_the_habits_of_their_libraries() {
    use forescale::scenario::consumers::{Ack::*, OnTerm::*, PollMode::*};
    let of = |client: &str, queue: &str| {
        let consumer = format!("client = \"{client}\"\nprocessing = \"1s\"");
        plane(queue, "{ at = \"0s\" }", &consumer).consumer_settings(0).clone()
    };
    let queue = "receiveWaitTime = \"3s\"";
    // batch, wait, slots, prefetch, poll mode, delete, on SIGTERM, longest drain
    let rows = [
        ("boto3", (1, 3, 1, 0, AfterBatch, Late, Die, None)),
        ("aws-sdk", (1, 3, 1, 0, AfterBatch, Late, Drain, None)),
        ("celery", (10, 10, 4, 16, Continuous, Early, Requeue, None)),
        ("shoryuken", (10, 3, 25, 0, Continuous, Late, Drain, Some(8))),
        ("spring-cloud-aws", (10, 10, 10, 0, Continuous, Batched, Drain, Some(20))),
        ("sqs-consumer", (1, 20, 1, 0, AfterBatch, Late, Die, None)),
        ("keda-job", (1, 0, 1, 0, AfterBatch, Late, Drain, None)),
    ];
    for (client, expected) in rows {
        let s = of(client, queue);
        let drain = s.drain_limit.map(|limit| limit.as_secs_f64() as u32);
        let wait = s.wait.as_secs_f64() as u32;
        let got = (s.batch, wait, s.slots, s.prefetch, s.poll_mode, s.ack, s.on_term, drain);
        assert_eq!(got, expected, "{client}");
        assert!(s.heartbeat.is_none() && s.threads == 1, "{client}");
    }
    assert_eq!(of("celery", queue).idle_poll, Duration::from_secs(1));
    assert!(of("spring-cloud-aws", queue).finish_poll && !of("boto3", queue).finish_poll);
    assert_eq!(of("keda-job", queue).max_messages, Some(1));
    // FIFO queues: Shoryuken takes one at a time, Spring deletes one by one.
    assert_eq!(of("shoryuken", "fifo = true").batch, 1);
    assert_eq!(of("spring-cloud-aws", "fifo = true").ack, Late);
    // Late acknowledgement: what runs counts among the four per process.
    let late = plane(queue, "{ at = \"0s\" }", "client = \"celery\"\nack = \"late\"\nprocessing = \"1s\"");
    assert_eq!(late.consumer_settings(0).capacity(), 16);
    let batch = plane(queue, "{ at = \"0s\" }", "client = \"sqs-consumer\"\nbatchSize = 5\nprocessing = \"1s\"");
    assert_eq!(batch.consumer_settings(0).slots, 5);
}

#[test]
fn a_batch_shares_its_overhead() {
    // Ten messages of 1 s each, with 5 s before the first of a batch: 15 s in one batch, 60 s one by one.
    let consumer =
        |batch: u32| format!("batchSize = {batch}\nwaitTime = \"20s\"\nprocessing = \"1s\"\nbatchOverhead = \"5s\"");
    for (batch, end) in [(10, 16.0), (1, 61.0), (5, 21.0)] {
        let mut plane = plane("visibilityTimeout = \"300s\"", "{ at = \"0s\", messages = 10 }", &consumer(batch));
        plane.add_consumer(at(1.0), POD, 0);
        notices(&mut plane, 100.0);
        let done: Vec<f64> =
            steps(&mut plane).iter().filter(|step| step.1 == WorkerEventKind::Done).map(|step| step.0).collect();
        assert_eq!((done.len(), done.last().map(|at| at.round())), (10, Some(end)), "batches of {batch}");
    }
}

#[test]
fn batched_deletes_wait_for_each_other() {
    let consumer = "client = \"spring-cloud-aws\"\nprocessing = \"2s\"";
    let mut plane = plane("", "{ at = \"1s\", messages = 3 }", consumer);
    plane.add_consumer(at(0.0), POD, 0);
    notices(&mut plane, 3.9);
    assert_eq!(plane.true_counts(Q), depth(0, 3));
    notices(&mut plane, 4.0);
    assert_eq!(plane.true_counts(Q), depth(0, 0));
    // SIGTERM in the middle of a poll (polls at 0 and, after the messages of 1, from 1 on, every 10 s): it waits for the answer.
    plane.begin_stop(at(5.0), POD);
    assert_eq!(notices(&mut plane, 60.0), [Notice { at: at(11.0), pod: POD, kind: NoticeKind::Stopped }]);
}

#[test]
fn released_messages_come_back_at_once() {
    let consumer = "batchSize = 10\nwaitTime = \"20s\"\nprocessing = \"5s\"\nonTerm = \"release\"";
    let mut plane = plane("visibilityTimeout = \"300s\"", "{ at = \"0s\", messages = 10 }", consumer);
    plane.add_consumer(at(1.0), POD, 0);
    notices(&mut plane, 12.0);
    plane.begin_stop(at(12.0), POD);
    // Two are done, the third is in hand, seven are released.
    assert_eq!(plane.true_counts(Q), depth(7, 1));
    assert_eq!(notices(&mut plane, 60.0), [Notice { at: at(16.0), pod: POD, kind: NoticeKind::Stopped }]);
    assert_eq!(plane.true_counts(Q), depth(7, 0));
}

#[test]
fn a_drain_has_a_limit() {
    let consumer = "client = \"shoryuken\"\nwaitTime = \"20s\"\nslots = 2\nprocessing = \"30s\"";
    let mut plane = plane("visibilityTimeout = \"60s\"", "{ at = \"0s\", messages = 3 }", consumer);
    plane.add_consumer(at(1.0), POD, 0);
    notices(&mut plane, 5.0);
    assert_eq!(plane.true_counts(Q), depth(1, 2));
    plane.begin_stop(at(5.0), POD);
    assert_eq!(notices(&mut plane, 60.0), [Notice { at: at(13.0), pod: POD, kind: NoticeKind::Stopped }]);
    notices(&mut plane, 61.0);
    assert_eq!(plane.true_counts(Q), depth(3, 0));
}

#[test]
fn failures_back_off_and_end_in_the_dead_letter_queue() {
    // Always fails after 1 s. Receives at 0, 1 + 10 = 11, 12 + 20 = 32; then the poll at 33 + 40 = 73 moves it.
    let consumer = "batchSize = 1\nwaitTime = \"20s\"\nprocessing = \"1s\"\npoison = 1.0\nonError = \"backoff\"";
    let mut plane = plane("maxReceiveCount = 3", "{ at = \"0s\" }", consumer);
    plane.add_consumer(at(0.0), POD, 0);
    notices(&mut plane, 72.9);
    let received: Vec<f64> =
        steps(&mut plane).iter().filter(|(_, k)| matches!(k, WorkerEventKind::Receive(_))).map(|(t, _)| *t).collect();
    assert_eq!(received, [0.0, 11.0, 32.0]);
    let dlq = plane.find_queue("q-dlq").expect("implied by maxReceiveCount");
    assert_eq!(plane.true_counts(dlq), depth(0, 0));
    notices(&mut plane, 73.0);
    assert_eq!((plane.true_counts(Q), plane.true_counts(dlq)), (depth(0, 0), depth(1, 0)));
}

#[test]
fn a_crash_is_noticed_and_the_message_comes_back() {
    let consumer = "batchSize = 1\nwaitTime = \"20s\"\nprocessing = \"10s\"\ncrashes = 1.0";
    let mut plane = plane("visibilityTimeout = \"30s\"", "{ at = \"0s\" }", consumer);
    plane.add_consumer(at(0.0), POD, 0);
    let all = notices(&mut plane, 29.9);
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].kind, NoticeKind::Crashed);
    assert!(all[0].at < at(10.0));
    assert_eq!(plane.true_counts(Q), depth(0, 1));
    notices(&mut plane, 30.0);
    assert_eq!(plane.true_counts(Q), depth(1, 0));
}

#[test]
fn waiting_costs_no_events_and_is_counted_all_the_same() {
    let mut plane = plane("", "", "batchSize = 1\nwaitTime = \"20s\"\nprocessing = \"1s\"");
    for pod in 0..100 {
        plane.add_consumer(at(0.0), PodRef(pod), 0);
    }
    notices(&mut plane, 1.0);
    let before = plane.events_made();
    notices(&mut plane, 3600.0);
    assert_eq!(plane.events_made(), before);
    assert_eq!(plane.next_event(), None);
    // 3,600 / 20 polls of each.
    assert_eq!(plane.statistics(at(3600.0), Q).counters.empty_receives, 18_000);
    // A second reading counts nothing twice.
    assert_eq!(plane.statistics(at(3600.0), Q).counters.empty_receives, 18_000);
}

#[test]
fn a_pod_that_waits_too_long_exits() {
    let consumer = "batchSize = 1\nwaitTime = \"20s\"\nprocessing = \"1s\"\nidleExit = \"30s\"";
    let mut plane = plane("", "{ at = \"10s\" }", consumer);
    plane.add_consumer(at(0.0), POD, 0);
    let exited = Notice { at: at(41.0), pod: POD, kind: NoticeKind::Exited { ok: true } };
    assert_eq!(notices(&mut plane, 100.0), [exited]);
}

#[test]
fn busy_time_is_exact() {
    let mut plane =
        plane("", "{ at = \"10s\", messages = 2 }", "batchSize = 1\nwaitTime = \"20s\"\nprocessing = \"4s\"");
    plane.add_consumer(at(0.0), POD, 0);
    notices(&mut plane, 12.0);
    assert_eq!(plane.busy(at(12.0), POD), Duration::from_secs(2));
    notices(&mut plane, 30.0);
    assert_eq!(plane.busy(at(30.0), POD), Duration::from_secs(8));
}

#[test]
fn one_group_serialises_all_consumers() {
    // One message group, 1 s each, three pods: no message before the one ahead is deleted.
    let queue = "fifo = true";
    let mut plane =
        plane(queue, "{ at = \"0s\", messages = 5 }", "batchSize = 1\nwaitTime = \"20s\"\nprocessing = \"1s\"");
    for pod in 0..3 {
        plane.add_consumer(at(0.0), PodRef(pod), 0);
    }
    notices(&mut plane, 4.5);
    assert_eq!(plane.true_counts(Q), depth(0, 1));
    notices(&mut plane, 5.0);
    assert_eq!(plane.statistics(at(5.0), Q).counters.deleted, 5);
}

#[test]
fn data_events_come_before_control_events_of_the_same_instant() {
    let mut plane = plane("", "{ at = \"60s\" }", RECORDED);
    assert_eq!(plane.next_event(), Some(at(60.0)));
    notices(&mut plane, 60.0);
    assert_eq!(plane.attributes(at(60.0), Q).map(|a| a.visible), Ok(1));
}

#[test]
fn a_lost_poll_hides_a_message_for_its_timeout() {
    let consumer = "client = \"boto3\"\nwaitTime = \"20s\"\nprocessing = \"1s\"\norphanedPolls = true";
    let mut plane = plane("visibilityTimeout = \"30s\"", "{ at = \"10s\" }", consumer);
    plane.add_consumer(at(0.0), POD, 0);
    notices(&mut plane, 5.0);
    plane.begin_stop(at(5.0), POD);
    assert_eq!(notices(&mut plane, 39.9).len(), 1);
    assert_eq!(plane.true_counts(Q), depth(0, 1));
    notices(&mut plane, 40.0);
    assert_eq!(plane.true_counts(Q), depth(1, 0));
}
