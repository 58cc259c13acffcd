//! Speed of the data plane: M/M/10 against a bare loop over a binary heap that does the same arithmetic and nothing else.
//!
//! `cargo bench --bench data_plane` prints nanoseconds per message of both, and their ratio. `-- <messages>` sets the number of
//! messages (default 10,000,000).
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the wall clock")]

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Instant;

use forescale::api::decode::{Decode, Problems};
use forescale::consumer::{DataPlane, PodRef};
use forescale::engine::{Distribution, Streams};
use forescale::scenario::Scenario;
use forescale::sqs::QueueId;
use forescale::time::{Duration, Time};

const SERVERS: u32 = 10;
const RATE: f64 = 8.0;

fn main() {
    let messages: u64 = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(10_000_000);
    let bare = best(|| bare_loop(messages));
    let exact = best(|| plane(messages, "service = \"moto\""));
    let aws = best(|| plane(messages, ""));
    let per_message = |seconds: f64| seconds * 1e9 / messages as f64;
    println!("bare heap loop:        {:7.1} ns per message", per_message(bare));
    println!("data plane, exact:     {:7.1} ns per message, ratio {:.2}", per_message(exact), exact / bare);
    println!("data plane, like AWS:  {:7.1} ns per message, ratio {:.2}", per_message(aws), aws / bare);
}

/// The fastest of three runs, in seconds.
fn best(mut run: impl FnMut() -> u64) -> f64 {
    let mut fastest = f64::INFINITY;
    for _ in 0..3 {
        let start = Instant::now();
        std::hint::black_box(run());
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    fastest
}

fn plane(messages: u64, queue: &str) -> u64 {
    let text = format!(
        "[[queues]]\nname = \"q\"\n{queue}\n[[queues.arrivals]]\npattern = \"poisson\"\nrate = \"{RATE}/s\"\n\
         [[consumers]]\ndeployment = \"d\"\nqueue = \"q\"\nbatchSize = 1\nwaitTime = \"20s\"\nvisibilityTimeout = \"5m\"\n\
         processing = {{ exponential = {{ mean = \"1s\" }} }}\n"
    );
    let mut problems = Problems::default();
    let node = forescale::scenario::toml::parse(&text, 0, &mut problems);
    let scenario = Scenario::decode(&node, &mut problems).unwrap_or_else(|| panic!("{problems:?}"));
    let mut plane = DataPlane::new(&scenario.queues, &scenario.consumers, &Streams::new(3, 0));
    for pod in 0..SERVERS {
        plane.add_consumer(Time::ZERO, PodRef(pod), 0);
    }
    let end = Time::from_secs_f64(messages as f64 / RATE);
    assert_eq!(plane.advance(end), None);
    plane.statistics(end, QueueId(0)).counters.deleted
}

fn bare_loop(messages: u64) -> u64 {
    let mut stream = Streams::new(3, 0).open("bare", 0);
    let gap = Distribution::Exponential { mean: Duration::from_secs_f64(1.0 / RATE) };
    let service = Distribution::Exponential { mean: Duration::from_secs(1) };
    let mut heap: BinaryHeap<Reverse<(u64, u32)>> = BinaryHeap::new();
    let mut queue: VecDeque<u64> = VecDeque::new();
    let mut idle: Vec<u32> = (0..SERVERS).collect();
    let mut waits = 0;
    const ARRIVAL: u32 = u32::MAX;
    heap.push(Reverse((0, ARRIVAL)));
    let mut sent = 0;
    while let Some(Reverse((now, who))) = heap.pop() {
        if who == ARRIVAL {
            sent += 1;
            if sent < messages {
                heap.push(Reverse((now + gap.sample(&mut stream).as_micros() as u64, ARRIVAL)));
            }
            queue.push_back(now);
        } else {
            idle.push(who);
        }
        while let Some(server) = idle.last().copied()
            && let Some(arrived) = queue.pop_front()
        {
            idle.pop();
            waits += now - arrived;
            heap.push(Reverse((now + service.sample(&mut stream).as_micros() as u64, server)));
        }
    }
    waits
}
