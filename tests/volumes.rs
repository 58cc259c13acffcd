//! Volumes of pods in small runs: pods wait for their attachment, and a node that goes for their detachment.

use std::path::Path;

use forescale::report::summary::summarize;
use forescale::scenario::{Options, load};
use forescale::simulation;
use forescale::telemetry::{NodeRecord, Outcome};
use forescale::time::Duration;

#[path = "support/small_cluster.rs"]
#[expect(dead_code, reason = "some helpers are not needed here")]
mod small_cluster;
use small_cluster::{class, deployment, nodes_of, pool, run_with};

const VOLUMES: &str =
    "volumes = [{ name = \"data\", ephemeral = { volumeClaimTemplate = {} } }, { name = \"cache\", emptyDir = {} }]\n";
const DELETE: &str = "[[changes]]\nat = \"5m\"\ndelete = [\"NodePool/workers\"]\n";
const LATENCIES: &[(&str, &str)] =
    &[("latencies.volumeAttach", "\"20s\""), ("latencies.volumeDetach", "\"90s\""), ("latencies.podCleanup", "\"1s\"")];

/// A node with a pod with these volumes; the pool with this template goes after five minutes.
fn deleted(volumes: &str, grace: &str) -> Outcome {
    let pool = pool("workers", &["m5.large"], &["on-demand"], "");
    let pool = pool.replacen("requirements = [", &format!("{grace}requirements = ["), 1);
    run_with("20m", &format!("{pool}{}{}{volumes}{DELETE}", class(""), deployment("web", 1, "500m")), LATENCIES)
}

/// From the first pod's binding to its start, and from its end to the end of the instance.
fn waits(outcome: &Outcome) -> (f64, f64) {
    let pod = &outcome.pods[0];
    let seconds = |time: Option<forescale::time::Time>| time.expect("an instant").as_secs_f64();
    let node = nodes_of(outcome, "workers")[0];
    (seconds(pod.started) - seconds(pod.scheduled), seconds(node.terminated) - seconds(pod.ended))
}

#[test]
fn a_pod_waits_for_its_volume_and_its_node_until_it_is_detached() {
    let (start, end) = waits(&deleted(VOLUMES, ""));
    let (plain_start, plain_end) = waits(&deleted("", ""));
    assert!((start - plain_start - 20.0).abs() < 0.001, "{start} {plain_start}");
    assert!(plain_end < 6.0, "{plain_end}");
    assert!((90.0..93.0).contains(&end), "looked at every second: {end}");
}

#[test]
fn termination_grace_period_bounds_the_wait() {
    let outcome = deleted(VOLUMES, "terminationGracePeriod = \"60s\"\n");
    let ends = nodes_of(&outcome, "workers")[0].terminated.expect("terminated").as_secs_f64();
    assert!((360.0..363.0).contains(&ends), "{ends}");
    let (_, end) = waits(&outcome);
    assert!(end < 60.0, "{end}");
}

#[test]
fn volumes_of_pods_that_stay_hold_no_node() {
    let tolerant = "tolerations = [{ operator = \"Exists\" }]\n";
    let outcome = deleted(&format!("{tolerant}{VOLUMES}"), "");
    let node = nodes_of(&outcome, "workers")[0];
    let seconds = |time: Option<forescale::time::Time>| time.expect("an instant").as_secs_f64();
    assert!(seconds(node.terminated) - seconds(node.draining) < 10.0, "it is not drained, nor its volume waited for");
}

/// Two volumes a pod, four a node. A new node is planned without the limit, so that all pods are meant for the first one; those
/// which kube-scheduler does not put there get another, and so on.
#[test]
fn a_node_takes_as_many_pods_as_its_driver_attaches_volumes() {
    let two = "volumes = [{ name = \"a\", ephemeral = { volumeClaimTemplate = {} } }, { name = \"b\", ephemeral = { volumeClaimTemplate = {} } }]\n";
    let pool = pool("workers", &["m5.xlarge"], &["on-demand"], "");
    let text = format!("{pool}{}{}{two}", class(""), deployment("web", 6, "100m"));
    let free = run_with("20m", &text, &[]);
    let limited = run_with("20m", &text, &[("cloud.volumeAttachLimit", "4")]);
    assert_eq!((nodes_of(&free, "workers").len(), nodes_of(&limited, "workers").len()), (1, 3));
    for node in 0..limited.nodes.len() {
        let on_it = limited.pods_of(None).filter(|pod| pod.node.is_some_and(|key| key.0 as usize == node));
        assert!(on_it.count() <= 2, "node {node}");
    }
    assert!(limited.pods_of(None).all(|pod| pod.ready.is_some()), "all run in the end");
    let held = limited.decisions.iter().filter(|decision| limited.detail(decision).contains("NodeVolumeLimits"));
    assert!(held.count() > 0);
}

/// The one node has no room for the volumes of a second pod until the first is gone: that wakes it.
#[test]
fn a_pod_waits_for_the_volumes_of_another() {
    let group =
        "[[nodeGroups]]\nname = \"fixed\"\ncount = 1\ncapacity = { cpu = \"8\", memory = \"16Gi\", pods = 50 }\n";
    let change = "[[changes]]\nat = \"5m\"\nscale = { first = 0 }\n[[changes]]\nat = \"1m\"\nscale = { second = 1 }\n";
    let (first, second) = (deployment("first", 1, "100m"), deployment("second", 0, "100m"));
    let text = format!("{group}{change}{first}{VOLUMES}{second}{VOLUMES}");
    let outcome = run_with("10m", &text, &[("cloud.volumeAttachLimit", "1")]);
    let [first, second] = &outcome.pods[..] else { panic!("{:?}", outcome.pods) };
    let seconds = |time: Option<forescale::time::Time>| time.expect("an instant").as_secs_f64();
    let (gone, bound) = (seconds(first.ended), seconds(second.scheduled));
    assert!(gone > 300.0 && (gone..gone + 2.0).contains(&bound), "gone at {gone}, bound at {bound}");
}

const CLASS: &str = "[[storageClasses]]\nmetadata = { name = \"gp3\", annotations = { \"storageclass.kubernetes.io/is-default-class\" = \"true\" } }\n\
    provisioner = \"ebs.csi.aws.com\"\nvolumeBindingMode = \"WaitForFirstConsumer\"\n";
const CLAIM: &str = "[[persistentVolumeClaims]]\nmetadata = { name = \"data\" }\nspec = { accessModes = [\"ReadWriteOnce\"], resources = { requests = { storage = \"8Gi\" } } }\n";
const MOUNTS: &str = "volumes = [{ name = \"data\", persistentVolumeClaim = { claimName = \"data\" } }]\n";

/// Pods that each fill a node.
fn of_a_node_each(replicas: u32, volumes: &str) -> String {
    let pool = pool("workers", &["m5.large"], &["on-demand"], "");
    format!("{pool}{}{}{volumes}", class(""), deployment("web", replicas, "1500m"))
}

fn zones(outcome: &Outcome) -> Vec<&str> {
    nodes_of(outcome, "workers").iter().map(|node| node.info.zone.as_str()).collect()
}

/// The claim is bound where its first pod comes to run: the others are not put on nodes that are free elsewhere, and get new ones there.
#[test]
fn pods_of_one_claim_are_held_to_the_zone_of_its_volume() {
    let group =
        "[[nodeGroups]]\nname = \"fixed\"\ncount = 3\ncapacity = { cpu = \"2\", memory = \"8Gi\", pods = 50 }\n";
    let text = format!("{}{group}", of_a_node_each(4, MOUNTS));
    let free = run_with("20m", &text, &[]);
    let bound = run_with("20m", &format!("{text}{CLASS}{CLAIM}"), &[]);
    let of_pods = |outcome: &Outcome| {
        let nodes = outcome.pods_of(None).map(|pod| pod.node.expect("a node").0 as usize);
        let mut zones: Vec<String> = nodes.map(|node| outcome.nodes[node].info.zone.clone()).collect();
        zones.sort_unstable();
        zones.dedup();
        zones
    };
    assert_eq!((of_pods(&free).len(), nodes_of(&free, "workers").len()), (3, 1));
    assert_eq!((of_pods(&bound).len(), nodes_of(&bound, "workers").len()), (1, 3));
    assert!(bound.pods_of(None).all(|pod| pod.ready.is_some()));
    let told = |words: &str| bound.decisions.iter().any(|decision| bound.detail(decision).contains(words));
    assert!(told("claim data gets a volume") && told("VolumeBinding"));
}

#[test]
fn a_bound_claim_decides_the_zone_of_the_node() {
    for zone in ["us-east-1a", "us-east-1b", "us-east-1c"] {
        let volume = format!(
            "[[persistentVolumes]]\nmetadata = {{ name = \"vol\" }}\nspec = {{ claimRef = {{ name = \"data\" }}, capacity = {{ storage = \"8Gi\" }}, accessModes = [\"ReadWriteOnce\"], \
             storageClassName = \"gp3\", nodeAffinity = {{ required = {{ nodeSelectorTerms = [{{ matchExpressions = [{{ key = \"topology.ebs.csi.aws.com/zone\", operator = \"In\", \
             values = [\"{zone}\"] }}] }}] }} }} }}\n"
        );
        let outcome = run_with("10m", &format!("{}{CLASS}{CLAIM}{volume}", of_a_node_each(2, MOUNTS)), &[]);
        assert_eq!(zones(&outcome), [zone, zone]);
        assert!(outcome.pods_of(None).all(|pod| pod.ready.is_some()));
    }
}

/// Neither kube-scheduler nor Karpenter does anything for them, and both say why.
#[test]
fn pods_whose_claim_cannot_be_used_stay_pending() {
    let immediate =
        CLASS.replace("WaitForFirstConsumer", "Immediate").replace("ebs.csi.aws.com", "kubernetes.io/no-provisioner");
    for (objects, scheduler, karpenter) in [
        (CLASS.to_owned(), "persistentvolumeclaim \"data\" not found", "persistentvolumeclaim \"data\" not found"),
        (CLAIM.to_owned(), "unbound immediate PersistentVolumeClaims", "unbound pvc data must define a storage class"),
        (
            format!("{immediate}{CLAIM}"),
            "unbound immediate PersistentVolumeClaims",
            "pvc with immediate volume binding mode must be bound",
        ),
    ] {
        let group =
            "[[nodeGroups]]\nname = \"fixed\"\ncount = 1\ncapacity = { cpu = \"8\", memory = \"16Gi\", pods = 50 }\n";
        let outcome = run_with("10m", &format!("{}{objects}{group}", of_a_node_each(1, MOUNTS)), &[]);
        assert!(outcome.pods_of(None).all(|pod| pod.scheduled.is_none()), "{objects}");
        assert!(nodes_of(&outcome, "workers").is_empty(), "{objects}");
        for words in [scheduler, karpenter] {
            let told = outcome.decisions.iter().any(|decision| outcome.detail(decision).contains(words));
            assert!(told, "{words}");
        }
    }
}

/// A volume that is made at once is where the name of its claim says, and the class may narrow that.
#[test]
fn a_claim_that_waits_for_nothing_is_in_the_zone_of_its_name() {
    let class = CLASS.replace("WaitForFirstConsumer", "Immediate");
    let topologies = "allowedTopologies = [{ matchLabelExpressions = [{ key = \"topology.kubernetes.io/zone\", values = [\"us-east-1b\"] }] }]\n";
    let of = |class: &str, number: u32| {
        let (claim, mounts) = (
            CLAIM.replace("\"data\"", &format!("\"data-{number}\"")),
            MOUNTS.replace("\"data\" }", &format!("\"data-{number}\" }}")),
        );
        let outcome = run_with("10m", &format!("{}{class}{claim}", of_a_node_each(1, &mounts)), &[]);
        zones(&outcome).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let each: Vec<Vec<String>> = (0..3).map(|number| of(&class, number)).collect();
    assert!(each.iter().all(|zones| zones.len() == 1), "{each:?}");
    assert!(each[0] != each[1] && each[1] != each[2] && each[0] != each[2], "they take turns: {each:?}");
    assert!((0..2).all(|number| of(&format!("{class}{topologies}"), number) == ["us-east-1b"]));
}

/// Pods of leaving nodes are planned with their own claims, which are bound; those that come to run in their place have claims of their
/// own. A budget keeps all but one of the pods where they are until there are nodes for them.
#[test]
fn ephemeral_volumes_hold_replacements_to_the_zone_of_the_old_node() {
    let volumes = "volumes = [{ name = \"scratch\", ephemeral = { volumeClaimTemplate = { spec = { storageClassName = \"gp3\" } } } }]\n";
    let budget = "[[podDisruptionBudgets]]\nmetadata = { name = \"web\" }\nspec = { maxUnavailable = 1, selector = { matchLabels = { app = \"web\" } } }\n";
    let expiring = |text: String| text.replacen("requirements = [", "expireAfter = \"10m\"\nrequirements = [", 1);
    let moved = |objects: &str| {
        let outcome = run_with("18m", &expiring(format!("{}{objects}{budget}", of_a_node_each(6, volumes))), &[]);
        let nodes = nodes_of(&outcome, "workers");
        let (first, second): (Vec<&NodeRecord>, Vec<&NodeRecord>) =
            nodes.iter().partition(|node| node.claimed.as_secs_f64() < 300.0);
        assert!(first.len() == 6 && second.len() >= 6, "{first:?} {second:?}");
        assert!(outcome.pods_of(None).filter(|pod| pod.ended.is_none()).all(|pod| pod.ready.is_some()));
        second.iter().filter(|node| first.iter().all(|old| old.info.zone != node.info.zone)).count()
    };
    assert!(moved(CLASS) <= 1, "{}", moved(CLASS));
    assert!(moved("") > 1, "without storage in the scenario nothing holds them");
}

#[test]
fn the_shipped_scenario_says_what_comes_out() {
    let with = |settings: &[(&str, &str)]| {
        let settings = settings.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
        let options = Options { settings, ..Options::default() };
        let path = Path::new("scenarios/volume-in-one-zone.toml");
        let loaded = load(path, &options).unwrap_or_else(|invalid| panic!("{invalid}"));
        let outcome = simulation::run(&loaded.scenario, simulation::Options::replication(0)).expect("a run");
        let wait = outcome.queues[0].wait.quantile(0.95).map_or(0.0, Duration::as_secs_f64);
        let summary = summarize(&outcome, &loaded.scenario.objectives);
        (wait.round(), summary.pods.pending_max, (summary.cost.total_usd * 100.0).round())
    };
    let types = "NodePool/default.template.spec.requirements.\"karpenter.sh/capacity-type\".values";
    assert_eq!(with(&[]), (2338.0, 94, 36.0));
    assert_eq!(with(&[("Deployment/orders.template.spec.volumes", "[]")]), (109.0, 18, 19.0));
    assert_eq!(with(&[(types, "[\"spot\", \"on-demand\"]")]), (108.0, 24, 32.0));
}
