//! How a ReplicaSet creates and deletes pods (`pkg/controller/replicaset/replica_set.go: manageReplicas, slowStartBatch`).

/// The most pods that one sync creates or deletes (`BurstReplicas`).
pub const BURST_REPLICAS: usize = 500;
/// Size of the first batch (`SlowStartInitialBatchSize`).
pub const INITIAL_BATCH: usize = 1;

/// What one sync does about the number of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manage {
    /// Nothing.
    Nothing,
    /// Create this many, in batches.
    Create(usize),
    /// Delete this many, all at once.
    Delete(usize),
}

/// Compares active pods with the replicas wanted; `expecting` = creations or deletions of an earlier sync are not all seen yet.
#[must_use]
pub fn manage(active: usize, replicas: usize, expecting: bool) -> Manage {
    match active.cmp(&replicas) {
        _ if expecting => Manage::Nothing,
        std::cmp::Ordering::Less => Manage::Create((replicas - active).min(BURST_REPLICAS)),
        std::cmp::Ordering::Greater => Manage::Delete((active - replicas).min(BURST_REPLICAS)),
        std::cmp::Ordering::Equal => Manage::Nothing,
    }
}

/// Batches 1, 2, 4, … of `count` creations, the last one what is left.
pub fn batches(count: usize) -> impl Iterator<Item = usize> {
    let mut left = count;
    let mut size = INITIAL_BATCH;
    std::iter::from_fn(move || {
        let batch = size.min(left);
        left -= batch;
        size *= 2;
        (batch > 0).then_some(batch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_double_up_to_what_is_left() {
        assert_eq!(batches(100).collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 37]);
        assert_eq!(batches(500).collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 64, 128, 245]);
        assert_eq!(manage(0, 700, false), Manage::Create(500));
        assert_eq!(manage(500, 700, true), Manage::Nothing);
        assert_eq!(manage(500, 700, false), Manage::Create(200));
    }
}
