//! Which combinations of axis values are run: full cross product, pairs, Latin hypercube, Sobol.

use crate::engine::Streams;

/// How the axes combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Design {
    /// Every combination.
    Cross,
    /// The i-th values of all axes together; axes must be equally long.
    Zip,
    /// `points` combinations in which each axis is covered evenly.
    LatinHypercube {
        /// Number of combinations.
        points: usize,
    },
    /// The first `points` of Sobol's sequence (up to eight axes).
    Sobol {
        /// Number of combinations.
        points: usize,
    },
}

/// Why a design cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DesignError {
    /// Axes of a zip differ in length.
    #[error("the axes of a zip must have the same number of values, found {0:?}")]
    Lengths(Vec<usize>),
    /// Too many combinations.
    #[error("{0} combinations; at most {MAX_POINTS} are run")]
    TooMany(u128),
    /// More axes than Sobol's sequence here has dimensions.
    #[error("Sobol's sequence serves up to {MAX_SOBOL_AXES} axes, found {0}")]
    TooManyAxes(usize),
}

/// Most combinations of one sweep.
pub const MAX_POINTS: usize = 1_000_000;
/// Most axes of a Sobol design.
pub const MAX_SOBOL_AXES: usize = 8;

/// The combinations as indices into the axes' values; `lengths` = number of values of each axis. The last axis varies fastest.
///
/// # Errors
/// When the axes do not suit the design.
pub fn points(design: Design, lengths: &[usize], seed: u64) -> Result<Vec<Vec<usize>>, DesignError> {
    match design {
        Design::Cross => cross(lengths),
        Design::Zip => zip(lengths),
        Design::LatinHypercube { points } => Ok(latin_hypercube(points, lengths, seed)),
        Design::Sobol { points } => sobol(points, lengths),
    }
}

fn cross(lengths: &[usize]) -> Result<Vec<Vec<usize>>, DesignError> {
    let count = lengths.iter().map(|n| *n as u128).product::<u128>();
    if count > MAX_POINTS as u128 {
        return Err(DesignError::TooMany(count));
    }
    let mut all = vec![Vec::new()];
    for length in lengths {
        all = all.iter().flat_map(|point| (0..*length).map(|i| [point.as_slice(), &[i]].concat())).collect();
    }
    Ok(all)
}

fn zip(lengths: &[usize]) -> Result<Vec<Vec<usize>>, DesignError> {
    let first = lengths.first().copied().unwrap_or(0);
    if lengths.iter().any(|length| *length != first) {
        return Err(DesignError::Lengths(lengths.to_vec()));
    }
    Ok((0..first).map(|i| vec![i; lengths.len()]).collect())
}

/// Each axis is cut into `points` strata and every stratum is used once, in random order (McKay, Beckman, Conover 1979).
fn latin_hypercube(points: usize, lengths: &[usize], seed: u64) -> Vec<Vec<usize>> {
    let streams = Streams::new(seed, 0);
    let columns: Vec<Vec<usize>> = lengths
        .iter()
        .enumerate()
        .map(|(axis, length)| {
            let mut column: Vec<usize> = (0..points).map(|stratum| stratum * length / points.max(1)).collect();
            streams.open("latin hypercube", axis as u64).shuffle(&mut column);
            column
        })
        .collect();
    (0..points).map(|row| columns.iter().map(|column| column[row]).collect()).collect()
}

/// Primitive polynomials and initial direction numbers of dimensions 2 to 8 (Joe and Kuo 2008): degree, coefficients, m_i.
const DIRECTIONS: [(u32, u32, [u32; 4]); 7] = [
    (1, 0, [1, 0, 0, 0]),
    (2, 1, [1, 3, 0, 0]),
    (3, 1, [1, 3, 1, 0]),
    (3, 2, [1, 1, 1, 0]),
    (4, 1, [1, 1, 3, 3]),
    (4, 4, [1, 3, 5, 13]),
    (5, 2, [1, 1, 5, 5]),
];
/// The fifth initial number of dimension 8, whose polynomial has degree 5.
const FIFTH: u32 = 17;

fn sobol(points: usize, lengths: &[usize]) -> Result<Vec<Vec<usize>>, DesignError> {
    if lengths.len() > MAX_SOBOL_AXES {
        return Err(DesignError::TooManyAxes(lengths.len()));
    }
    let columns: Vec<Vec<u32>> = (0..lengths.len()).map(|dimension| sobol_column(dimension, points)).collect();
    Ok((0..points)
        .map(|row| {
            let place = |axis: usize| (u64::from(columns[axis][row]) * lengths[axis] as u64) >> 32;
            (0..lengths.len()).map(|axis| place(axis) as usize).collect()
        })
        .collect())
}

/// The first numbers of one dimension, as 32-bit fractions, in Gray-code order.
fn sobol_column(dimension: usize, points: usize) -> Vec<u32> {
    let directions = direction_numbers(dimension);
    let mut x = 0_u32;
    (0..points)
        .map(|i| {
            let value = x;
            x ^= directions[(i as u32).trailing_ones() as usize];
            value
        })
        .collect()
}

fn direction_numbers(dimension: usize) -> [u32; 32] {
    let mut v = [0_u32; 32];
    let Some(index) = dimension.checked_sub(1) else {
        return std::array::from_fn(|i| 1 << (31 - i));
    };
    let (degree, coefficients, initial) = DIRECTIONS[index];
    let degree = degree as usize;
    for i in 0..32 {
        v[i] = if i < degree {
            let m = initial.get(i).copied().unwrap_or(FIFTH);
            m << (31 - i)
        } else {
            let mut value = v[i - degree] ^ (v[i - degree] >> degree);
            for k in 1..degree {
                if (coefficients >> (degree - 1 - k)) & 1 == 1 {
                    value ^= v[i - k];
                }
            }
            value
        };
    }
    v
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cross_has_every_combination_once_with_the_last_axis_fastest() {
        let all = points(Design::Cross, &[2, 3], 0).unwrap();
        assert_eq!(all, [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]);
        assert_eq!(points(Design::Cross, &[1000, 1000, 1000], 0), Err(DesignError::TooMany(1_000_000_000)));
    }

    #[test]
    fn a_zip_needs_equal_lengths() {
        assert_eq!(points(Design::Zip, &[2, 2], 0).unwrap(), [[0, 0], [1, 1]]);
        assert_eq!(points(Design::Zip, &[2, 3], 0), Err(DesignError::Lengths(vec![2, 3])));
    }

    #[test]
    fn a_latin_hypercube_covers_each_axis_evenly() {
        let all = points(Design::LatinHypercube { points: 12 }, &[3, 4], 7).unwrap();
        for (axis, length) in [3, 4].into_iter().enumerate() {
            for value in 0..length {
                assert_eq!(all.iter().filter(|point| point[axis] == value).count(), 12 / length);
            }
        }
    }

    #[test]
    fn every_sobol_dimension_fills_dyadic_intervals_evenly() {
        for dimension in 0..MAX_SOBOL_AXES {
            let column = sobol_column(dimension, 64);
            for cell in 0..64_u32 {
                let inside = column.iter().filter(|x| **x >> 26 == cell).count();
                assert_eq!(inside, 1, "dimension {dimension}, cell {cell}");
            }
        }
        let pairs: std::collections::BTreeSet<(u32, u32)> =
            sobol_column(0, 16).iter().zip(sobol_column(1, 16)).map(|(a, b)| (a >> 30, b >> 30)).collect();
        assert_eq!(pairs.len(), 16);
    }
}
