//! How a Deployment's replica count reaches its ReplicaSets (`pkg/controller/deployment/sync.go: scale`).

/// An active ReplicaSet of a Deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaSet {
    /// `spec.replicas`.
    pub replicas: i64,
    /// Annotation `deployment.kubernetes.io/max-replicas`: replicas + maxSurge of the Deployment when it was last scaled.
    pub max_replicas: Option<i64>,
    /// Order of creation: larger is newer.
    pub created: u64,
}

/// The Deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scaling {
    /// `spec.replicas`.
    pub replicas: i64,
    /// `maxSurge` in pods.
    pub max_surge: i64,
    /// `status.replicas`.
    pub status_replicas: i64,
}

/// New sizes of the ReplicaSets, in the order given. One active ReplicaSet gets the whole count; several (a rollout is under way)
/// share the difference in proportion to their sizes.
#[must_use]
pub fn scale(sets: &[ReplicaSet], deployment: Scaling) -> Vec<i64> {
    let mut sizes: Vec<i64> = sets.iter().map(|set| set.replicas).collect();
    let mut active: Vec<usize> = (0..sets.len()).filter(|index| sizes[*index] > 0).collect();
    if active.len() < 2 {
        // With none active the newest one is scaled.
        let newest = (0..sets.len()).max_by_key(|index| sets[*index].created);
        if let Some(only) = active.first().copied().or(newest) {
            sizes[only] = deployment.replicas;
        }
        return sizes;
    }
    let allowed = if deployment.replicas > 0 { deployment.replicas + deployment.max_surge } else { 0 };
    let to_add = allowed - sizes.iter().sum::<i64>();
    if to_add == 0 {
        return sizes;
    }
    let grows = to_add > 0;
    active.sort_by_key(|index| {
        let set = &sets[*index];
        (-set.replicas, if grows { -(set.created as i64) } else { set.created as i64 })
    });
    let mut added = 0;
    for index in &active {
        let fraction = fraction(&sets[*index], deployment);
        let left = to_add - added;
        let share = if left == 0 {
            0
        } else if grows {
            fraction.min(left)
        } else {
            fraction.max(left)
        };
        sizes[*index] += share;
        added += share;
    }
    let largest = active[0];
    sizes[largest] = (sizes[largest] + to_add - added).max(0);
    sizes
}

/// `deployment/util: getReplicaSetFraction`.
fn fraction(set: &ReplicaSet, deployment: Scaling) -> i64 {
    if deployment.replicas == 0 {
        return -set.replicas;
    }
    let before = set.max_replicas.unwrap_or(deployment.status_replicas).max(1);
    let size = (set.replicas * (deployment.replicas + deployment.max_surge)) as f64 / before as f64;
    size.round() as i64 - set.replicas
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(replicas: i64, max_replicas: i64, created: u64) -> ReplicaSet {
        ReplicaSet { replicas, max_replicas: Some(max_replicas), created }
    }

    #[test]
    fn surge_plays_no_part_with_one_active_set() {
        let deployment = Scaling { replicas: 10, max_surge: 3, status_replicas: 4 };
        assert_eq!(scale(&[set(4, 7, 1)], deployment), [10]);
        assert_eq!(scale(&[set(0, 7, 1), set(0, 7, 2)], deployment), [0, 10]);
    }

    #[test]
    fn a_rollout_shares_the_change_in_proportion() {
        let deployment = |replicas| Scaling { replicas, max_surge: 0, status_replicas: 10 };
        assert_eq!(scale(&[set(5, 10, 1), set(5, 10, 2)], deployment(12)), [6, 6]);
        assert_eq!(scale(&[set(5, 10, 1), set(5, 10, 2)], deployment(6)), [3, 3]);
        assert_eq!(scale(&[set(8, 10, 1), set(2, 10, 2)], deployment(15)), [12, 3]);
        assert_eq!(scale(&[set(8, 10, 1), set(2, 10, 2)], deployment(0)), [0, 0]);
    }
}
