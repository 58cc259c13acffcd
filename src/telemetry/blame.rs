//! Blame: at every instant with a backlog, the one factor which limits throughput, integrated to message-seconds.

use crate::time::Time;

/// What a backlog waits for, in the order of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum Factor {
    /// KEDA has not polled the queue since it filled, so a workload at zero is not activated.
    KedaPoll,
    /// The HPA has not synced since the backlog grew.
    HpaSync,
    /// A scaling policy, the tolerance or the stabilization window holds the HPA back.
    HpaPolicy,
    /// `maxReplicaCount` is reached.
    MaxReplicas,
    /// Pods exist which the scheduler has not looked at yet, or cannot place and nobody makes a node for.
    Scheduler,
    /// Karpenter collects pending pods in its batch window, computes, or holds back for another reason; or Cluster Autoscaler has
    /// not scanned yet.
    KarpenterBatch,
    /// The limits of the NodePool, or the largest size of the node group, are reached.
    NodePoolLimit,
    /// EC2 has no capacity for what was asked.
    NoCapacity,
    /// Instances are launched and boot.
    NodeBoot,
    /// Pods are on their node and pull the image or start up.
    PodStart,
    /// Messages are in flight at a consumer which is gone or gave up on them; they come back after the visibility timeout.
    VisibilityTimeout,
    /// Messages wait behind an unfinished one of their FIFO message group.
    FifoGroup,
    /// All wanted consumers run and are busy: this is the throughput the settings ask for.
    ConsumersSaturated,
}

impl Factor {
    /// How many factors there are.
    pub const COUNT: usize = 13;
    /// All factors, in the order of the chain.
    pub const ALL: [Factor; Factor::COUNT] = [
        Factor::KedaPoll,
        Factor::HpaSync,
        Factor::HpaPolicy,
        Factor::MaxReplicas,
        Factor::Scheduler,
        Factor::KarpenterBatch,
        Factor::NodePoolLimit,
        Factor::NoCapacity,
        Factor::NodeBoot,
        Factor::PodStart,
        Factor::VisibilityTimeout,
        Factor::FifoGroup,
        Factor::ConsumersSaturated,
    ];

    /// The name in files, stable.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Factor::KedaPoll => "keda_poll",
            Factor::HpaSync => "hpa_sync",
            Factor::HpaPolicy => "hpa_policy",
            Factor::MaxReplicas => "max_replicas",
            Factor::Scheduler => "scheduler",
            Factor::KarpenterBatch => "karpenter_batch",
            Factor::NodePoolLimit => "node_pool_limit",
            Factor::NoCapacity => "no_capacity",
            Factor::NodeBoot => "node_boot",
            Factor::PodStart => "pod_start",
            Factor::VisibilityTimeout => "visibility_timeout",
            Factor::FifoGroup => "fifo_group",
            Factor::ConsumersSaturated => "consumers_saturated",
        }
    }

    /// What to call it in front of people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Factor::KedaPoll => "waiting for the KEDA poll",
            Factor::HpaSync => "waiting for the HPA sync",
            Factor::HpaPolicy => "HPA policy or stabilization",
            Factor::MaxReplicas => "maxReplicaCount reached",
            Factor::Scheduler => "waiting for the scheduler",
            Factor::KarpenterBatch => "Karpenter batch or gate",
            Factor::NodePoolLimit => "NodePool limit reached",
            Factor::NoCapacity => "no EC2 capacity",
            Factor::NodeBoot => "nodes booting",
            Factor::PodStart => "image pull and start-up",
            Factor::VisibilityTimeout => "visibility timeout of lost work",
            Factor::FifoGroup => "FIFO message group",
            Factor::ConsumersSaturated => "all consumers busy",
        }
    }

    /// Which setting shortens it.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Factor::KedaPoll => "pollingInterval, or minReplicaCount above 0",
            Factor::HpaSync => "the HPA's sync period (a cluster setting)",
            Factor::HpaPolicy => "behavior.scaleUp policies and stabilizationWindowSeconds",
            Factor::MaxReplicas => "maxReplicaCount",
            Factor::Scheduler => "requests, nodeSelector, tolerations, NodePool requirements",
            Factor::KarpenterBatch => "Karpenter's batch windows",
            Factor::NodePoolLimit => "NodePool limits",
            Factor::NoCapacity => "more instance families, zones and capacity types",
            Factor::NodeBoot => "warm capacity: a minimum of replicas or headroom pods",
            Factor::PodStart => "a smaller or pre-pulled image, a faster start",
            Factor::VisibilityTimeout => "visibilityTimeout, graceful shutdown",
            Factor::FifoGroup => "more message groups",
            Factor::ConsumersSaturated => "queueLength, or faster processing",
        }
    }
}

/// What holds the HPA below the number of replicas which the backlog asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HpaBrake {
    /// Nothing: it had no chance yet, or wants no more.
    #[default]
    None,
    /// A scaling policy, the stabilization window or the tolerance.
    Policy,
}

/// Pods that exist and do not consume yet, by what each waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stuck {
    /// Not yet seen by the scheduler, or unschedulable with nobody provisioning.
    pub scheduler: i64,
    /// In Karpenter's batch or held by one of its gates.
    pub karpenter_batch: i64,
    /// Refused because of the limits of NodePools or the sizes of node groups.
    pub node_pool_limit: i64,
    /// The cloud has no capacity for them.
    pub no_capacity: i64,
    /// Their node is on its way.
    pub node_boot: i64,
    /// On a node: pulling, starting, not at work yet.
    pub pod_start: i64,
}

/// What the classifier sees of one queue and the workload which consumes it, at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Visible messages that a consumer could receive now.
    pub receivable: i64,
    /// Visible messages blocked by an unfinished one of their FIFO group.
    pub group_blocked: i64,
    /// In-flight messages whose consumer is gone.
    pub lost_in_flight: i64,
    /// Replicas which the backlog asks for by the trigger's target, before any limit.
    pub needed: i64,
    /// `spec.replicas` of the workload.
    pub desired: i64,
    /// `maxReplicaCount`.
    pub max: i64,
    /// Whether only a poll of KEDA can scale the workload: it is at zero (or idle) replicas, a ScaledJob, or without an HPA.
    pub inactive: bool,
    /// What holds the HPA back.
    pub brake: HpaBrake,
    /// Pods on their way to readiness.
    pub stuck: Stuck,
}

/// The factor which limits how fast the receivable backlog shrinks.
///
/// Throughput is what the backlog needs, cut twice: replicas that were not asked for, as a share of those needed; and pods that
/// were asked for and are stuck between the scheduler and readiness, as a share of those asked for. The larger cut limits.
///
/// Replicas were not asked for since `maxReplicaCount` is reached, or else since KEDA has not polled, the HPA is held back or has
/// not synced: as long as more may be asked for, the maximum does not limit yet. Of the pods that are stuck those of the most
/// frequent reason count; of equals the earliest of the chain. When nothing is missing, the consumers are what limits.
#[must_use]
pub fn classify(seen: &Snapshot) -> Factor {
    let unasked = (seen.needed - seen.desired).max(0);
    let not_asked = match (seen.desired >= seen.max, seen.inactive, seen.brake) {
        (true, ..) => Factor::MaxReplicas,
        (false, true, _) => Factor::KedaPoll,
        (false, false, HpaBrake::Policy) => Factor::HpaPolicy,
        (false, false, HpaBrake::None) => Factor::HpaSync,
    };
    let stuck = [
        (Factor::Scheduler, seen.stuck.scheduler),
        (Factor::KarpenterBatch, seen.stuck.karpenter_batch),
        (Factor::NodePoolLimit, seen.stuck.node_pool_limit),
        (Factor::NoCapacity, seen.stuck.no_capacity),
        (Factor::NodeBoot, seen.stuck.node_boot),
        (Factor::PodStart, seen.stuck.pod_start),
    ];
    let all_stuck: i64 = stuck.iter().map(|&(_, replicas)| replicas).sum();
    let asked = i128::from(seen.desired.max(all_stuck));
    // unasked / needed against stuck / asked, without dividing.
    let asking_limits = i128::from(unasked) * asked >= i128::from(all_stuck) * i128::from(seen.needed);
    match (unasked, all_stuck) {
        (0, 0) => Factor::ConsumersSaturated,
        (_, 0) => not_asked,
        (0, _) => most(&stuck),
        _ if asking_limits => not_asked,
        _ => most(&stuck),
    }
}

/// The factor with most replicas, of equals the first.
fn most(missing: &[(Factor, i64)]) -> Factor {
    let mut worst = (Factor::ConsumersSaturated, 0);
    for &(factor, replicas) in missing {
        if replicas > worst.1 {
            worst = (factor, replicas);
        }
    }
    worst.0
}

/// Message-seconds per factor, and which factor limited when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blame {
    message_micros: [i128; Factor::COUNT],
    band: Vec<(Time, Option<Factor>)>,
    receivable_band: Vec<(Time, Option<Factor>)>,
    since: Option<Time>,
    counts: [i64; 3],
    factor: Option<Factor>,
}

impl Blame {
    /// What holds from `now` on; the first call is at the beginning of the run. Between two calls the number of messages is
    /// taken to change evenly, so the sum is exact at the resolution of the calls.
    ///
    /// # Panics
    /// When `now` lies before the last call: a mistake of the caller.
    pub fn observe(&mut self, now: Time, seen: &Snapshot) {
        let counts = [seen.receivable.max(0), seen.group_blocked.max(0), seen.lost_in_flight.max(0)];
        let factor = (seen.receivable > 0).then(|| classify(seen));
        self.accrue(now, counts, factor);
        (self.counts, self.factor) = (counts, factor);
        let [receivable, blocked, lost] = counts;
        let shown = if receivable >= blocked.max(lost) && receivable > 0 {
            self.factor
        } else if blocked >= lost && blocked > 0 {
            Some(Factor::FifoGroup)
        } else {
            (lost > 0).then_some(Factor::VisibilityTimeout)
        };
        note(&mut self.band, now, shown);
        note(&mut self.receivable_band, now, factor);
    }

    /// The run is over at `end`.
    ///
    /// # Panics
    /// As [`Blame::observe`].
    pub fn finish(&mut self, end: Time) {
        self.accrue(end, self.counts, self.factor);
    }

    fn accrue(&mut self, now: Time, counts: [i64; 3], factor: Option<Factor>) {
        let since = self.since.replace(now).unwrap_or(now);
        assert!(now >= since, "blame observed at {now} after {since}");
        let micros = i128::from(now.since(since).as_micros());
        // A backlog which was not there at the last call belongs to what it waits for now.
        let factors = [self.factor.or(factor), Some(Factor::FifoGroup), Some(Factor::VisibilityTimeout)];
        for (kind, factor) in factors.into_iter().enumerate() {
            if let Some(factor) = factor {
                let twice_mean = i128::from(self.counts[kind]) + i128::from(counts[kind]);
                self.message_micros[factor as usize] += twice_mean * micros / 2;
            }
        }
    }

    /// Adds the message-seconds of another backlog; the band stays as it is.
    pub fn add(&mut self, other: &Blame) {
        for (sum, micros) in self.message_micros.iter_mut().zip(other.message_micros) {
            *sum += micros;
        }
    }

    /// Message-microseconds which `factor` cost.
    #[must_use]
    pub fn message_micros(&self, factor: Factor) -> i128 {
        self.message_micros[factor as usize]
    }

    /// Message-microseconds of all factors.
    #[must_use]
    pub fn total_micros(&self) -> i128 {
        self.message_micros.iter().sum()
    }

    /// Factors with a share above zero, the worst first: factor, message-microseconds, share (0 to 1).
    #[must_use]
    pub fn ranking(&self) -> Vec<(Factor, i128, f64)> {
        let total = self.total_micros();
        let mut ranking: Vec<_> = Factor::ALL
            .into_iter()
            .map(|factor| (factor, self.message_micros(factor)))
            .filter(|&(_, micros)| micros > 0)
            .map(|(factor, micros)| (factor, micros, micros as f64 / total as f64))
            .collect();
        ranking.sort_by_key(|&(factor, micros, _)| (std::cmp::Reverse(micros), factor));
        ranking
    }

    /// The factor of most of the backlog from each instant on; `None` = no backlog.
    #[must_use]
    pub fn band(&self) -> &[(Time, Option<Factor>)] {
        &self.band
    }

    /// The factor of the messages which a consumer could receive, from each instant on; `None` = there were none.
    #[must_use]
    pub fn receivable_band(&self) -> &[(Time, Option<Factor>)] {
        &self.receivable_band
    }
}

/// Notes what holds from `now` on, where it changes.
fn note(band: &mut Vec<(Time, Option<Factor>)>, now: Time, factor: Option<Factor>) {
    if band.last().is_some_and(|&(at, _)| at == now) {
        band.pop();
    }
    if band.last().and_then(|&(_, factor)| factor) != factor {
        band.push((now, factor));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(messages: i64) -> Snapshot {
        Snapshot { receivable: messages, needed: 10, desired: 10, max: 100, ..Snapshot::default() }
    }

    #[test]
    fn the_larger_cut_limits_and_in_it_the_reason_with_most_missing_replicas() {
        let base = waiting(50);
        let none = Stuck::default();
        let stuck = |stuck| Snapshot { stuck, ..base };
        for (seen, factor) in [
            (base, Factor::ConsumersSaturated),
            (Snapshot { desired: 0, inactive: true, ..base }, Factor::KedaPoll),
            (Snapshot { desired: 4, ..base }, Factor::HpaSync),
            (Snapshot { desired: 4, brake: HpaBrake::Policy, ..base }, Factor::HpaPolicy),
            (Snapshot { desired: 4, max: 4, ..base }, Factor::MaxReplicas),
            (Snapshot { desired: 4, max: 8, ..base }, Factor::HpaSync),
            (Snapshot { desired: 4, max: 6, needed: 40, ..base }, Factor::HpaSync),
            (Snapshot { desired: 0, max: 6, needed: 40, inactive: true, ..base }, Factor::KedaPoll),
            // 8 of 8 pods have no node, so asking for more would not help; 1 of 8 is a lesser cut than 8 of 500.
            (
                Snapshot { desired: 8, max: 8, needed: 500, stuck: Stuck { node_boot: 8, ..none }, ..base },
                Factor::NodeBoot,
            ),
            (
                Snapshot { desired: 8, max: 8, needed: 500, stuck: Stuck { node_boot: 1, ..none }, ..base },
                Factor::MaxReplicas,
            ),
            (stuck(Stuck { scheduler: 1, ..Stuck::default() }), Factor::Scheduler),
            (stuck(Stuck { karpenter_batch: 3, node_boot: 2, ..Stuck::default() }), Factor::KarpenterBatch),
            (stuck(Stuck { karpenter_batch: 2, node_boot: 3, ..Stuck::default() }), Factor::NodeBoot),
            (stuck(Stuck { node_pool_limit: 3, pod_start: 3, ..Stuck::default() }), Factor::NodePoolLimit),
            (stuck(Stuck { no_capacity: 1, ..Stuck::default() }), Factor::NoCapacity),
            (stuck(Stuck { pod_start: 1, ..Stuck::default() }), Factor::PodStart),
        ] {
            assert_eq!(classify(&seen), factor, "{seen:?}");
        }
    }

    #[test]
    fn message_seconds_go_to_the_factor_of_their_time() {
        let mut blame = Blame::default();
        let at = |seconds: u64| Time::from_micros(seconds * 1_000_000);
        blame.observe(at(10), &Snapshot { desired: 0, inactive: true, ..waiting(100) });
        blame.observe(at(20), &waiting(100));
        blame.observe(at(30), &waiting(0));
        blame.observe(at(40), &Snapshot { lost_in_flight: 5, ..waiting(0) });
        blame.finish(at(42));
        assert_eq!(blame.message_micros(Factor::KedaPoll), 1_000_000_000);
        assert_eq!(blame.message_micros(Factor::ConsumersSaturated), 500_000_000);
        // 25 while the five messages were found lost between the calls, 10 until the end.
        assert_eq!(blame.message_micros(Factor::VisibilityTimeout), 35_000_000);
        assert_eq!(blame.total_micros(), 1_535_000_000);
        assert_eq!(
            blame.band(),
            [
                (at(10), Some(Factor::KedaPoll)),
                (at(20), Some(Factor::ConsumersSaturated)),
                (at(30), None),
                (at(40), Some(Factor::VisibilityTimeout)),
            ]
        );
        assert_eq!(blame.ranking()[0].0, Factor::KedaPoll);
    }
}
