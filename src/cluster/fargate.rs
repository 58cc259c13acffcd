//! Names by which Fargate's nodes are known.

/// Label and taint of Fargate's nodes, with value `fargate`.
pub const COMPUTE_TYPE: &str = "eks.amazonaws.com/compute-type";
/// The node class whose types are the sizes of Fargate pods. No object can have its name.
pub const NODE_CLASS: &str = "fargate sizes";
