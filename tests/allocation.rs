//! The message path allocates nothing: a counting allocator watches 1,000 busy consumers.
#![expect(unsafe_code, reason = "a global allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use forescale::api::decode::{Decode, Problems};
use forescale::consumer::{DataPlane, PodRef};
use forescale::engine::Streams;
use forescale::scenario::Scenario;
use forescale::sqs::QueueId;
use forescale::time::{Duration, Time};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn the_message_path_allocates_nothing() {
    let text = "
        [[queues]]
        name = \"q\"
        [[queues.arrivals]]
        pattern = \"poisson\"
        rate = \"2000/s\"
        [[consumers]]
        deployment = \"d\"
        queue = \"q\"
        batchSize = 10
        slots = 5
        waitTime = \"20s\"
        processing = { exponential = { mean = \"1s\" } }
        visibilityTimeout = \"5m\"
    ";
    let mut problems = Problems::default();
    let node = forescale::scenario::toml::parse(text, 0, &mut problems);
    let scenario = Scenario::decode(&node, &mut problems).unwrap_or_else(|| panic!("{problems:?}"));
    let mut plane = DataPlane::new(&scenario.queues, &scenario.consumers, &Streams::new(3, 0));
    for pod in 0..1000 {
        plane.add_consumer(Time::ZERO, PodRef(pod), 0);
    }
    let at = |seconds: i64| Time::ZERO + Duration::from_secs(seconds);
    // Tables grow to the size that the load needs.
    assert_eq!(plane.advance(at(120)), None);
    let received = plane.statistics(at(120), QueueId(0)).counters.received;
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    assert_eq!(plane.advance(at(180)), None);
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    let messages = plane.statistics(at(180), QueueId(0)).counters.received - received;
    assert!(messages > 110_000, "{messages}");
    // A few tables may still grow to a new peak; a single allocation per thousand messages would give 120.
    assert!(allocations < 20, "{allocations} allocations for {messages} messages");
}
