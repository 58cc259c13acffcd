//! What a version of KEDA does differently from others.

/// Rules that changed between releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Triggers of a ScaledObject are queried at the same time instead of one after another.
    pub parallel_queries: bool,
    /// `initialCooldownPeriod` counts.
    pub initial_cooldown: bool,
    /// ScaledJob strategy `eager` exists; before it means `default`.
    pub eager_strategy: bool,
    /// `fallback.behavior` counts; before it is always `static`.
    pub fallback_behavior: bool,
    /// Annotations `force-activation`, `paused-scale-in` and `paused-scale-out` count.
    pub partial_pause: bool,
    /// `type` in the metadata of a cpu or memory trigger stands for its `metricType`; later it is refused.
    pub metadata_type: bool,
    /// Fallback works for `metricType: Value`.
    pub fallback_for_value: bool,
    /// Fallback counts failures and substitutes values in polls too, not only in pulls by the HPA.
    pub fallback_in_polls: bool,
    /// The bound of strategy `accurate` subtracts pending Jobs.
    pub accurate_counts_pending: bool,
    /// Cached records outlive errors of scalers.
    pub records_survive_errors: bool,
}

impl Capabilities {
    /// The rules of KEDA 2.`minor` at its last patch level.
    #[must_use]
    pub const fn of_keda(minor: u32) -> Self {
        Capabilities {
            parallel_queries: minor >= 13,
            initial_cooldown: minor >= 14,
            eager_strategy: minor >= 15,
            fallback_behavior: minor >= 17,
            partial_pause: minor >= 18,
            metadata_type: minor < 18,
            fallback_for_value: minor >= 18,
            fallback_in_polls: minor >= 19,
            accurate_counts_pending: minor >= 19,
            records_survive_errors: minor >= 21,
        }
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Capabilities::of_keda(20)
    }
}
