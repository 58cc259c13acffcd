//! Habits of the service that no timeline of calls shows: quotas, lagging counters, phantoms, prices.

use forescale::api::decode::{Decode, Problems};
use forescale::engine::Streams;
use forescale::scenario::queues::QueueSpec;
use forescale::sqs::price::{per_million, price};
use forescale::sqs::settings::QueueKind;
use forescale::sqs::statistics::{PARTS, Requests};
use forescale::sqs::{QueueId, QueueSettings, ReceiveMessage, Received, SendMessage, Sent, Sqs, SqsError};
use forescale::time::{Duration, Time};
use forescale::units::Usd;

const Q: QueueId = QueueId(0);

fn queue(text: &str) -> Sqs {
    let mut problems = Problems::default();
    let node = forescale::scenario::toml::parse(&format!("name = 'q'\n{text}"), 0, &mut problems);
    let spec = QueueSpec::decode(&node, &mut problems).unwrap_or_else(|| panic!("{problems:?}"));
    Sqs::new(QueueSettings::from_specs(&[spec]), &Streams::new(1, 0))
}

fn at(seconds: f64) -> Time {
    Time::from_secs_f64(seconds)
}

fn in_group(group: u32) -> SendMessage {
    SendMessage { group: Some(group), ..SendMessage::default() }
}

/// 300 calls a second of each kind; the answer tells when the next is allowed, and each refusal is counted.
#[test]
fn a_fifo_queue_admits_three_hundred_calls_a_second_of_each_kind() {
    let mut sqs = queue("fifo = true");
    let sends: Vec<_> = (0..302).map(|_| sqs.send(at(1.0), Q, &in_group(1))).collect();
    assert!(sends[..300].iter().all(Result::is_ok));
    let Err(SqsError::Throttled(until)) = sends[300] else { panic!("{:?}", sends[300]) };
    assert!(until > at(1.003) && until < at(1.004), "{until}");
    assert_eq!(sqs.queue(Q).statistics().counters.throttled, 2);
    assert!(sqs.send(until, Q, &in_group(1)).is_ok());
    // Receives and deletes have quotas of their own.
    let mut out = Vec::new();
    let receives: Vec<_> =
        (0..301).map(|_| sqs.receive(at(1.5), Q, &ReceiveMessage::new(at(1.5), 1, false), &mut out)).collect();
    assert!(receives[..300].iter().all(Result::is_ok) && matches!(receives[300], Err(SqsError::Throttled(_))));
    assert_eq!(sqs.queue(Q).statistics().counters.throttled, 3);
    let deletes: Vec<_> = (0..301).map(|_| sqs.delete(at(1.6), Q, out[0].receipt, 1)).collect();
    assert!(deletes[..300].iter().all(Result::is_ok) && matches!(deletes[300], Err(SqsError::Throttled(_))));
    assert_eq!(sqs.queue(Q).statistics().counters.throttled, 4);
}

/// High throughput: the same for each partition, between which groups are spread.
#[test]
fn partitions_multiply_the_quota() {
    let mut sqs = queue("fifo = true\nthroughput = 'high'\npartitions = 4");
    let admitted = (0..4000).filter(|group| sqs.send(at(1.0), Q, &in_group(*group)).is_ok()).count();
    assert_eq!(admitted, 1200);
    let one = (0..600).filter(|_| sqs.send(at(9.0), Q, &in_group(7)).is_ok()).count();
    assert_eq!(one, 300, "a group is in one partition");
    let mut out = Vec::new();
    let receives =
        (0..2000).filter(|_| sqs.receive(at(20.0), Q, &ReceiveMessage::new(at(20.0), 1, false), &mut out).is_ok());
    assert_eq!(receives.count(), 1200, "a receive names no group");
}

/// The backlog of the beginning meets no quota, and is sent at the beginning.
#[test]
fn a_backlog_is_there_at_once() {
    let mut sqs = queue("fifo = true");
    (0..1000).for_each(|group| sqs.send_backlog(Q, &in_group(group)));
    assert_eq!(sqs.queue(Q).counts().depth().visible, 1000);
    assert_eq!(sqs.age_of_oldest(at(5.0), Q), Duration::from_secs(5));
}

/// Each counter shows what was true a lag ago, for as long as a minute.
#[test]
fn counters_lag() {
    for lag in [0, 7, 30, 60] {
        let mut sqs = queue(&format!("counters = 'approximate'\ncounterLag = '{lag}s'\nphantoms = 0.0"));
        for second in 1..200_u32 {
            sqs.send(at(f64::from(second)), Q, &SendMessage::default()).expect("the queue exists");
            if second % 3 == 0 {
                sqs.receive(
                    at(f64::from(second)),
                    Q,
                    &ReceiveMessage::new(at(f64::from(second)), 1, true),
                    &mut Vec::new(),
                )
                .expect("the queue exists");
            }
            let then = u64::from(second.saturating_sub(lag));
            let seen = sqs.attributes(at(f64::from(second) + 0.5), Q).expect("the queue exists");
            assert_eq!(seen.visible + seen.not_visible, then, "{lag} s ago at {second}");
        }
    }
}

/// One or two, for a minute, and only while nothing is there.
#[test]
fn phantoms_show_on_an_idle_queue() {
    let mut sqs = queue("counters = 'approximate'\ncounterLag = '0s'\nphantoms = 1.0");
    let mut visible = |second: f64| sqs.attributes(at(second), Q).expect("the queue exists").visible;
    let lives: Vec<u64> = (0..40).map(|life| visible(f64::from(life) * 60.0)).collect();
    assert!(lives.iter().all(|seen| (1..=2).contains(seen)) && lives.contains(&1) && lives.contains(&2), "{lives:?}");
    let first = visible(3000.0);
    assert!((1..60).all(|second| visible(3000.0 + f64::from(second)) == first), "the same for a minute");
    assert!(matches!(sqs.send(at(3100.0), Q, &SendMessage::default()), Ok(Sent::Enqueued(_))));
    assert_eq!(sqs.attributes(at(3101.0), Q).expect("the queue exists").visible, 1, "none while a message is there");

    let mut rare = queue("counters = 'approximate'\ncounterLag = '0s'\nphantoms = 0.0005");
    let looks =
        (0..20_000).map(|look| rare.attributes(at(f64::from(look) * 10.0), Q).expect("the queue exists").visible);
    let seen = looks.filter(|visible| *visible > 0).count();
    // Ten looks, or at most fifteen seconds more, show each of about ten.
    assert!((18..200).contains(&seen), "{seen}");
}

/// Prices a million requests of us-east-1: 0.40 up to 100 billion, 0.30 up to 200, 0.24 beyond; FIFO 0.50; fair 0.10 more.
#[test]
fn requests_are_priced_by_kind_and_tier() {
    let standard = QueueKind::Standard { shards: 1, sampling: 1.0 };
    let fifo = QueueKind::Fifo { look_ahead: 1, partitions: 0 };
    let cents = |kind| {
        per_million(kind)
            == Usd::from_f64(match kind {
                QueueKind::Standard { .. } => 0.40,
                QueueKind::Fair => 0.50,
                QueueKind::Fifo { .. } => 0.50,
            })
    };
    assert!([standard, QueueKind::Fair, fifo].into_iter().all(cents));
    let billions = |count: u64| Requests { delete_parts: count * 1_000_000_000 * PARTS, ..Requests::default() };
    let of = |kind, count| price(kind, &billions(count));
    assert_eq!(of(standard, 300), Usd::from_f64(40_000.0 + 30_000.0 + 24_000.0));
    assert_eq!(of(QueueKind::Fair, 300), Usd::from_f64(94_000.0 + 30_000.0));
    assert_eq!(of(fifo, 300), Usd::from_f64(150_000.0));
    let each =
        Requests { send_parts: 1, receive_parts: 2, delete_parts: 3, change_visibility_parts: 4, attributes_parts: 5 };
    assert_eq!((each.total_parts(), each.total()), (15, 1));
}

/// A long poll that misses what is there (`emptyLongPolls`); a short poll never does so, it asks only some of the servers.
#[test]
fn a_long_poll_may_be_answered_empty_though_there_are_messages() {
    for (probability, long_gets) in [(0.0, 1), (1.0, 0)] {
        let mut sqs = queue(&format!("shards = 1\nshortPollSampling = 1.0\nemptyLongPolls = {probability:.1}"));
        for _ in 0..4 {
            sqs.send(at(1.0), Q, &SendMessage::default()).expect("the queue exists");
        }
        let mut polls = [true, false].map(|long| {
            let mut out = Vec::new();
            let poll = ReceiveMessage::new(at(2.0), 1, long);
            let mut received = Received::NONE;
            let one = u32::from(sqs.receive_one(at(2.0), Q, &poll, &mut received).expect("below the limit"));
            (one, sqs.receive(at(2.0), Q, &poll, &mut out).expect("below the limit"))
        });
        polls.sort_unstable();
        assert_eq!(polls, [(long_gets, long_gets), (1, 1)]);
        let empty = sqs.queue(Q).statistics().counters.empty_receives;
        assert_eq!(empty, 2 - 2 * u64::from(long_gets));
    }
}

/// Polls and heartbeats that a consumer did not make one by one are billed like any other.
#[test]
fn what_is_counted_in_bulk_is_billed() {
    let mut sqs = queue("");
    sqs.count_empty_receives(Q, 3);
    sqs.count_visibility_changes(Q, 5);
    let counters = sqs.queue(Q).statistics().counters;
    let Requests { receive_parts, change_visibility_parts, .. } = counters.requests;
    assert_eq!((counters.empty_receives, receive_parts, change_visibility_parts), (3, 3 * PARTS, 5 * PARTS));
}
