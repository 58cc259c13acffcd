//! EC2 and Karpenter's AWS and KWOK providers: what can be bought, how much of a node pods may use, what it costs, and when the
//! cloud says no.

pub mod batcher;
pub mod billing;
pub mod capacity;
pub mod catalogue;
pub mod classes;
pub mod data;
pub mod fleet;
pub mod known;
pub mod kwok;
pub mod labels;
pub mod launch;
pub mod limits;
pub mod overlay;
pub mod pools;
pub mod prices;
pub mod provider;
pub mod reservations;
pub mod selectors;
pub mod unavailable;
