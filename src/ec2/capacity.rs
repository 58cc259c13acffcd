//! How much of an instance pods may use: capacity, what kubelet and system reserve, eviction thresholds
//! (karpenter-provider-aws `pkg/providers/instancetype/types.go`, `pkg/providers/amifamily/*.go: FeatureFlags`).

use super::data::TypeRow;
use crate::api::karpenter::{AmiFamily, Ec2NodeClassSpec};
use crate::units::{QuantityError, Resource, Resources, parse_quantity, parse_quantity_milli};

const MIB: i64 = 1 << 20;
const GIB: i64 = 1 << 30;
/// Pods of a node where neither `maxPods` nor the interfaces decide.
const DEFAULT_PODS: i64 = 110;

/// What a node class and Karpenter's own flags say about the capacity of its nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSettings {
    /// AMI family.
    pub family: AmiFamily,
    /// `kubelet.maxPods`.
    pub max_pods: Option<i64>,
    /// `kubelet.podsPerCore`; 0 = no such limit.
    pub pods_per_core: i64,
    /// `kubelet.kubeReserved`: what is written replaces the computed amount of that resource.
    pub kube_reserved: Vec<(Resource, i64)>,
    /// `kubelet.systemReserved`.
    pub system_reserved: Resources,
    /// `kubelet.evictionHard["memory.available"]`; default 100Mi.
    pub eviction_memory: Threshold,
    /// `kubelet.evictionHard["nodefs.available"]`; default 10 %.
    pub eviction_storage: Threshold,
    /// Size in bytes of the volume that holds pods' storage.
    pub volume_bytes: i64,
    /// Whether instance store, where there is any, holds pods' storage (`instanceStorePolicy: RAID0`).
    pub raid0: bool,
    /// Part of the memory that the hypervisor is assumed to keep (`VM_MEMORY_OVERHEAD_PERCENT`, default 0.075).
    pub vm_memory_overhead: f64,
    /// Interfaces not used for pods (`RESERVED_ENIS`, default 0).
    pub reserved_enis: i64,
}

/// A threshold of free space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    /// Bytes.
    Bytes(i64),
    /// Percent of the capacity; 100 disables it.
    Percent(f64),
}

/// A setting of a node class that cannot be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// Not a resource that kubelet can reserve.
    #[error("`{0}` cannot be reserved")]
    UnknownResource(String),
    /// Not a quantity.
    #[error("`{0}`: {1}")]
    Quantity(String, QuantityError),
}

impl Threshold {
    /// The threshold in bytes (`computeEvictionSignal`).
    #[must_use]
    pub fn of(self, capacity: i64) -> i64 {
        match self {
            Threshold::Bytes(bytes) => bytes,
            Threshold::Percent(percent) if percent >= 100.0 => 0,
            Threshold::Percent(percent) => (capacity as f64 / 100.0 * percent).ceil() as i64,
        }
    }

    fn parse(text: &str) -> Result<Self, SettingsError> {
        let percent = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
        match percent {
            Some(percent) => Ok(Threshold::Percent(percent)),
            None => quantity(text).map(Threshold::Bytes),
        }
    }
}

fn quantity(text: &str) -> Result<i64, SettingsError> {
    parse_quantity(text).map_err(|error| SettingsError::Quantity(text.to_owned(), error))
}

fn amount(resource: Resource, text: &str) -> Result<i64, SettingsError> {
    match resource {
        Resource::Cpu => parse_quantity_milli(text).map_err(|error| SettingsError::Quantity(text.to_owned(), error)),
        _ => quantity(text),
    }
}

impl NodeSettings {
    /// The settings of an empty node class of that family.
    #[must_use]
    pub fn of_family(family: AmiFamily) -> Self {
        NodeSettings {
            family,
            max_pods: None,
            pods_per_core: 0,
            kube_reserved: Vec::new(),
            system_reserved: Resources::ZERO,
            eviction_memory: Threshold::Bytes(100 * MIB),
            eviction_storage: Threshold::Percent(10.0),
            volume_bytes: default_volume(family),
            raid0: false,
            vm_memory_overhead: 0.075,
            reserved_enis: 0,
        }
    }

    /// What a node class says.
    ///
    /// # Errors
    /// When a kubelet setting is no quantity or reserves something unknown.
    pub fn of_class(class: &Ec2NodeClassSpec) -> Result<Self, SettingsError> {
        let mut settings = NodeSettings::of_family(family(class));
        settings.volume_bytes = volume(class, settings.family);
        settings.raid0 = class.instance_store_policy.as_deref() == Some("RAID0");
        let Some(kubelet) = &class.kubelet else { return Ok(settings) };
        settings.max_pods = kubelet.max_pods.map(i64::from);
        settings.pods_per_core = kubelet.pods_per_core.map_or(0, i64::from);
        for (name, text) in &kubelet.kube_reserved {
            if let Some(resource) = reservable(name)? {
                settings.kube_reserved.push((resource, amount(resource, text)?));
            }
        }
        for (name, text) in &kubelet.system_reserved {
            if let Some(resource) = reservable(name)? {
                settings.system_reserved = settings.system_reserved.with(resource, amount(resource, text)?);
            }
        }
        if let Some(text) = kubelet.eviction_hard.get("memory.available") {
            settings.eviction_memory = Threshold::parse(text)?;
        }
        if let Some(text) = kubelet.eviction_hard.get("nodefs.available") {
            settings.eviction_storage = Threshold::parse(text)?;
        }
        Ok(settings)
    }

    /// Pods that the interfaces allow (`ENILimitedPods`); only the default network card counts.
    fn eni_limited_pods(row: &TypeRow, reserved: i64) -> i64 {
        let usable = row.max_enis - reserved;
        if usable <= 0 { 0 } else { usable * (row.ipv4_per_eni - 1) + 2 }
    }

    /// Pods of a node (`pods`).
    #[must_use]
    pub fn pods(&self, row: &TypeRow) -> i64 {
        let flags = FeatureFlags::of(self.family);
        let count = match self.max_pods {
            Some(count) => count,
            None if flags.eni_limited_density => Self::eni_limited_pods(row, self.reserved_enis),
            None => DEFAULT_PODS,
        };
        match self.pods_per_core {
            per_core if per_core > 0 && flags.pods_per_core => count.min(per_core * row.vcpu),
            _ => count,
        }
    }

    /// Memory capacity: whole MiB (`memory`). Arm types lose 64 MiB to the firmware first.
    fn memory(&self, row: &TypeRow) -> i64 {
        let mib = if row.arch == "arm64" { row.memory_mib - 64 } else { row.memory_mib };
        (mib - (mib as f64 * self.vm_memory_overhead).ceil() as i64) * MIB
    }

    fn storage(&self, row: &TypeRow) -> i64 {
        if self.raid0 && row.local_nvme_gb > 0 { row.local_nvme_gb * 1_000_000_000 } else { self.volume_bytes }
    }

    /// Capacity of a node (`computeCapacity`).
    #[must_use]
    pub fn capacity(&self, row: &TypeRow) -> Resources {
        let gpu = if row.gpu_manufacturer == "amd" { Resource::AmdGpu } else { Resource::NvidiaGpu };
        let neurons = if is_neuron(row.accelerator_name) { row.accelerator_count } else { 0 };
        Resources::ZERO
            .with(Resource::Cpu, row.vcpu * 1000)
            .with(Resource::Memory, self.memory(row))
            .with(Resource::Pods, self.pods(row))
            .with(Resource::EphemeralStorage, self.storage(row))
            .with(gpu, row.gpu_count)
            .with(Resource::Neuron, neurons)
            .with(Resource::PodEni, row.pod_eni)
            .with(Resource::Efa, row.efa_count)
    }

    /// What the kubelet keeps (`kubeReservedResources`).
    fn kube_reserved(&self, row: &TypeRow) -> Resources {
        let pods = if FeatureFlags::of(self.family).eni_limited_memory {
            Self::eni_limited_pods(row, 0)
        } else {
            self.pods(row)
        };
        let computed = Resources::ZERO
            .with(Resource::Cpu, reserved_cpu(row.vcpu * 1000))
            .with(Resource::Memory, (11 * pods + 255) * MIB)
            .with(Resource::EphemeralStorage, GIB);
        self.kube_reserved.iter().fold(computed, |reserved, (resource, amount)| reserved.with(*resource, *amount))
    }

    /// Allocatable of a node as Karpenter expects it (karpenter `pkg/cloudprovider/types.go: InstanceType.Allocatable`).
    #[must_use]
    pub fn allocatable(&self, row: &TypeRow) -> Resources {
        self.allocatable_with_memory(row, self.memory(row))
    }

    /// The same once the true memory capacity (bytes) of such nodes is known
    /// (`UpdateInstanceTypeCapacityFromNode`): thresholds stay computed from the estimate.
    #[must_use]
    pub fn allocatable_with_memory(&self, row: &TypeRow, memory: i64) -> Resources {
        let capacity = self.capacity(row).with(Resource::Memory, memory);
        let evicted = Resources::ZERO
            .with(Resource::Memory, self.eviction_memory.of(self.memory(row)))
            .with(Resource::EphemeralStorage, self.eviction_storage.of(self.storage(row)));
        capacity - self.kube_reserved(row) - self.system_reserved - evicted
    }
}

/// Whether an accelerator counts as `aws.amazon.com/neuron`.
pub(super) fn is_neuron(accelerator: &str) -> bool {
    accelerator.starts_with("inferentia") || accelerator.starts_with("trainium")
}

/// Millicores that the kubelet keeps: 6 % of the first core, 1 % of the second, 0.5 % of the next two, 0.25 % of the rest,
/// each part cut to whole millicores.
fn reserved_cpu(milli: i64) -> i64 {
    [(0, 1000, 0.06), (1000, 2000, 0.01), (2000, 4000, 0.005), (4000, 1 << 31, 0.0025)]
        .into_iter()
        .map(|(start, end, part)| ((milli.min(end) - start).max(0) as f64 * part) as i64)
        .sum()
}

/// A resource that kubelet can reserve; `pid` has no effect on capacity.
fn reservable(name: &str) -> Result<Option<Resource>, SettingsError> {
    match name {
        "pid" => Ok(None),
        "cpu" => Ok(Some(Resource::Cpu)),
        "memory" => Ok(Some(Resource::Memory)),
        "ephemeral-storage" => Ok(Some(Resource::EphemeralStorage)),
        other => Err(SettingsError::UnknownResource(other.to_owned())),
    }
}

/// What an AMI family does (`amifamily: FeatureFlags`).
struct FeatureFlags {
    eni_limited_density: bool,
    eni_limited_memory: bool,
    pods_per_core: bool,
}

impl FeatureFlags {
    const fn of(family: AmiFamily) -> Self {
        let (eni_limited_density, eni_limited_memory, pods_per_core) = match family {
            AmiFamily::Al2 | AmiFamily::Al2023 | AmiFamily::Custom => (true, true, true),
            AmiFamily::Bottlerocket => (true, false, false),
            AmiFamily::Windows2019 | AmiFamily::Windows2022 | AmiFamily::Windows2025 => (false, false, true),
        };
        FeatureFlags { eni_limited_density, eni_limited_memory, pods_per_core }
    }
}

/// Size of the family's own volume for pods' storage (`DefaultBlockDeviceMappings`, `DefaultEBS`).
const fn default_volume(family: AmiFamily) -> i64 {
    match family {
        AmiFamily::Windows2019 | AmiFamily::Windows2022 | AmiFamily::Windows2025 => 50 * GIB,
        _ => 20 * GIB,
    }
}

/// Name of the device for pods' storage (`EphemeralBlockDevice`).
const fn ephemeral_device(family: AmiFamily) -> &'static str {
    match family {
        AmiFamily::Bottlerocket => "/dev/xvdb",
        AmiFamily::Windows2019 | AmiFamily::Windows2022 | AmiFamily::Windows2025 => "/dev/sda1",
        _ => "/dev/xvda",
    }
}

/// Size of the volume for pods' storage (`ephemeralStorage`).
fn volume(class: &Ec2NodeClassSpec, family: AmiFamily) -> i64 {
    let size = |mapping: &crate::api::karpenter::BlockDeviceMapping| {
        mapping.ebs.as_ref().and_then(|ebs| ebs.volume_size).map(crate::units::Memory::bytes)
    };
    let mappings = &class.block_device_mappings;
    let root = mappings.iter().filter(|mapping| mapping.root_volume).find_map(size);
    let fitting = || match family {
        AmiFamily::Custom => mappings.last().and_then(size),
        _ => mappings
            .iter()
            .filter(|mapping| mapping.device_name.as_deref() == Some(ephemeral_device(family)))
            .find_map(size),
    };
    root.or_else(fitting).unwrap_or(default_volume(family))
}

/// The AMI family of a node class: as written, else of the first alias, else AL2023 (`pkg/apis/v1/ec2nodeclass.go: AMIFamily`).
fn family(class: &Ec2NodeClassSpec) -> AmiFamily {
    let of_alias = |alias: &str| {
        let name = alias.split('@').next().unwrap_or(alias);
        AmiFamily::ALL.iter().copied().find(|family| family.as_str().eq_ignore_ascii_case(name))
    };
    let aliased = || class.ami_selector_terms.iter().filter_map(|term| term.alias.as_deref()).find_map(of_alias);
    class.ami_family.or_else(aliased).unwrap_or(AmiFamily::Al2023)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_reserved_by_bands() {
        for (vcpu, milli) in
            [(1, 60), (2, 70), (4, 80), (8, 90), (16, 110), (32, 150), (64, 230), (96, 310), (192, 550)]
        {
            assert_eq!(reserved_cpu(vcpu * 1000), milli, "{vcpu} vCPU");
        }
    }
}
