//! What Karpenter makes of the cluster's objects: pods and their budgets, nodes, fixed pools, buffers, what a node's end disrupts.

use std::sync::Arc;

use forescale::api::capacity_buffer::CapacityBufferSpec;
use forescale::api::decode::{Decode, Problems};
use forescale::api::karpenter::AmiFamily;
use forescale::api::meta::Labels;
use forescale::api::pod::{PodSpec, Taint, TaintEffect};
use forescale::api::workload::PodDisruptionBudget;
use forescale::cluster::node::Node;
use forescale::cluster::node_class::{Found, NodeClass, NodeClassVersion};
use forescale::cluster::nodeclaim::{NodeClaim, NodePool};
use forescale::cluster::pod::{EndReason, Owner, PodShape};
use forescale::cluster::storage::Storage;
use forescale::cluster::{
    Cluster, DaemonSetId, DeploymentId, NodeClassId, NodeId, NodePoolId, PodId, ShapeId, workload,
};
use forescale::engine::{Agenda, Streams};
use forescale::karpenter::disruption::cost;
use forescale::karpenter::disruption::model::{DoNotDisrupt, NodeView, PdbState, Phase, PodView, PoolIndex};
use forescale::karpenter::lifecycle::controller::{Event, Lifecycle};
use forescale::karpenter::lifecycle::garbage;
use forescale::karpenter::scheduling::{BoundPods, Options};
use forescale::karpenter::state::{self, Ignored, PodViews, StateNode, bound_pods, pdb_state, validate};
use forescale::karpenter::static_capacity::{Counts, Step, decide, drift_headroom};
use forescale::karpenter::{buffers, lifecycle};
use forescale::scenario::{Scenario, yaml};
use forescale::time::{Duration, Time};
use forescale::units::{Cpu, Memory, Resource, Resources};

const NOW: Time = Time::from_micros(1_000_000_000);

fn decode<T: Decode>(text: &str) -> T {
    let mut problems = Problems::default();
    let node = yaml::parse(text, 0, &mut problems).remove(0);
    T::decode(&node, &mut problems).unwrap_or_else(|| panic!("{:?}", problems.list))
}

fn shape(cluster: &mut Cluster, app: &str, annotations: &[(&str, &str)]) -> ShapeId {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    cluster.add_shape(PodShape {
        spec: Arc::new(decode("containers: [{name: c}]")),
        labels: Arc::new([("app".to_owned(), app.to_owned())].into()),
        annotations: Arc::new(annotations.iter().map(owned).collect()),
        requests: Resources::ZERO,
        priority: 0,
        may_preempt: true,
        grace: Duration::from_secs(30),
        fargate: false,
    })
}

/// A Deployment with pods, so many of which are ready.
fn deployment(cluster: &mut Cluster, app: &str, replicas: u32, ready: u32) -> Vec<PodId> {
    let shape = shape(cluster, app, &[]);
    let id = DeploymentId(cluster.deployments.len() as u32);
    cluster.deployments.push(workload::Deployment {
        name: app.to_owned(),
        applied: Some(Time::ZERO),
        replicas,
        shape,
        selector: Arc::new(decode(&format!("matchLabels: {{app: {app}}}"))),
        pods: Vec::new(),
        status_replicas: 0,
        ready_replicas: 0,
    });
    let pods: Vec<PodId> = (0..replicas).map(|_| cluster.create_pod(NOW, shape, Owner::Deployment(id))).collect();
    for pod in &pods[..ready as usize] {
        cluster.start_pod(NOW, *pod);
        cluster.set_pod_ready(NOW, *pod, true);
    }
    pods
}

fn cluster() -> Cluster {
    Cluster::new(Streams::new(1, 0).open("uid", 0))
}

fn budget(selector: &str, bound: &str) -> PodDisruptionBudget {
    decode(&format!("{{metadata: {{name: b}}, spec: {{selector: {{{selector}}}, {bound}}}}}"))
}

/// `getExpectedPodCount`, `updatePdbStatus`: five replicas of which four are healthy.
#[test]
fn a_budget_allows_what_is_healthy_beyond_what_must_be() {
    let allowed = |bound: &str| {
        let mut cluster = cluster();
        let pods = deployment(&mut cluster, "web", 5, 4);
        deployment(&mut cluster, "other", 9, 9);
        cluster.pdbs.push(budget("matchLabels: {app: web}", bound));
        match pdb_state(&cluster, &cluster.shape_of(pods[0]).labels.clone()) {
            PdbState::One { allowed, .. } => allowed,
            other => panic!("{other:?}"),
        }
    };
    let cases = [
        ("maxUnavailable: 2", 1),
        ("maxUnavailable: 1", 0),
        ("maxUnavailable: 30%", 1),
        ("maxUnavailable: 40%", 1),
        ("maxUnavailable: 20%", 0),
        ("maxUnavailable: 9", 4),
        ("minAvailable: 3", 1),
        ("minAvailable: 50%", 1),
        ("minAvailable: 60%", 1),
        ("minAvailable: 61%", 0),
        ("minAvailable: 0", 4),
        ("minAvailable: 5", 0),
        ("", 0),
    ];
    for (bound, wanted) in cases {
        assert_eq!(allowed(bound), wanted, "{bound}");
    }
}

#[test]
fn all_workloads_that_a_budget_selects_count_together_and_pods_that_go_are_not_healthy() {
    let mut cluster = cluster();
    let web = deployment(&mut cluster, "web", 5, 4);
    deployment(&mut cluster, "api", 3, 3);
    cluster.pdbs.push(budget("matchExpressions: [{key: app, operator: In, values: [web, api]}]", "maxUnavailable: 3"));
    let labels = cluster.shape_of(web[0]).labels.clone();
    let one = |allowed| PdbState::One { allowed, always_allow_unhealthy: false, fully_blocking: false };
    assert_eq!(pdb_state(&cluster, &labels), one(2), "seven of eight are healthy, five must be");
    cluster.delete_pod(NOW, web[0], Duration::from_secs(30), EndReason::ScaledDown);
    assert_eq!(pdb_state(&cluster, &labels), one(1));
    // A second budget blocks, whatever it says; a budget of others says nothing.
    cluster.pdbs.push(budget("matchLabels: {app: api}", "maxUnavailable: 9"));
    assert_eq!(pdb_state(&cluster, &labels), one(1));
    cluster.pdbs.push(budget("matchLabels: {app: web}", "maxUnavailable: 9"));
    assert_eq!(pdb_state(&cluster, &labels), PdbState::Several);
    cluster.pdbs.clear();
    assert_eq!(pdb_state(&cluster, &labels), PdbState::None);
}

#[test]
fn budgets_that_can_never_allow_anything_block_fully() {
    let blocking = |bound: &str| {
        let mut cluster = cluster();
        let pods = deployment(&mut cluster, "web", 1, 1);
        cluster.pdbs.push(budget("matchLabels: {app: web}", bound));
        match pdb_state(&cluster, &cluster.shape_of(pods[0]).labels.clone()) {
            PdbState::One { fully_blocking, always_allow_unhealthy, .. } => (fully_blocking, always_allow_unhealthy),
            other => panic!("{other:?}"),
        }
    };
    for bound in ["maxUnavailable: 0", "maxUnavailable: 0%", "minAvailable: 100%"] {
        assert_eq!(blocking(bound), (true, false), "{bound}");
    }
    for bound in ["maxUnavailable: 1", "maxUnavailable: 1%", "minAvailable: 99%", "minAvailable: 100"] {
        assert_eq!(blocking(bound), (false, false), "{bound}");
    }
    assert_eq!(blocking("maxUnavailable: 1, unhealthyPodEvictionPolicy: AlwaysAllow"), (false, true));
}

/// `IsDoNotDisruptActive`: true, a positive duration, or nothing.
#[test]
fn the_annotation_protects_for_ever_for_a_while_or_not_at_all() {
    let of = |annotations: &[(&str, &str)]| {
        let mut cluster = cluster();
        let shape = shape(&mut cluster, "web", annotations);
        let pod = cluster.create_pod(NOW, shape, Owner::None);
        PodViews::of(&cluster).view(pod)
    };
    let protection = |value: &str| of(&[("karpenter.sh/do-not-disrupt", value)]).do_not_disrupt;
    assert_eq!(protection("true"), DoNotDisrupt::Always);
    assert_eq!(protection("10m"), DoNotDisrupt::For(Duration::from_mins(10), None));
    for value in ["0s", "-5m", "false", "soon"] {
        assert_eq!(protection(value), DoNotDisrupt::No, "{value}");
    }
    let costly = of(&[("controller.kubernetes.io/pod-deletion-cost", "-7")]);
    assert_eq!((costly.do_not_disrupt, costly.deletion_cost, costly.unready), (DoNotDisrupt::No, -7, true));
}

/// `provisioner.go: Validate`.
#[test]
fn pods_that_planning_ignores() {
    let of = |spec: &str| validate(&decode::<PodSpec>(&format!("{{containers: [{{name: c}}], {spec}}}")));
    let affinity = |kind: &str, term: &str| match kind {
        "required" => of(&format!(
            "affinity: {{nodeAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: {{nodeSelectorTerms: [{term}]}}}}}}"
        )),
        _ => of(&format!(
            "affinity: {{nodeAffinity: {{preferredDuringSchedulingIgnoredDuringExecution: [{{weight: 1, preference: {term}}}]}}}}"
        )),
    };
    let expression =
        |key: &str, operator: &str| format!("{{matchExpressions: [{{key: {key}, operator: {operator}}}]}}");
    assert_eq!(of(""), Ok(()));
    assert_eq!(of("nodeSelector: {team: a, karpenter.sh/capacity-type: spot}"), Ok(()));
    let restricted = |key: &str| Err(Ignored::RestrictedLabel(key.to_owned()));
    assert_eq!(of("nodeSelector: {kubernetes.io/hostname: a}"), restricted("kubernetes.io/hostname"));
    for kind in ["required", "preferred"] {
        assert_eq!(affinity(kind, &expression("team", "Exists")), Ok(()));
        assert_eq!(affinity(kind, &expression("karpenter.sh/mine", "Exists")), restricted("karpenter.sh/mine"));
        let fields = "{matchFields: [{key: metadata.name, operator: In, values: [a]}]}";
        assert_eq!(affinity(kind, fields), Err(Ignored::MatchFields));
        assert_eq!(affinity(kind, &expression("karpenter.sh/nodepool", "Exists")), Ok(()));
    }
    let avoids = expression("karpenter.sh/nodepool", "DoesNotExist");
    assert_eq!(affinity("required", &avoids), Err(Ignored::AvoidsKarpenter));
    assert_eq!(affinity("preferred", &avoids), Ok(()), "a preference does not bind");
}

/// A Node that Karpenter does not own.
fn node(cluster: &mut Cluster) -> NodeId {
    let size = Resources::new(Cpu::from_milli(4000), Memory::from_mib(8192));
    cluster.create_node(Node {
        labels: [("zone".to_owned(), "a".to_owned())].into(),
        taints: vec![lifecycle::taints::disrupted().clone()],
        capacity: size,
        allocatable: size,
        ready: true,
        first_ready: Some(NOW),
        ..Node::new("alien".to_owned(), NOW)
    })
}

#[test]
fn a_node_of_others_counts_as_registered_and_initialized_with_all_its_taints() {
    let mut cluster = cluster();
    let id = node(&mut cluster);
    let all = state::state_nodes(&cluster);
    assert_eq!(all, [StateNode { claim: None, node: Some(id) }]);
    let alien = all[0];
    assert!(alien.registered(&cluster) && alien.initialized(&cluster) && !alien.leaving(&cluster));
    assert_eq!((alien.name(&cluster), alien.labels(&cluster)["zone"].as_str()), ("alien", "a"));
    assert_eq!(alien.taints(&cluster), [lifecycle::taints::disrupted()]);
    assert_eq!(alien.capacity(&cluster).get(Resource::Cpu), 4000);
    cluster.delete_node(NOW, id);
    assert!(alien.leaving(&cluster));
}

/// `StateNode.Labels`, `StateNode.Capacity`: the NodeClaim speaks until the Node is registered, and for what an uninitialized Node does not
/// say yet.
#[test]
fn a_nodeclaim_stands_in_for_its_node_until_that_is_up() {
    let mut cluster = cluster();
    let size = |cpu, gpus| Resources::new(Cpu::from_milli(cpu), Memory::from_mib(8192)).with(Resource::Pods, gpus);
    let told = |by: &str| Labels::from([("told-by".to_owned(), by.to_owned())]);
    let claim = cluster.create_nodeclaim(NodeClaim {
        launched: Some(NOW),
        labels: told("claim"),
        capacity: size(4000, 10),
        allocatable: size(4000, 10),
        ..NodeClaim::new("claim".to_owned(), NodePoolId(0), NOW)
    });
    cluster.create_node(Node {
        nodeclaim: Some(claim),
        labels: told("node"),
        capacity: size(3900, 0),
        allocatable: size(3800, 0),
        ..Node::new("node".to_owned(), NOW)
    });
    let own = state::state_nodes(&cluster)[0];
    assert_eq!((own.name(&cluster), own.labels(&cluster)["told-by"].as_str()), ("claim", "claim"));
    assert_eq!((own.capacity(&cluster), own.allocatable(&cluster)), (size(3900, 10), size(3800, 10)));
    cluster.register_nodeclaim(NOW, claim);
    assert_eq!((own.name(&cluster), own.labels(&cluster)["told-by"].as_str()), ("node", "node"));
    assert_eq!(own.capacity(&cluster), size(3900, 10));
    cluster.initialize_nodeclaim(NOW, claim);
    assert_eq!((own.capacity(&cluster), own.allocatable(&cluster)), (size(3900, 0), size(3800, 0)));
}

/// `StateNode.Taints`: what a node loses by itself while it starts keeps no pod from being planned onto it.
#[test]
fn taints_of_a_start_do_not_count_until_a_node_is_initialized() {
    let mut cluster = cluster();
    let taint = |key: &str| Taint { key: key.to_owned(), value: String::new(), effect: TaintEffect::NoSchedule };
    let keys = |cluster: &Cluster, node: StateNode| -> Vec<String> {
        node.taints(cluster).iter().map(|taint| taint.key.clone()).collect()
    };
    let claim = cluster.create_nodeclaim(NodeClaim {
        launched: Some(NOW),
        taints: vec![taint("team")],
        startup_taints: vec![taint("network")],
        ..NodeClaim::new("claim".to_owned(), NodePoolId(0), NOW)
    });
    assert_eq!(keys(&cluster, state::state_nodes(&cluster)[0]), ["team"]);
    cluster.create_node(Node {
        nodeclaim: Some(claim),
        taints: vec![taint("node.kubernetes.io/not-ready"), taint("network"), taint("late")],
        ..Node::new("node".to_owned(), NOW)
    });
    let own = state::state_nodes(&cluster)[0];
    assert_eq!(keys(&cluster, own), ["team"], "not registered: the NodeClaim speaks");
    cluster.register_nodeclaim(NOW, claim);
    assert_eq!(keys(&cluster, own), ["late"]);
    cluster.initialize_nodeclaim(NOW, claim);
    assert_eq!(keys(&cluster, own), ["node.kubernetes.io/not-ready", "network", "late"]);
}

/// `NewExistingNode`: what DaemonSets still need of a node is what those that run there do not hold yet.
#[test]
fn pods_of_daemonsets_volumes_and_ports_on_a_node_are_counted() {
    let mut cluster = cluster();
    let id = node(&mut cluster);
    cluster.nodes[id.index()].volume_limit = Some(9);
    let volume = |name: &str| {
        format!("{{name: {name}, ephemeral: {{volumeClaimTemplate: {{spec: {{storageClassName: gp3}}}}}}}}")
    };
    let volumes = format!("volumes: [{}, {}]", volume("v"), volume("w"));
    let [agent, app] = ["agent", "app"].map(|app| shape(&mut cluster, app, &[]));
    for shape in [agent, app] {
        let record = &mut cluster.shapes[shape.index()];
        record.requests = Resources::new(Cpu::from_milli(100), Memory::from_mib(64));
        record.spec = Arc::new(decode(&format!(
            "{{containers: [{{name: c, ports: [{{containerPort: 80, hostPort: 8080}}]}}], {volumes}}}"
        )));
    }
    let daemon = Owner::DaemonSet(DaemonSetId(0));
    let pods = [(agent, daemon), (agent, daemon), (app, Owner::None), (app, Owner::None)]
        .map(|(shape, owner)| cluster.create_pod(NOW, shape, owner));
    pods.iter().for_each(|pod| cluster.bind(NOW, *pod, id));
    cluster.finish_pod(NOW, pods[3], forescale::cluster::pod::Phase::Succeeded, EndReason::ScaledDown);
    let existing = &state::observe(&cluster, Options::default()).input.nodes[0];
    assert_eq!(existing.daemon_requests, Resources::new(Cpu::from_milli(200), Memory::from_mib(128)));
    assert_eq!(existing.available.get(Resource::Cpu), 4000 - 300);
    assert_eq!(existing.host_ports.len(), 3);
    assert_eq!(existing.free_volumes, Some(3), "two each of the three that have not ended");
}

/// `provisioner.go: NewScheduler`.
#[test]
fn planning_knows_the_dynamic_pools_that_are_there_and_ready() {
    let mut cluster = cluster();
    let pool = |spec: &str, applied: bool, deleted: bool, class: u32| NodePool {
        name: "pool".to_owned(),
        object: Arc::new(decode(&format!(
            "{{metadata: {{name: pool}}, spec: {{{spec} template: {{spec: {{requirements: []}}}}}}}}"
        ))),
        node_class: NodeClassId(class),
        generation: 1,
        applied: applied.then_some(NOW),
        deleted,
    };
    cluster.nodepools = vec![
        pool("", false, false, 0),
        pool("", true, true, 0),
        pool("replicas: 2,", true, false, 0),
        pool("", true, false, 1),
        pool("", true, false, 0),
    ];
    let nothing_found = Found { amis: Some(Vec::new()), ..Found::default() };
    let version = NodeClassVersion {
        fields: Default::default(),
        family: AmiFamily::Al2023,
        new_amis: 0,
        selectors: Arc::default(),
        found: nothing_found,
    };
    let unready = NodeClass { name: "unready".to_owned(), version: Some(Arc::new(version)) };
    cluster.node_classes = vec![NodeClass::default(), unready];
    assert_eq!(state::observe(&cluster, Options::default()).pools, [NodePoolId(4)]);
}

/// A volume of one node holds its pod to the zone of that node, but not to the node: on another it will get another volume.
#[test]
fn a_volume_of_one_node_does_not_name_the_node() {
    let told = |source: &str| {
        let mut cluster = cluster();
        let terms = "{key: kubernetes.io/hostname, operator: In, values: [n1]}, \
                     {key: topology.kubernetes.io/zone, operator: In, values: [a]}";
        let reach = format!("{{required: {{nodeSelectorTerms: [{{matchExpressions: [{terms}]}}]}}}}");
        let scenario: Scenario = decode(&format!(
            "persistentVolumes: [{{metadata: {{name: pv}}, spec: {{{source}, claimRef: {{name: data}}, \
             capacity: {{storage: 8Gi}}, accessModes: [ReadWriteOnce], nodeAffinity: {reach}}}}}]\n\
             persistentVolumeClaims: [{{metadata: {{name: data}}, spec: {{volumeName: pv, storageClassName: '', \
             accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 8Gi}}}}}}}}]"
        ));
        cluster.storage = Storage::of(&scenario, &[]);
        let shape = shape(&mut cluster, "web", &[]);
        cluster.shapes[shape.index()].spec = Arc::new(decode(
            "{containers: [{name: c}], volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]}",
        ));
        let volumes = state::observe(&cluster, Options::default()).input.shapes[shape.index()].volume_topology.clone();
        volumes.iter().flatten().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
    };
    assert_eq!(told("local: {path: /data}"), "topology.kubernetes.io/zone In [a]");
    let shared = told("csi: {driver: nfs.csi.k8s.io, volumeHandle: v}");
    assert!(shared.contains("kubernetes.io/hostname In [n1]") && shared.contains("zone In [a]"), "{shared}");
}

/// Both collectors come up each two minutes, from an instant of their own on.
#[test]
fn collectors_begin_somewhere_in_their_period() {
    let first = |replication: u64| {
        let mut agenda = Agenda::default();
        Lifecycle::new(Streams::new(1, replication)).start(&mut agenda);
        let events: Vec<(Time, Event)> = agenda.drain().collect();
        assert!(matches!(events[..], [(_, Event::CollectClaims), (_, Event::CollectInstances)]), "{events:?}");
        [events[0].0, events[1].0]
    };
    let all: Vec<Time> = (0..20).flat_map(first).collect();
    assert!(all.iter().all(|at| *at < Time::ZERO + garbage::PERIOD), "{all:?}");
    let early = all.iter().filter(|at| **at < Time::ZERO + garbage::PERIOD / 2).count();
    assert!((10..=30).contains(&early), "{all:?}");
}

/// Pods that have ended hold nothing; those that terminate repel others and attract none.
#[test]
fn pods_that_stay_on_a_node_count_by_what_they_do() {
    let mut cluster = cluster();
    let id = node(&mut cluster);
    let pods = deployment(&mut cluster, "web", 4, 0);
    pods.iter().for_each(|pod| cluster.bind(NOW, *pod, id));
    cluster.delete_pod(NOW, pods[0], Duration::from_secs(30), EndReason::ScaledDown);
    cluster.finish_pod(NOW, pods[1], forescale::cluster::pod::Phase::Succeeded, EndReason::ScaledDown);
    let nodes = state::state_nodes(&cluster);
    let of = |moved: &[PodId]| bound_pods(&cluster, &nodes, |pod| moved.contains(&pod));
    let shape = cluster.pods[pods[0].index()].shape.index();
    assert_eq!(of(&[]), [BoundPods { shape, node: 0, running: 2, present: 3 }]);
    assert_eq!(of(&pods[3..]), [BoundPods { shape, node: 0, running: 1, present: 2 }]);
    assert_eq!(of(&pods), []);
}

/// `IsProvisionable`.
#[test]
fn only_pods_that_found_no_place_and_displace_nobody_are_planned_for() {
    let mut cluster = cluster();
    let id = node(&mut cluster);
    let pods = deployment(&mut cluster, "web", 4, 0);
    assert!(!state::is_provisionable(&cluster, pods[0]), "the scheduler has not tried yet");
    pods.iter().for_each(|pod| cluster.mark_unschedulable(*pod));
    assert!(state::is_provisionable(&cluster, pods[0]));
    cluster.nominate(pods[1], Some(id));
    assert!(!state::is_provisionable(&cluster, pods[1]), "it displaces others");
    cluster.bind(NOW, pods[2], id);
    assert!(!state::is_provisionable(&cluster, pods[2]));
    cluster.delete_pod(NOW, pods[3], Duration::ZERO, EndReason::ScaledDown);
    assert!(!state::is_provisionable(&cluster, pods[3]));
}

fn counts(active: u32, deleting: u32, pending_disruption: u32) -> Counts {
    Counts { active, deleting, pending_disruption }
}

/// `static/provisioning`, `static/deprovisioning`; `limits.nodes` bounds all nodes that are there, those that go included.
#[test]
fn a_fixed_pool_counts_every_node_against_its_limit() {
    assert_eq!(decide(counts(2, 1, 1), 9, Some(6)), Step::Create(2));
    assert_eq!(decide(counts(2, 1, 1), 9, Some(5)), Step::Create(1));
    assert_eq!(decide(counts(2, 1, 1), 9, Some(4)), Step::Limited);
    assert_eq!(decide(counts(2, 1, 1), 9, Some(3)), Step::Limited);
    assert_eq!(decide(counts(3, 0, 0), 3, Some(3)), Step::Keep);
    assert_eq!(decide(counts(4, 0, 2), 3, Some(1)), Step::Delete(1));
    assert_eq!(drift_headroom(counts(2, 1, 1), 3, Some(6)), 2);
    assert_eq!(drift_headroom(counts(2, 1, 1), 3, Some(3)), 0);
    assert_eq!(drift_headroom(counts(2, 0, 2), 3, None), 0);
    assert_eq!(drift_headroom(counts(2, 0, 1), 3, None), u32::MAX);
}

/// `calculateLimitReplicas`: a resource that is limited and not requested limits nothing.
#[test]
fn a_buffers_limits_are_of_what_its_pods_request() {
    let requests = Resources::new(Cpu::from_milli(500), Memory::from_mib(1024));
    let of = |spec: &str| buffers::replicas(&decode::<CapacityBufferSpec>(spec), None, &requests);
    assert_eq!(of("{limits: {memory: 5Gi}}"), 5);
    assert_eq!(of("{limits: {memory: 5Gi, cpu: '2'}}"), 4);
    assert_eq!(of("{limits: {memory: 5Gi, cpu: '20', ephemeral-storage: 1Gi}}"), 5);
    assert_eq!(of("{replicas: 2, limits: {memory: 5Gi}}"), 2);
    assert_eq!(of("{replicas: 3, limits: {ephemeral-storage: 1Gi}}"), 3);
}

/// `LifetimeRemaining`, `ReschedulingCost`.
#[test]
fn what_the_end_of_a_node_disrupts() {
    let hours = |hours: i64| Duration::from_hours(hours);
    let remaining = |age: i64, total: Option<i64>| cost::lifetime_remaining(hours(age), total.map(hours));
    assert_eq!([remaining(1, None), remaining(1, Some(4)), remaining(3, Some(4))], [1.0, 0.75, 0.25]);
    assert_eq!([remaining(5, Some(4)), remaining(-1, Some(4)), remaining(0, Some(0))], [0.0, 1.0, 0.0]);
    let pod = |phase: Phase, terminating: bool| PodView { phase, terminating, ..PodView::default() };
    let mut node = NodeView::new(0, "n", PoolIndex(0));
    node.pods = vec![pod(Phase::Running, false), pod(Phase::Terminal, false), pod(Phase::Running, true)];
    node.created_at = NOW;
    let later = NOW + hours(1);
    assert_eq!(cost::rescheduling_cost(&node.pods), 2.0);
    assert_eq!(cost::rescheduling_cost_of_non_candidate(&node.pods), 3.0);
    assert_eq!(cost::lifetime_weighted_cost(&node, None, later), 3.0);
    assert_eq!(cost::lifetime_weighted_cost(&node, Some(hours(4)), later), 3.0 * 0.75);
}

/// A pod whose ephemeral volume has been made is of a template of its own, which is held to the volume's zone; one without a node yet is
/// held to what its class allows.
#[test]
fn ephemeral_volumes_hold_their_pods_to_where_they_are() {
    let mut cluster = cluster();
    let scenario: Scenario = decode(
        "storageClasses: [{metadata: {name: gp3}, provisioner: ebs.csi.aws.com, volumeBindingMode: WaitForFirstConsumer, \
         allowedTopologies: [{matchLabelExpressions: [{key: topology.ebs.csi.aws.com/zone, values: [a, b]}]}]}]",
    );
    cluster.storage = Storage::of(&scenario, &[]);
    let plain = shape(&mut cluster, "plain", &[]);
    let shape = shape(&mut cluster, "web", &[]);
    cluster.shapes[shape.index()].spec = Arc::new(decode(
        "{containers: [{name: c}], volumes: [{name: v, ephemeral: {volumeClaimTemplate: {spec: {storageClassName: gp3}}}}]}",
    ));
    let mut create = |zone: &str, bound: bool| {
        let labels = [("topology.kubernetes.io/zone".to_owned(), zone.to_owned())].into();
        let node = cluster.create_node(Node { labels, ..Node::new(format!("node-{zone}"), NOW) });
        let pod = cluster.create_pod(NOW, shape, Owner::None);
        if bound {
            cluster.bind(NOW, pod, node);
        }
        pod
    };
    let pods = [create("b", true), create("a", true), create("b", true), create("a", false)];
    let input = state::observe(&cluster, Options::default()).input;
    let kinds = pods.map(|pod| state::scheduling_pod(&cluster, pod, NOW, false).shape);
    assert_eq!(kinds, [2, 3, 2, shape.index()]);
    let told = |kind: usize| {
        let volumes = &input.shapes[kind].volume_topology;
        volumes.iter().flatten().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
    };
    assert_eq!(told(plain.index()), "");
    let zone = "topology.kubernetes.io/zone";
    assert_eq!((told(2), told(3)), (format!("{zone} In [b]"), format!("{zone} In [a]")));
    assert_eq!(told(shape.index()), format!("{zone} In [a b]"));
}
