//! NodePools: disruption, Spot, taints, grace periods.

use super::super::KnownType;
use super::super::context::{At, Context};
use super::super::fit::carries;
use super::{bounds, consumers_of, deployment, needs_karpenter, p99, parallel, recurring};
use crate::api::decode::Problems;
use crate::api::karpenter::{Budget, ConsolidationPolicy, DisruptionReason, NodePool};
use crate::api::keda::ScaledObject;
use crate::api::pod::{NodeOperator, PodTemplate};
use crate::scenario::cloud::Provider;
use crate::scenario::consumers::ConsumerSpec;
use crate::scenario::faults::FaultKind;
use crate::scenario::flags::MinValuesPolicy;
use crate::scenario::lint::Rule;
use crate::scenario::market::InterruptionRate;
use crate::time::Duration;

/// Taints that agents of the network and of storage remove from a node when they run.
const AGENTS: [&str; 4] = [
    "node.cilium.io/agent-not-ready",
    "ebs.csi.aws.com/agent-not-ready",
    "efs.csi.aws.com/agent-not-ready",
    "fsx.csi.aws.com/agent-not-ready",
];
/// `MinInstanceTypesForSpotToSpotConsolidation`: so many must be cheaper than the node's own.
const SPOT_TO_SPOT: usize = 15;
/// Time from the notice of an interruption to its end.
const NOTICE: Duration = Duration::from_secs(120);
const DO_NOT_DISRUPT: &str = "karpenter.sh/do-not-disrupt";

pub(super) fn check(cx: &Context<'_>, problems: &mut Problems) {
    for (pool, at) in cx.elements("nodePools", &cx.scenario.node_pools) {
        let at = at.into(&["spec"]);
        startup_taints(pool, at, cx, problems);
        min_values(pool, at, cx, problems);
        budgets(pool, at, problems);
        between_bursts(pool, at, cx, problems);
        ends(pool, at, cx, problems);
        spot(pool, at, cx, problems);
    }
}

fn templates<'a>(cx: &Context<'a>) -> impl Iterator<Item = &'a PodTemplate> {
    let jobs = cx.scenario.scaled_jobs.iter().map(|job| &job.spec.job_target_ref.template);
    cx.scenario.deployments.iter().map(|deployment| &deployment.spec.template).chain(jobs)
}

/// Consumers whose pods run on Karpenter's nodes only, with their pods.
fn consumers<'a>(cx: &Context<'a>) -> Vec<(&'a ConsumerSpec, &'a PodTemplate)> {
    let jobs = &cx.scenario.scaled_jobs;
    let template = |consumer: &'a ConsumerSpec| match (&consumer.deployment, &consumer.job) {
        (Some(name), _) => deployment(name, cx).map(|deployment| &deployment.spec.template),
        (None, job) => {
            jobs.iter().find(|other| other.metadata.name == *job).map(|job| &job.spec.job_target_ref.template)
        }
    };
    let with_template = cx.scenario.consumers.iter().filter_map(|consumer| Some((consumer, template(consumer)?)));
    with_template.filter(|(_, template)| needs_karpenter(&template.spec, cx)).collect()
}

fn startup_taints(pool: &NodePool, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    for (index, taint) in pool.spec.template.spec.taints.iter().enumerate() {
        let refused = templates(cx).any(|template| !template.spec.tolerates(taint));
        if AGENTS.contains(&taint.key.as_str()) && refused {
            let span = at.span(&["template", "spec", "taints", &index.to_string(), "key"]);
            let message = format!("`{}` is removed by its agent: it is a start-up taint", taint.key);
            let help = "move it to `startupTaints`: otherwise no node is made for pods that do not tolerate it";
            Rule::StartupTaintPermanent.report(problems, span, message, "taken to stay", Some(help.to_owned()));
        }
    }
}

/// Types of the region that the pool allows.
fn types<'a>(pool: &NodePool, cx: &'a Context<'_>) -> Option<Vec<&'a KnownType>> {
    let known = cx.known.filter(|known| !known.types.is_empty() && cx.scenario.provider() == Provider::Aws)?;
    let requirements = &pool.spec.template.spec.requirements;
    Some(known.types.iter().filter(|known| requirements.iter().all(|wanted| carries(known, wanted))).collect())
}

fn min_values(pool: &NodePool, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let Some(types) = types(pool, cx) else { return };
    if cx.scenario.karpenter.min_values_policy != MinValuesPolicy::Strict {
        return;
    }
    for (index, requirement) in pool.spec.template.spec.requirements.iter().enumerate() {
        let Some(min) = requirement.min_values else { continue };
        let mut values: Vec<&String> = types
            .iter()
            .filter_map(|known| known.labels.iter().find(|(key, _)| *key == requirement.key))
            .flat_map(|(_, values)| values)
            .collect();
        values.sort_unstable();
        values.dedup();
        if !values.is_empty() && values.len() < min as usize {
            let span = at.span(&["template", "spec", "requirements", &index.to_string(), "minValues"]);
            let label = format!("the other requirements leave {} of `{}`", values.len(), requirement.key);
            let message = format!("minValues {min} cannot be reached: nothing is ever launched");
            Rule::MinValuesUnreachable.report(problems, span, message, label, None);
        }
    }
}

/// Nodes that a budget allows of so many; `None` = no number.
fn allowed(budget: &Budget, of: u32) -> Option<u32> {
    match budget.nodes.strip_suffix('%') {
        Some(percent) => {
            let of_all = u64::from(percent.parse::<u32>().ok()?) * u64::from(of);
            u32::try_from(of_all.div_ceil(100)).ok()
        }
        None => budget.nodes.parse().ok(),
    }
}

fn budgets(pool: &NodePool, at: At<'_>, problems: &mut Problems) {
    let disruption = &pool.spec.disruption;
    let concerns = |budget: &Budget, reason: DisruptionReason| {
        budget.schedule.is_none() && budget.reasons.as_ref().is_none_or(|reasons| reasons.contains(&reason))
    };
    let nodes = pool.spec.limits.as_ref().and_then(|limits| limits.get("nodes"));
    let nodes = nodes.map_or(u32::MAX / 100, |limit| u32::try_from(limit.milli / 1000).unwrap_or(u32::MAX / 100));
    for (index, budget) in disruption.effective_budgets().iter().enumerate() {
        let place = at.into(&["disruption", "budgets", &index.to_string()]);
        let empty = concerns(budget, DisruptionReason::Empty);
        let underutilized = concerns(budget, DisruptionReason::Underutilized);
        match allowed(budget, nodes) {
            Some(0) if empty && underutilized => {
                let help = "give it a `schedule` and `duration`, or allow at least one node";
                let message = "this budget forbids every voluntary disruption, at all times";
                let span = place.span(&["nodes"]);
                Rule::BudgetNeverDisrupts.report(
                    problems,
                    span,
                    message,
                    "empty nodes stay too",
                    Some(help.to_owned()),
                );
            }
            Some(1) if underutilized && disruption.consolidation_policy != ConsolidationPolicy::WhenEmpty => {
                let help = "allow two nodes or more";
                let message = "consolidation of several nodes at once never happens";
                let span = place.span(&["nodes"]);
                let label = "one node at a time";
                Rule::BudgetStopsMultiNode.report(problems, span, message, label, Some(help.to_owned()));
            }
            _ => {}
        }
    }
}

/// Nodes that are given back between two bursts.
fn between_bursts(pool: &NodePool, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let Some(after) = pool.spec.disruption.consolidate_after.0 else { return };
    let quiet = cx.scenario.scaled_objects.iter().filter_map(|object| quiet_time(object, cx)).max();
    if let Some((quiet, every)) = quiet.filter(|(quiet, _)| after < *quiet) {
        let field = if at.has(&["disruption", "consolidateAfter"]) { "consolidateAfter" } else { "disruption" };
        let span = if field == "disruption" { at.span(&[field]) } else { at.span(&["disruption", field]) };
        let label = format!("bursts come every {every} and leave {quiet} without pods");
        let message = "each burst waits for nodes anew";
        let help = format!("more than {quiet} keeps the nodes, at their price");
        Rule::ConsolidateAfterBelowGap.report(problems, span, message, label, Some(help));
    }
}

/// The time without pods between two bursts, if there is any, and the time between bursts.
fn quiet_time(object: &ScaledObject, cx: &Context<'_>) -> Option<(Duration, Duration)> {
    let spec = &object.spec;
    let name = &spec.scale_target_ref.name;
    let to_zero = spec.min_replica_count.unwrap_or(0) == 0 || spec.idle_replica_count == Some(0);
    if !to_zero || !needs_karpenter(&deployment(name, cx)?.spec.template.spec, cx) {
        return None;
    }
    let consumer = consumers_of(name, cx).next()?;
    let capacity = f64::from(bounds(name, cx).1) * parallel(consumer, cx);
    let quiet = recurring(name, cx).into_iter().map(|(burst, every)| {
        let work = consumer.processing.mean().as_secs_f64() * burst.messages as f64 / capacity.max(1.0);
        let busy = burst.over + Duration::from_secs_f64(work) + spec.cooldown_period.duration();
        (every - busy, every)
    });
    quiet.max()
}

/// How nodes end, against the pods on them.
fn ends(pool: &NodePool, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let template = &pool.spec.template.spec;
    let at = at.into(&["template", "spec"]);
    let grace_of = |template: &PodTemplate| template.spec.termination_grace_period_seconds.duration();
    let own = template.termination_grace_period.map(|grace| grace.0);
    let consumers = consumers(cx);
    if let Some(own) = own
        && let Some((_, pod)) = consumers.iter().find(|(c, pod)| own < grace_of(pod) && own < p99(&c.processing))
    {
        let label = format!("the pods' own grace period is {}", grace_of(pod));
        let help = "make it at least as long as the pods' grace period";
        let message = "draining nodes kill pods before their grace period is over";
        let span = at.span(&["terminationGracePeriod"]);
        Rule::PoolGraceBelowPodGrace.report(problems, span, message, label, Some(help.to_owned()));
    }
    let Some(life) = template.expire_after.0 else { return };
    let place = if at.has(&["expireAfter"]) { at.span(&["expireAfter"]) } else { at.span(&[]) };
    let protected = cx.scenario.deployments.iter().any(|deployment| {
        let annotations = &deployment.spec.template.metadata.annotations;
        annotations.get(DO_NOT_DISRUPT).is_some_and(|value| value == "true")
            && needs_karpenter(&deployment.spec.template.spec, cx)
    });
    if protected && own.is_none() {
        let help = "set `terminationGracePeriod`, or `expireAfter: Never`";
        let label = format!("nodes expire after {life}");
        let message = "an expired node waits for its protected pods without an end";
        Rule::ProtectedNodesNeverDrain.report(problems, place, message, label, Some(help.to_owned()));
    }
    if let Some((consumer, _)) =
        consumers.iter().find(|(c, pod)| life < p99(&c.processing) && grace_of(pod) < p99(&c.processing))
    {
        let label = format!("1 message in 100 takes {} or more", p99(&consumer.processing));
        let message = "nodes expire before their messages are done";
        let help = "let nodes live longer, or give the pods a grace period that covers their messages";
        Rule::ExpiresBeforeMessageEnds.report(problems, place, message, label, Some(help.to_owned()));
    }
}

/// Whether all nodes of the pool are Spot, and whether any may be.
fn bought(pool: &NodePool) -> (bool, bool) {
    let requirements = pool.spec.template.spec.requirements.iter();
    let mut only = requirements.filter(|wanted| wanted.key == "karpenter.sh/capacity-type");
    // Without a requirement Karpenter buys on demand.
    only.next().map_or((false, false), |wanted| {
        let spot = wanted.values.iter().any(|value| value == "spot");
        match wanted.operator {
            NodeOperator::In => (spot && wanted.values.len() == 1, spot),
            NodeOperator::NotIn => (false, !spot),
            _ => (false, true),
        }
    })
}

fn spot(pool: &NodePool, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let (only, may) = bought(pool);
    let requirements = at.into(&["template", "spec", "requirements"]);
    let count = types(pool, cx).map(|types| types.len());
    let consolidates = pool.spec.disruption.consolidation_policy != ConsolidationPolicy::WhenEmpty;
    if let Some(count) = count.filter(|count| *count <= SPOT_TO_SPOT)
        && may
        && consolidates
        && cx.scenario.karpenter.spot_to_spot_consolidation
    {
        let message = "Spot nodes of this pool are never replaced by cheaper ones";
        let label = format!("{count} instance types, {SPOT_TO_SPOT} must be cheaper than the node's own");
        let help = "allow more instance types, or buy on demand";
        Rule::SpotToSpotNeedsTypes.report(problems, requirements.span(&[]), message, label, Some(help.to_owned()));
    }
    if !cx.scenario.node_pools.iter().all(|pool| bought(pool).0) || !only {
        return;
    }
    let zones = pool.spec.template.spec.requirements.iter().find(|wanted| wanted.key == "topology.kubernetes.io/zone");
    let one_zone = zones.is_some_and(|wanted| wanted.operator == NodeOperator::In && wanted.values.len() == 1)
        || cx.scenario.simulation.zones.len() == 1;
    let narrow = if one_zone { Some("one zone") } else { (count == Some(1)).then_some("one instance type") };
    if let Some(narrow) = narrow.filter(|_| cx.scenario.node_pools.len() == 1 && !consumers(cx).is_empty()) {
        let help = "allow more types and zones, or on-demand as well";
        let message = "when this Spot pool is dry there is nothing else";
        Rule::SpotWithoutAlternative.report(problems, requirements.span(&[]), message, narrow, Some(help.to_owned()));
    }
    let market = &cx.scenario.market;
    let calm =
        market.interruptions == InterruptionRate::Never && market.interruptions_per_hour.is_none_or(|rate| rate == 0.0);
    let is_taken_back = !calm || cx.scenario.faults.iter().any(|fault| fault.kind == FaultKind::SpotInterruption);
    if let Some((consumer, _)) = consumers(cx).into_iter().find(|(c, _)| is_taken_back && p99(&c.processing) > NOTICE) {
        let label = format!("1 message in 100 takes {} or more, the notice is {NOTICE}", p99(&consumer.processing));
        let help = "run such messages on demand, or make them shorter";
        let message = "a Spot interruption does not wait for messages in work";
        Rule::SpotNoticeTooShort.report(problems, requirements.span(&[]), message, label, Some(help.to_owned()));
    }
}
