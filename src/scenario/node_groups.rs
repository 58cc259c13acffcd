//! `[[nodeGroups]]` and `[clusterAutoscaler]`: nodes that Karpenter has no hand in.

use super::priorities::Priorities;
use crate::api::meta::Labels;
use crate::api::pod::Taint;
use crate::engine::Distribution;
use crate::time::Duration;
use crate::units::Resources;
use crate::{choice, object};

object! {
    /// Nodes of one type that are there from the beginning: a managed node group, or Fargate's replacement for system pods.
    /// Cluster Autoscaler changes the number of those whose `max` is above their `min`.
    pub struct NodeGroup {
        /// Name, unique.
        pub name: String,
        /// EC2 instance type; needed unless `capacity` is given.
        pub instance_type: Option<String>,
        /// Size of a node that is no EC2 instance: `{ cpu = "2000", memory = "8000Gi", pods = 10000 }`. It costs nothing.
        pub capacity: Resources,
        /// Nodes at the beginning, all ready.
        pub count: u32 = 1,
        /// Fewest nodes that Cluster Autoscaler leaves; absent = `count`.
        pub min: Option<u32>,
        /// Most nodes that Cluster Autoscaler makes; absent = `count`.
        pub max: Option<u32>,
        /// Labels of the nodes.
        pub labels: Labels,
        /// Taints of the nodes.
        pub taints: Vec<Taint>,
        /// Zones, used in turn; empty = those of the simulation.
        pub zones: Vec<String>,
        /// How the instances are bought.
        pub capacity_type: GroupCapacityType = GroupCapacityType::OnDemand,
        /// Whether the nodes' cost is counted.
        pub billed: bool = true,
        /// Its place for the expander `priority`, the highest first; absent = it only grows when no group that fits has one
        /// (cluster-autoscaler `expander/priority/priority.go`). `clusterAutoscaler.priorities` takes its place.
        pub priority: Option<u32>,
    }
}

impl NodeGroup {
    /// Whether Cluster Autoscaler may change its size.
    #[must_use]
    pub fn is_autoscaled(&self) -> bool {
        self.max.unwrap_or(self.count) > self.min.unwrap_or(self.count)
    }
}

choice! {
    /// How the instances of a group are bought.
    pub enum GroupCapacityType {
        /// On demand.
        OnDemand = "on-demand",
        /// Spot.
        Spot = "spot",
    }
}

object! {
    /// Cluster Autoscaler's flags. It runs when a node group has a `max` above its `min`.
    pub struct ClusterAutoscaler {
        /// `--scan-interval`.
        pub scan_interval: Duration = Duration::from_secs(10),
        /// From a scan's beginning to its end, when what it decided is carried out; the next scan begins no earlier.
        pub scan_duration: Distribution = Distribution::Lognormal { median: Duration::from_secs(5), sigma: 0.6 },
        /// `--new-pod-scale-up-delay`.
        pub new_pod_scale_up_delay: Duration = Duration::ZERO,
        /// `--scale-down-unneeded-time`.
        pub scale_down_unneeded_time: Duration = Duration::from_mins(10),
        /// `--scale-down-delay-after-add`.
        pub scale_down_delay_after_add: Duration = Duration::from_mins(10),
        /// `--scale-down-utilization-threshold`, a share of requests over allocatable.
        pub scale_down_utilization_threshold: f64 = 0.5,
        /// `--max-node-provision-time`: a group whose node does not come by then backs off.
        pub max_node_provision_time: Duration = Duration::from_mins(15),
        /// `--max-graceful-termination-sec`.
        pub max_graceful_termination: Duration = Duration::from_mins(10),
        /// `--expander`.
        pub expander: Expander = Expander::LeastWaste,
        /// Expander `priority`: what ConfigMap `cluster-autoscaler-priority-expander` holds under `priorities`, in place of the groups' own `priority`. A manifest of it is read.
        pub priorities: Option<Priorities>,
        /// From the Auto Scaling group's new size to the instance's launch.
        pub group_launch: Distribution = Distribution::Lognormal { median: Duration::from_secs(15), sigma: 0.5 },
    }
}

choice! {
    /// How Cluster Autoscaler picks among groups that fit.
    pub enum Expander {
        /// Least CPU, then memory, left idle.
        LeastWaste = "least-waste",
        /// Most pending pods placed.
        MostPods = "most-pods",
        /// Any.
        Random = "random",
        /// The highest of the groups' priorities.
        Priority = "priority",
    }
}
