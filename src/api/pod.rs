//! Pod templates: what a pod requests, tolerates, prefers, and how it starts and stops.

use super::meta::{LabelSelector, Labels, ObjectMeta};
use super::scalar::{IntOrPercent, Seconds};
use super::storage::{EphemeralVolumeSource, PersistentVolumeClaimSource};
use crate::units::{Resource, Resources};
use crate::{choice, object};

object! {
    /// `spec.template` of a workload.
    pub struct PodTemplate {
        /// Labels and annotations of the pods.
        pub metadata: ObjectMeta = super::decode::defaults(),
        /// The pods' spec.
        pub spec: PodSpec,
    }
}

object! {
    /// `PodSpec`, as far as it matters to scaling, placement, start and stop.
    pub struct PodSpec {
        /// App containers.
        pub containers: Vec<Container>,
        /// Init containers, run one after another; those with `restartPolicy: Always` are sidecars.
        pub init_containers: Vec<Container>,
        /// Labels a node must have.
        pub node_selector: Labels,
        /// Node and pod affinity.
        pub affinity: Option<Affinity>,
        /// Tolerated taints.
        pub tolerations: Vec<Toleration>,
        /// Spread over domains.
        pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
        /// Name of a PriorityClass.
        pub priority_class_name: Option<String>,
        /// Seconds between SIGTERM and SIGKILL.
        pub termination_grace_period_seconds: Seconds = Seconds(30),
        /// Node to run on, bypassing the scheduler.
        pub node_name: Option<String>,
        /// The scheduler in charge; another than `default-scheduler` needs a matching scheduler profile.
        pub scheduler_name: Option<String>,
        /// Whether the pod uses the node's network (it needs no IP of its own).
        pub host_network: bool = false,
        /// `Always`, `OnFailure` or `Never`.
        pub restart_policy: Option<String>,
        /// Extra resources of the sandbox (`RuntimeClass` overhead).
        pub overhead: Resources,
        /// Pod-level resources.
        pub resources: Option<ContainerResources>,
        /// Volumes; those of claims are attached to the pod's node.
        pub volumes: Vec<Volume>,
    }
    ignore ["serviceAccountName", "serviceAccount", "securityContext", "imagePullSecrets", "dnsPolicy", "dnsConfig", "hostname",
        "subdomain", "enableServiceLinks", "automountServiceAccountToken", "activeDeadlineSeconds", "hostPID", "hostIPC", "hostAliases",
        "shareProcessNamespace", "readinessGates", "runtimeClassName", "preemptionPolicy", "priority", "os", "setHostnameAsFQDN",
        "hostUsers", "schedulingGates", "resourceClaims"]
}

object! {
    /// A volume of a pod.
    pub struct Volume {
        /// Name.
        pub name: Option<String>,
        /// A PersistentVolumeClaim's volume.
        pub persistent_volume_claim: Option<PersistentVolumeClaimSource>,
        /// A volume made for the pod.
        pub ephemeral: Option<EphemeralVolumeSource>,
    }
    ignore ["configMap", "secret", "emptyDir", "hostPath", "projected", "downwardAPI", "csi", "nfs", "image", "iscsi", "fc", "gitRepo", "cephfs",
        "rbd", "glusterfs", "awsElasticBlockStore", "azureDisk", "azureFile", "gcePersistentDisk", "vsphereVolume", "portworxVolume",
        "scaleIO", "storageos", "flexVolume", "flocker", "cinder", "photonPersistentDisk", "quobyte"]
}

object! {
    /// A container.
    pub struct Container {
        /// Name.
        pub name: Option<String>,
        /// Image reference; its size and pull time come from the scenario.
        pub image: Option<String>,
        /// `Always`, `IfNotPresent` or `Never`; default `Always` for `:latest` or no tag.
        pub image_pull_policy: Option<String>,
        /// Requests and limits.
        pub resources: ContainerResources = super::decode::defaults(),
        /// Published ports; only `hostPort` matters.
        pub ports: Vec<ContainerPort>,
        /// When the pod counts as ready.
        pub readiness_probe: Option<Probe>,
        /// Gates the readiness probe.
        pub startup_probe: Option<Probe>,
        /// Hooks; `preStop` with `sleep` delays SIGTERM.
        pub lifecycle: Option<Lifecycle>,
        /// `Always` on an init container makes it a sidecar.
        pub restart_policy: Option<String>,
    }
    ignore ["command", "args", "env", "envFrom", "volumeMounts", "volumeDevices", "livenessProbe", "securityContext", "workingDir",
        "terminationMessagePath", "terminationMessagePolicy", "stdin", "stdinOnce", "tty", "resizePolicy"]
}

object! {
    /// `resources` of a container.
    pub struct ContainerResources {
        /// Reserved for it; a resource with a limit only requests its limit.
        pub requests: Resources,
        /// Upper bounds.
        pub limits: Resources,
    }
    ignore ["claims"]
}

object! {
    /// A published port.
    pub struct ContainerPort {
        /// Port of the container.
        pub container_port: Option<u16>,
        /// Port of the node that it takes.
        pub host_port: Option<u16>,
        /// `TCP`, `UDP` or `SCTP`.
        pub protocol: Option<String>,
        /// Address of the node that it takes.
        @"hostIP" pub host_ip: Option<String>,
    }
    ignore ["name"]
}

object! {
    /// A probe's timing; what it calls does not matter.
    pub struct Probe {
        /// Seconds after the container's start before results count.
        pub initial_delay_seconds: Seconds = Seconds(0),
        /// Seconds between probes.
        pub period_seconds: Seconds = Seconds(10),
        /// Successes needed.
        pub success_threshold: u32 = 1,
        /// Failures needed.
        pub failure_threshold: u32 = 3,
    }
    ignore ["httpGet", "exec", "tcpSocket", "grpc", "timeoutSeconds", "terminationGracePeriodSeconds"]
}

object! {
    /// Container hooks.
    pub struct Lifecycle {
        /// Runs before SIGTERM.
        pub pre_stop: Option<LifecycleHandler>,
    }
    ignore ["postStart", "stopSignal"]
}

object! {
    /// A hook.
    pub struct LifecycleHandler {
        /// Waits that long.
        pub sleep: Option<SleepAction>,
    }
    ignore ["exec", "httpGet", "tcpSocket"]
}

object! {
    /// A hook that only waits.
    pub struct SleepAction {
        /// Seconds.
        pub seconds: Seconds,
    }
}

object! {
    /// `affinity` of a pod.
    pub struct Affinity {
        /// Towards nodes.
        pub node_affinity: Option<NodeAffinity>,
        /// Towards pods.
        pub pod_affinity: Option<PodAffinity>,
        /// Away from pods.
        pub pod_anti_affinity: Option<PodAffinity>,
    }
}

object! {
    /// Node affinity.
    pub struct NodeAffinity {
        /// Terms of which one must hold.
        pub required_during_scheduling_ignored_during_execution: Option<NodeSelector>,
        /// Weighted terms.
        pub preferred_during_scheduling_ignored_during_execution: Vec<PreferredSchedulingTerm>,
    }
}

object! {
    /// Terms of which one must hold.
    pub struct NodeSelector {
        /// The terms.
        pub node_selector_terms: Vec<NodeSelectorTerm>,
    }
}

object! {
    /// A term: all its expressions must hold.
    pub struct NodeSelectorTerm {
        /// Expressions on node labels.
        pub match_expressions: Vec<NodeRequirement>,
        /// Expressions on node fields (`metadata.name`).
        pub match_fields: Vec<NodeRequirement>,
    }
}

object! {
    /// A weighted node affinity term.
    pub struct PreferredSchedulingTerm {
        /// 1 to 100.
        pub weight: u32,
        /// The term.
        pub preference: NodeSelectorTerm,
    }
}

object! {
    /// A requirement on a node label, of a pod or of a NodePool.
    pub struct NodeRequirement {
        /// Label.
        pub key: String,
        /// Operator.
        pub operator: NodeOperator,
        /// Values; one integer for `Gt`, `Lt`, `Gte`, `Lte`.
        pub values: Vec<String>,
        /// NodePools only: how many distinct values the instance types of a NodeClaim must keep.
        pub min_values: Option<u32>,
    }
}

choice! {
    /// Operator of a node requirement.
    pub enum NodeOperator {
        /// One of the values.
        In = "In",
        /// None of the values.
        NotIn = "NotIn",
        /// Label present.
        Exists = "Exists",
        /// Label absent.
        DoesNotExist = "DoesNotExist",
        /// Integer greater than the value.
        Gt = "Gt",
        /// Integer less than the value.
        Lt = "Lt",
        /// Integer greater than or equal to the value (Karpenter objects only).
        Gte = "Gte",
        /// Integer less than or equal to the value (Karpenter objects only).
        Lte = "Lte",
    }
}

object! {
    /// Pod affinity or anti-affinity.
    pub struct PodAffinity {
        /// Terms that must hold.
        pub required_during_scheduling_ignored_during_execution: Vec<PodAffinityTerm>,
        /// Weighted terms.
        pub preferred_during_scheduling_ignored_during_execution: Vec<WeightedPodAffinityTerm>,
    }
}

object! {
    /// A pod affinity term.
    pub struct PodAffinityTerm {
        /// Which pods.
        pub label_selector: Option<LabelSelector>,
        /// Node label that makes the domains.
        pub topology_key: String,
        /// Label keys of the pod whose values join the selector.
        pub match_label_keys: Vec<String>,
    }
    ignore ["namespaces", "namespaceSelector", "mismatchLabelKeys"]
}

object! {
    /// A weighted pod affinity term.
    pub struct WeightedPodAffinityTerm {
        /// 1 to 100.
        pub weight: u32,
        /// The term.
        pub pod_affinity_term: PodAffinityTerm,
    }
}

object! {
    /// A taint of a node.
    pub struct Taint {
        /// Key.
        pub key: String,
        /// Value.
        pub value: String = String::new(),
        /// Effect.
        pub effect: TaintEffect,
    }
    ignore ["timeAdded"]
}

choice! {
    /// Effect of a taint.
    pub enum TaintEffect {
        /// New pods stay away.
        NoSchedule = "NoSchedule",
        /// New pods prefer other nodes.
        PreferNoSchedule = "PreferNoSchedule",
        /// New pods stay away and running ones are evicted.
        NoExecute = "NoExecute",
    }
}

object! {
    /// A toleration of a pod.
    pub struct Toleration {
        /// Key; absent with `Exists` tolerates every taint.
        pub key: Option<String>,
        /// `Equal` or `Exists`.
        pub operator: TolerationOperator = TolerationOperator::Equal,
        /// Value, for `Equal`.
        pub value: String = String::new(),
        /// Effect; absent = all effects.
        pub effect: Option<TaintEffect>,
        /// How long a `NoExecute` taint is tolerated; absent = for ever.
        pub toleration_seconds: Option<i64>,
    }
}

choice! {
    /// Operator of a toleration.
    pub enum TolerationOperator {
        /// Key and value equal.
        Equal = "Equal",
        /// Key present.
        Exists = "Exists",
    }
}

object! {
    /// A spread constraint.
    pub struct TopologySpreadConstraint {
        /// Largest allowed difference between domains.
        pub max_skew: u32,
        /// Node label that makes the domains.
        pub topology_key: String,
        /// What to do when it cannot hold.
        pub when_unsatisfiable: WhenUnsatisfiable,
        /// Which pods are counted.
        pub label_selector: Option<LabelSelector>,
        /// Fewer domains than this count as an empty one.
        pub min_domains: Option<u32>,
        /// Whether nodes outside the pod's node affinity are counted: `Honor` (default) = not.
        pub node_affinity_policy: NodeInclusionPolicy = NodeInclusionPolicy::Honor,
        /// Whether tainted nodes are left out: `Ignore` (default) = not.
        pub node_taints_policy: NodeInclusionPolicy = NodeInclusionPolicy::Ignore,
        /// Label keys of the pod whose values join the selector.
        pub match_label_keys: Vec<String>,
    }
}

choice! {
    /// What to do when a spread constraint cannot hold.
    pub enum WhenUnsatisfiable {
        /// The pod stays pending.
        DoNotSchedule = "DoNotSchedule",
        /// The pod goes to the least bad node.
        ScheduleAnyway = "ScheduleAnyway",
    }
}

choice! {
    /// Whether node affinity or taints limit the nodes a spread constraint counts.
    pub enum NodeInclusionPolicy {
        /// They do.
        Honor = "Honor",
        /// They do not.
        Ignore = "Ignore",
    }
}

impl Toleration {
    /// Whether it tolerates the taint (`k8s.io/component-helpers/scheduling/corev1: ToleratesTaint`).
    #[inline]
    #[must_use]
    pub fn tolerates(&self, taint: &Taint) -> bool {
        self.effect.is_none_or(|effect| effect == taint.effect)
            && self.key.as_ref().is_none_or(|key| *key == taint.key)
            && match self.operator {
                TolerationOperator::Exists => true,
                TolerationOperator::Equal => self.key.is_some() && self.value == taint.value,
            }
    }
}

impl NodeSelectorTerm {
    /// Whether a node satisfies all expressions. An empty term matches nothing.
    #[must_use]
    pub fn matches(&self, labels: &Labels, name: &str) -> bool {
        !(self.match_expressions.is_empty() && self.match_fields.is_empty())
            && self.match_expressions.iter().all(|r| r.holds(labels.get(&r.key).map(String::as_str)))
            && self.match_fields.iter().all(|r| r.holds((r.key == "metadata.name").then_some(name)))
    }
}

impl NodeRequirement {
    /// Whether a label value (`None` = label absent) satisfies it.
    #[must_use]
    pub fn holds(&self, value: Option<&str>) -> bool {
        let listed = value.is_some_and(|value| self.values.iter().any(|v| v == value));
        let compared = |holds: fn(i64, i64) -> bool| {
            let bound = self.values.first().and_then(|v| v.parse().ok());
            value.and_then(|v| v.parse().ok()).zip(bound).is_some_and(|(value, bound)| holds(value, bound))
        };
        match self.operator {
            NodeOperator::In => listed,
            NodeOperator::NotIn => !listed,
            NodeOperator::Exists => value.is_some(),
            NodeOperator::DoesNotExist => value.is_none(),
            NodeOperator::Gt => compared(|value, bound| value > bound),
            NodeOperator::Lt => compared(|value, bound| value < bound),
            NodeOperator::Gte => compared(|value, bound| value >= bound),
            NodeOperator::Lte => compared(|value, bound| value <= bound),
        }
    }
}

impl Container {
    /// Effective requests: a resource with only a limit requests its limit.
    #[must_use]
    pub fn requests(&self) -> Resources {
        self.resources.effective_requests()
    }
}

impl ContainerResources {
    /// Requests, with limits standing in where no request is written.
    #[must_use]
    pub fn effective_requests(&self) -> Resources {
        Resources(std::array::from_fn(|i| if self.requests.0[i] == 0 { self.limits.0[i] } else { self.requests.0[i] }))
    }
}

impl PodSpec {
    /// How many of its volumes are attached to its node.
    #[must_use]
    pub fn attached_volumes(&self) -> usize {
        self.volumes
            .iter()
            .filter(|volume| volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some())
            .count()
    }

    /// How many of its volumes are its own: claims may be shared, and are then those of file systems, which no limit concerns.
    #[must_use]
    pub fn own_volumes(&self) -> u32 {
        self.volumes.iter().filter(|volume| volume.ephemeral.is_some()).count() as u32
    }

    /// What the scheduler and Karpenter count for the pod: the larger of the running containers' sum and of the largest init
    /// step, plus overhead, plus one pod (`k8s.io/component-helpers/resource: PodRequests`).
    #[must_use]
    pub fn requests(&self) -> Resources {
        let mut running: Resources = self.containers.iter().map(Container::requests).sum();
        let mut sidecars = Resources::ZERO;
        let mut init_peak = Resources::ZERO;
        for init in &self.init_containers {
            if init.restart_policy.as_deref() == Some("Always") {
                sidecars += init.requests();
                init_peak = init_peak.max(sidecars);
            } else {
                init_peak = init_peak.max(sidecars + init.requests());
            }
        }
        running += sidecars;
        let mut total = running.max(init_peak);
        if let Some(pod_level) = &self.resources {
            let requests = pod_level.effective_requests();
            for resource in [Resource::Cpu, Resource::Memory] {
                if requests.get(resource) > 0 {
                    total = total.with(resource, requests.get(resource));
                }
            }
        }
        (total + self.overhead).with(Resource::Pods, 1)
    }

    /// Whether a node's labels and name satisfy node selector and required node affinity
    /// (`component-helpers/scheduling/corev1/nodeaffinity: GetRequiredNodeAffinity`).
    #[inline]
    #[must_use]
    pub fn selects_node(&self, labels: &Labels, name: &str) -> bool {
        let required = self
            .affinity
            .as_ref()
            .and_then(|affinity| affinity.node_affinity.as_ref())
            .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
        self.node_selector.iter().all(|(key, value)| labels.get(key) == Some(value))
            && required
                .is_none_or(|selector| selector.node_selector_terms.iter().any(|term| term.matches(labels, name)))
    }

    /// Whether the pod tolerates a taint.
    #[must_use]
    pub fn tolerates(&self, taint: &Taint) -> bool {
        self.tolerations.iter().any(|toleration| toleration.tolerates(taint))
    }
}

/// A PodDisruptionBudget's bound.
pub type Bound = IntOrPercent;
