//! The rate over time of recorded counts.

use super::rates::Piece;

/// The rate over time of counts per bucket: linear between the middles of buckets, scaled so that each bucket keeps its count
/// as nearly as a continuous rate can.
pub(crate) fn pieces(buckets: &[(f64, f64, f64)]) -> Vec<Piece> {
    let middle = |(at, length, _): &(f64, f64, f64)| at + length / 2.0;
    let rate = |(_, length, count): &(f64, f64, f64)| if *length > 0.0 { count / length } else { 0.0 };
    let mut pieces = Vec::with_capacity(buckets.len() + 1);
    if let Some(first) = buckets.first() {
        pieces.push(Piece { at: first.0, length: first.1 / 2.0, from: rate(first), to: rate(first) });
    }
    for pair in buckets.windows(2) {
        let (at, end) = (middle(&pair[0]), middle(&pair[1]));
        pieces.push(Piece { at, length: end - at, from: rate(&pair[0]), to: rate(&pair[1]) });
    }
    if let Some(last) = buckets.last() {
        pieces.push(Piece { at: middle(last), length: last.1 / 2.0, from: rate(last), to: rate(last) });
    }
    pieces
}
