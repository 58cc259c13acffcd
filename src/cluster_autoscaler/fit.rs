//! Whether a pod fits a node: requests, node selector and affinity, taints. Affinity between pods, spreading, ports and volumes
//! are left out.

use std::sync::Arc;

use crate::api::meta::Labels;
use crate::api::pod::{PodSpec, Taint, TaintEffect};
use crate::cluster::{PodId, ShapeId};
use crate::units::Resources;

/// A pod that needs a node.
#[derive(Clone, Debug)]
pub struct Need {
    /// The pod.
    pub pod: PodId,
    /// Its template: pods of one template fit alike.
    pub shape: ShapeId,
    /// Its spec.
    pub spec: Arc<PodSpec>,
    /// Its requests, with one pod.
    pub requests: Resources,
    /// Its priority.
    pub priority: i32,
}

/// A node, or one that is to come, as pods meet it.
#[derive(Clone, Debug)]
pub struct Room {
    /// Name of the node.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// What is left for pods.
    pub free: Resources,
}

impl Room {
    /// Whether the pod fits (`predicatechecker`: the scheduler's filters).
    #[must_use]
    pub fn takes(&self, need: &Need) -> bool {
        need.requests.fits(&self.free) && self.admits(&need.spec)
    }

    /// Whether labels and taints let pods of the spec in.
    #[must_use]
    pub fn admits(&self, spec: &PodSpec) -> bool {
        spec.selects_node(&self.labels, &self.name)
            && self.taints.iter().all(|taint| taint.effect == TaintEffect::PreferNoSchedule || spec.tolerates(taint))
    }

    /// Puts the pod on the node if it fits.
    pub fn place(&mut self, need: &Need) -> bool {
        let fits = self.takes(need);
        if fits {
            self.free -= need.requests;
        }
        fits
    }
}

/// The pods that find no room, important ones served first (`filter_out_schedulable.go: filterOutSchedulableByPacking`).
#[must_use]
pub fn filter_out_schedulable(mut pending: Vec<Need>, rooms: &mut [Room]) -> Vec<Need> {
    pending.sort_by_key(|need| std::cmp::Reverse(need.priority));
    // Rooms only fill up: where one pod of a template found nothing, no later one does.
    let mut hopeless: Vec<ShapeId> = Vec::new();
    pending.retain(|need| {
        if hopeless.contains(&need.shape) {
            return true;
        }
        let placed = rooms.iter_mut().any(|room| room.place(need));
        if !placed {
            hopeless.push(need.shape);
        }
        !placed
    });
    pending
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::api::decode::defaults;
    use crate::api::pod::Toleration;
    use crate::units::{Cpu, Memory, Resource};

    /// A pod of a template of its own per size.
    pub fn need(pod: u32, milli: i64, mib: i64) -> Need {
        let requests = Resources::new(Cpu::from_milli(milli), Memory::from_mib(mib)).with(Resource::Pods, 1);
        let shape = ShapeId((milli * 100_000 + mib) as u32);
        Need { pod: PodId(pod), shape, spec: Arc::new(defaults()), requests, priority: 0 }
    }

    /// A node with room for so much.
    pub fn room(name: &str, milli: i64, mib: i64) -> Room {
        let free = Resources::new(Cpu::from_milli(milli), Memory::from_mib(mib)).with(Resource::Pods, 110);
        Room { name: name.to_owned(), labels: Labels::new(), taints: Vec::new(), free }
    }

    #[test]
    fn requests_selector_and_taints_decide() {
        let mut node = room("a", 1000, 1000);
        assert!(node.takes(&need(0, 1000, 1000)));
        assert!(!node.takes(&need(0, 1001, 1000)));
        assert!(!node.takes(&need(0, 1000, 1001)));
        let mut choosy = need(0, 100, 100);
        Arc::make_mut(&mut choosy.spec).node_selector.insert("disk".to_owned(), "ssd".to_owned());
        assert!(!node.takes(&choosy));
        node.labels.insert("disk".to_owned(), "ssd".to_owned());
        assert!(node.takes(&choosy));
        node.taints.push(Taint { key: "team".to_owned(), value: "a".to_owned(), effect: TaintEffect::NoSchedule });
        assert!(!node.takes(&choosy));
        Arc::make_mut(&mut choosy.spec).tolerations.push(Toleration {
            key: Some("team".to_owned()),
            value: "a".to_owned(),
            ..defaults()
        });
        assert!(node.takes(&choosy));
    }

    #[test]
    fn room_that_is_there_or_to_come_needs_no_new_node() {
        let pending = vec![need(0, 600, 10), need(1, 600, 10), need(2, 300, 10)];
        let left = filter_out_schedulable(pending, &mut [room("a", 1000, 1000)]);
        assert_eq!(left.iter().map(|need| need.pod.0).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn important_pods_take_the_room_first() {
        let mut pending = vec![need(0, 600, 10), need(1, 600, 11)];
        pending[1].priority = 10;
        let left = filter_out_schedulable(pending, &mut [room("a", 1000, 1000)]);
        assert_eq!(left.iter().map(|need| need.pod.0).collect::<Vec<_>>(), [0]);
    }
}
