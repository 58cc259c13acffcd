//! Labels of an instance type's nodes (karpenter-provider-aws `pkg/providers/instancetype/types.go: computeRequirements`,
//! `pkg/apis/v1/labels.go`).
//!
//! A label that the type does not have is listed without values: such a type satisfies `DoesNotExist` and no other operator.
//! The published data lack `instance-cpu-sustained-clock-speed-mhz`, `instance-encryption-in-transit-supported` and zone ids:
//! these keys are not listed at all, and a requirement on them excludes no type.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::capacity::is_neuron;
use super::data::{self, TypeRow};
use crate::api::karpenter::AmiFamily;
use crate::cluster::catalogue::TypeLabels;

/// Labels by region and build label of Windows.
type Shared = BTreeMap<(String, Option<&'static str>), Arc<[Arc<TypeLabels>]>>;

/// The labels of each type of a region, in the order of [`data::types_of`]. All runs of a process share them.
#[must_use]
pub fn of_region(region: &str, family: AmiFamily) -> Arc<[Arc<TypeLabels>]> {
    static SHARED: Mutex<Shared> = Mutex::new(BTreeMap::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (region.to_owned(), windows_build(family));
    let labels = || data::types_of(region).iter().map(|regional| Arc::new(of(regional.row, region, family))).collect();
    shared.entry(key).or_insert_with(labels).clone()
}

/// Label keys and their allowed values, sorted by key, without zone and capacity type.
#[must_use]
pub fn of(row: &TypeRow, region: &str, family: AmiFamily) -> TypeLabels {
    let present = |value: &str| if value.is_empty() { Vec::new() } else { vec![value.to_owned()] };
    let positive = |value: i64| if value > 0 { vec![value.to_string()] } else { Vec::new() };
    let windows = windows_build(family);
    let os = match windows {
        None => vec!["linux".to_owned()],
        Some(_) if row.arch == "amd64" => vec!["windows".to_owned()],
        Some(_) => Vec::new(),
    };
    let manufacturer = match row.accelerator_name {
        "" => "",
        name if is_neuron(name) => "aws",
        _ => "qualcomm",
    };
    let aws = |name: &str, values: Vec<String>| (format!("karpenter.k8s.aws/instance-{name}"), values);
    let mut labels = vec![
        ("kubernetes.io/arch".to_owned(), present(row.arch)),
        ("kubernetes.io/os".to_owned(), os),
        ("node.kubernetes.io/instance-type".to_owned(), present(row.name)),
        ("node.kubernetes.io/windows-build".to_owned(), present(windows.unwrap_or_default())),
        ("topology.kubernetes.io/region".to_owned(), present(region)),
        aws("category", present(row.category)),
        aws("family", present(row.family)),
        aws("generation", present(row.generation)),
        aws("size", present(row.size)),
        aws("cpu", vec![row.vcpu.to_string()]),
        aws("cpu-manufacturer", present(row.cpu_manufacturer)),
        aws("memory", vec![row.memory_mib.to_string()]),
        aws("hypervisor", vec![row.hypervisor.to_owned()]),
        aws("local-nvme", positive(row.local_nvme_gb)),
        aws("ebs-bandwidth", positive(row.ebs_bandwidth_mbps)),
        aws("network-bandwidth", positive(row.network_bandwidth_mbps)),
        aws("gpu-name", present(row.gpu_name)),
        aws("gpu-manufacturer", present(row.gpu_manufacturer)),
        aws("gpu-count", positive(row.gpu_count)),
        aws("gpu-memory", positive(row.gpu_memory_mib)),
        aws("accelerator-name", present(row.accelerator_name)),
        aws("accelerator-manufacturer", present(manufacturer)),
        aws("accelerator-count", positive(row.accelerator_count)),
        aws("capability-flex", vec![row.flex.to_string()]),
        aws("tenancy", vec!["default".to_owned(), "dedicated".to_owned()]),
    ];
    labels.sort_unstable();
    labels
}

/// Build label of a Windows family (`pkg/apis/v1/labels.go: Windows2019Build` and the others).
const fn windows_build(family: AmiFamily) -> Option<&'static str> {
    match family {
        AmiFamily::Windows2019 => Some("10.0.17763"),
        AmiFamily::Windows2022 => Some("10.0.20348"),
        AmiFamily::Windows2025 => Some("10.0.26100"),
        _ => None,
    }
}
