//! What those who make nodes last said of the pods without one, as events on these pods would tell it.

use std::collections::BTreeMap;

use super::ids::{NodeClaimId, ShapeId};
use super::state::Cluster;

/// Who makes nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    /// Karpenter's provisioner.
    Karpenter,
    /// Cluster Autoscaler.
    ClusterAutoscaler,
}

/// A node on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coming {
    /// Of a NodeClaim.
    NodeClaim(NodeClaimId),
    /// Of an autoscaled node group, by its place in the scenario.
    NodeGroup(u32),
}

/// Why no node is made for a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum Refusal {
    /// The limits of a NodePool, or the largest size of a node group.
    PoolLimit,
    /// The cloud has no capacity for what the pod may run on.
    NoCapacity,
    /// No NodePool or node group makes nodes that the pod may run on.
    Unfit,
}

impl Refusal {
    /// How many there are.
    pub const COUNT: usize = 3;
}

/// Pods of one template without a node, by what became of them in the last look at them. Pods that were created since are in no
/// count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Pods for which a node is on its way.
    pub coming: BTreeMap<Coming, u32>,
    /// Pods for which no node is made, by [`Refusal`].
    pub refused: [u32; Refusal::COUNT],
}

impl Outlook {
    /// Counts pods for which that node is on its way.
    pub fn add_coming(&mut self, node: Coming, pods: u32) {
        *self.coming.entry(node).or_default() += pods;
    }

    /// Counts pods for which no node is made.
    pub fn add_refused(&mut self, refusal: Refusal, pods: u32) {
        self.refused[refusal as usize] += pods;
    }

    /// One pod waits no longer: it was bound to the node of that NodeClaim, or elsewhere, or it is gone.
    fn forget_one(&mut self, claim: Option<NodeClaimId>) {
        let own = claim.and_then(|claim| self.coming.get_mut(&Coming::NodeClaim(claim)));
        let counts = own.into_iter().filter(|count| **count > 0);
        if let Some(count) = counts.chain(&mut self.refused).find(|count| **count > 0) {
            *count -= 1;
        }
    }
}

/// All outlooks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlooks {
    by_shape: BTreeMap<(ShapeId, Provider), Outlook>,
    /// Node groups for which the cloud had no capacity at the last try.
    dry: Vec<u32>,
}

impl Outlooks {
    /// What each provider says of the pods of a template.
    pub fn of(&self, shape: ShapeId) -> impl Iterator<Item = &Outlook> {
        self.by_shape.range((shape, Provider::Karpenter)..=(shape, Provider::ClusterAutoscaler)).map(|(_, known)| known)
    }

    /// Whether the cloud had no capacity for a node group at the last try.
    #[must_use]
    pub fn is_dry(&self, group: u32) -> bool {
        self.dry.contains(&group)
    }
}

impl Cluster {
    /// A provider has looked at all pods without a node: this is what it found, by template. What it said before is void.
    pub fn publish_outlooks(&mut self, provider: Provider, found: BTreeMap<ShapeId, Outlook>) {
        let known = &mut self.outlooks.by_shape;
        let same = known.iter().filter(|((_, by), _)| *by == provider).map(|((shape, _), outlook)| (shape, outlook));
        if same.eq(&found) {
            return;
        }
        known.retain(|(_, by), _| *by != provider);
        known.extend(found.into_iter().map(|(shape, outlook)| ((shape, provider), outlook)));
        self.note();
    }

    /// The cloud has, or has not, the instance that a node group asks for.
    pub fn set_group_dry(&mut self, group: u32, dry: bool) {
        if self.outlooks.is_dry(group) == dry {
            return;
        }
        if dry {
            self.outlooks.dry.push(group);
        } else {
            self.outlooks.dry.retain(|known| *known != group);
        }
        self.note();
    }

    /// A pod of the template waits no longer: it was bound to the node of that NodeClaim, or elsewhere, or it is gone.
    pub(super) fn forget_waiting(&mut self, shape: ShapeId, claim: Option<NodeClaimId>) {
        let ours = (shape, Provider::Karpenter)..=(shape, Provider::ClusterAutoscaler);
        for (_, outlook) in self.outlooks.by_shape.range_mut(ours) {
            outlook.forget_one(claim);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Streams;

    #[test]
    fn pods_leave_the_outlook_when_they_are_bound_or_gone() {
        let mut cluster = Cluster::new(Streams::new(1, 0).open("uids", 0));
        let (shape, claim) = (ShapeId(3), NodeClaimId(7));
        let mut outlook = Outlook::default();
        outlook.add_coming(Coming::NodeClaim(claim), 2);
        outlook.add_refused(Refusal::PoolLimit, 1);
        cluster.publish_outlooks(Provider::Karpenter, BTreeMap::from([(shape, outlook.clone())]));
        cluster.publish_outlooks(Provider::ClusterAutoscaler, BTreeMap::from([(shape, Outlook::default())]));
        let counts = |cluster: &Cluster| {
            let all: Vec<(Vec<u32>, [u32; 3])> = cluster
                .outlooks
                .of(shape)
                .map(|known| (known.coming.values().copied().collect(), known.refused))
                .collect();
            all[0].clone()
        };
        assert_eq!(cluster.outlooks.of(shape).count(), 2);
        assert_eq!(cluster.outlooks.of(ShapeId(2)).count(), 0);
        cluster.forget_waiting(shape, Some(claim));
        assert_eq!(counts(&cluster), (vec![1], [1, 0, 0]));
        cluster.forget_waiting(shape, None);
        cluster.forget_waiting(shape, None);
        assert_eq!(counts(&cluster), (vec![1], [0, 0, 0]));
        cluster.publish_outlooks(Provider::Karpenter, BTreeMap::new());
        assert_eq!(cluster.outlooks.of(shape).count(), 1);
    }
}
