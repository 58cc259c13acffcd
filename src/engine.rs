//! Event calendar, random streams, distributions and histograms. Knows nothing of Kubernetes.

pub mod agenda;
pub mod bucket;
pub mod calendar;
pub mod cron;
pub mod distribution;
pub mod histogram;
pub mod law;
pub mod stream;
pub mod table;
pub mod xoshiro;

pub use agenda::Agenda;
pub use bucket::TokenBucket;
pub use calendar::Calendar;
pub use cron::Schedule;
pub use distribution::Distribution;
pub use histogram::Durations;
pub(crate) use histogram::count_one;
pub use stream::{Family, Stream, Streams};
pub use table::Table;
