//! Messages of EC2 about its instances (karpenter-provider-aws `pkg/controllers/interruption`).

use crate::cluster::Rule;
use crate::time::Duration;

/// Most messages of one receive.
pub const MAX_MESSAGES: usize = 10;
/// How long a receive waits for a message.
pub const WAIT_TIME: Duration = Duration::from_secs(20);
/// How long an instance or system check must have failed.
pub const IMPAIRED_THRESHOLD: Duration = Duration::from_secs(120);
/// Time between two looks at the status of instances.
pub const STATUS_POLL: Duration = Duration::from_mins(1);

/// A message about an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// EC2 Spot Instance Interruption Warning.
    SpotInterruption,
    /// EC2 Instance Rebalance Recommendation.
    RebalanceRecommendation,
    /// AWS Health, category scheduledChange.
    ScheduledChange,
    /// EC2 Instance State-change to that state.
    StateChange(State),
    /// EC2 Capacity Reservation Instance Interruption Warning.
    ReservationInterruption,
}

/// States of the state-change message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// `pending`.
    Pending,
    /// `running`.
    Running,
    /// `stopping`.
    Stopping,
    /// `stopped`.
    Stopped,
    /// `shutting-down`.
    ShuttingDown,
    /// `terminated`.
    Terminated,
}

/// What Karpenter does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaction {
    /// Delete the NodeClaim, with this reason in metrics.
    pub delete: Option<Rule>,
    /// Leave the offering (type, zone, spot) alone for 3 minutes.
    pub mark_offering: bool,
}

/// The reaction to a message (`utils.go: actionForMessage, markUnavailableOfferings`).
#[must_use]
pub const fn react(message: Message) -> Reaction {
    let delete = match message {
        Message::SpotInterruption => Some(Rule::SpotInterrupted),
        Message::ScheduledChange => Some(Rule::ScheduledChange),
        Message::ReservationInterruption => Some(Rule::ReservationInterrupted),
        Message::StateChange(State::Stopping | State::Stopped) => Some(Rule::InstanceStopped),
        Message::StateChange(State::ShuttingDown | State::Terminated) => Some(Rule::InstanceTerminated),
        Message::StateChange(State::Pending | State::Running) | Message::RebalanceRecommendation => None,
    };
    Reaction { delete, mark_offering: matches!(message, Message::SpotInterruption) }
}
