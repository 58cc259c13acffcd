//! The Auto Scaling groups that Cluster Autoscaler sizes, and the nodes that are on their way.

use super::backoff::Backoff;
use crate::cluster::{Cluster, InstanceId, NodeId};
use crate::scenario::Scenario;
use crate::scenario::node_groups::NodeGroup;
use crate::time::{Duration, Time};

/// A group.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its place in the scenario.
    pub place: usize,
    /// Nodes asked for (the Auto Scaling group's desired capacity).
    pub target: u32,
    /// Fewest nodes.
    pub min: u32,
    /// Most nodes.
    pub max: u32,
    /// Number of its next node.
    pub next: u32,
    /// Failed scale-ups.
    pub backoff: Backoff,
}

/// A node on its way, from the group's new size to Ready.
#[derive(Clone, Copy, Debug)]
pub struct Launch {
    /// Its group.
    pub group: usize,
    /// Its number in the group.
    pub index: u32,
    /// When the group's size was set.
    pub asked: Time,
    /// Its instance, once launched.
    pub instance: Option<InstanceId>,
    /// Its Node, once registered.
    pub node: Option<NodeId>,
    /// It is ready, or given up: nothing is expected of it.
    pub over: bool,
}

/// All groups whose size may change.
#[derive(Debug, Default)]
pub struct Groups {
    /// The groups, in the order of the scenario.
    pub list: Vec<Group>,
    /// Nodes on their way and those that came, in the order they were asked for.
    pub launches: Vec<Launch>,
}

impl Groups {
    /// The groups of a scenario at the beginning.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Groups {
        let autoscaled = scenario.node_groups.iter().enumerate().filter(|(_, group)| group.is_autoscaled());
        let list = autoscaled.map(|(place, group)| Group {
            place,
            target: group.count,
            min: group.min.unwrap_or(group.count),
            max: group.max.unwrap_or(group.count),
            next: group.count,
            backoff: Backoff::default(),
        });
        Groups { list: list.collect(), launches: Vec::new() }
    }

    /// What the user wrote of a group.
    #[must_use]
    pub fn spec<'a>(&self, group: usize, scenario: &'a Scenario) -> &'a NodeGroup {
        &scenario.node_groups[self.list[group].place]
    }

    /// The group of that name.
    #[must_use]
    pub fn find(&self, name: &str, scenario: &Scenario) -> Option<usize> {
        (0..self.list.len()).find(|group| self.spec(*group, scenario).name == name)
    }

    /// Asks a group for nodes beyond its size; gives their places among the launches.
    pub fn grow(&mut self, group: usize, nodes: u32, now: Time) -> std::ops::Range<u32> {
        self.list[group].target += nodes;
        self.replace(group, nodes, now)
    }

    /// Nodes of a group come in place of others; its size stays.
    pub fn replace(&mut self, group: usize, nodes: u32, now: Time) -> std::ops::Range<u32> {
        let first = self.launches.len() as u32;
        for _ in 0..nodes {
            let index = self.list[group].next;
            self.list[group].next += 1;
            self.launches.push(Launch { group, index, asked: now, instance: None, node: None, over: false });
        }
        first..first + nodes
    }

    /// Nodes of each group that are on their way (`clusterstate.go: GetUpcomingNodes`).
    #[must_use]
    pub fn upcoming(&self) -> Vec<u32> {
        let mut counts = vec![0; self.list.len()];
        for launch in self.launches.iter().filter(|launch| !launch.over) {
            counts[launch.group] += 1;
        }
        counts
    }

    /// Launches whose node is ready are over. Gives those that took longer than `longest`: they are over too, and their groups
    /// rest (`clusterstate.go: updateScaleRequests`).
    pub fn update(&mut self, cluster: &Cluster, longest: Duration, now: Time) -> Vec<Launch> {
        let mut late = Vec::new();
        for launch in self.launches.iter_mut().filter(|launch| !launch.over) {
            let ready = launch.node.is_some_and(|node| cluster.nodes[node.index()].first_ready.is_some());
            let backoff = &mut self.list[launch.group].backoff;
            if ready {
                launch.over = true;
                backoff.succeed();
            } else if now >= launch.asked + longest {
                launch.over = true;
                backoff.fail(now);
                if launch.node.is_none() {
                    self.list[launch.group].target -= 1;
                }
                late.push(*launch);
            }
        }
        late
    }
}
