//! KEDA's operator (`kedacore/keda`): when a workload goes to and from zero, which HPA it gets and what that HPA is told, and
//! how many Jobs a ScaledJob starts.
//!
//! Pure core: [`scaler`] turns a source's state into a value and an activity, [`fallback`] and [`formula`] change them,
//! [`state`] sums the triggers up for a poll or a pull, [`executor`] decides what a poll writes, [`hpa_spec`] builds the HPA,
//! [`scaled_job`] decides about Jobs. Shell: [`operator`] with its loops, [`job_loop`] for ScaledJobs, [`sources`] to ask the
//! triggers' sources.

pub mod annotations;
pub mod capabilities;
pub mod executor;
pub mod fallback;
pub mod formula;
pub mod hpa_spec;
pub mod job_loop;
pub mod operator;
pub mod scaled_job;
pub mod scaler;
pub mod sources;
pub mod state;

pub use annotations::Annotations;
pub use capabilities::Capabilities;
pub use operator::{Event, Operator};
pub use state::{ScalersCache, Status};
