//! Where pods would run: on existing nodes, on claims opened in this pass, or on further claims; and what each claim may become.
//!
//! [`solve`] answers one question ([`Input`]) with one plan ([`Results`]). It neither launches nor binds. The provisioner calls it for
//! pending pods, disruption calls it to see where the pods of a candidate would go.

mod arena;
mod claim;
mod constraints;
mod existing;
mod finalize;
pub mod go_sort;
mod host_ports;
mod input;
mod knowledge;
pub mod labels;
mod min_values;
mod offers;
pub mod pod_requirements;
pub mod preferences;
mod queue;
pub mod requirement;
pub mod requirements;
mod reservations;
mod results;
mod shape;
mod solver;
mod template;
#[cfg(test)]
mod tests;
pub mod tie;
mod topology;
mod topology_group;
mod type_set;
mod volume_topology;

pub use finalize::{capacity_types, resolve_labels};
pub use host_ports::of as host_ports;
pub use input::{
    BoundPods, ExistingNode, HostPort, Input, MinValuesPolicy, Options, Pod, Pool, PreferencePolicy, Shape,
};
pub use knowledge::{Common, Knowledge};
pub use offers::{offering_allowed, order_by_price, required_reservations, type_requirement};
pub use results::{ClaimError, NewClaim, Results, SchedulingError};
pub use solver::{solve, solve_among, solve_knowing};
