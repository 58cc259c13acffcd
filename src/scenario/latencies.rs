//! `[latencies]`: how long each step of the chain takes. Defaults and their basis: docs/timings.md.

use crate::engine::Distribution;
use crate::object;
use crate::time::Duration;

object! {
    /// Distributions of delays. A plain duration is constant.
    pub struct Latencies {
        /// A Deployment's new replica count to the write of its ReplicaSet.
        pub deployment_sync: Distribution = Distribution::Constant(Duration::from_millis(10)),
        /// One call of the ReplicaSet controller that creates or deletes a pod.
        pub pod_create_call: Distribution = Distribution::Constant(Duration::from_millis(10)),
        /// A pod's creation, or the event that wakes it, to its scheduling attempt.
        pub scheduler_attempt: Distribution = Distribution::Lognormal { median: Duration::from_millis(100), sigma: 0.7 },
        /// A scheduling decision to the binding.
        pub bind: Distribution = Distribution::Constant(Duration::from_millis(5)),
        /// Karpenter's scheduling simulation and the write of NodeClaims: fixed part.
        pub provisioner_solve: Distribution = Distribution::Lognormal { median: Duration::from_millis(100), sigma: 0.5 },
        /// Added per pending pod to the scheduling simulation.
        pub provisioner_solve_per_pod: Duration = Duration::from_millis(1),
        /// A pod event that Karpenter writes into a NodeClaim, to the reading of the clock by the one worker that takes these events one by one.
        pub pod_event: Distribution = Distribution::Constant(Duration::from_millis(50)),
        /// The write of such an event: the worker takes the next one when it is done.
        pub pod_event_write: Distribution = Distribution::Constant(Duration::ZERO),
        /// A pass of Karpenter's disruption loop without its simulations: each delays the next by so much.
        pub disruption_pass: Duration = Duration::from_millis(8),
        /// One scheduling simulation of Karpenter's disruption loop: fixed part. Searches stop after a minute (several nodes) or three (one node).
        pub disruption_simulation: Duration = Duration::from_millis(10),
        /// Added per pod to such a simulation.
        pub disruption_simulation_per_pod: Duration = Duration::from_micros(200),
        /// CreateFleet, merging of requests included.
        pub create_fleet: Distribution = Distribution::Lognormal { median: Duration::from_secs(2), sigma: 0.45 },
        /// EC2 instance from launch to running, when billing starts.
        pub instance_running: Distribution = Distribution::Lognormal { median: Duration::from_secs(6), sigma: 0.45 },
        /// Launch to Node registration.
        pub node_registered: Distribution = Distribution::Lognormal { median: Duration::from_secs(22), sigma: 0.30 },
        /// Node registration to Ready (network plugin, start-up daemons).
        pub node_ready: Distribution = Distribution::Lognormal { median: Duration::from_secs(14), sigma: 0.40 },
        /// A NodeClaim's registration to its Initialized condition, once its Node is ready: one reconcile.
        pub node_initialized: Distribution = Distribution::Constant(Duration::from_secs(1)),
        /// Probability that a node's start gets stuck and takes `slowNodeReady` instead.
        pub slow_node_probability: f64 = 0.005,
        /// Registration to Ready of a stuck node.
        pub slow_node_ready: Distribution = Distribution::Uniform { min: Duration::from_secs(90), max: Duration::from_secs(900) },
        /// Spread of one factor per run on node registration and readiness, for differences between clusters (sigma of a lognormal; 0 = none).
        pub cluster_factor_sigma: f64 = 0.25,
        /// Binding to a running container whose image is present.
        pub pod_start: Distribution = Distribution::Lognormal { median: Duration::from_millis(1500), sigma: 0.5 },
        /// Fixed part of an image pull.
        pub image_pull_base: Duration = Duration::from_millis(1500),
        /// Time to pull 100 MB (compressed) when nothing shares the node's network.
        @"imagePullPer100MB" pub image_pull_per_100mb: Distribution = Distribution::Lognormal { median: Duration::from_micros(3_333_333), sigma: 0.55 },
        /// Check of an image that is present.
        pub image_present: Duration = Duration::from_millis(130),
        /// Container start to the moment the application can work.
        pub app_start: Distribution = Distribution::Lognormal { median: Duration::from_secs(3), sigma: 0.6 },
        /// Request of a Fargate pod's machine to its node being there; images are pulled after that.
        pub fargate_start: Distribution = Distribution::Lognormal { median: Duration::from_secs(50), sigma: 0.25 },
        /// Attachment of a pod's volume of a claim to its node, before the pod is set up.
        pub volume_attach: Distribution = Distribution::Lognormal { median: Duration::from_secs(3), sigma: 0.6 },
        /// Removal of a pod to the detachment of its volume; a node that Karpenter terminates waits for it.
        pub volume_detach: Distribution = Distribution::Lognormal { median: Duration::from_secs(5), sigma: 0.8 },
        /// End of a pod's last container to the removal of its object.
        pub pod_cleanup: Distribution = Distribution::Constant(Duration::from_secs(1)),
        /// TerminateInstances to terminated.
        pub instance_terminated: Distribution = Distribution::Lognormal { median: Duration::from_secs(45), sigma: 0.85 },
        /// A Spot interruption or health event to Karpenter's reaction, through EventBridge and its queue.
        pub interruption_event: Distribution = Distribution::Lognormal { median: Duration::from_secs(2), sigma: 0.7 },
    }
}
