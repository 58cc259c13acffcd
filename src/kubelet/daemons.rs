//! Which nodes run a DaemonSet's pod (`pkg/controller/daemon: NodeShouldRunDaemonPod`).

use crate::api::meta::Labels;
use crate::api::pod::{PodSpec, Taint, TaintEffect};
use crate::units::{Cpu, Memory};

/// Taints that every daemon tolerates (`AddOrUpdateDaemonPodTolerations`), with their effect.
const TOLERATED: [(&str, TaintEffect); 6] = [
    (super::health::NOT_READY, TaintEffect::NoExecute),
    (super::health::UNREACHABLE, TaintEffect::NoExecute),
    ("node.kubernetes.io/disk-pressure", TaintEffect::NoSchedule),
    ("node.kubernetes.io/memory-pressure", TaintEffect::NoSchedule),
    ("node.kubernetes.io/pid-pressure", TaintEffect::NoSchedule),
    ("node.kubernetes.io/unschedulable", TaintEffect::NoSchedule),
];

/// Daemons of an EKS node by default: name, CPU and memory that they request (VPC CNI, kube-proxy and EBS CSI add-ons).
pub const EKS_DAEMONS: [(&str, Cpu, Memory); 3] = [
    ("aws-node", Cpu::from_milli(50), Memory::ZERO),
    ("kube-proxy", Cpu::from_milli(100), Memory::ZERO),
    ("ebs-csi-node", Cpu::from_milli(30), Memory::from_mib(120)),
];

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
