//! Cluster Autoscaler in whole runs: pending pods bring nodes, idle nodes go, groups whose nodes do not come rest.

use std::collections::BTreeMap;

use forescale::cluster::Controller;
use forescale::scenario::load::{Options, load_texts};
use forescale::simulation;
use forescale::telemetry::NodeState;
use forescale::telemetry::{NodeRecord, Outcome};
use forescale::time::{Duration, Time};
use forescale::units::Usd;

const CONSTANT: &str = r#"
[simulation]
duration = "40m"
seed = 3
region = "us-east-1"

[latencies]
instanceRunning = "6s"
nodeRegistered = "22s"
nodeReady = "14s"
slowNodeProbability = 0
clusterFactorSigma = 0
instanceTerminated = "45s"

[[deployments]]
metadata = { name = "web" }
[deployments.spec]
replicas = 1
selector = { matchLabels = { app = "web" } }
[deployments.spec.template]
metadata = { labels = { app = "web" } }
[[deployments.spec.template.spec.containers]]
name = "web"
image = "web:1"
resources = { requests = { cpu = "1500m", memory = "1Gi" } }
"#;

const GROUP: &str = r#"
[clusterAutoscaler]
scanDuration = "1s"
groupLaunch = "15s"

[[nodeGroups]]
name = "workers"
instanceType = "m5.xlarge"
count = 1
min = 1
max = 4
"#;

fn run(parts: &[&str]) -> Outcome {
    let texts = BTreeMap::from([("scenario.toml".to_owned(), parts.concat())]);
    let loaded = load_texts("scenario.toml", texts, &Options::default()).unwrap_or_else(|invalid| panic!("{invalid}"));
    simulation::run(&loaded.scenario, simulation::Options::replication(0)).unwrap_or_else(|error| panic!("{error}"))
}

fn seconds(time: Option<Time>) -> f64 {
    time.map_or(f64::NAN, Time::as_secs_f64)
}

/// What Cluster Autoscaler decided: second, action, rule, sizes.
fn decisions(outcome: &Outcome, rule: &str) -> Vec<(f64, Option<i64>, Option<i64>)> {
    let own =
        outcome.decisions.iter().filter(|d| d.controller == Controller::ClusterAutoscaler && d.rule.name() == rule);
    own.map(|decision| (decision.at.as_secs_f64(), decision.counts().from, decision.counts().to)).collect()
}

fn any(_: &NodeRecord) -> bool {
    true
}

const UP_AND_DOWN: &str = "
[[changes]]
at = \"2m\"
scale = { web = 7 }
[[changes]]
at = \"5m\"
scale = { web = 1 }
";

/// Two pods a node: 7 pods need 4 nodes. A node is there 1 s (scan) + 15 s (group) + 22 s + 14 s after the scan.
#[test]
fn pending_pods_bring_nodes_and_idle_nodes_go_after_ten_minutes() {
    let outcome = run(&[CONSTANT, GROUP, UP_AND_DOWN]);
    let [(scan, from, to)] = decisions(&outcome, "TriggeredScaleUp")[..] else { panic!("{:?}", outcome.decisions) };
    assert!((120.0..130.5).contains(&scan), "{scan}");
    assert_eq!((from, to), (Some(1), Some(4)));
    let grown: Vec<&NodeRecord> = outcome.nodes.iter().filter(|node| seconds(node.registered) > 0.0).collect();
    assert_eq!(grown.len(), 3);
    for node in &grown {
        assert!((seconds(node.launched) - (scan + 1.0 + 15.0 + 6.0)).abs() < 1e-3);
        assert!((seconds(node.ready) - (scan + 1.0 + 15.0 + 22.0 + 14.0)).abs() < 1e-3);
    }
    assert_eq!(outcome.pods_ready(None).max(outcome.end), 7);
    // Scaled in at 5 min: three of four nodes are empty then; the cool-down after the scale-up ends earlier than their ten minutes.
    let empty = decisions(&outcome, "ScaleDownEmpty");
    assert_eq!(empty.len(), 3, "{empty:?}");
    assert!(empty.iter().all(|(at, ..)| (900.0..925.0).contains(at)), "{empty:?}");
    assert_eq!(outcome.nodes_in(NodeState::Running, any).last(), 1);
    for (node, bill) in outcome.bills().filter(|(node, _)| node.terminated.is_some()) {
        let span = node.terminated.unwrap().since(node.launched.unwrap());
        assert!(bill.billed(outcome.end) >= span && bill.billed(outcome.end) < span + Duration::from_secs(1));
    }
}

#[test]
fn no_node_goes_below_min_or_within_ten_minutes_of_a_scale_up() {
    let late = "
[[changes]]
at = \"2m\"
scale = { web = 3 }
[[changes]]
at = \"3m\"
scale = { web = 1 }
[[changes]]
at = \"9m\"
scale = { web = 7 }
";
    let outcome = run(&[CONSTANT, GROUP, late]);
    let last_up = decisions(&outcome, "TriggeredScaleUp").last().map_or(0.0, |(at, ..)| *at);
    assert!(last_up > 540.0);
    assert_eq!(decisions(&outcome, "ScaleDownEmpty"), []);
    assert!(outcome.nodes_in(NodeState::Ready, any).steps().iter().all(|(at, nodes)| *at == Time::ZERO || *nodes >= 1));
}

/// The ReplicaSet takes a pod from the node with two, so that two nodes have one each (38 % requested): one pod is evicted ten
/// minutes later, its node goes, and its successor is ready on the other.
#[test]
fn pods_of_an_idle_node_move_and_the_node_goes() {
    let spread = "
[[changes]]
at = \"2m\"
scale = { web = 3 }
[[changes]]
at = \"5m\"
scale = { web = 2 }
";
    let outcome = run(&[CONSTANT, GROUP, spread]);
    assert_eq!(outcome.pods.iter().filter(|pod| pod.reason() == "Evicted").count(), 1);
    let [(chosen, ..), (terminated, from, to)] = decisions(&outcome, "ScaleDown")[..] else {
        panic!("{:?}", outcome.decisions)
    };
    assert!((900.0..920.0).contains(&chosen), "{chosen}");
    // A second for the scan, five after the taint, and the pod's grace of at most 30 s, looked at every 5 s.
    assert!((6.0..=41.5).contains(&(terminated - chosen)), "{chosen} {terminated}");
    assert_eq!((from, to), (Some(2), Some(1)));
    // From the taint to the end of its instance the node drains, and is paid for as such.
    let (gone, bill) = outcome.bills().find(|(node, _)| node.terminated.is_some()).unwrap();
    let drains = terminated - seconds(gone.draining);
    assert!((5.0..=40.5).contains(&drains), "{drains}");
    assert_eq!(outcome.nodes_in(NodeState::Draining, any).max(outcome.end), 1);
    assert!(bill.cost(outcome.end).draining > Usd::ZERO);
    assert_eq!(outcome.nodes_in(NodeState::Running, any).last(), 1);
    assert_eq!(outcome.pods_ready(None).last(), 2);
}

/// A budget that allows no disruption keeps the node.
#[test]
fn a_budget_keeps_an_idle_node() {
    let spread = "
[[podDisruptionBudgets]]
metadata = { name = \"web\" }
spec = { minAvailable = 2, selector = { matchLabels = { app = \"web\" } } }
[[changes]]
at = \"2m\"
scale = { web = 3 }
[[changes]]
at = \"5m\"
scale = { web = 2 }
";
    let outcome = run(&[CONSTANT, GROUP, spread]);
    assert_eq!(outcome.pods.iter().filter(|pod| pod.reason() == "Evicted").count(), 0);
    assert_eq!(outcome.nodes_in(NodeState::Running, any).last(), 2);
    assert!(!decisions(&outcome, "NotEnoughPdb").is_empty());
}

#[test]
fn a_group_that_gets_no_instances_rests_and_pods_stay_pending() {
    let fault = "
[[changes]]
at = \"2m\"
scale = { web = 5 }
[[faults]]
kind = \"insufficientCapacity\"
at = \"1m\"
duration = \"25m\"
";
    let outcome = run(&[CONSTANT, GROUP, fault]);
    let failed = decisions(&outcome, "FailedScaleUp");
    // Asked for at about 2 min, given up after 15 min; the group rests for 5 min, then grows again.
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert!((1020.0..1045.0).contains(&failed[0].0), "{failed:?}");
    let up: Vec<f64> = decisions(&outcome, "TriggeredScaleUp").iter().map(|(at, ..)| *at).collect();
    assert_eq!(up.len(), 2, "{up:?}");
    assert!((up[1] - failed[0].0 - 300.0).abs() < 11.0, "{up:?}");
    assert_eq!(outcome.pods_ready(None).last(), 5);
    assert_eq!(outcome.nodes_in(NodeState::Running, any).last(), 3);
}

#[test]
fn at_max_size_pods_stay_pending_and_the_log_says_why() {
    let outcome = run(&[CONSTANT, GROUP, "[[changes]]\nat = \"2m\"\nscale = { web = 20 }\n"]);
    assert_eq!(outcome.pods_ready(None).last(), 8);
    let blocked = outcome.decisions.iter().filter(|d| d.rule.name() == "NotTriggerScaleUp").collect::<Vec<_>>();
    assert_eq!(blocked.len(), 1, "{blocked:?}");
    let detail = outcome.detail(blocked[0]);
    assert!(detail.contains("workers: max node group size reached"), "{detail}");
}

#[test]
fn the_expander_priority_reads_its_config_map() {
    let group = |name: &str, priority: u32| {
        format!(
            "[[nodeGroups]]\nname = \"{name}\"\ninstanceType = \"m5.xlarge\"\ncount = 1\nmin = 1\nmax = 4\npriority = {priority}\n"
        )
    };
    let groups = format!(
        "[clusterAutoscaler]\nexpander = \"priority\"\n{}{}{}",
        group("od-m5", 90),
        group("spot-m5", 10),
        group("other", 50)
    );
    let grown = |config: &str| {
        let scenario = [CONSTANT.replacen("[simulation]\n", "[simulation]\nmanifests = [\"*.yaml\"]\n", 1)];
        let mut texts = BTreeMap::from([("scenario.toml".to_owned(), format!("{}{groups}{UP_AND_DOWN}", scenario[0]))]);
        let manifest = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cluster-autoscaler-priority-expander\n  namespace: kube-system\ndata:\n  priorities: |-\n{config}"
        );
        let other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: \"1\"}\n";
        texts.insert("a.yaml".to_owned(), format!("{manifest}---\n{other}"));
        let loaded = load_texts("scenario.toml", texts, &Options::default()).unwrap_or_else(|bad| panic!("{bad}"));
        let outcome = simulation::run(&loaded.scenario, simulation::Options::replication(0)).expect("a run");
        let grown: std::collections::BTreeSet<String> = outcome
            .nodes
            .iter()
            .filter(|node| seconds(node.registered) > 0.0)
            .filter_map(|node| Some(node.info.name.rsplit_once('-')?.0.to_owned()))
            .collect();
        grown.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(
        grown("    10:\n      - .*\n    50:\n      - ^spot-\n"),
        ["spot-m5"],
        "the groups' own numbers do not count"
    );
    assert_eq!(grown("    10:\n      - ^spot-\n    20:\n      - other$\n"), ["other"]);
}
