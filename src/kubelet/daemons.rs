//! Which nodes run a DaemonSet's pod (`pkg/controller/daemon: NodeShouldRunDaemonPod`).

use crate::api::decode::defaults;
use crate::api::meta::{Labels, ObjectMeta};
use crate::api::pod::{
    Container, ContainerResources, PodSpec, PodTemplate, Taint, TaintEffect, Toleration, TolerationOperator,
};
use crate::units::{Cpu, Memory, Resource, Resources};

/// Taints that every daemon tolerates (`AddOrUpdateDaemonPodTolerations`), with their effect.
const TOLERATED: [(&str, TaintEffect); 6] = [
    (super::health::NOT_READY, TaintEffect::NoExecute),
    (super::health::UNREACHABLE, TaintEffect::NoExecute),
    ("node.kubernetes.io/disk-pressure", TaintEffect::NoSchedule),
    ("node.kubernetes.io/memory-pressure", TaintEffect::NoSchedule),
    ("node.kubernetes.io/pid-pressure", TaintEffect::NoSchedule),
    ("node.kubernetes.io/unschedulable", TaintEffect::NoSchedule),
];

/// A DaemonSet of an EKS add-on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EksDaemon {
    /// Name.
    pub name: &'static str,
    /// CPU that its pod requests.
    pub cpu: Cpu,
    /// Memory that its pod requests.
    pub memory: Memory,
    /// Whether its pod uses the node's address.
    pub host_network: bool,
}

/// DaemonSets of the add-ons that EKS clusters have by default: VPC CNI, kube-proxy and EBS CSI driver (their charts' requests).
pub const EKS_DAEMONS: [EksDaemon; 3] = [
    EksDaemon { name: "aws-node", cpu: Cpu::from_milli(50), memory: Memory::ZERO, host_network: true },
    EksDaemon { name: "kube-proxy", cpu: Cpu::from_milli(100), memory: Memory::ZERO, host_network: true },
    EksDaemon { name: "ebs-csi-node", cpu: Cpu::from_milli(30), memory: Memory::from_mib(120), host_network: false },
];

impl EksDaemon {
    /// The template of its pods: they run on every node.
    #[must_use]
    pub fn template(&self) -> PodTemplate {
        let requests =
            Resources::ZERO.with(Resource::Cpu, self.cpu.milli()).with(Resource::Memory, self.memory.bytes());
        let container = Container { resources: ContainerResources { requests, ..defaults() }, ..defaults() };
        let everything = Toleration { operator: TolerationOperator::Exists, ..defaults() };
        PodTemplate {
            metadata: ObjectMeta { labels: Labels::from([("app".to_owned(), self.name.to_owned())]), ..defaults() },
            spec: PodSpec {
                containers: vec![container],
                tolerations: vec![everything],
                host_network: self.host_network,
                priority_class_name: Some("system-node-critical".to_owned()),
                ..defaults()
            },
        }
    }
}

/// Whether a node is to run a pod of the template: labels fit, and every hard taint is tolerated.
#[must_use]
pub fn should_run(spec: &PodSpec, labels: &Labels, name: &str, taints: &[Taint]) -> bool {
    spec.selects_node(labels, name) && taints.iter().all(|taint| ignores(spec, taint))
}

fn ignores(spec: &PodSpec, taint: &Taint) -> bool {
    taint.effect == TaintEffect::PreferNoSchedule
        || TOLERATED.iter().any(|(key, effect)| *key == taint.key && *effect == taint.effect)
        || (spec.host_network
            && taint.key == "node.kubernetes.io/network-unavailable"
            && taint.effect == TaintEffect::NoSchedule)
        || spec.tolerates(taint)
}
