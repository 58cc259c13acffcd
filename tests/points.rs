//! What simple models of disruption get wrong, where only a whole run shows it (the table in `docs/karpenter.md`).

use forescale::telemetry::{NodeRecord, Outcome};

#[path = "support/small_cluster.rs"]
mod small_cluster;
use small_cluster::{class, deployment, nodes_of, pool, run, running_at};

/// A drifted node is replaced while the only other node is full, and that has room again before the replacement is ready: the evicted
/// pod goes there, where more is left (LeastAllocated), and the replacement that was made for it ends empty.
#[test]
fn point_24_a_planned_placement_does_not_bind_the_scheduler() {
    let quiet = "disruption = { consolidateAfter = \"30s\", consolidationPolicy = \"WhenEmpty\" }";
    let outcome = run(&format!(
        "{}{}{}{}{}{}",
        pool("replaced", &["m5.large"], &["on-demand"], quiet),
        pool("roomy", &["m5.xlarge"], &["on-demand"], "weight = 9\ndisruption = { consolidateAfter = \"Never\" }"),
        class(""),
        deployment("anchor", 2, "1500m"),
        deployment("web", 0, "1500m"),
        "[[changes]]\nat = \"3m\"\nscale = { web = 1 }\npatch = { \"NodePool/roomy.limits.cpu\" = 4 }\n\
         [[changes]]\nat = \"8m\"\npatch = { \"NodePool/replaced.template.metadata.labels.version\" = \"two\" }\n\
         [[changes]]\nat = \"8m20s\"\nscale = { anchor = 1 }\n"
    ));
    let replaced = nodes_of(&outcome, "replaced");
    assert_eq!(replaced.iter().map(|node| node.reason.as_str()).collect::<Vec<_>>(), ["Drifted", "Empty"]);
    let used = |node: &NodeRecord| node.requested_cpu.max(outcome.end);
    assert_eq!((used(replaced[0]), used(replaced[1])), (1500, 0), "the replacement never had a pod");
    let landed = outcome
        .pods
        .iter()
        .rfind(|pod| outcome.pod_name(pod).starts_with("web"))
        .and_then(|pod| pod.node)
        .expect("a node");
    assert_eq!(outcome.nodes[landed.0 as usize].info.pool, "roomy");
}

/// Nodes whose pool annotates them `karpenter.sh/do-not-disrupt: "true"` are neither consolidated nor replaced when they drift, but they
/// expire, all at once, whatever the budget.
#[test]
fn point_21_expiration_asks_neither_annotation_nor_budget() {
    let annotated = |value: &str| {
        let expire = "expireAfter = \"15m\"";
        let disruption = "disruption = { consolidateAfter = \"0s\", budgets = [{ nodes = \"1\" }] }";
        let template = format!(
            "[nodePools.spec.template.metadata]\nannotations = {{ \"karpenter.sh/do-not-disrupt\" = \"{value}\" }}\n"
        );
        let pools = pool("workers", &["m5.large"], &["on-demand"], &format!("{disruption}\n{template}"))
            .replace("[nodePools.spec.template.spec]\n", &format!("[nodePools.spec.template.spec]\n{expire}\n"));
        let changes =
            "[[changes]]\nat = \"5m\"\nscale = { web = 3 }\n[[changes]]\nat = \"8m\"\nnewAmis = [\"default\"]\n";
        run(&format!("{pools}{}{}{changes}", class(""), deployment("web", 4, "1500m")))
    };
    let before_expiry = |outcome: &Outcome| -> Vec<String> {
        let mut going: Vec<(f64, String)> = nodes_of(outcome, "workers")
            .iter()
            .filter_map(|node| node.draining.map(|at| (at.as_secs_f64(), node.reason.clone())))
            .filter(|(at, _)| *at < 890.0)
            .collect();
        going.sort_by(|a, b| a.0.total_cmp(&b.0));
        going.into_iter().map(|(_, reason)| reason).collect()
    };
    assert_eq!(before_expiry(&annotated("false"))[..2], ["Empty", "Drifted"]);
    let outcome = annotated("true");
    assert_eq!(before_expiry(&outcome), Vec::<String>::new());
    assert_eq!(running_at(&nodes_of(&outcome, "workers"), 890.0), 4);
    let expired: Vec<f64> = nodes_of(&outcome, "workers")
        .iter()
        .filter(|node| node.reason == "Expired")
        .map(|node| node.draining.expect("a drain").as_secs_f64())
        .collect();
    assert_eq!(expired.len(), 4);
    let spread =
        expired.iter().fold(0.0, |a, b| f64::max(a, *b)) - expired.iter().fold(f64::MAX, |a, b| f64::min(a, *b));
    assert!(spread < 5.0, "{expired:?}");
}

/// Without a queue the two minutes pass unused: nothing is drained, and the NodeClaim goes only after its instance.
#[test]
fn point_22_without_a_queue_a_reclaim_is_noticed_when_the_instance_is_gone() {
    let reclaimed = |queue: bool| {
        let pools = pool("workers", &["m5.large"], &["spot"], "disruption = { consolidateAfter = \"Never\" }");
        let fault = "[[faults]]\nat = \"10m\"\nkind = \"spotInterruption\"\n";
        let outcome = run(&format!(
            "[karpenter]\ninterruptionQueue = {queue}\n{pools}{}{}{fault}",
            class(""),
            deployment("web", 1, "1500m")
        ));
        let node = nodes_of(&outcome, "workers")[0];
        let moved = outcome.pods.iter().find_map(|pod| pod.ended).expect("an end").as_secs_f64();
        (node.terminated.expect("an end").as_secs_f64(), node.reason.clone(), moved)
    };
    let (terminated, reason, moved) = reclaimed(true);
    assert!(reason == "Interrupted" && moved < 660.0 && terminated < 720.0, "{terminated} {reason} {moved}");
    let (terminated, reason, moved) = reclaimed(false);
    assert!(
        (719.0..722.0).contains(&terminated) && reason != "Interrupted" && moved > 720.0,
        "{terminated} {reason} {moved}"
    );
}
