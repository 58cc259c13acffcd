//! Faults of the scenario that a kind of consumer meets: receives that fail, attempts that fail.

use super::plane::DataPlane;
use crate::engine::{Stream, Streams};
use crate::scenario::faults::{Fault, FaultKind};
use crate::time::Time;

/// When something fails.
#[derive(Clone, Copy, Debug)]
struct Window {
    from: Time,
    until: Time,
    share: f64,
}

/// What fails for one kind of consumer.
#[derive(Debug)]
pub(super) struct Faults {
    receives: Vec<Window>,
    attempts: Vec<Window>,
    calls: Stream,
}

impl Faults {
    pub fn none(streams: &Streams, consumer: &str) -> Self {
        let calls = streams.open_named("consumer/failing-calls", consumer);
        Faults { receives: Vec::new(), attempts: Vec::new(), calls }
    }

    /// Whether a receive at `now` fails, and from when on the next may succeed (`now` where only a share of the calls fails).
    #[inline]
    pub fn receive_fails(&mut self, now: Time) -> Option<Time> {
        for window in &self.receives {
            if window.from <= now && now < window.until && (window.share >= 1.0 || self.calls.chance(window.share)) {
                return Some(if window.share >= 1.0 { window.until } else { now });
            }
        }
        None
    }

    /// Whether an attempt from `start` to `end` fails. `stream` belongs to the attempt.
    pub fn attempt_fails(&self, start: Time, end: Time, stream: &mut Stream) -> bool {
        let overlaps = |window: &&Window| window.from < end && start < window.until;
        self.attempts.iter().filter(overlaps).any(|window| stream.chance(window.share))
    }
}

impl DataPlane {
    /// Lets consumers meet the faults of a scenario: `receiveFails` and `processingFails`.
    pub fn set_faults(&mut self, faults: &[Fault]) {
        for fault in faults {
            let window = Window { from: fault.begin(), until: fault.end(), share: fault.share };
            for consumer in &mut self.consumers {
                let queue = &self.sqs.queue(consumer.settings.queue).settings().name;
                let concerned = fault.queue.as_ref().is_none_or(|name| name == queue)
                    && fault
                        .deployment
                        .as_ref()
                        .is_none_or(|name| !consumer.settings.job && *name == consumer.settings.name);
                match fault.kind {
                    FaultKind::ReceiveFails if concerned => consumer.faults.receives.push(window),
                    FaultKind::ProcessingFails if concerned => {
                        consumer.faults.attempts.push(window);
                        consumer.plain = false;
                    }
                    _ => {}
                }
            }
        }
    }
}
