//! Instances at the cloud.

use super::catalogue::{CapacityType, ReservationId, TypeId, ZoneId};
use super::ids::{NodeClaimId, NodeClassId};
use crate::time::Time;
use crate::units::Usd;

/// State of an instance at EC2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstanceState {
    /// Being started; free of charge.
    Pending,
    /// Running; billed.
    Running,
    /// Being terminated; free of charge.
    ShuttingDown,
    /// Gone.
    Terminated,
}

/// An instance.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Its NodeClaim; `None` for instances of node groups.
    pub nodeclaim: Option<NodeClaimId>,
    /// Whose catalogue its type is in.
    pub node_class: NodeClassId,
    /// Type.
    pub instance_type: TypeId,
    /// Zone.
    pub zone: ZoneId,
    /// Capacity type.
    pub capacity_type: CapacityType,
    /// Capacity reservation it was launched into; it leaves it when that ends.
    pub reservation: Option<ReservationId>,
    /// What an hour costs, from each time on; the first entry is from its launch.
    pub prices: Vec<(Time, Usd)>,
    /// State.
    pub state: InstanceState,
    /// Launched.
    pub launched: Time,
    /// Began to run: billing starts.
    pub running: Option<Time>,
    /// Began to shut down: billing stops.
    pub shutting_down: Option<Time>,
    /// Terminated.
    pub terminated: Option<Time>,
    /// Taken back by EC2.
    pub interrupted: bool,
}

impl Instance {
    /// An instance that is being started, without a NodeClaim.
    #[must_use]
    pub fn new(
        now: Time,
        node_class: NodeClassId,
        instance_type: TypeId,
        (zone, capacity_type): (ZoneId, CapacityType),
        price: Usd,
    ) -> Self {
        Instance {
            nodeclaim: None,
            node_class,
            instance_type,
            zone,
            capacity_type,
            reservation: None,
            prices: vec![(now, price)],
            state: InstanceState::Pending,
            launched: now,
            running: None,
            shutting_down: None,
            terminated: None,
            interrupted: false,
        }
    }
}
