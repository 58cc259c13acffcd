use std::collections::{BTreeMap, BTreeSet};

use super::super::{Options, Run};
use super::*;
use crate::cluster::pod::Pod;
use crate::cluster::{NodeId, PodId};
use crate::consumer::PodRef;
use crate::scenario::Scenario;
use crate::scenario::load::load_texts;
use crate::time::Duration;
use crate::units::Usd;

const SCENARIO: &str = r#"
[simulation]
duration = "20m"
[[queues]]
name = "work"
backlog = 20
[[consumers]]
deployment = "worker"
queue = "work"
processing = "10m"
[[deployments]]
metadata = { name = "worker" }
[deployments.spec]
replicas = 3
selector = { matchLabels = { app = "worker" } }
template = { metadata = { labels = { app = "worker" } }, spec = { containers = [{ name = "c", image = "worker:1", resources = { requests = { cpu = "1", memory = "1Gi" } } }] } }
[[nodePools]]
metadata = { name = "pool" }
[nodePools.spec.template.spec]
nodeClassRef = { group = "karpenter.k8s.aws", kind = "EC2NodeClass", name = "default" }
requirements = [{ key = "karpenter.sh/capacity-type", operator = "In", values = ["on-demand"] }]
[[ec2NodeClasses]]
metadata = { name = "default" }
spec = { amiSelectorTerms = [{ alias = "al2023@latest" }] }
"#;

/// After five minutes three pods work on a node of Karpenter's.
fn broken(scenario: &Scenario, tamper: &dyn Fn(&mut Run<'_>)) -> Vec<Law> {
    let mut run = Run::new(scenario, Options::replication(0).checked(true)).expect("a beginning");
    let now = Time::ZERO + Duration::from_mins(5);
    assert_eq!(run.advance(now).map(|_| ()), Ok(()));
    assert_eq!((run.cluster.nodes.len(), run.data.plane.processes().count()), (1, 3));
    tamper(&mut run);
    check(&run.cluster, &run.data, &run.recorder, now).laws()
}

fn pod<'a>(run: &'a mut Run<'_>) -> &'a mut Pod {
    &mut run.cluster.pods[0]
}

/// Each law has a way to break it which breaks that law and none, or few, besides.
#[test]
fn each_tampering_is_named() {
    let texts = BTreeMap::from([("laws.toml".to_owned(), SCENARIO.to_owned())]);
    let loaded = load_texts("laws.toml", texts, &crate::scenario::Options::default());
    let scenario = loaded.unwrap_or_else(|invalid| panic!("{invalid}")).scenario;
    assert_eq!(broken(&scenario, &|_| ()), []);
    let mut seen = BTreeSet::new();
    let mut expect = |numbers: &[&str], tamper: &dyn Fn(&mut Run<'_>)| {
        let found: Vec<&str> = broken(&scenario, tamper).iter().map(|law| law.number).collect();
        assert_eq!(found, numbers);
        seen.extend(found);
    };
    expect(&["P1"], &|run| assert!(run.cluster.unbound.insert(PodId(0))));
    expect(&["N3", "P2"], &|run| run.cluster.nodes[0].pods.retain(|pod| pod.0 != 0));
    expect(&["N3", "N4", "P2"], &|run| run.cluster.nodes[0].pods.push(PodId(0)));
    expect(&["D1", "P3"], &|run| pod(run).phase = Phase::Pending);
    expect(&["P4"], &|run| pod(run).path.bound = Some(Time::MAX));
    expect(&["P4"], &|run| pod(run).path.started = Some(Time::ZERO));
    expect(&["N1"], &|run| run.cluster.live_nodes.clear());
    expect(&["D1", "N2", "P1"], &|run| pod(run).node = None);
    expect(&["N3"], &|run| run.cluster.nodes[0].requested = run.cluster.nodes[0].allocatable);
    expect(&["N4"], &|run| run.cluster.nodes[0].allocatable = run.cluster.shapes[0].requests);
    expect(&["O1"], &|run| assert!(run.cluster.deployments[0].pods.pop().is_some()));
    expect(&["C1"], &|run| run.cluster.live_nodeclaims.clear());
    expect(&["C2"], &|run| run.cluster.nodeclaims[0].launched = Some(Time::MAX));
    expect(&["C3"], &|run| {
        run.cluster.live_nodeclaims.clear();
        run.cluster.nodeclaims[0].gone = run.cluster.nodeclaims[0].initialized;
    });
    expect(&["I1"], &|run| run.cluster.instances[0].launched = run.cluster.nodeclaims[0].registered.unwrap());
    expect(&["B1", "I2"], &|run| run.cluster.instances[0].prices.clear());
    expect(&["I2"], &|run| run.cluster.instances[0].prices[0].0 = run.cluster.nodeclaims[0].registered.unwrap());
    expect(&["D1"], &|run| {
        let spare = run.cluster.create_pod(Time::ZERO, run.cluster.pods[0].shape, crate::cluster::pod::Owner::None);
        run.data.plane.add_consumer(Time::ZERO, PodRef(spare.0), 0);
    });
    let own: BTreeSet<&str> = cluster_laws::LAWS.iter().chain(LAWS).map(|law| law.number).collect();
    assert!(own.is_subset(&seen), "{own:?} {seen:?}");
}

#[test]
fn a_broken_law_stops_the_run_and_says_where() {
    let texts = BTreeMap::from([("laws.toml".to_owned(), SCENARIO.replace("[simulation]", "[simulation]\nseed = 7"))]);
    let loaded = load_texts("laws.toml", texts, &crate::scenario::Options::default());
    let scenario = loaded.unwrap_or_else(|invalid| panic!("{invalid}")).scenario;
    let mut run = Run::new(&scenario, Options::replication(2).checked(true)).expect("a beginning");
    run.advance(Time::ZERO + Duration::from_mins(5)).expect("nothing is broken yet");
    run.cluster.nodes[NodeId(0).index()].requested = run.cluster.nodes[0].allocatable;
    let broken = run.finished().expect_err("a law is broken");
    assert_eq!((broken.seed, broken.replication, broken.at), (7, 2, Time::ZERO + Duration::from_mins(5)));
    let text = broken.to_string();
    for part in [
        "seed 7, replication 2, at 5m",
        "control events and",
        "law N3 (requests of a node are those of its pods): node ",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn the_whole_must_be_its_parts() {
    let texts = BTreeMap::from([("laws.toml".to_owned(), SCENARIO.to_owned())]);
    let loaded = load_texts("laws.toml", texts, &crate::scenario::Options::default());
    let scenario = loaded.unwrap_or_else(|invalid| panic!("{invalid}")).scenario;
    let mut outcome = super::super::run(&scenario, Options::replication(0)).expect("an outcome");
    let mut found = Violations::default();
    outcome.check(&mut found);
    assert_eq!(found.laws(), []);
    let bill = outcome.nodes[0].bill.as_mut().expect("a bill");
    bill.price_changed(Time::ZERO, Usd::from_f64(-9.0));
    outcome.check(&mut found);
    assert!(found.laws().iter().any(|law| law.number == "B5"), "{found:?}");
}
