//! EC2 and Karpenter's AWS and KWOK providers: what can be bought, how much of a node pods may use, what it costs, and when the
//! cloud says no.

pub mod capacity;
pub mod catalogue;
pub mod data;
pub mod kwok;
pub mod labels;
