//! What the controller remembers of one HPA between passes: recommendations and scale events. Lost when it restarts.

use super::normalize::ScalingRules;
use crate::time::{Duration, Time};

/// A stored recommendation (`horizontal.go: timestampedRecommendation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recommendation {
    /// Replicas, before stabilization and limits.
    pub replicas: i32,
    /// When it was made.
    pub time: Time,
}

/// A stored scaling (`horizontal.go: timestampedScaleEvent`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScaleEvent {
    /// Replicas added or removed, positive.
    pub change: i32,
    /// When it was written.
    pub time: Time,
    /// Older than the longest period of its direction: the next event may take its place.
    pub outdated: bool,
}

/// Memory of one HPA.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Recommendations in list order; `None` until the first pass stores the current count.
    pub recommendations: Option<Vec<Recommendation>>,
    /// Events of scaling up.
    pub scale_up_events: Vec<ScaleEvent>,
    /// Events of scaling down.
    pub scale_down_events: Vec<ScaleEvent>,
}

impl History {
    /// Seeds the list with the current count if there is none (`horizontal.go: recordInitialRecommendation`).
    pub fn record_initial_recommendation(&mut self, current: i32, now: Time) {
        if self.recommendations.is_none() {
            self.recommendations = Some(vec![Recommendation { replicas: current, time: now }]);
        }
    }

    /// Puts a recommendation in the place of the last one which is older than `window`, or at the end.
    pub(super) fn store_recommendation(&mut self, replicas: i32, now: Time, window: Duration) {
        let list = self.recommendations.get_or_insert_default();
        let stored = Recommendation { replicas, time: now };
        match list.iter().rposition(|old| now.since(old.time) > window) {
            Some(place) => list[place] = stored,
            None => list.push(stored),
        }
    }

    /// The stored recommendations.
    pub(super) fn recommendations(&self) -> &[Recommendation] {
        self.recommendations.as_deref().unwrap_or_default()
    }

    /// Remembers a successful scale write under a `behavior`; the last outdated event of the direction gives up its place
    /// (`horizontal.go: storeScaleEvent`).
    pub fn store_scale_event(&mut self, rules: (&ScalingRules, &ScalingRules), previous: i32, new: i32, now: Time) {
        let (events, rules) =
            if new > previous { (&mut self.scale_up_events, rules.0) } else { (&mut self.scale_down_events, rules.1) };
        mark_scale_events_outdated(events, rules.longest_policy_period(), now);
        let stored = ScaleEvent { change: (new - previous).abs(), time: now, outdated: false };
        match events.iter().rposition(|event| event.outdated) {
            Some(place) => events[place] = stored,
            None => events.push(stored),
        }
    }
}

/// `horizontal.go: markScaleEventsOutdated`.
fn mark_scale_events_outdated(events: &mut [ScaleEvent], longest_period: Duration, now: Time) {
    for event in events {
        event.outdated |= now.since(event.time) > longest_period;
    }
}

/// Sum of the changes within the last `period`; one exactly `period` old is outside (`horizontal.go: getReplicasChangePerPeriod`).
#[must_use]
pub fn replicas_change_per_period(period: Duration, events: &[ScaleEvent], now: Time) -> i32 {
    events.iter().filter(|event| now.since(event.time) < period).map(|event| event.change).sum()
}
