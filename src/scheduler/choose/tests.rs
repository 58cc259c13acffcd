//! Placement of small clusters by hand.

use super::*;
use crate::api::decode::{Decode, Problems};
use crate::api::meta::LabelSelector;
use crate::engine::Streams;
use crate::scheduler::preemption::preempt;
use crate::scheduler::shape::PodTraits;
use crate::scheduler::snapshot::{NodeSpec, Placed};
use crate::scheduler::volumes::Claims;

fn traits(toml: &str, priority: i32, selector: Option<&str>) -> PodTraits {
    let mut problems = Problems::default();
    let tree = crate::scenario::toml::parse(toml, 0, &mut problems);
    let spec = crate::api::pod::PodSpec::decode(&tree, &mut problems);
    let spec = spec.unwrap_or_else(|| panic!("{:?}", problems.list));
    let app = selector.unwrap_or("app");
    let labels: crate::api::meta::Labels = [("app".to_owned(), app.to_owned())].into();
    let workload_selector =
        selector.map(|_| LabelSelector { match_labels: labels.clone(), match_expressions: Vec::new() });
    PodTraits { labels, spec, priority, preempts: true, workload_selector, claims: Claims::default() }
}

fn node(name: &str, zone: &str, cpu: i64, gib: i64) -> NodeSpec {
    NodeSpec {
        name: name.to_owned(),
        labels: [
            ("kubernetes.io/hostname".to_owned(), name.to_owned()),
            ("topology.kubernetes.io/zone".to_owned(), zone.to_owned()),
        ]
        .into(),
        taints: Vec::new(),
        volume_limit: None,
        unschedulable: false,
        allocatable: Resources::default()
            .with(Resource::Cpu, cpu)
            .with(Resource::Memory, gib << 30)
            .with(Resource::Pods, 110),
        images: Vec::new(),
    }
}

fn place(snapshot: &mut Snapshot, slot: Slot, pod: u32, shape: ShapeIndex, started: u32) {
    snapshot.place(slot, Placed { pod, shape, started, terminating: false, preempted: false });
}

const HALF_CPU: &str = r#"containers = [{ resources = { requests = { cpu = "500m", memory = "1Gi" } } }]"#;
const ONE_CPU: &str = r#"containers = [{ resources = { requests = { cpu = "1", memory = "1Gi" } } }]"#;

#[test]
fn the_emptier_node_wins_and_placement_goes_round() {
    let mut snapshot = Snapshot::default();
    let slots: Vec<Slot> = ["a", "b", "c"].map(|name| snapshot.add_node(node(name, "z", 4000, 16))).into();
    let shape = snapshot.shape(&traits(HALF_CPU, 0, Some("web")));
    let mut chooser = Chooser::default();
    let mut tie = Streams::new(1, 0).open("tie", 0);
    for pod in 0..24 {
        match chooser.choose(&mut snapshot, pod, shape, None, &mut tie) {
            Choice::Node(slot) => place(&mut snapshot, slot, pod, shape, 0),
            other => panic!("pod {pod}: {other:?}"),
        }
        let counts: Vec<usize> = slots.iter().map(|slot| snapshot.node(*slot).pods.len()).collect();
        let (least, most) = (counts.iter().min(), counts.iter().max());
        assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "{counts:?}");
    }
    let Choice::Unschedulable(diagnosis) = chooser.choose(&mut snapshot, 99, shape, None, &mut tie) else {
        panic!("24 pods fill the nodes");
    };
    assert_eq!(diagnosis.to_string(), "0/3 nodes: 3 insufficient cpu");
    assert!(diagnosis.resolvable);
}

#[test]
fn pause_pods_give_way_and_the_latest_started_goes() {
    let mut snapshot = Snapshot::default();
    let slot = snapshot.add_node(node("a", "z", 3000, 16));
    let pause = snapshot.shape(&traits(ONE_CPU, -10, None));
    let work = snapshot.shape(&traits(ONE_CPU, 0, None));
    for pod in 0..3 {
        place(&mut snapshot, slot, pod, pause, pod * 10);
    }
    let mut chooser = Chooser::default();
    let mut random = Streams::new(1, 0).open("tie", 0);
    let Choice::Unschedulable(diagnosis) = chooser.choose(&mut snapshot, 9, work, None, &mut random) else {
        panic!("the node is full");
    };
    let candidate = preempt(&mut chooser, &mut snapshot, (9, work, None), &diagnosis, &[], &mut random);
    let candidate = candidate.unwrap_or_else(|| panic!("pause pods must give way"));
    assert_eq!(candidate.victims.iter().map(|v| v.pod).collect::<Vec<_>>(), [2]);
    assert_eq!(snapshot.node(slot).pods.len(), 3, "the dry run leaves the node as it was");
    snapshot.nominate(slot, 9, work);
    snapshot.mark_terminating(slot, 2, true);
    snapshot.remove(slot, 2);
    assert!(matches!(chooser.choose(&mut snapshot, 10, pause, None, &mut random), Choice::Unschedulable(_)));
    assert_eq!(chooser.choose(&mut snapshot, 9, work, Some(slot), &mut random), Choice::Node(slot));
}

#[test]
fn hard_spread_keeps_the_skew_and_anti_affinity_one_per_node() {
    let mut snapshot = Snapshot::default();
    for (name, zone) in [("a", "x"), ("b", "x"), ("c", "y")] {
        snapshot.add_node(node(name, zone, 64_000, 256));
    }
    let spread = format!(
        "{ONE_CPU}\ntopologySpreadConstraints = [{{ maxSkew = 1, topologyKey = \"topology.kubernetes.io/zone\", \
         whenUnsatisfiable = \"DoNotSchedule\", labelSelector = {{ matchLabels = {{ app = \"web\" }} }} }}]"
    );
    let alone = format!(
        "{ONE_CPU}\naffinity = {{ podAntiAffinity = {{ requiredDuringSchedulingIgnoredDuringExecution = [{{ \
         topologyKey = \"kubernetes.io/hostname\", labelSelector = {{ matchLabels = {{ app = \"solo\" }} }} }}] }} }}"
    );
    let web = snapshot.shape(&traits(&spread, 0, Some("web")));
    let solo = snapshot.shape(&traits(&alone, 0, Some("solo")));
    let mut chooser = Chooser::default();
    let mut tie = Streams::new(1, 0).open("tie", 0);
    let mut zones = [0_u32, 0];
    for pod in 0..10 {
        let Choice::Node(slot) = chooser.choose(&mut snapshot, pod, web, None, &mut tie) else { panic!("pod {pod}") };
        place(&mut snapshot, slot, pod, web, 0);
        zones[usize::from(slot == 2)] += 1;
        assert!(zones[0].abs_diff(zones[1]) <= 1, "{zones:?}");
    }
    for pod in 20..23 {
        let Choice::Node(slot) = chooser.choose(&mut snapshot, pod, solo, None, &mut tie) else { panic!("pod {pod}") };
        place(&mut snapshot, slot, pod, solo, 0);
    }
    let Choice::Unschedulable(diagnosis) = chooser.choose(&mut snapshot, 23, solo, None, &mut tie) else {
        panic!("three nodes take three such pods");
    };
    assert_eq!(diagnosis.to_string(), "0/3 nodes: 3 InterPodAffinity");
}
