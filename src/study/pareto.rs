//! The points that no other point beats in everything.

/// Indices of the points for which no other is at least as good in all values and better in one; less is better.
#[must_use]
pub fn front(points: &[Vec<f64>]) -> Vec<usize> {
    (0..points.len()).filter(|i| !points.iter().any(|other| dominates(other, &points[*i]))).collect()
}

/// Whether `a` is at least as good as `b` in all values and better in one.
#[must_use]
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_holds_what_nothing_beats() {
        let points = [vec![1.0, 9.0], vec![2.0, 5.0], vec![3.0, 6.0], vec![4.0, 1.0], vec![2.0, 5.0]];
        assert_eq!(front(&points), [0, 1, 3, 4]);
    }
}
