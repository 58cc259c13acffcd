//! What the cloud offers: instance types with their labels, sizes and priced offerings. `ec2/` fills it, Karpenter reads it.

use std::sync::Arc;

use crate::units::{Resources, Usd};

/// Label keys and their allowed values, sorted by key.
pub type TypeLabels = Vec<(String, Vec<String>)>;

/// Index of an instance type in its catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u32);

/// Index of a zone in its catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneId(pub u16);

/// Index of a capacity reservation in its catalogue: the same in all catalogues of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReservationId(pub u16);

/// How an instance is bought (`karpenter.sh/capacity-type`), in Karpenter's order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CapacityType {
    /// From a capacity reservation.
    Reserved,
    /// Spot.
    Spot,
    /// On demand.
    OnDemand,
}

/// One way to buy an instance type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offering {
    /// Zone.
    pub zone: ZoneId,
    /// Capacity type.
    pub capacity_type: CapacityType,
    /// USD per hour as Karpenter sees it. Decisions compare and add these as upstream does, in doubles.
    pub price: f64,
    /// Whether it can be launched now as far as Karpenter knows.
    pub available: bool,
    /// The capacity reservation behind it, of reserved ones.
    pub reservation: Option<ReservationId>,
}

/// Kinds of capacity reservations, in the order in which Karpenter takes them at the same price (`CapacityReservationTypeFilter`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReservationKind {
    /// On-Demand Capacity Reservation.
    #[default]
    Default,
    /// Capacity block.
    CapacityBlock,
    /// On-Demand Capacity Reservation that its owner may take back.
    Interruptible,
}

/// A capacity reservation as Karpenter knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Its id at EC2, `cr-0123456789abcdef0`.
    pub id: String,
    /// What kind of reservation it is.
    pub kind: ReservationKind,
    /// Instances that can still be launched into it.
    pub left: u32,
}

/// An instance type.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceType {
    /// Name, `m5.large`.
    pub name: String,
    /// Labels its nodes carry (without zone and capacity type, which offerings decide).
    pub labels: Arc<TypeLabels>,
    /// Capacity: what NodePool limits count.
    pub capacity: Resources,
    /// Allocatable: what pods may request, as Karpenter expects it.
    pub allocatable: Resources,
    /// Ways to buy it.
    pub offerings: Vec<Offering>,
}

/// All instance types that a node class can use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalogue {
    /// Zone names, in alphabetical order.
    pub zones: Vec<String>,
    /// Zones in which the node class has no subnet: offerings there are not available, and no domains.
    pub without_subnet: Vec<ZoneId>,
    /// Capacity reservations; those that the node class does not select have no offerings.
    pub reservations: Vec<Reservation>,
    /// Types, in alphabetical order of their names.
    pub types: Vec<InstanceType>,
}

impl CapacityType {
    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            CapacityType::Reserved => "reserved",
            CapacityType::Spot => "spot",
            CapacityType::OnDemand => "on-demand",
        }
    }

    /// From the label value.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [CapacityType::Reserved, CapacityType::Spot, CapacityType::OnDemand].into_iter().find(|c| c.as_str() == text)
    }
}

impl ReservationKind {
    /// Value of `karpenter.k8s.aws/capacity-reservation-type`.
    #[must_use]
    pub const fn type_label(self) -> &'static str {
        match self {
            ReservationKind::Default | ReservationKind::Interruptible => "default",
            ReservationKind::CapacityBlock => "capacity-block",
        }
    }

    /// Value of `karpenter.k8s.aws/capacity-reservation-interruptible`.
    #[must_use]
    pub const fn interruptible_label(self) -> &'static str {
        match self {
            ReservationKind::Default | ReservationKind::CapacityBlock => "false",
            ReservationKind::Interruptible => "true",
        }
    }
}

impl Offering {
    /// Price per hour in money, for the ledger.
    #[must_use]
    pub fn usd_per_hour(&self) -> Usd {
        Usd::from_f64(self.price)
    }
}

impl Catalogue {
    /// The type of that index.
    #[must_use]
    pub fn get(&self, id: TypeId) -> &InstanceType {
        &self.types[id.0 as usize]
    }

    /// The type of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<TypeId> {
        self.types.binary_search_by(|t| t.name.as_str().cmp(name)).ok().map(|i| TypeId(i as u32))
    }

    /// Name of a zone.
    #[must_use]
    pub fn zone(&self, id: ZoneId) -> &str {
        &self.zones[usize::from(id.0)]
    }

    /// The reservation of that index.
    #[must_use]
    pub fn reservation(&self, id: ReservationId) -> &Reservation {
        &self.reservations[usize::from(id.0)]
    }

    /// Zone of that name.
    #[must_use]
    pub fn find_zone(&self, name: &str) -> Option<ZoneId> {
        self.zones.iter().position(|zone| zone == name).map(|i| ZoneId(i as u16))
    }
}
