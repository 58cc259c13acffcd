//! Sizes of Fargate pods (Amazon EKS User Guide, "Fargate Pod configuration details").

use std::sync::Arc;

use crate::cluster::catalogue::{Catalogue, InstanceType, TypeId};
use crate::units::{Cpu, Memory, Resource, Resources};

/// Memory that is added to every pod for the kubelet, kube-proxy and containerd.
pub const OVERHEAD: Memory = Memory::from_mib(256);

/// vCPUs in thousandths, least and most memory in MiB, and the step between; from 0.25 vCPU on 512 MiB or whole gibibytes.
const SIZES: [(i64, i64, i64, i64); 7] = [
    (250, 512, 2048, 1024),
    (500, 1024, 4096, 1024),
    (1000, 2048, 8192, 1024),
    (2000, 4096, 16_384, 1024),
    (4000, 8192, 30_720, 1024),
    (8000, 16_384, 61_440, 4096),
    (16_000, 32_768, 122_880, 8192),
];

/// All sizes, the smallest first.
fn sizes() -> impl Iterator<Item = Resources> {
    SIZES.into_iter().flat_map(|(cpu, least, most, step)| {
        // 0.25 vCPU comes with half a gibibyte, one or two.
        let steps = (least..=most).filter(move |mib| *mib == least || mib % step == 0);
        steps.map(move |mib| Resources::new(Cpu::from_milli(cpu), Memory::from_mib(mib)))
    })
}

/// The size that holds the requests and the overhead: the one with fewest vCPUs, then least memory; `None` when none does.
#[must_use]
pub fn size_for(requests: &Resources) -> Option<Resources> {
    let memory = requests.memory().bytes() + OVERHEAD.bytes();
    sizes().find(|size| size.cpu() >= requests.cpu() && size.memory().bytes() >= memory)
}

/// What a machine of a size is called.
fn name(size: &Resources) -> String {
    format!("fargate-{}vCPU-{}Mi", size.cpu().milli() as f64 / 1000.0, size.memory().bytes() >> 20)
}

/// The sizes as the instance types of a catalogue, so that nodes and bills can name them. It offers nothing.
#[must_use]
pub fn catalogue(zones: Vec<String>) -> Catalogue {
    let mut types: Vec<InstanceType> = sizes()
        .map(|size| InstanceType {
            name: name(&size),
            labels: Arc::default(),
            capacity: size.with(Resource::Pods, 1),
            allocatable: size.with(Resource::Pods, 1),
            offerings: Vec::new(),
        })
        .collect();
    types.sort_by(|a, b| a.name.cmp(&b.name));
    Catalogue { zones, types, ..Catalogue::default() }
}

/// The type of a size in that catalogue.
#[must_use]
pub fn find(catalogue: &Catalogue, size: &Resources) -> Option<TypeId> {
    catalogue.find(&name(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_rounded_up_to_the_next_size_with_the_overhead() {
        for (cpu, mib, size) in [
            (0, 0, Some((250, 512))),
            (250, 256, Some((250, 512))),
            (250, 257, Some((250, 1024))),
            (250, 1793, Some((500, 3072))),
            (251, 512, Some((500, 1024))),
            (1000, 1024, Some((1000, 2048))),
            (1000, 2048, Some((1000, 3072))),
            (250, 8192, Some((2000, 9216))),
            (4001, 16_384, Some((8000, 20_480))),
            (16_000, 122_624, Some((16_000, 122_880))),
            (16_000, 122_625, None),
            (16_001, 1024, None),
        ] {
            let found = size_for(&Resources::new(Cpu::from_milli(cpu), Memory::from_mib(mib)));
            let found = found.map(|size| (size.cpu().milli(), size.memory().bytes() >> 20));
            assert_eq!(found, size, "{cpu}m {mib}Mi");
        }
        assert_eq!(sizes().count(), 3 + 4 + 7 + 13 + 23 + 12 + 12);
    }

    #[test]
    fn every_size_has_a_type() {
        let catalogue = catalogue(vec!["a".to_owned()]);
        assert!(sizes().all(|size| find(&catalogue, &size).is_some()));
        assert!(catalogue.types.is_sorted_by(|a, b| a.name < b.name));
    }
}
