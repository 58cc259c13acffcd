//! Call quotas of FIFO queues: 300 calls a second of each kind and partition.

use crate::time::Time;

/// Kinds of calls with quotas of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Send,
    Receive,
    Delete,
}

/// Calls a second of one kind in one partition; a second's worth may come at once.
const CALLS_PER_SECOND: u64 = 300;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A virtual schedule (generic cell rate algorithm): where the next call would stand if calls were evenly spaced.
#[derive(Clone, Copy, Debug, Default)]
struct Schedule {
    nanos: u64,
}

impl Schedule {
    /// Admits a share (1/`batch`) of a call, or tells when it can be.
    fn admit(&mut self, now: Time, calls_per_second: u64, batch: u32) -> Result<(), Time> {
        let now_nanos = now.as_micros() * 1000;
        let step = NANOS_PER_SECOND / calls_per_second / u64::from(batch.max(1));
        let next = self.nanos.max(now_nanos) + step;
        let latest = now_nanos + NANOS_PER_SECOND;
        if next > latest {
            return Err(Time::from_micros((next - NANOS_PER_SECOND).div_ceil(1000)));
        }
        self.nanos = next;
        Ok(())
    }
}

/// The quotas of one queue.
#[derive(Clone, Debug)]
pub(crate) struct Throughput {
    /// Sends and deletes per partition.
    partitions: Vec<[Schedule; 2]>,
    /// Receives name no group: one schedule with the quota of all partitions.
    receive: Schedule,
}

impl Throughput {
    pub fn new(partitions: u32) -> Self {
        Throughput { partitions: vec![[Schedule::default(); 2]; partitions as usize], receive: Schedule::default() }
    }

    /// Admits a share of a call of `action` for messages of `group`, or tells when it can be.
    pub fn admit(&mut self, action: Action, group: u32, now: Time, batch: u32) -> Result<(), Time> {
        let count = self.partitions.len();
        if count == 0 {
            return Ok(());
        }
        if action == Action::Receive {
            return self.receive.admit(now, CALLS_PER_SECOND * count as u64, 1);
        }
        let partition = (group.wrapping_mul(0x9e37_79b9) >> 8) as usize % count;
        self.partitions[partition][usize::from(action == Action::Delete)].admit(now, CALLS_PER_SECOND, batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(batch: u32, seconds: u64) -> u64 {
        let mut throughput = Throughput::new(1);
        let mut count = 0;
        for micros in (0..seconds * 1_000_000).step_by(100) {
            count += u64::from(throughput.admit(Action::Send, 0, Time::from_micros(micros), batch).is_ok());
        }
        count
    }

    #[test]
    fn three_hundred_calls_or_three_thousand_messages_a_second() {
        // The first second's worth may come at once, so ten seconds admit eleven seconds' worth.
        assert!(admitted(1, 10).abs_diff(3_300) <= 2, "{}", admitted(1, 10));
        assert!(admitted(10, 10).abs_diff(33_000) <= 20, "{}", admitted(10, 10));
    }
}
