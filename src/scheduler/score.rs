//! The integer formulas of the scoring plugins.

/// The greatest score of a plugin (`MaxNodeScore`).
pub const MAX_SCORE: i64 = 100;

/// Weights of the default profile (`pkg/scheduler/apis/config/v1/default_plugins.go`).
pub mod weight {
    /// `TaintToleration`.
    pub const TAINT_TOLERATION: i64 = 3;
    /// `NodeAffinity`.
    pub const NODE_AFFINITY: i64 = 2;
    /// `PodTopologySpread`.
    pub const TOPOLOGY_SPREAD: i64 = 2;
    /// `InterPodAffinity`.
    pub const POD_AFFINITY: i64 = 2;
}

const MB: i64 = 1024 * 1024;
/// Smaller images do not matter (`imagelocality: minThreshold`).
const IMAGE_MIN: i64 = 23 * MB;
/// Larger ones matter no more, per container (`maxContainerThreshold`).
const IMAGE_MAX_PER_CONTAINER: i64 = 1000 * MB;

/// Share of free room of a node after the pod, mean over CPU and memory (`noderesources/least_allocated.go:
/// leastResourceScorer`). `requested` includes the pod.
#[must_use]
pub fn least_allocated(allocatable: [i64; 2], requested: [i64; 2]) -> i64 {
    mean(
        allocatable,
        requested,
        |alloc, request| if request > alloc { 0 } else { (alloc - request) * MAX_SCORE / alloc },
    )
}

/// Share of used room of a node after the pod (`noderesources/most_allocated.go: mostResourceScorer`).
#[must_use]
pub fn most_allocated(allocatable: [i64; 2], requested: [i64; 2]) -> i64 {
    mean(allocatable, requested, |alloc, request| request.min(alloc) * MAX_SCORE / alloc)
}

fn mean(allocatable: [i64; 2], requested: [i64; 2], score: impl Fn(i64, i64) -> i64) -> i64 {
    let part = |i: usize| (allocatable[i] > 0).then(|| score(allocatable[i], requested[i]));
    match (part(0), part(1)) {
        (Some(cpu), Some(memory)) => (cpu + memory) / 2,
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => 0,
    }
}

/// How alike the used shares of CPU and memory are: `int((1 − std)·100)` with `std = |f_cpu − f_mem| / 2`
/// (`noderesources/balanced_allocation.go: balancedResourceScorer`).
#[must_use]
pub fn balanced_allocation(allocatable: [i64; 2], requested: [i64; 2]) -> i64 {
    if allocatable[0] <= 0 || allocatable[1] <= 0 {
        return MAX_SCORE;
    }
    let fraction = |i: usize| (requested[i] as f64 / allocatable[i] as f64).min(1.0);
    let std = ((fraction(0) - fraction(1)) / 2.0).abs();
    ((1.0 - std) * MAX_SCORE as f64) as i64
}

/// The form of Kubernetes 1.36: how much the pod improves the balance, around 50, from the [`balanced_allocation`] without and
/// with it.
#[must_use]
pub const fn balanced_improvement(without: i64, with: i64) -> i64 {
    50 + (50 + with - without) / 2
}

/// Score from the bytes of the pod's images that a node has, each scaled by the share of nodes having it
/// (`imagelocality: calculatePriority`).
#[must_use]
pub fn image_locality(scaled_bytes: i64, containers: usize) -> i64 {
    let max = IMAGE_MAX_PER_CONTAINER * containers.max(1) as i64;
    MAX_SCORE * (scaled_bytes.clamp(IMAGE_MIN, max) - IMAGE_MIN) / (max - IMAGE_MIN)
}

/// An image's bytes scaled by the share of nodes that have it (`scaledImageScore`).
#[must_use]
pub fn scaled_image(bytes: i64, nodes_having: usize, nodes: usize) -> i64 {
    (bytes as f64 * (nodes_having as f64 / nodes.max(1) as f64)) as i64
}

/// Scales to 0..100 by the maximum (`helper/normalize_score.go: DefaultNormalizeScore`).
#[must_use]
pub fn normalized(score: i64, max: i64, reverse: bool) -> i64 {
    if max == 0 {
        return if reverse { MAX_SCORE } else { score };
    }
    let scaled = MAX_SCORE * score / max;
    if reverse { MAX_SCORE - scaled } else { scaled }
}

/// `podtopologyspread/scoring.go: NormalizeScore`: fewer matching pods score higher.
#[must_use]
pub fn normalized_spread(score: i64, min: i64, max: i64) -> i64 {
    if max == 0 { MAX_SCORE } else { MAX_SCORE * (max + min - score) / max }
}

/// `interpodaffinity/scoring.go: NormalizeScore`.
#[must_use]
pub fn normalized_affinity(score: i64, min: i64, max: i64) -> i64 {
    if max == min { 0 } else { (MAX_SCORE as f64 * ((score - min) as f64 / (max - min) as f64)) as i64 }
}

/// Weight of a spread constraint over `size` domains (`topologyNormalizingWeight`).
#[must_use]
pub fn spread_weight(size: usize) -> f64 {
    ((size + 2) as f64).ln()
}

/// Score of a node by its spread constraints: Σ (matching pods · weight + maxSkew − 1), rounded (`scoreForCount`).
#[must_use]
pub fn spread(constraints: impl IntoIterator<Item = (i64, f64, i64)>) -> i64 {
    let parts =
        constraints.into_iter().map(|(matching, weight, max_skew)| matching as f64 * weight + (max_skew - 1) as f64);
    parts.sum::<f64>().round() as i64
}

/// How many feasible nodes to find before scoring (`schedule_one.go: numFeasibleNodesToFind`). `percentage` 0 = adaptive.
#[must_use]
pub fn feasible_nodes_to_find(nodes: usize, percentage: usize) -> usize {
    const MIN_FEASIBLE: usize = 100;
    if nodes < MIN_FEASIBLE {
        return nodes;
    }
    let percentage = if percentage > 0 { percentage } else { 50_usize.saturating_sub(nodes / 125).max(5) };
    (nodes * percentage.min(100) / 100).max(MIN_FEASIBLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: i64 = 1 << 30;

    #[test]
    fn an_empty_node_wins_by_25_before_spreading() {
        let node = [4000, 16 * GIB];
        assert_eq!(least_allocated(node, [1500, 5 * GIB]), 65);
        assert_eq!(least_allocated(node, [500, GIB]), 90);
        assert_eq!(balanced_allocation(node, [1500, 5 * GIB]), 96);
        assert_eq!(balanced_allocation(node, [500, GIB]), 96);
        assert_eq!(balanced_improvement(100, 96), 73);
        assert_eq!(balanced_allocation(node, [1000, 4 * GIB]), 100);
    }

    #[test]
    fn fewer_nodes_are_examined_in_large_clusters() {
        for (nodes, want) in [(90, 90), (200, 100), (1000, 420), (5000, 500), (6000, 300)] {
            assert_eq!(feasible_nodes_to_find(nodes, 0), want, "{nodes}");
        }
    }
}
