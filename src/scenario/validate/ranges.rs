//! Ranges of plain numbers and periods: shares between 0 and 1, loops that take time.

use super::context::{At, Context};
use super::queues::{number_within, within};
use crate::api::decode::Problems;
use crate::scenario::consumers::OnError;
use crate::scenario::faults::FaultKind;
use crate::time::Duration;

/// Shortest period of a control loop.
const SHORTEST_PERIOD: Duration = Duration::from_millis(100);
/// Longest period of a control loop.
const LONGEST_PERIOD: Duration = Duration::from_hours(24);

pub(super) fn check(cx: &Context<'_>, problems: &mut Problems) {
    let scenario = cx.scenario;
    let mut number = |section: &str, field: &str, value: f64, low: f64, high: f64| {
        if let Some(at) = cx.section(section) {
            number_within(at, field, value, low, high, problems);
        }
    };
    let market = &scenario.market;
    number("market", "reclaimBeta", market.reclaim_beta, 0.01, 100.0);
    number("market", "regionWideShare", market.region_wide_share, 0.0, 1.0);
    number("market", "rebalanceTogether", market.rebalance_together, 0.0, 1.0);
    number("market", "gpuUnavailable", market.gpu_unavailable, 0.0, 1.0);
    number("market", "spotPriceSigma", market.spot_price_sigma, 0.0, 2.0);
    number("hpa", "tolerance", scenario.hpa.tolerance, 0.0, 1.0);
    number(
        "scheduler",
        "percentageOfNodesToScore",
        f64::from(scenario.scheduler.percentage_of_nodes_to_score),
        0.0,
        100.0,
    );
    number("karpenter", "vmMemoryOverheadPercent", scenario.karpenter.vm_memory_overhead_percent, 0.0, 0.99);
    let threshold = scenario.cluster_autoscaler.scale_down_utilization_threshold;
    number("clusterAutoscaler", "scaleDownUtilizationThreshold", threshold, 0.0, 1.0);
    let mut period = |section: &str, field: &str, value: Duration| {
        if let Some(at) = cx.section(section) {
            within(at, field, value, SHORTEST_PERIOD, LONGEST_PERIOD, problems);
        }
    };
    period("clocks", "hpaSyncPeriod", scenario.clocks.hpa_sync_period);
    period("clocks", "disruptionPoll", scenario.clocks.disruption_poll);
    period("clusterAutoscaler", "scanInterval", scenario.cluster_autoscaler.scan_interval);
    period("hpa", "metricsResolution", scenario.hpa.metrics_resolution);
    period("market", "exposure", market.exposure);
    if let Some(at) = cx.section("clocks")
        && scenario.clocks.batch_idle > scenario.clocks.batch_max
    {
        let label = format!("longer than `batchMax`, which is {}", scenario.clocks.batch_max);
        problems.error(at.span(&["batchIdle"]), "the idle window is longer than the whole batch window", label);
    }
    retries_take_time(cx, problems);
}

/// A message that fails in no time and is visible again at once would be tried without end at one instant.
fn retries_take_time(cx: &Context<'_>, problems: &mut Problems) {
    for (consumer, at) in cx.elements("consumers", &cx.scenario.consumers) {
        let Some(queue) = cx.scenario.queues.iter().find(|queue| queue.name == consumer.queue) else { continue };
        let at_once = match consumer.on_error {
            Some(OnError::Release) => true,
            Some(OnError::Backoff) => consumer.backoff.base <= Duration::ZERO,
            Some(OnError::Delete) => false,
            Some(OnError::Timeout) | None => {
                consumer.visibility_timeout.unwrap_or(queue.visibility_timeout) <= Duration::ZERO
            }
        };
        let fails = consumer.failures > 0.0
            || consumer.poison > 0.0
            || cx.scenario.faults.iter().any(|fault| fault.kind == FaultKind::ProcessingFails)
            || queue.arrivals.iter().any(|arrivals| arrivals.common().poison > 0.0);
        if at_once && fails && consumer.processing.mean() <= Duration::ZERO && queue.max_receive_count.is_none() {
            endless(at, problems);
        }
    }
}

fn endless(at: At<'_>, problems: &mut Problems) {
    let help = "give `processing` a duration, or the queue a `maxReceiveCount`";
    let message = "failed messages would be tried again without end at one instant";
    problems.error_with_help(at.span(&["processing"]), message, "takes no time", help);
}
