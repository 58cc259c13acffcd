//! The data plane: sources send messages, pods receive, process and delete them.
//!
//! [`DataPlane`] owns all queues, sources and consumers and has an event calendar of its own. Between two events of the control
//! plane it runs in a tight loop:
//!
//! ```text
//! loop {
//!     let at = calendar.next_time();                     // next event of the control plane
//!     while let Some(notice) = data.advance(at) {        // data events up to and including `at`
//!         handle(notice);                                // may schedule control events before `at`: then use that instant
//!     }
//!     handle(calendar.pop());                            // may call add_consumer, begin_stop, kill, attributes, ...
//! }
//! ```
//!
//! At equal instants data events come before control events; what a control event causes at its own instant comes after it.
//! Among data events of one instant: timers of queues, then arrivals, then consumers in the order in which their events were
//! made.
//!
//! Nothing in a message's path allocates, and consumers that wait for an empty queue cost no events: their empty polls are
//! counted by arithmetic.

mod event;
mod faults;
mod idle;
pub mod invariants;
mod lifecycle;
mod plane;
mod polling;
mod processing;
mod report;
pub mod settings;
mod watch;
mod worker;

pub use plane::{DataPlane, Notice, NoticeKind, PodRef, WorkerEvent, WorkerEventKind};
pub use report::{Totals, Work};
pub use settings::ConsumerSettings;
pub use watch::{Attempt, MessageStep, MessageStepKind, MessageTrail, MessageWatch};
