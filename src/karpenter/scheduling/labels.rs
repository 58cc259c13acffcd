//! Labels that Karpenter knows (`pkg/apis/v1/labels.go`, `karpenter-provider-aws pkg/apis/v1/labels.go`).

/// Zone of a node.
pub const ZONE: &str = "topology.kubernetes.io/zone";
/// Region of a node.
pub const REGION: &str = "topology.kubernetes.io/region";
/// Host name of a node: the key of per-node spreading and affinity.
pub const HOSTNAME: &str = "kubernetes.io/hostname";
/// Architecture.
pub const ARCH: &str = "kubernetes.io/arch";
/// Operating system.
pub const OS: &str = "kubernetes.io/os";
/// Instance type.
pub const INSTANCE_TYPE: &str = "node.kubernetes.io/instance-type";
/// Windows build.
pub const WINDOWS_BUILD: &str = "node.kubernetes.io/windows-build";
/// NodePool.
pub const NODE_POOL: &str = "karpenter.sh/nodepool";
/// Capacity type: `on-demand`, `spot`, `reserved`.
pub const CAPACITY_TYPE: &str = "karpenter.sh/capacity-type";
/// Present on nodes that Karpenter has registered.
pub const REGISTERED: &str = "karpenter.sh/registered";
/// Present on nodes that Karpenter considers ready for use.
pub const INITIALIZED: &str = "karpenter.sh/initialized";
/// Capacity reservation of a node.
pub const RESERVATION_ID: &str = "karpenter.k8s.aws/capacity-reservation-id";
/// Kind of that reservation: `default` or `capacity-block`.
pub const RESERVATION_TYPE: &str = "karpenter.k8s.aws/capacity-reservation-type";
/// Whether EC2 may take that reservation back.
pub const RESERVATION_INTERRUPTIBLE: &str = "karpenter.k8s.aws/capacity-reservation-interruptible";

const AWS: &str = "karpenter.k8s.aws/";
const KWOK: &str = "karpenter.kwok.sh/";
const CORE: [&str; 8] = [NODE_POOL, ZONE, REGION, INSTANCE_TYPE, ARCH, OS, CAPACITY_TYPE, WINDOWS_BUILD];
const AWS_KEYS: [&str; 27] = [
    "instance-category",
    "instance-family",
    "instance-generation",
    "instance-size",
    "instance-cpu",
    "instance-cpu-manufacturer",
    "instance-cpu-sustained-clock-speed-mhz",
    "instance-memory",
    "instance-hypervisor",
    "instance-local-nvme",
    "instance-ebs-bandwidth",
    "instance-network-bandwidth",
    "instance-gpu-name",
    "instance-gpu-manufacturer",
    "instance-gpu-count",
    "instance-gpu-memory",
    "instance-accelerator-name",
    "instance-accelerator-manufacturer",
    "instance-accelerator-count",
    "instance-encryption-in-transit-supported",
    "instance-capability-flex",
    "instance-tenancy",
    "capacity-reservation-id",
    "capacity-reservation-type",
    "capacity-reservation-interruptible",
    "placement-group-id",
    "placement-group-partition",
];
const KWOK_KEYS: [&str; 4] = ["instance-size", "instance-family", "instance-cpu", "instance-memory"];

/// Whether the instance types of a claim define the label, so that a claim may leave it open (`WellKnownLabels`).
#[must_use]
pub fn is_well_known(key: &str) -> bool {
    CORE.contains(&key)
        || key == "topology.k8s.aws/zone-id"
        || key.strip_prefix(AWS).is_some_and(|rest| AWS_KEYS.contains(&rest))
        || key.strip_prefix(KWOK).is_some_and(|rest| KWOK_KEYS.contains(&rest))
}

/// Whether pods must not select on the label, since Karpenter gives it its value (`IsRestrictedLabel`).
#[must_use]
pub fn is_restricted(key: &str) -> bool {
    if is_well_known(key) {
        return false;
    }
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    let reserved = ["karpenter.sh", "karpenter.k8s.aws", "karpenter.kwok.sh"]
        .into_iter()
        .any(|own| domain == own || domain.strip_suffix(own).is_some_and(|rest| rest.ends_with('.')));
    reserved || key == HOSTNAME
}

/// The label that an alias stands for (`NormalizedLabels`, to which `karpenter-provider-aws pkg/operator/operator.go` adds the zone of
/// EBS' CSI driver).
#[must_use]
pub fn normalized(key: &str) -> &str {
    match key {
        "failure-domain.beta.kubernetes.io/zone" | "topology.ebs.csi.aws.com/zone" => ZONE,
        "failure-domain.beta.kubernetes.io/region" => REGION,
        "beta.kubernetes.io/arch" => ARCH,
        "beta.kubernetes.io/os" => OS,
        "beta.kubernetes.io/instance-type" => INSTANCE_TYPE,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restricted_labels_are_those_of_karpenters_domains_that_are_not_well_known() {
        assert!(is_restricted(HOSTNAME));
        assert!(is_restricted("karpenter.k8s.aws/ec2nodeclass"));
        assert!(is_restricted("sub.karpenter.sh/team"));
        assert!(!is_restricted("karpenter.k8s.aws/instance-family"));
        assert!(!is_restricted("notkarpenter.sh/team"));
        assert!(!is_restricted("team"));
    }
}
