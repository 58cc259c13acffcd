//! A NodeClaim's life: launch, registration, initialization, liveness; drain and termination; expiration, garbage collection,
//! interruption and repair (karpenter `pkg/controllers/nodeclaim`, `pkg/controllers/node`).

pub mod controller;
pub mod drain;
pub mod expiration;
pub mod garbage;
pub mod interruption;
pub mod launch;
pub mod progress;
pub mod registration_health;
pub mod repair;
pub mod taints;
pub mod termination;
