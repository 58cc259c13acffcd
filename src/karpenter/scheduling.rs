//! Where pods would run: on existing nodes, on claims opened in this pass, or on further claims; and what each claim may become.
//!
//! [`solve`] answers one question ([`Input`]) with one plan ([`Results`]). It neither launches nor binds. The provisioner calls it for
//! pending pods, disruption calls it to see where the pods of a candidate would go.

mod input;
pub mod labels;
pub mod requirement;
pub mod requirements;
mod results;

pub use input::{
    BoundPods, ExistingNode, HostPort, Input, MinValuesPolicy, Options, Pod, Pool, PreferencePolicy, Shape,
};
pub use results::{ClaimError, NewClaim, Results, SchedulingError};
