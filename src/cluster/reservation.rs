//! Capacity reservations as EC2 bills them.

use crate::time::Time;
use crate::units::Usd;

/// A capacity reservation: from its beginning to its end every instance of it costs its price, used or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapacityReservation {
    /// Id.
    pub id: String,
    /// Instance type.
    pub instance_type: String,
    /// Zone.
    pub zone: String,
    /// Instances.
    pub count: u32,
    /// When it becomes active.
    pub begins: Time,
    /// When it ends; [`Time::MAX`] = never.
    pub ends: Time,
    /// What an hour of an instance costs, from each time on.
    pub prices: Vec<(Time, Usd)>,
}
