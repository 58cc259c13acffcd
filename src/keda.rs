//! KEDA's operator (`kedacore/keda`): when a workload goes to and from zero, which HPA it gets and what that HPA is told, and
//! how many Jobs a ScaledJob starts.
//!
//! Pure core: [`scaler`] turns a source's state into a value and an activity, [`fallback`] and [`formula`] change them,
//! [`state`] sums the triggers up for a poll or a pull, [`executor`] decides what a poll writes, [`hpa_spec`] builds the HPA,
//! [`scaled_job`] decides about Jobs.

pub mod annotations;
pub mod capabilities;
pub mod executor;
pub mod fallback;
pub mod formula;
pub mod hpa_spec;
pub mod scaled_job;
pub mod scaler;
pub mod state;

pub use annotations::Annotations;
pub use capabilities::Capabilities;
pub use state::{ScalersCache, Status};
