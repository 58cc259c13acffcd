//! The problems that people report of KEDA and Karpenter on queues: `scenarios/problems` holds one scenario a problem, and here
//! stands what each of them must show.

mod consolidation;
mod disruption;
mod nodes;
mod pods;
mod support;
