//! Holds the scheduler against a plain one (`support/plain_scheduler.rs`) on random small clusters. `FORESCALE_DIFFERENTIAL_CASES` sets
//! how many (2,000), `FORESCALE_DIFFERENTIAL_FIRST` the first of them (0).

use std::process::ExitCode;
use std::sync::Arc;

use forescale::api::karpenter::NodePoolSpec;
use forescale::api::meta::Labels;
use forescale::api::pod::{PodSpec, Taint};
use forescale::cluster::catalogue::{
    CapacityType, Catalogue, InstanceType, Offering, Reservation, ReservationId, ReservationKind, ZoneId,
};
use forescale::engine::{Stream, Streams};
use forescale::karpenter::scheduling::requirements::Requirements;
use forescale::karpenter::scheduling::{
    BoundPods, ExistingNode, HostPort, Input, Knowledge, MinValuesPolicy, Options, Pod, Pool, PreferencePolicy,
    Results, Shape, solve, solve_knowing,
};
use forescale::time::Time;
use forescale::units::{Cpu, Memory, Resource, Resources};
use serde_json::{Value, json};

#[path = "support/json.rs"]
mod json;
#[path = "support/plain_pools.rs"]
mod plain_pools;
#[path = "support/plain_scheduler.rs"]
mod plain_scheduler;
#[path = "support/plain_topology.rs"]
mod plain_topology;
#[path = "support/scheduling.rs"]
mod scheduling;

use plain_scheduler::{Plan, PlannedClaim};
use scheduling::{decode, pod_spec, resources};

const ZONES: [&str; 3] = ["z1", "z2", "z3"];
/// Capacity reservations of a case.
const RESERVATIONS: u16 = 4;
const ZONE: &str = "topology.kubernetes.io/zone";
const HOST: &str = "kubernetes.io/hostname";

fn main() -> ExitCode {
    let setting =
        |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let first = setting("FORESCALE_DIFFERENTIAL_FIRST", 0);
    let cases = setting("FORESCALE_DIFFERENTIAL_CASES", 2000);
    let mut failed = 0;
    let mut seen = Seen::default();
    let mut knowledge = Knowledge::default();
    for case in first..first + cases {
        let mut stream = Streams::new(case, 0).open("case", 0);
        let cluster = Cluster::random(&mut stream);
        let input = cluster.input();
        let mut choices = Streams::new(case, 0).open("choices", 0);
        let seed = choices.clone().bits();
        let fast = comparable(&solve(&input, &mut choices));
        let plain = plain_scheduler::solve(&input, seed);
        seen.note(&cluster, &fast);
        if let Some(difference) = remembered(&cluster, &fast, case, &mut knowledge, &mut stream) {
            failed += 1;
            println!("case {case}: {difference}");
            continue;
        }
        if fast != plain {
            failed += 1;
            if failed <= 3 {
                println!("case {case}:\n  fast  {fast:#?}\n  plain {plain:#?}");
            }
        }
    }
    println!("{seen:?}");
    println!("{} passed, {failed} failed", cases - failed);
    println!("provisioning_differential: passed {} of {cases}", cases - failed);
    if failed == 0 && cases > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Knowledge of former questions must change no answer: not to the same question again, not when offerings sell out and prices move.
fn remembered(
    cluster: &Cluster,
    fresh: &Plan,
    case: u64,
    knowledge: &mut Knowledge,
    stream: &mut Stream,
) -> Option<&'static str> {
    let choices = || Streams::new(case, 0).open("choices", 0);
    let mut input = cluster.input();
    for _ in 0..2 {
        if comparable(&solve_knowing(&input, knowledge, &mut choices())) != *fresh {
            return Some("former questions changed the answer");
        }
    }
    for catalogue in &mut input.catalogues {
        for offering in Arc::make_mut(catalogue).types.iter_mut().flat_map(|t| &mut t.offerings) {
            offering.available &= !stream.chance(0.3);
            offering.price *= 0.5 + stream.unit();
        }
    }
    let knowing = comparable(&solve_knowing(&input, knowledge, &mut choices()));
    (knowing != comparable(&solve(&input, &mut choices()))).then_some("another state of the catalogue was not noticed")
}

/// What the cases exercised.
#[derive(Debug, Default)]
struct Seen {
    pods_on_nodes: usize,
    pods_on_claims: usize,
    pods_pending: usize,
    passes_with_more_than_12_claims: usize,
    lowered_min_values: usize,
    reserved_claims: usize,
    pods_with_volumes_on_nodes: usize,
    pods_with_volumes_on_claims: usize,
    pods_with_volumes_pending: usize,
}

impl Seen {
    fn note(&mut self, cluster: &Cluster, plan: &Plan) {
        self.pods_on_nodes += plan.existing.iter().map(|(_, pods)| pods.len()).sum::<usize>();
        self.pods_on_claims += plan.claims.iter().map(|claim| claim.pods.len()).sum::<usize>();
        self.pods_pending += plan.pending.len();
        self.passes_with_more_than_12_claims += usize::from(plan.claims.len() > 12);
        self.lowered_min_values += plan.claims.iter().filter(|claim| claim.min_values_relaxed).count();
        let reserved = |claim: &&PlannedClaim| {
            claim.requirements.get("karpenter.sh/capacity-type").is_some_and(|types| types.single() == Some("reserved"))
        };
        let with_volumes =
            |pods: &[usize]| pods.iter().filter(|pod| !cluster.shapes[cluster.pods[**pod].shape].3.is_empty()).count();
        self.pods_with_volumes_on_nodes += plan.existing.iter().map(|(_, pods)| with_volumes(pods)).sum::<usize>();
        self.pods_with_volumes_on_claims += plan.claims.iter().map(|claim| with_volumes(&claim.pods)).sum::<usize>();
        self.pods_with_volumes_pending += with_volumes(&plan.pending);
        self.reserved_claims += plan.claims.iter().filter(reserved).count();
    }
}

fn comparable(results: &Results) -> Plan {
    let claims = results.claims.iter().map(|claim| PlannedClaim {
        pool: claim.pool,
        requirements: claim.requirements.as_ref().clone(),
        options: claim.options.clone(),
        requests: claim.requests,
        pods: claim.pods.clone(),
        min_values_relaxed: claim.min_values_relaxed,
    });
    Plan {
        existing: results.existing.clone(),
        claims: claims.collect(),
        pending: results.errors.iter().map(|(pod, _)| *pod).collect(),
    }
}

/// A random cluster.
struct Cluster {
    catalogues: Vec<Arc<Catalogue>>,
    pools: Vec<(String, NodePoolSpec, Option<usize>)>,
    nodes: Vec<NodeRecord>,
    daemons: Vec<PodSpec>,
    shapes: Vec<(Labels, PodSpec, u32, Vec<Vec<Requirements>>)>,
    pods: Vec<Pod>,
    bound: Vec<BoundPods>,
    options: Options,
}

struct NodeRecord {
    name: String,
    labels: Labels,
    taints: Vec<Taint>,
    flags: [bool; 4],
    available: Resources,
    capacity: Resources,
    ports: Vec<HostPort>,
    volumes: Option<u32>,
}

fn pick<'t, T>(stream: &mut Stream, items: &'t [T]) -> &'t T {
    &items[stream.below(items.len())]
}

/// Some of the texts, at least one.
fn some(stream: &mut Stream, items: &[&str]) -> Vec<String> {
    let mut chosen: Vec<String> = items.iter().filter(|_| stream.chance(0.5)).map(|text| (*text).to_owned()).collect();
    if chosen.is_empty() {
        chosen.push((*pick(stream, items)).to_owned());
    }
    chosen
}

impl Cluster {
    fn random(stream: &mut Stream) -> Self {
        let catalogues: Vec<Arc<Catalogue>> = (0..1 + stream.below(2)).map(|_| Arc::new(catalogue(stream))).collect();
        let pools = (0..1 + stream.below(3)).map(|i| {
            let spec = decode(&pool(stream, i));
            let known = (!stream.chance(0.03)).then(|| stream.below(catalogues.len()));
            (format!("pool-{}", ["b", "a", "c"][i]), spec, known)
        });
        let pools: Vec<(String, NodePoolSpec, Option<usize>)> = pools.collect();
        let mut cluster = Cluster {
            nodes: (0..stream.below(5)).map(|i| node(stream, i, &pools)).collect(),
            daemons: (0..stream.below(3)).map(|i| pod_spec(&daemon(stream, i), &requests(stream, 4))).collect(),
            shapes: (0..1 + stream.below(5)).map(|i| shape(stream, i)).collect(),
            pods: Vec::new(),
            bound: Vec::new(),
            options: options(stream),
            catalogues,
            pools,
        };
        let most = if stream.chance(0.2) { 70 } else { 20 };
        let count = 1 + stream.below(most);
        for _ in 0..count {
            let shape = stream.below(cluster.shapes.len());
            let created = Time::from_micros(1_000_000 * stream.below(2) as u64);
            cluster.pods.push(Pod { shape, created, uid: stream.bits(), gated: stream.chance(0.1) });
        }
        for node in 0..cluster.nodes.len() {
            for shape in 0..cluster.shapes.len() {
                if cluster.nodes[node].flags[2] && stream.chance(0.2) {
                    let running = stream.below(3) as u32;
                    cluster.bound.push(BoundPods { shape, node, running, present: running + stream.below(2) as u32 });
                }
            }
        }
        cluster
    }

    fn input(&self) -> Input<'_> {
        Input {
            catalogues: self.catalogues.clone(),
            pools: self
                .pools
                .iter()
                .map(|(name, spec, catalogue)| Pool { name, spec, catalogue: *catalogue })
                .collect(),
            nodes: self
                .nodes
                .iter()
                .map(|node| ExistingNode {
                    name: &node.name,
                    hostname: &node.name,
                    labels: &node.labels,
                    taints: node.taints.iter().collect(),
                    target: node.flags[0],
                    initialized: node.flags[1],
                    has_node: node.flags[2],
                    under_consolidate_after: node.flags[3],
                    available: node.available,
                    daemon_requests: Resources::ZERO,
                    capacity: node.capacity,
                    host_ports: node.ports.clone(),
                    free_volumes: node.volumes,
                })
                .collect(),
            daemon_sets: self.daemons.iter().collect(),
            shapes: self
                .shapes
                .iter()
                .map(|(labels, spec, volumes, topology)| Shape {
                    labels,
                    spec,
                    volumes: *volumes,
                    volume_topology: topology.clone(),
                })
                .collect(),
            pods: self.pods.clone(),
            bound: self.bound.clone(),
            options: self.options.clone(),
        }
    }
}

fn catalogue(stream: &mut Stream) -> Catalogue {
    let mut types = Vec::new();
    for family in ["a", "b", "c"] {
        for cpu in [1, 2, 4, 8, 16] {
            if stream.chance(0.6) {
                types.push(instance_type(stream, family, cpu));
            }
        }
    }
    if types.is_empty() {
        types.push(instance_type(stream, "a", 4));
    }
    types.sort_by(|a, b| a.name.cmp(&b.name));
    // Instances of several types may come from one reservation, and a pool may know a reservation as it was before.
    let reservation = |number: u16| Reservation {
        id: format!("cr-{number}"),
        kind: match number {
            0 => ReservationKind::CapacityBlock,
            1 => ReservationKind::Interruptible,
            _ => ReservationKind::Default,
        },
        left: stream.below(3) as u32,
    };
    let reservations = (0..RESERVATIONS).map(reservation).collect();
    Catalogue { zones: ZONES.map(str::to_owned).into(), types, reservations, without_subnet: Vec::new() }
}

fn instance_type(stream: &mut Stream, family: &str, cpu: i64) -> InstanceType {
    let name = format!("{family}.{cpu}");
    let gib = cpu * *pick(stream, &[1, 2, 4]);
    let capacity = Resources::new(Cpu::from_milli(cpu * 1000), Memory::from_mib(gib * 1024))
        .with(Resource::Pods, *pick(stream, &[3, 5, 10, 110]));
    let mut labels = vec![
        ("kubernetes.io/arch".to_owned(), vec![(if family == "c" { "arm64" } else { "amd64" }).to_owned()]),
        ("kubernetes.io/os".to_owned(), vec!["linux".to_owned()]),
        ("node.kubernetes.io/instance-type".to_owned(), vec![name.clone()]),
        ("karpenter.kwok.sh/instance-cpu".to_owned(), vec![cpu.to_string()]),
        ("karpenter.kwok.sh/instance-family".to_owned(), vec![family.to_owned()]),
    ];
    if stream.chance(0.2) {
        labels.push(("karpenter.kwok.sh/instance-size".to_owned(), Vec::new()));
    }
    labels.sort();
    let mut offerings = Vec::new();
    for zone in 0..3 {
        for capacity_type in [CapacityType::Reserved, CapacityType::Spot, CapacityType::OnDemand] {
            let present = if capacity_type == CapacityType::Reserved { 0.05 } else { 0.8 };
            if stream.chance(present) {
                let price = cpu as f64 * *pick(stream, &[0.5, 1.0, 1.0, 2.0]);
                let reservation = (capacity_type == CapacityType::Reserved)
                    .then(|| ReservationId(stream.below(usize::from(RESERVATIONS)) as u16));
                let available = stream.chance(0.8);
                offerings.push(Offering { zone: ZoneId(zone), capacity_type, price, available, reservation });
            }
        }
    }
    let overhead = Resources::new(Cpu::from_milli(100), Memory::from_mib(100));
    InstanceType { name, labels: Arc::new(labels), allocatable: capacity - overhead, capacity, offerings }
}

fn pool(stream: &mut Stream, index: usize) -> Value {
    let mut requirements = Vec::new();
    let mut require =
        |stream: &mut Stream, chance: f64, key: &str, operator: &str, values: Vec<String>, floors: bool| {
            if stream.chance(chance) {
                let mut requirement = json!({"key": key, "operator": operator, "values": values});
                if floors && stream.chance(0.15) {
                    requirement["minValues"] = json!(1 + stream.below(3));
                }
                requirements.push(requirement);
            }
        };
    let zones = some(stream, &ZONES);
    require(stream, 0.4, ZONE, "In", zones, true);
    let excluded = vec![(*pick(stream, &ZONES)).to_owned()];
    require(stream, 0.1, ZONE, "NotIn", excluded, false);
    let capacity_types = some(stream, &["spot", "on-demand", "reserved"]);
    require(stream, 0.6, "karpenter.sh/capacity-type", "In", capacity_types, false);
    let families = some(stream, &["a", "b", "c"]);
    require(stream, 0.4, "karpenter.kwok.sh/instance-family", "In", families, true);
    require(stream, 0.2, "karpenter.kwok.sh/instance-cpu", "Gt", vec!["1".to_owned()], false);
    require(stream, 0.2, "karpenter.kwok.sh/instance-cpu", "Lt", vec!["16".to_owned()], false);
    let racks = some(stream, &["r1", "r2", "r3", "r4"]);
    require(stream, 0.4, "rack", "In", racks, false);
    require(stream, 0.1, "rack", "Exists", Vec::new(), false);
    require(stream, 0.1, "node.kubernetes.io/instance-type", "Exists", Vec::new(), true);
    let mut spec = json!({
        "template": {
            "metadata": {"labels": {"team": *pick(stream, &["red", "blue"])}},
            "spec": {"requirements": requirements, "taints": []},
        },
    });
    if stream.chance(0.3) {
        spec["weight"] = json!(*pick(stream, &[10, 50]) + index);
    }
    if stream.chance(0.25) {
        let effect = *pick(stream, &["NoSchedule", "PreferNoSchedule"]);
        spec["template"]["spec"]["taints"] = json!([{"key": "dedicated", "value": "x", "effect": effect}]);
    }
    if stream.chance(0.3) {
        spec["limits"] = json!({"cpu": (*pick(stream, &[0, 4, 16, 40])).to_string()});
        if stream.chance(0.3) {
            spec["limits"]["nodes"] = json!((*pick(stream, &[1, 3])).to_string());
        }
        if stream.chance(0.3) {
            spec["limits"]["memory"] = json!("40Gi");
        }
    }
    spec
}

fn node(stream: &mut Stream, index: usize, pools: &[(String, NodePoolSpec, Option<usize>)]) -> NodeRecord {
    let name = format!("node-{}-{index}", stream.below(9));
    let mut labels = Labels::from([
        (HOST.to_owned(), name.clone()),
        ("kubernetes.io/arch".to_owned(), (*pick(stream, &["amd64", "arm64"])).to_owned()),
        ("team".to_owned(), (*pick(stream, &["red", "blue"])).to_owned()),
    ]);
    if stream.chance(0.8) {
        labels.insert(ZONE.to_owned(), (*pick(stream, &["z1", "z2", "z4"])).to_owned());
    }
    if stream.chance(0.5) {
        labels.insert("rack".to_owned(), (*pick(stream, &["r1", "r2", "r9"])).to_owned());
    }
    if stream.chance(0.7) {
        labels.insert("karpenter.sh/nodepool".to_owned(), pick(stream, pools).0.clone());
        labels.insert("karpenter.sh/capacity-type".to_owned(), (*pick(stream, &["spot", "on-demand"])).to_owned());
    }
    let capacity = resources(&json!({"cpu": "4", "memory": "8Gi", "pods": "10"}));
    let used = Resources::new(Cpu::from_milli(stream.below(4000) as i64), Memory::from_mib(stream.below(6000) as i64));
    let taint = || decode::<Taint>(&json!({"key": "dedicated", "value": "x", "effect": "NoSchedule"}));
    NodeRecord {
        labels,
        taints: if stream.chance(0.2) { vec![taint()] } else { Vec::new() },
        flags: [stream.chance(0.85), stream.chance(0.7), stream.chance(0.85), stream.chance(0.2)],
        available: capacity - used,
        capacity,
        ports: if stream.chance(0.2) { vec![port("10.0.0.1")] } else { Vec::new() },
        volumes: stream.chance(0.3).then(|| stream.below(5) as u32),
        name,
    }
}

fn port(ip: &str) -> HostPort {
    HostPort { ip: ip.to_owned(), port: 8080, protocol: "TCP".to_owned() }
}

fn requests(stream: &mut Stream, share: i64) -> Value {
    let cpu = *pick(stream, &[0, 100, 500, 500, 1500, 2500, 7000]) / share;
    let memory = *pick(stream, &[0, 128, 1024, 1024, 4096]) / share;
    json!({"cpu": format!("{cpu}m"), "memory": format!("{memory}Mi")})
}

fn daemon(stream: &mut Stream, index: usize) -> Value {
    let mut spec = json!({});
    if stream.chance(0.5) {
        spec["tolerations"] = json!([{"operator": "Exists"}]);
    }
    if stream.chance(0.4) {
        let term = |values: &[&str]| json!({"matchExpressions": [{"key": "karpenter.kwok.sh/instance-family", "operator": "In", "values": values}]});
        spec["affinity"] = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            term(&["a"]), term(&["b", "c"])]}}});
    }
    if stream.chance(0.2) {
        spec["nodeSelector"] = json!({"team": "red"});
    }
    if stream.chance(0.2) {
        spec["containers"] =
            json!([{"ports": [{"hostPort": 8080 + index}], "resources": {"requests": {"cpu": "50m"}}}]);
    }
    spec
}

fn shape(stream: &mut Stream, index: usize) -> (Labels, PodSpec, u32, Vec<Vec<Requirements>>) {
    let app = format!("app-{}", stream.below(index + 1));
    let mut spec = json!({});
    node_side(stream, &mut spec);
    if stream.chance(0.4) {
        let spreads: Vec<Value> = (0..1 + stream.below(2)).map(|_| spread(stream, index)).collect();
        spec["topologySpreadConstraints"] = json!(spreads);
    }
    for (part, chance) in [("podAffinity", 0.15), ("podAntiAffinity", 0.25)] {
        if stream.chance(chance) {
            let term = json!({"topologyKey": key(stream), "labelSelector": selector(stream, index)});
            spec["affinity"][part] = if stream.chance(0.6) {
                json!({"requiredDuringSchedulingIgnoredDuringExecution": [term]})
            } else {
                json!({"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1 + stream.below(100), "podAffinityTerm": term}]})
            };
        }
    }
    if stream.chance(0.3) {
        spec["tolerations"] = json!([{"key": "dedicated", "operator": "Exists"}]);
    }
    let requests = requests(stream, 1);
    if stream.chance(0.1) {
        let ip = *pick(stream, &["0.0.0.0", "10.0.0.1", "10.0.0.2"]);
        spec["containers"] =
            json!([{"ports": [{"hostPort": 8080, "hostIP": ip}], "resources": {"requests": requests}}]);
    }
    let labels = Labels::from([("app".to_owned(), app), ("tier".to_owned(), (*pick(stream, &["x", "y"])).to_owned())]);
    let volumes = stream.below(3) as u32;
    (labels, pod_spec(&spec, &requests), volumes, volume_topology(stream))
}

/// Where the volumes of some pods are: up to two of them, each in one of several places.
fn volume_topology(stream: &mut Stream) -> Vec<Vec<Requirements>> {
    let mut volumes = Vec::new();
    if stream.chance(0.3) {
        for _ in 0..1 + stream.below(2) {
            volumes.push((0..stream.below(4)).map(|_| volume_place(stream)).collect());
        }
    }
    volumes
}

fn volume_place(stream: &mut Stream) -> Requirements {
    let mut list = Vec::new();
    let zone = *pick(stream, &[ZONE, ZONE, "topology.ebs.csi.aws.com/zone"]);
    for (key, values, chance) in [
        (zone, &["z1", "z2", "z3", "z4"][..], 0.7),
        ("rack", &["r1", "r2", "r9"][..], 0.25),
        ("karpenter.kwok.sh/instance-family", &["a", "b"][..], 0.1),
        (HOST, &["node-0-0", "node-3-1", "node-5-2"][..], 0.1),
    ] {
        if stream.chance(chance) {
            let operator = *pick(stream, &["In", "In", "In", "NotIn"]);
            list.push(decode(&json!({"key": key, "operator": operator, "values": some(stream, values)})));
        }
    }
    Requirements::of_list(&list)
}

fn node_side(stream: &mut Stream, spec: &mut Value) {
    for (key, values, chance) in [
        (ZONE, &ZONES[..], 0.1),
        ("kubernetes.io/arch", &["amd64", "arm64"][..], 0.15),
        ("karpenter.sh/capacity-type", &["spot", "on-demand"][..], 0.15),
        ("rack", &["r1", "r2"][..], 0.1),
        ("team", &["red", "blue"][..], 0.1),
    ] {
        if stream.chance(chance) {
            spec["nodeSelector"][key] = json!(*pick(stream, values));
        }
    }
    let term = |stream: &mut Stream| {
        let (key, values) = *pick(
            stream,
            &[
                (ZONE, &["z1", "z2"][..]),
                ("rack", &["r1", "r3"][..]),
                ("karpenter.kwok.sh/instance-family", &["a", "b"][..]),
            ],
        );
        let operator = *pick(stream, &["In", "In", "NotIn", "Exists", "DoesNotExist"]);
        let values = if operator.ends_with("In") { some(stream, values) } else { Vec::new() };
        json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]})
    };
    if stream.chance(0.2) {
        let terms: Vec<Value> = (0..1 + stream.below(2)).map(|_| term(stream)).collect();
        spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
            json!({"nodeSelectorTerms": terms});
    }
    if stream.chance(0.25) {
        let terms: Vec<Value> = (0..1 + stream.below(2))
            .map(|_| json!({"weight": 1 + stream.below(100), "preference": term(stream)}))
            .collect();
        spec["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"] = json!(terms);
    }
}

fn key(stream: &mut Stream) -> &'static str {
    let keys = [ZONE, ZONE, HOST, HOST, "rack", "karpenter.sh/capacity-type"];
    keys[stream.below(keys.len())]
}

fn selector(stream: &mut Stream, index: usize) -> Value {
    if stream.chance(0.1) {
        return json!({"matchLabels": {"tier": "x"}});
    }
    json!({"matchLabels": {"app": format!("app-{}", stream.below(index + 1))}})
}

fn spread(stream: &mut Stream, index: usize) -> Value {
    let mut spread = json!({
        "maxSkew": 1 + stream.below(2),
        "topologyKey": key(stream),
        "whenUnsatisfiable": *pick(stream, &["DoNotSchedule", "ScheduleAnyway"]),
        "nodeAffinityPolicy": *pick(stream, &["Honor", "Honor", "Ignore"]),
        "nodeTaintsPolicy": *pick(stream, &["Ignore", "Ignore", "Honor"]),
    });
    if stream.chance(0.95) {
        spread["labelSelector"] = selector(stream, index);
    }
    if stream.chance(0.15) {
        spread["minDomains"] = json!(1 + stream.below(4));
        spread["whenUnsatisfiable"] = json!("DoNotSchedule");
    }
    if stream.chance(0.1) {
        spread["matchLabelKeys"] = json!(["tier"]);
    }
    spread
}

fn options(stream: &mut Stream) -> Options {
    Options {
        preferences: if stream.chance(0.2) { PreferencePolicy::Ignore } else { PreferencePolicy::Respect },
        min_values: if stream.chance(0.3) { MinValuesPolicy::BestEffort } else { MinValuesPolicy::Strict },
        max_instance_types: *pick(stream, &[600, 600, 3]),
        reserved_capacity: stream.chance(0.8),
        reserved_strict: stream.chance(0.7),
    }
}
