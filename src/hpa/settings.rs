//! Settings of the controller (flags of kube-controller-manager) and what its version can do.

use crate::time::Duration;

/// Flags of kube-controller-manager that matter to the HPA, with upstream's defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `horizontal-pod-autoscaler-downscale-stabilization`: window of the legacy path, and of a `scaleDown` that names none.
    pub downscale_stabilization: Duration,
    /// `horizontal-pod-autoscaler-tolerance`: deviation of usage from target that is ignored, as a fraction.
    pub tolerance: f64,
    /// `horizontal-pod-autoscaler-cpu-initialization-period`: age up to which a pod's CPU samples are distrusted.
    pub cpu_initialization_period: Duration,
    /// `horizontal-pod-autoscaler-initial-readiness-delay`: a pod that became unready this early was never ready.
    pub initial_readiness_delay: Duration,
    /// `scaleUpLimitFactor` of the legacy path.
    pub scale_up_limit_factor: f64,
    /// `scaleUpLimitMinimum` of the legacy path, in replicas.
    pub scale_up_limit_minimum: f64,
    /// What this version can do.
    pub capabilities: Capabilities,
}

/// What a version of Kubernetes does differently from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The tolerance test is two comparisons instead of one on the absolute difference, which rounds differently.
    pub two_sided_tolerance: bool,
    /// `behavior.scaleUp.tolerance` and `scaleDown.tolerance` count (gate `HPAConfigurableTolerance`).
    pub configurable_tolerance: bool,
    /// An HPA with `minReplicas: 0` may scale from and to zero (gate `HPAScaleToZero`).
    pub scale_to_zero: bool,
    /// The condition `ScaledToZero` decides whether an HPA at zero is evaluated.
    pub scaled_to_zero_condition: bool,
    /// Pod-level requests replace the sum of the containers' (gate `PodLevelResources`).
    pub pod_level_resources: bool,
    /// Succeeded pods are left out of pod-based metrics, as failed ones are.
    pub succeeded_pods_ignored: bool,
    /// The scale write is repeated on conflict.
    pub conflict_retry: bool,
    /// An HPA is processed at its creation instead of a sync period later.
    pub immediate_first_pass: bool,
    /// A change of the HPA's spec is processed at once (gate `HPAGeneration`).
    pub immediate_spec_change: bool,
}

impl Capabilities {
    /// The defaults of Kubernetes 1.`minor`.
    #[must_use]
    pub const fn of_kubernetes(minor: u32) -> Self {
        Capabilities {
            two_sided_tolerance: minor >= 33,
            configurable_tolerance: minor >= 35,
            scale_to_zero: minor >= 37,
            scaled_to_zero_condition: minor >= 36,
            pod_level_resources: minor >= 34,
            succeeded_pods_ignored: minor >= 36,
            conflict_retry: minor >= 34,
            immediate_first_pass: minor >= 37,
            immediate_spec_change: minor >= 37,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings::of_kubernetes(35)
    }
}

impl Settings {
    /// Default flags with the capabilities of Kubernetes 1.`minor`.
    #[must_use]
    pub const fn of_kubernetes(minor: u32) -> Self {
        Settings {
            downscale_stabilization: Duration::from_mins(5),
            tolerance: 0.1,
            cpu_initialization_period: Duration::from_mins(5),
            initial_readiness_delay: Duration::from_secs(30),
            scale_up_limit_factor: 2.0,
            scale_up_limit_minimum: 4.0,
            capabilities: Capabilities::of_kubernetes(minor),
        }
    }
}

/// Deviations of a usage ratio from 1 that are ignored, as fractions (`replica_calculator.go: Tolerances`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerances {
    /// Above 1.
    pub scale_up: f64,
    /// Below 1.
    pub scale_down: f64,
    /// Compare each side with its own bound instead of `|1 - ratio|`.
    pub two_sided: bool,
}

impl Tolerances {
    /// Whether the ratio is near enough to 1 to leave the replicas alone; both bounds are inclusive, NaN is never within
    /// (`replica_calculator.go: Tolerances.isWithin`, `math.Abs(1.0-usageRatio) <= c.tolerance` before 1.33).
    #[must_use]
    pub fn is_within(&self, usage_ratio: f64) -> bool {
        if self.two_sided {
            1.0 - self.scale_down <= usage_ratio && usage_ratio <= 1.0 + self.scale_up
        } else {
            (1.0 - usage_ratio).abs() <= self.scale_up
        }
    }
}

/// How an event of an HPA enters the controller's work queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueue {
    /// At once.
    Immediate,
    /// One sync period later.
    RateLimited,
}

/// An informer event of an HPA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HpaEvent {
    /// The HPA was created.
    Created,
    /// The HPA was updated.
    Updated {
        /// Whether its spec changed.
        generation_changed: bool,
    },
}

/// How the event is queued (`horizontal.go: enqueueHPA, updateHPA`).
#[must_use]
pub const fn enqueue(capabilities: Capabilities, event: HpaEvent) -> Enqueue {
    let immediate = match event {
        HpaEvent::Created => capabilities.immediate_first_pass,
        HpaEvent::Updated { generation_changed } => generation_changed && capabilities.immediate_spec_change,
    };
    if immediate { Enqueue::Immediate } else { Enqueue::RateLimited }
}
