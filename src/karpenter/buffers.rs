//! CapacityBuffers: pods that do not exist take part in planning, so that there is room before they come (gate `CapacityBuffer`;
//! `pkg/controllers/capacitybuffer`, `pkg/state/virtualpods`).

use super::scheduling::Pod;
use crate::api::capacity_buffer::CapacityBufferSpec;
use crate::cluster::Cluster;
use crate::time::{Duration, Time};
use crate::units::{Resource, Resources};

/// Time between two looks at a buffer, each of which triggers a pass.
pub const RECHECK: Duration = Duration::from_secs(30);

/// For how many pods a buffer keeps room (`computeReplicas`). `scale` are the replicas of the Deployment that it names, if it names one.
#[must_use]
pub fn replicas(spec: &CapacityBufferSpec, scale: Option<u32>, requests: &Resources) -> u32 {
    let share = spec.percentage.zip(scale).filter(|(_, scale)| *scale > 0);
    let share = share.map(|(percent, scale)| u64::from(percent) * u64::from(scale)).map(|all| all.div_ceil(100) as u32);
    let desired = share.max(spec.replicas);
    let within = limit_replicas(spec, requests);
    match (desired, within) {
        (Some(desired), Some(within)) => desired.min(within),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => 0,
    }
}

/// How many pods fit `limits` (`calculateLimitReplicas`); `None` when no limited resource is requested.
fn limit_replicas(spec: &CapacityBufferSpec, requests: &Resources) -> Option<u32> {
    let fit = |(name, limit): (&String, &crate::api::scalar::Quantity)| {
        let resource = Resource::parse(name)?;
        let request = requests.get(resource);
        let request = if resource == Resource::Cpu { request } else { request.saturating_mul(1000) };
        (request > 0).then(|| u32::try_from(limit.milli / request).unwrap_or(u32::MAX))
    };
    spec.limits.iter().flatten().filter_map(fit).min()
}

/// The pods of all buffers as planning sees them (`BuildVirtualPods`).
#[must_use]
pub fn virtual_pods(cluster: &Cluster, whole_second: Time) -> Vec<Pod> {
    let of = |buffer: &crate::cluster::workload::CapacityBuffer| {
        let (shape, created, uid) = (buffer.shape.index(), buffer.created.floor_second(whole_second), buffer.uid);
        (0..u64::from(buffer.replicas)).map(move |number| Pod {
            shape,
            created,
            uid: uid.wrapping_add(number),
            gated: false,
        })
    };
    cluster.buffers.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::decode::defaults;
    use crate::api::scalar::Quantity;

    fn spec(replicas: Option<u32>, percentage: Option<u32>, cpu: Option<i64>) -> CapacityBufferSpec {
        let limits = cpu.map(|milli| [("cpu".to_owned(), Quantity { milli })].into());
        CapacityBufferSpec { replicas, percentage, limits, ..defaults() }
    }

    #[test]
    fn the_greater_of_count_and_share_within_the_limits() {
        let requests = Resources::ZERO.with(Resource::Cpu, 500).with(Resource::Pods, 1);
        let of = |spec: CapacityBufferSpec, scale| replicas(&spec, scale, &requests);
        assert_eq!(of(spec(Some(3), None, None), None), 3);
        assert_eq!(of(spec(Some(3), Some(10), None), Some(41)), 5);
        assert_eq!(of(spec(None, Some(10), None), Some(1)), 1);
        assert_eq!(of(spec(None, Some(10), None), Some(0)), 0);
        assert_eq!(of(spec(None, Some(10), Some(1600)), Some(0)), 3, "a share of nothing says nothing");
        assert_eq!(of(spec(Some(9), None, Some(1600)), None), 3);
        assert_eq!(of(spec(None, None, Some(1600)), None), 3);
        assert_eq!(of(spec(None, None, None), None), 0);
    }
}
