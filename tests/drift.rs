//! Drift in small runs: what makes a node drift, what does not, and how its replacement comes.

use forescale::telemetry::{NodeRecord, Outcome};

#[path = "support/small_cluster.rs"]
mod small_cluster;
use small_cluster::{class, deployment, nodes_of, pool, run, run_for, run_with, running_at};

const CLASS: &str = "subnetSelectorTerms = [{ tags = { team = \"a\" } }, { id = \"subnet-1\" }]\n\
                     securityGroupSelectorTerms = [{ id = \"sg-1\" }]\nuserData = \"#!/bin/sh\"\n";

/// Three nodes with a pod each, and what is changed after five minutes.
fn changed(change: &str) -> Outcome {
    let spec = "[nodePools.spec.disruption]\nconsolidateAfter = \"Never\"\nbudgets = [{ nodes = \"1\" }]\n";
    let types = ["m5.large", "m7i.large"];
    let text = format!(
        "{}{}{}[[changes]]\nat = \"5m\"\n{change}\n",
        pool("workers", &types, &["on-demand"], spec),
        class(CLASS),
        deployment("web", 3, "1500m")
    );
    run_for("12m", &text)
}

/// Nodes launched in all, and why they drifted.
fn drifted(outcome: &Outcome) -> (usize, Vec<&'static str>) {
    let mut reasons: Vec<&str> = outcome
        .decisions
        .iter()
        .filter(|decision| decision.action.as_str() == "drift")
        .map(|decision| decision.rule.name())
        .collect();
    reasons.sort_unstable();
    reasons.dedup();
    (nodes_of(outcome, "workers").len(), reasons)
}

#[test]
fn each_change_of_a_node_class_drifts_nodes_under_its_own_name() {
    let patch = |field: &str, value: &str| format!("patch = {{ \"EC2NodeClass/default.{field}\" = {value} }}");
    for (change, reason) in [
        (patch("userData", "\"#!/bin/bash\""), "NodeClassDrift"),
        (patch("tags", "{ cost = \"web\" }"), "NodeClassDrift"),
        (patch("kubelet.maxPods", "20"), "NodeClassDrift"),
        (
            patch(
                "blockDeviceMappings",
                "[{ deviceName = \"/dev/xvda\", ebs = { volumeSize = \"50Gi\", volumeType = \"gp3\" } }]",
            ),
            "NodeClassDrift",
        ),
        (patch("amiFamily", "\"Bottlerocket\""), "NodeClassDrift"),
        (patch("amiSelectorTerms", "[{ alias = \"al2023@v20260801\" }]"), "AMIDrift"),
        ("newAmis = [\"default\"]".to_owned(), "AMIDrift"),
        (patch("securityGroupSelectorTerms", "[{ id = \"sg-1\" }, { id = \"sg-2\" }]"), "SecurityGroupDrift"),
        (patch("subnetSelectorTerms", "[{ id = \"subnet-1\" }]"), "SubnetDrift"),
    ] {
        let outcome = changed(&change);
        assert_eq!(drifted(&outcome), (6, vec![reason]), "{change}");
        assert_eq!(most_running(&outcome), 4, "one at a time: {change}");
        let went = nodes_of(&outcome, "workers").iter().filter(|node| node.reason == "Drifted").count();
        assert_eq!(went, 3, "{change}");
    }
}

#[test]
fn what_leaves_a_node_what_it_is_drifts_nothing() {
    let patch = |field: &str, value: &str| format!("patch = {{ \"EC2NodeClass/default.{field}\" = {value} }}");
    for change in [
        patch("userData", "\"#!/bin/sh\""),
        patch("amiFamily", "\"AL2023\""),
        patch("subnetSelectorTerms", "[{ id = \"subnet-1\" }, { tags = { team = \"a\" } }, { id = \"subnet-2\" }]"),
        "withdraw = [{ instanceTypes = [\"m7i.*\"] }]".to_owned(),
    ] {
        assert_eq!(drifted(&changed(&change)), (3, vec![]), "{change}");
    }
}

/// Most nodes that ran at any whole second.
fn most_running(outcome: &Outcome) -> usize {
    let nodes = nodes_of(outcome, "workers");
    (0..1790).map(|second| running_at(&nodes, f64::from(second))).max().unwrap_or(0)
}

#[test]
fn the_replacement_is_there_before_the_drifted_node_drains_and_is_made_of_the_new_class() {
    let outcome = changed("patch = { \"EC2NodeClass/default.kubelet.maxPods\" = 20 }");
    let nodes = nodes_of(&outcome, "workers");
    let (old, new): (Vec<&NodeRecord>, Vec<&NodeRecord>) =
        nodes.iter().copied().partition(|node| node.claimed.as_secs_f64() < 300.0);
    let mut drains: Vec<_> = old.iter().map(|node| node.draining.expect("a drain")).collect();
    let mut ready: Vec<_> = new.iter().map(|node| node.ready.expect("ready")).collect();
    drains.sort();
    ready.sort();
    assert!(ready.iter().zip(&drains).all(|(ready, drains)| ready <= drains), "{ready:?} {drains:?}");
    let pods = |node: &NodeRecord| node.info.capacity.get(forescale::units::Resource::Pods);
    assert!(old.iter().all(|node| pods(node) == 29) && new.iter().all(|node| pods(node) == 20));
}

/// A change of the class is an event of its NodeClaims: nobody waits for the next look, five minutes after the last.
#[test]
fn nodes_drift_when_their_class_changes() {
    let outcome = changed("patch = { \"EC2NodeClass/default.kubelet.maxPods\" = 20 }");
    let drifts = outcome.decisions.iter().filter(|decision| decision.action.as_str() == "drift");
    let at: Vec<f64> = drifts.map(|decision| decision.at.as_secs_f64()).collect();
    assert!(at.len() == 3 && at.iter().all(|at| (300.0..301.0).contains(at)), "{at:?}");
}

#[test]
fn changes_of_a_pool_drift_by_its_hash_or_by_its_requirements() {
    let labels = "patch = { \"NodePool/workers.template.metadata.labels.team\" = \"b\" }";
    assert_eq!(drifted(&changed(labels)), (6, vec!["NodePoolDrifted"]));
    let only = |name: &str| {
        let requirement =
            format!("{{ key = \"node.kubernetes.io/instance-type\", operator = \"In\", values = [\"{name}\"] }}");
        format!("patch = {{ \"NodePool/workers.template.spec.requirements\" = [{requirement}] }}")
    };
    assert_eq!(drifted(&changed(&only("m7i.large"))), (6, vec!["RequirementsDrifted"]));
    assert_eq!(drifted(&changed(&only("m5.large"))), (3, vec![]), "nodes still meet what is asked of them");
    let weight = "patch = { \"NodePool/workers.weight\" = 7, \"NodePool/workers.limits.cpu\" = 99 }";
    assert_eq!(drifted(&changed(weight)), (3, vec![]));
}

/// A node that stands on an offering which is no longer sold drifts, but not in its first hour; nothing else is bought there again.
#[test]
fn withdrawn_offerings_drift_nodes_after_an_hour() {
    let text = |withdraw: &str| {
        let spec = "disruption = { consolidateAfter = \"Never\" }";
        format!(
            "{}{}{}[[changes]]\nat = \"20m\"\nwithdraw = [{withdraw}]\n",
            pool("workers", &["m5.large", "m7i.large"], &["on-demand"], spec),
            class(""),
            deployment("web", 1, "1500m")
        )
    };
    let run_long = |withdraw: &str| run_for("2h", &text(withdraw));
    let outcome = run_long("{ instanceTypes = [\"m5.large\"] }");
    assert_eq!(drifted(&outcome), (2, vec!["InstanceTypeNotFound"]));
    let when =
        outcome.decisions.iter().find(|decision| decision.action.as_str() == "drift").expect("drift").at.as_secs_f64();
    let created = nodes_of(&outcome, "workers")[0].claimed.as_secs_f64();
    // It is looked at every five minutes.
    assert!((3600.0..3900.0).contains(&(when - created)), "{when} {created}");
    assert_eq!(nodes_of(&outcome, "workers")[1].info.instance_type, "m7i.large");
    let spot = "{ instanceTypes = [\"m5.large\"], capacityType = \"spot\" }";
    assert_eq!(drifted(&run_long(spot)), (1, vec![]), "the node is on demand");
}

/// Static pools replace drifted nodes one for one, as many at a time as budget and limit allow, though no pod needs them.
#[test]
fn a_static_pool_replaces_its_drifted_nodes_within_budget_and_limit() {
    let text = |limit: u32, budget: &str| {
        let spec = format!(
            "replicas = 4\nlimits = {{ nodes = {limit} }}\ndisruption = {{ budgets = [{{ nodes = \"{budget}\" }}] }}"
        );
        let fixed = pool("workers", &["m5.large"], &["on-demand"], &spec);
        let change = "[[changes]]\nat = \"5m\"\nnewAmis = [\"default\"]\n";
        format!("[karpenter]\nstaticCapacity = true\n{fixed}{}{}{change}", class(""), deployment("web", 1, "1"))
    };
    for (limit, budget, most) in [(10, "2", 6), (5, "100%", 5), (10, "100%", 8)] {
        let outcome = run(&text(limit, budget));
        assert_eq!(drifted(&outcome), (8, vec!["AMIDrift"]), "{limit} {budget}");
        assert_eq!(most_running(&outcome), most, "{limit} {budget}");
        let nodes = nodes_of(&outcome, "workers");
        assert_eq!(running_at(&nodes, 1790.0), 4);
        assert_eq!(nodes.iter().filter(|node| node.reason == "Drifted").count(), 4);
    }
    let outcome = run(&text(4, "100%"));
    assert_eq!(nodes_of(&outcome, "workers").len(), 4, "at its limit a pool has no room for replacements");
}

#[test]
fn what_drift_does_with_empty_nodes_changed_with_1_5_and_1_7() {
    let spec = "[nodePools.spec.disruption]\nconsolidateAfter = \"Never\"\nbudgets = [{ nodes = \"100%\" }]\n";
    let text = format!(
        "{}{}{}[[changes]]\nat = \"5m\"\nscale = {{ web = 0 }}\n[[changes]]\nat = \"6m\"\nnewAmis = [\"default\"]\n",
        pool("workers", &["m5.large"], &["on-demand"], spec),
        class(CLASS),
        deployment("web", 3, "1500m")
    );
    let draining = |version: &str| {
        let outcome = run_with("12m", &text, &[("versions.karpenter", version)]);
        let mut at: Vec<f64> = nodes_of(&outcome, "workers")
            .iter()
            .filter_map(|node| node.draining)
            .map(forescale::time::Time::as_secs_f64)
            .collect();
        at.sort_by(f64::total_cmp);
        at
    };
    let (together, apart) = (draining("\"1.4\""), draining("\"1.7\""));
    assert_eq!(together, [together[0]; 3], "before 1.5 in one command");
    assert_eq!(draining("\"1.6\"").len(), 0, "left to emptiness, which never comes");
    assert!(apart.len() == 3 && apart[0] < apart[1] && apart[1] < apart[2], "one pass after the other: {apart:?}");
}
