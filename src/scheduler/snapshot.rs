//! What the scheduler knows of nodes and of the pods on them (`pkg/scheduler/backend/cache`).

use std::collections::BTreeMap;

use crate::api::meta::{LabelSelector, Labels};
use crate::api::pod::{Taint, TaintEffect};
use crate::units::{Resource, Resources};

use super::score::balanced_allocation;
use super::shape::{HostPort, PodTraits, Shape, ShapeIndex};
use super::volumes::Claims;

/// Zone label, by which the node list interleaves.
pub const ZONE: &str = "topology.kubernetes.io/zone";

/// Place of a node in the [`Snapshot`]; reused after the node is gone.
pub type Slot = usize;

/// A node as its object describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSpec {
    /// Name.
    pub name: String,
    /// Labels.
    pub labels: Labels,
    /// Taints.
    pub taints: Vec<Taint>,
    /// Cordoned (`spec.unschedulable`).
    pub unschedulable: bool,
    /// What pods may request.
    pub allocatable: Resources,
    /// Most volumes of pods attached at a time (CSINode); `None` = no limit.
    pub volume_limit: Option<u32>,
    /// Images that the node reported, with their size in bytes.
    pub images: Vec<(String, i64)>,
}

/// A pod on a node, bound or assumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The pod, in the caller's numbering.
    pub pod: u32,
    /// Its shape.
    pub shape: ShapeIndex,
    /// In which second it started, by a count of the caller's; `u32::MAX` before that.
    pub started: u32,
    /// Whether it has a deletion timestamp.
    pub terminating: bool,
    /// Whether it is terminating because the scheduler displaced it.
    pub preempted: bool,
}

/// A node and what is on it (`framework.NodeInfo`).
#[derive(Clone, Debug)]
pub struct NodeInfo {
    /// The node.
    pub spec: NodeSpec,
    /// Its pods, in order of arrival.
    pub pods: Vec<Placed>,
    /// Σ of their requests.
    pub requested: Resources,
    /// Σ of what `LeastAllocated` counts of them: CPU and memory.
    pub scored: [i64; 2],
    /// Ports that they take.
    pub ports: Vec<HostPort>,
    /// Volumes that they have attached.
    pub volumes: u32,
    /// Pods nominated to the node by preemption: pod, shape.
    pub nominated: Vec<(u32, ShapeIndex)>,
    /// Whether the slot holds a node.
    pub alive: bool,
}

/// What placing asks of a node again and again: a tenth of all that is known of it, so that thousands of nodes stay in a fast cache.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// What its pods leave of its allocatable; negative where they request more.
    pub left: Resources,
    /// CPU and memory that pods may request.
    pub allocatable: [i64; 2],
    /// Σ of what `LeastAllocated` counts of its pods: CPU and memory.
    pub scored: [i64; 2],
    /// How balanced what they request is (`NodeResourcesBalancedAllocation`).
    pub balance: i64,
}

/// Index of a [`Group`] in its snapshot.
pub(super) type GroupId = usize;

/// Index of a topology key in its snapshot.
pub(super) type KeyId = usize;

/// No domain: the node lacks the label.
pub(super) const NO_DOMAIN: u32 = u32::MAX;

/// How many non-terminating pods of one selector are on each node.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub selector: LabelSelector,
    /// By shape.
    pub matches: Vec<bool>,
    /// By slot.
    pub counts: Vec<u32>,
}

/// The values of one topology key, numbered in the order seen.
#[derive(Clone, Debug)]
pub(super) struct Topology {
    pub key: String,
    pub values: Vec<String>,
    /// By slot.
    pub domains: Vec<u32>,
}

/// All nodes and shapes.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    nodes: Vec<NodeInfo>,
    rooms: Vec<Room>,
    free: Vec<Slot>,
    shapes: Vec<Shape>,
    pub(super) groups: Vec<Group>,
    pub(super) topologies: Vec<Topology>,
    order: Vec<Slot>,
    order_stale: bool,
    alive: usize,
    /// By slot: moves with every change of the node or of its pods.
    pub(super) versions: Vec<u32>,
    /// By slot: moves with every change of the node's description.
    pub(super) described: Vec<u32>,
    /// Slots in the order in which they changed, without those longer ago.
    changed: Vec<Slot>,
    /// How many changes are too long ago.
    forgotten: u64,
    /// How many changes of descriptions there were.
    pub(super) descriptions: u64,
    /// How many nominations there are.
    pub(super) nominations: usize,
    /// Moves with every change of any node.
    pub(super) version: u64,
    /// How many nodes have a `PreferNoSchedule` taint.
    pub(super) with_soft_taints: usize,
    /// By image name: how many nodes have it.
    pub(super) images: BTreeMap<String, ImageUse>,
}

/// An image on nodes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ImageUse {
    pub nodes: usize,
    pub bytes: i64,
}

impl Snapshot {
    /// The shape of a pod: a known one if its traits are equal.
    pub fn shape(&mut self, traits: &PodTraits) -> ShapeIndex {
        if let Some(found) = self.shapes.iter().position(|shape| shape.traits == *traits) {
            return ShapeIndex(found as u32);
        }
        let shape = Shape::new(traits.clone());
        for group in &mut self.groups {
            group.matches.push(group.selector.matches(&shape.traits.labels));
        }
        self.shapes.push(shape);
        ShapeIndex(self.shapes.len() as u32 - 1)
    }

    /// The claims of a shape's pods ask something else now.
    pub fn set_claims(&mut self, id: ShapeIndex, claims: Claims) {
        self.shapes[id.0 as usize].traits.claims = claims;
        self.version += 1;
    }

    /// A known shape.
    #[must_use]
    pub fn shape_of(&self, id: ShapeIndex) -> &Shape {
        &self.shapes[id.0 as usize]
    }

    /// How many shapes are known.
    #[must_use]
    pub fn shapes(&self) -> usize {
        self.shapes.len()
    }

    /// The node in a slot.
    #[must_use]
    pub fn node(&self, slot: Slot) -> &NodeInfo {
        &self.nodes[slot]
    }

    /// The room of the node in a slot.
    #[must_use]
    pub fn room(&self, slot: Slot) -> &Room {
        &self.rooms[slot]
    }

    /// How many slots there are, with or without a node.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.nodes.len()
    }

    /// How many nodes there are.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.alive
    }

    /// Adds a node and gives its slot (`cache.go: AddNode`).
    pub fn add_node(&mut self, spec: NodeSpec) -> Slot {
        let info = NodeInfo {
            spec,
            pods: Vec::new(),
            requested: Resources::ZERO,
            scored: [0; 2],
            ports: Vec::new(),
            volumes: 0,
            nominated: Vec::new(),
            alive: true,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.nodes[slot] = info;
                slot
            }
            None => {
                self.rooms.push(Room::of(&info));
                self.nodes.push(info);
                self.versions.push(0);
                self.described.push(0);
                for group in &mut self.groups {
                    group.counts.push(0);
                }
                for topology in &mut self.topologies {
                    topology.domains.push(NO_DOMAIN);
                }
                self.nodes.len() - 1
            }
        };
        self.alive += 1;
        self.order_stale = true;
        self.relabel(slot);
        self.tally(slot, 1);
        self.description_changed(slot);
        slot
    }

    /// Replaces the description of a node.
    pub fn update_node(&mut self, slot: Slot, spec: NodeSpec) {
        let relabelled = spec.labels != self.nodes[slot].spec.labels;
        self.tally(slot, -1);
        self.nodes[slot].spec = spec;
        self.tally(slot, 1);
        if relabelled {
            self.order_stale = true;
            self.relabel(slot);
        }
        self.description_changed(slot);
    }

    /// Removes a node with all that is known of its pods.
    pub fn remove_node(&mut self, slot: Slot) {
        self.tally(slot, -1);
        let node = &mut self.nodes[slot];
        node.alive = false;
        self.nominations -= node.nominated.len();
        node.pods.clear();
        node.nominated.clear();
        node.ports.clear();
        node.volumes = 0;
        node.requested = Resources::ZERO;
        node.scored = [0; 2];
        for group in &mut self.groups {
            group.counts[slot] = 0;
        }
        for topology in &mut self.topologies {
            topology.domains[slot] = NO_DOMAIN;
        }
        self.free.push(slot);
        self.alive -= 1;
        self.order_stale = true;
        self.description_changed(slot);
    }

    /// Puts a pod on a node (`AssumePod`, `AddPod`).
    pub fn place(&mut self, slot: Slot, placed: Placed) {
        let shape = &self.shapes[placed.shape.0 as usize];
        let node = &mut self.nodes[slot];
        node.requested += shape.requests;
        node.scored[0] += shape.scored_cpu;
        node.scored[1] += shape.scored_memory;
        node.ports.extend(shape.ports.iter().cloned());
        node.volumes += shape.volumes;
        node.pods.push(placed);
        if !placed.terminating {
            self.count(slot, placed.shape, 1);
        }
        self.changed(slot);
    }

    /// Takes a pod off its node and gives its shape, if it was there.
    pub fn remove(&mut self, slot: Slot, pod: u32) -> Option<ShapeIndex> {
        let index = self.nodes[slot].pods.iter().position(|placed| placed.pod == pod)?;
        let placed = self.nodes[slot].pods.remove(index);
        let shape = &self.shapes[placed.shape.0 as usize];
        let node = &mut self.nodes[slot];
        node.requested -= shape.requests;
        node.scored[0] -= shape.scored_cpu;
        node.scored[1] -= shape.scored_memory;
        node.volumes -= shape.volumes;
        for port in &shape.ports {
            if let Some(index) = node.ports.iter().position(|taken| taken == port) {
                node.ports.remove(index);
            }
        }
        if !placed.terminating {
            self.count(slot, placed.shape, -1);
        }
        self.changed(slot);
        Some(placed.shape)
    }

    /// Notes that a pod got its deletion timestamp; `preempted` when the scheduler displaced it.
    pub fn mark_terminating(&mut self, slot: Slot, pod: u32, preempted: bool) {
        let Some(placed) = self.nodes[slot].pods.iter_mut().find(|placed| placed.pod == pod) else {
            return;
        };
        placed.preempted |= preempted;
        if !placed.terminating {
            placed.terminating = true;
            let shape = placed.shape;
            self.count(slot, shape, -1);
            self.changed(slot);
        }
    }

    /// Reserves room on a node for a pod that displaced others (`nominator.go: addNominatedPod`).
    pub fn nominate(&mut self, slot: Slot, pod: u32, shape: ShapeIndex) {
        self.nodes[slot].nominated.push((pod, shape));
        self.nominations += 1;
        self.changed(slot);
    }

    /// Drops the nomination of a pod.
    pub fn clear_nomination(&mut self, slot: Slot, pod: u32) {
        let nominated = &mut self.nodes[slot].nominated;
        let before = nominated.len();
        nominated.retain(|(other, _)| *other != pod);
        let dropped = before - nominated.len();
        if dropped > 0 {
            self.nominations -= dropped;
            self.changed(slot);
        }
    }

    /// The node list: zones interleaved, nodes of a zone in the order they came (`cache/node_tree.go`).
    pub fn order(&mut self) -> &[Slot] {
        if self.order_stale {
            self.order_stale = false;
            self.rebuild_order();
        }
        &self.order
    }

    /// The node list as it was when last asked for by [`order`](Self::order).
    pub(super) fn last_order(&self) -> &[Slot] {
        &self.order
    }

    fn rebuild_order(&mut self) {
        let known: Vec<Slot> = self.order.iter().copied().filter(|slot| self.nodes[*slot].alive).collect();
        let mut seen = vec![false; self.nodes.len()];
        known.iter().for_each(|slot| seen[*slot] = true);
        let fresh = (0..self.nodes.len()).filter(|slot| self.nodes[*slot].alive && !seen[*slot]);
        let mut zones: Vec<(&str, Vec<Slot>)> = Vec::new();
        for slot in known.iter().copied().chain(fresh) {
            let zone = self.nodes[slot].spec.labels.get(ZONE).map_or("", String::as_str);
            match zones.iter_mut().find(|(name, _)| *name == zone) {
                Some((_, slots)) => slots.push(slot),
                None => zones.push((zone, vec![slot])),
            }
        }
        let longest = zones.iter().map(|(_, slots)| slots.len()).max().unwrap_or(0);
        let order =
            (0..longest).flat_map(|row| zones.iter().filter_map(move |(_, slots)| slots.get(row).copied())).collect();
        self.order = order;
    }

    /// The group that counts pods of a selector.
    pub(super) fn group(&mut self, selector: &LabelSelector) -> GroupId {
        if let Some(found) = self.groups.iter().position(|group| group.selector == *selector) {
            return found;
        }
        let matches: Vec<bool> = self.shapes.iter().map(|shape| selector.matches(&shape.traits.labels)).collect();
        let counts = self
            .nodes
            .iter()
            .map(|node| node.pods.iter().filter(|p| !p.terminating && matches[p.shape.0 as usize]).count() as u32)
            .collect();
        self.groups.push(Group { selector: selector.clone(), matches, counts });
        self.groups.len() - 1
    }

    /// The numbering of a topology key's values.
    pub(super) fn topology(&mut self, key: &str) -> KeyId {
        if let Some(found) = self.topologies.iter().position(|topology| topology.key == key) {
            return found;
        }
        self.topologies.push(Topology {
            key: key.to_owned(),
            values: Vec::new(),
            domains: vec![NO_DOMAIN; self.nodes.len()],
        });
        let id = self.topologies.len() - 1;
        for slot in 0..self.nodes.len() {
            self.topologies[id].relabel(slot, &self.nodes[slot]);
        }
        id
    }

    /// How many changes of nodes there were.
    pub(super) fn changes(&self) -> u64 {
        self.forgotten + self.changed.len() as u64
    }

    /// Slots that may have changed after the first `seen` changes, some more than once.
    pub(super) fn changed_since(&self, seen: u64) -> impl Iterator<Item = Slot> {
        let (changed, all) = match seen.checked_sub(self.forgotten) {
            Some(known) => (&self.changed[known as usize..], 0..0),
            None => (&[][..], 0..self.nodes.len()),
        };
        changed.iter().copied().chain(all)
    }

    fn changed(&mut self, slot: Slot) {
        self.rooms[slot] = Room::of(&self.nodes[slot]);
        self.versions[slot] = self.versions[slot].wrapping_add(1);
        self.version += 1;
        // To look at every node is cheaper than at more changes than there are nodes.
        let most = self.nodes.len();
        if self.changed.len() >= 2 * most {
            self.changed.drain(..most);
            self.forgotten += most as u64;
        }
        self.changed.push(slot);
    }

    fn description_changed(&mut self, slot: Slot) {
        self.described[slot] = self.described[slot].wrapping_add(1);
        self.descriptions += 1;
        self.changed(slot);
    }

    /// Counts (`+1`) or forgets (`-1`) what the node's description adds to cluster-wide sums.
    fn tally(&mut self, slot: Slot, by: isize) {
        let spec = &self.nodes[slot].spec;
        if spec.taints.iter().any(|taint| taint.effect == TaintEffect::PreferNoSchedule) {
            self.with_soft_taints = self.with_soft_taints.saturating_add_signed(by);
        }
        for (name, bytes) in &spec.images {
            let image = self.images.entry(name.clone()).or_default();
            image.nodes = image.nodes.saturating_add_signed(by);
            image.bytes = *bytes;
        }
    }

    fn count(&mut self, slot: Slot, shape: ShapeIndex, by: i32) {
        for group in &mut self.groups {
            if group.matches[shape.0 as usize] {
                group.counts[slot] = group.counts[slot].saturating_add_signed(by);
            }
        }
    }

    fn relabel(&mut self, slot: Slot) {
        for topology in &mut self.topologies {
            topology.relabel(slot, &self.nodes[slot]);
        }
    }
}

impl Topology {
    fn relabel(&mut self, slot: Slot, node: &NodeInfo) {
        // Every node is a host of its own, whether or not its labels say so.
        let value = if self.key == "kubernetes.io/hostname" {
            Some(node.spec.labels.get(&self.key).unwrap_or(&node.spec.name))
        } else {
            node.spec.labels.get(&self.key)
        };
        self.domains[slot] = match value.filter(|_| node.alive) {
            None => NO_DOMAIN,
            Some(value) => match self.values.iter().position(|known| known == value) {
                Some(known) => known as u32,
                None => {
                    self.values.push(value.clone());
                    self.values.len() as u32 - 1
                }
            },
        };
    }
}

impl Room {
    fn of(node: &NodeInfo) -> Room {
        let pair = |of: &Resources| [of.get(Resource::Cpu), of.get(Resource::Memory)];
        let allocatable = pair(&node.spec.allocatable);
        Room {
            left: node.spec.allocatable - node.requested,
            allocatable,
            scored: node.scored,
            balance: balanced_allocation(allocatable, pair(&node.requested)),
        }
    }

    /// CPU and memory that its pods request.
    #[must_use]
    pub fn requested(&self) -> [i64; 2] {
        [self.allocatable[0] - self.left.get(Resource::Cpu), self.allocatable[1] - self.left.get(Resource::Memory)]
    }
}
