//! What SQS bills: requests in units of 64 KiB of payload (us-east-1, 2026).

use super::settings::QueueKind;
use super::statistics::{PARTS, Requests};
use crate::units::Usd;

/// Payload of one billed unit, in bytes.
pub const UNIT_BYTES: u64 = 64 * 1024;
/// Requests of a month that cost nothing.
pub const FREE_REQUESTS: u64 = 1_000_000;
/// Requests up to which the first and the second price hold.
const TIERS: [u64; 2] = [100_000_000_000, 200_000_000_000];
/// Nano-dollars per request of a standard queue, by tier.
const STANDARD_NANO: [u64; 3] = [400, 300, 240];
/// Nano-dollars per request of a FIFO queue; sources disagree on tiers, so there are none.
const FIFO_NANO: u64 = 500;
/// Nano-dollars that fair queues add per request.
const FAIR_NANO: u64 = 100;

/// Billed units of one call with this payload, at least 1.
#[must_use]
pub const fn units(payload_bytes: u64) -> u64 {
    let units = payload_bytes.div_ceil(UNIT_BYTES);
    if units == 0 { 1 } else { units }
}

/// USD per million requests of a queue, in the first tier.
#[must_use]
pub const fn per_million(kind: QueueKind) -> Usd {
    Usd::from_nano(
        1_000_000
            * match kind {
                QueueKind::Standard { .. } => STANDARD_NANO[0],
                QueueKind::Fair => STANDARD_NANO[0] + FAIR_NANO,
                QueueKind::Fifo { .. } => FIFO_NANO,
            } as i64,
    )
}

/// Parts of a billed request that each of the `batch` messages of a call has, with this payload a message.
#[inline]
pub(super) fn share_of_call(payload_bytes: u64, batch: u32) -> u64 {
    // Nearly all calls: no division.
    if batch <= 1 && payload_bytes <= UNIT_BYTES {
        return PARTS;
    }
    let batch = u64::from(batch.max(1));
    units(payload_bytes * batch) * PARTS / batch
}

/// Price of a queue's requests, without the free tier; the tiers are those of one queue alone.
#[must_use]
pub fn price(kind: QueueKind, requests: &Requests) -> Usd {
    let parts = requests.total_parts();
    let nano_parts: u128 = match kind {
        QueueKind::Fifo { .. } => u128::from(parts) * u128::from(FIFO_NANO),
        QueueKind::Standard { .. } => tiered(parts, 0),
        QueueKind::Fair => tiered(parts, FAIR_NANO),
    };
    Usd::from_nano(i64::try_from(nano_parts / u128::from(PARTS)).unwrap_or(i64::MAX))
}

fn tiered(parts: u64, surcharge: u64) -> u128 {
    let mut from = 0;
    let mut sum = 0;
    for (tier, nano) in STANDARD_NANO.iter().enumerate() {
        let to = TIERS.get(tier).map_or(u64::MAX, |requests| requests * PARTS);
        let within = parts.min(to).saturating_sub(from);
        sum += u128::from(within) * u128::from(nano + surcharge);
        from = to;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_long_poller_costs_five_cents_a_month() {
        // 4,320 polls a day for 30 days at $0.40 per million: $0.05184.
        let requests = Requests { receive_parts: 129_600 * PARTS, ..Requests::default() };
        let kind = QueueKind::Standard { shards: 16, sampling: 0.5 };
        assert_eq!(price(kind, &requests), Usd::from_nano(51_840_000));
    }

    #[test]
    fn payload_is_billed_in_units() {
        assert_eq!([0, 1, 65_536, 65_537, 262_144, 1_048_576].map(units), [1, 1, 1, 2, 4, 16]);
    }

    #[test]
    fn the_second_hundred_billion_is_cheaper() {
        let requests = Requests { send_parts: 150_000_000_000 * PARTS, ..Requests::default() };
        let kind = QueueKind::Standard { shards: 16, sampling: 0.5 };
        assert_eq!(price(kind, &requests), Usd::from_f64(100_000.0 * 0.40 + 50_000.0 * 0.30));
    }
}
