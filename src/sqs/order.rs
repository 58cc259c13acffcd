//! The three ways in which a queue keeps its visible messages.

use super::fair::Tenants;
use super::fifo::Groups;
use super::settings::QueueKind;
use super::standard::Shards;

/// The visible messages of a queue (FIFO: all its messages) in the order of their delivery.
///
/// With a tag of its own: one hidden among the values of a field takes eight instructions to read, for each message several times.
#[derive(Debug)]
#[repr(u8)]
pub(crate) enum Order {
    Standard(Shards),
    Fair(Tenants),
    Fifo(Groups),
}

impl Order {
    pub fn new(kind: QueueKind) -> Self {
        match kind {
            QueueKind::Standard { shards, sampling } => Order::Standard(Shards::new(shards, sampling)),
            QueueKind::Fair => Order::Fair(Tenants::new()),
            QueueKind::Fifo { look_ahead, .. } => Order::Fifo(Groups::new(look_ahead)),
        }
    }
}
