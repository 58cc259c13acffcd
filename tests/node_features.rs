//! Parts of the node layer that are off by default, each in a small run: static NodePools, default add-ons, NodeOverlays,
//! CapacityBuffers.

use forescale::cluster::Rule;
use forescale::telemetry::Outcome;

#[path = "support/small_cluster.rs"]
mod small_cluster;
use small_cluster::{class, deployment, nodes_of, pool, run, run_with, running_at};

#[test]
fn a_static_pool_keeps_its_size_and_takes_no_part_in_planning() {
    let fixed = pool("fixed", &["m5.large"], &["on-demand"], "replicas = 3\nlimits = { nodes = 5 }");
    let changes = "[[changes]]\nat = \"10m\"\npatch = { \"NodePool/fixed.replicas\" = 9 }\n\
                   [[changes]]\nat = \"20m\"\npatch = { \"NodePool/fixed.replicas\" = 1 }\n";
    let outcome = run(&format!(
        "[karpenter]\nstaticCapacity = true\n{fixed}{}{}{changes}",
        class(""),
        deployment("web", 2, "500m")
    ));
    let nodes = nodes_of(&outcome, "fixed");
    // Without pods or with them, as many as are written; the limit binds.
    assert_eq!([60.0, 660.0, 1500.0].map(|at| running_at(&nodes, at)), [3, 5, 1]);
    assert_eq!(nodes.iter().filter(|node| node.reason == "ScaledDown").count(), 4);
    // Those without pods go first: the pods are moved once at most, when one node is left.
    let moved = outcome.pods.iter().filter(|pod| pod.reason() == "Evicted").count();
    assert!(outcome.pods.iter().all(|pod| pod.ready.is_some()) && moved <= 1, "{moved} moved");
}

#[test]
fn a_node_that_a_static_pool_loses_comes_again() {
    let fixed = pool("fixed", &["m5.large"], &["on-demand"], "replicas = 2");
    let fault = "[[faults]]\nat = \"5m\"\nkind = \"nodeLoss\"\nnodes = \"fixed\"\nshare = 0.5\n";
    let idle = deployment("web", 0, "1");
    let outcome = run(&format!("[karpenter]\nstaticCapacity = true\n{fixed}{}{idle}{fault}", class("")));
    let nodes = nodes_of(&outcome, "fixed");
    assert_eq!((nodes.len(), running_at(&nodes, 1790.0)), (3, 2));
}

#[test]
fn add_ons_of_eks_take_their_share_of_every_node() {
    let text = |add_ons: bool| {
        let pools = pool("workers", &["m5.large", "m5.xlarge"], &["on-demand"], "");
        format!("[cloud]\neksAddOns = {add_ons}\n{pools}{}{}", class(""), deployment("web", 1, "1800m"))
    };
    let kind = |outcome: &Outcome| nodes_of(outcome, "workers")[0].info.instance_type.clone();
    // 1,930m less 180m are too few for 1,800m.
    assert_eq!((kind(&run(&text(false))), kind(&run(&text(true)))), ("m5.large".to_owned(), "m5.xlarge".to_owned()));
}

#[test]
fn an_overlay_changes_what_karpenter_chooses_and_not_what_ec2_charges() {
    let text = |overlay: &str| {
        let pools = pool("workers", &["m5.large", "m5.xlarge"], &["on-demand"], "");
        format!("[karpenter]\nnodeOverlay = true\n{overlay}{pools}{}{}", class(""), deployment("web", 1, "1"))
    };
    let overlay = "[[nodeOverlays]]\nmetadata = { name = \"reserved\" }\n[nodeOverlays.spec]\npriceAdjustment = \"-90%\"\n\
                   requirements = [{ key = \"node.kubernetes.io/instance-type\", operator = \"In\", values = [\"m5.xlarge\"] }]\n";
    let [plain, overlaid] = ["", overlay].map(|overlay| run(&text(overlay)));
    let kind = |outcome: &Outcome| nodes_of(outcome, "workers")[0].info.instance_type.clone();
    assert_eq!((kind(&plain), kind(&overlaid)), ("m5.large".to_owned(), "m5.xlarge".to_owned()));
    let price = |outcome: &Outcome| outcome.bills().next().expect("a bill").1.price().as_f64();
    assert!((price(&overlaid) / price(&plain) - 2.0).abs() < 1e-6, "an m5.xlarge costs twice an m5.large");
}

#[test]
fn a_buffer_keeps_room_that_pods_take_at_once_and_buys_it_again() {
    let text = |gate: bool| {
        let buffer = "[[capacityBuffers]]\nmetadata = { name = \"web\" }\n[capacityBuffers.spec]\nreplicas = 2\n\
                      scalableRef = { apiGroup = \"apps\", kind = \"Deployment\", name = \"web\" }\n";
        let pools = pool("workers", &["m5.large"], &["on-demand"], "disruption = { consolidateAfter = \"1m\" }");
        format!(
            "[karpenter]\ncapacityBuffer = {gate}\n{buffer}{pools}{}{}[[changes]]\nat = \"10m\"\nscale = {{ web = 3 }}\n",
            class(""),
            deployment("web", 1, "1500m")
        )
    };
    let [without, with] = [false, true].map(|gate| run(&text(gate)));
    // One pod a node: two more nodes stand by, before the pods come and after.
    let standing = |outcome: &Outcome, at: f64| running_at(&nodes_of(outcome, "workers"), at);
    assert_eq!([590.0, 1200.0].map(|at| standing(&without, at)), [1, 3]);
    assert_eq!([590.0, 1200.0].map(|at| standing(&with, at)), [3, 5]);
    let slowest = |outcome: &Outcome| {
        let waits = outcome.pods.iter().map(|pod| pod.scheduled.expect("a place").since(pod.created).as_secs_f64());
        let late = outcome.pods.iter().zip(waits).filter(|(pod, _)| pod.created.as_secs_f64() >= 600.0);
        late.map(|(_, wait)| wait).fold(0.0, f64::max)
    };
    assert!(slowest(&with) < 2.0 && slowest(&without) > 40.0, "{} {}", slowest(&with), slowest(&without));
    // No pod is moved for the buffer's sake.
    assert!(with.pods.iter().all(|pod| pod.reason() != "Evicted"));
}

#[test]
fn a_pool_whose_nodes_do_not_join_in_time_is_unhealthy() {
    let pools = pool("workers", &["m5.large"], &["on-demand"], "");
    let text = format!("{pools}{}{}", class(""), deployment("web", 1, "1"));
    let outcome = run_with("40m", &text, &[("latencies.nodeRegistered", "16m")]);
    let of = |rule: Rule| outcome.decisions.iter().filter(move |decision| decision.rule == rule);
    let timeouts: Vec<_> = of(Rule::RegistrationTimeout).collect();
    let health: Vec<_> = of(Rule::NodeRegistrationHealthy).collect();
    assert!(timeouts.len() >= 2, "{} timeouts", timeouts.len());
    assert_eq!(health.len(), 1);
    assert_eq!((health[0].action.as_str(), outcome.subject(health[0]).as_str()), ("unhealthy", "NodePool/workers"));
    assert_eq!(health[0].at, timeouts[1].at);
}
