//! What one controller wants to happen later, in its own event type.

use crate::time::Time;

/// Events that a controller asks for while it handles one; the simulation puts them on the one calendar in this order.
#[derive(Debug)]
pub struct Agenda<E> {
    wanted: Vec<(Time, E)>,
}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        Agenda { wanted: Vec::new() }
    }
}

impl<E> Agenda<E> {
    /// Asks for `event` at `at`.
    pub fn at(&mut self, at: Time, event: E) {
        self.wanted.push((at, event));
    }

    /// Takes all wanted events, in the order they were asked for.
    pub fn drain(&mut self) -> std::vec::Drain<'_, (Time, E)> {
        self.wanted.drain(..)
    }

    /// Whether nothing is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }
}
