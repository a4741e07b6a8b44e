//! Matrices of low rank: the nearest one of a matrix, and its two factors.

/// Sweeps over all pairs of columns; a matrix of 64 columns needs about ten.
const SWEEPS: usize = 30;
/// The cosine of two columns below which they are orthogonal.
const ORTHOGONAL: f64 = 1e-14;

/// `left * right`, of some rank.
#[derive(Debug, Clone, PartialEq)]
pub struct Factors {
    /// Row by row, as many columns as the rank; `W2` of `FastGRNN`.
    pub left: Vec<f64>,
    /// Row by row, as many rows as the rank; `W1` of `FastGRNN`.
    pub right: Vec<f64>,
    /// Columns of the left one, rows of the right one.
    pub rank: usize,
}

impl Factors {
    /// The factors of the nearest matrix (in the sum of squares) of at most this rank; `values` are row by row.
    /// Both factors carry the same weight. The rank is at most the smaller side.
    pub fn nearest(values: &[f64], columns: usize, rank: usize) -> Self {
        let rows = values.len() / columns.max(1);
        let rank = rank.min(rows).min(columns);
        let (scaled, right) = decompose(values, columns);
        let mut order: Vec<usize> = (0..columns).collect();
        let length =
            |column: usize| (0..rows).map(|row| scaled[row * columns + column].powi(2)).sum::<f64>().sqrt();
        let lengths: Vec<f64> = (0..columns).map(length).collect();
        order.sort_by(|one, other| lengths[*other].total_cmp(&lengths[*one]));
        order.truncate(rank);
        let root = |column: usize| if lengths[column] > 0.0 { lengths[column].sqrt() } else { 1.0 };
        Self {
            left: (0..rows)
                .flat_map(|row| order.iter().map(move |column| (row, *column)))
                .map(|(row, column)| scaled[row * columns + column] / root(column))
                .collect(),
            right: order
                .iter()
                .flat_map(|column| (0..columns).map(move |row| (row, *column)))
                .map(|(row, column)| right[row * columns + column] * root(column))
                .collect(),
            rank,
        }
    }

    /// Multiplied out, row by row.
    pub fn product(&self) -> Vec<f64> {
        let columns = self.right.len() / self.rank.max(1);
        let mut product = Vec::with_capacity(self.left.len() / self.rank.max(1) * columns);
        for row in self.left.chunks(self.rank.max(1)) {
            let sum = |column: usize| {
                row.iter()
                    .enumerate()
                    .map(|(inner, value)| value * self.right[inner * columns + column])
                    .sum()
            };
            product.extend((0..columns).map(sum).collect::<Vec<f64>>());
        }
        product
    }
}

/// Makes a matrix the nearest one of at most this rank.
pub fn truncate(values: &mut [f64], columns: usize, rank: usize) {
    let product = Factors::nearest(values, columns, rank).product();
    for (value, nearest) in values.iter_mut().zip(product) {
        *value = nearest;
    }
}

/// One-sided Jacobi: turns columns until all are orthogonal. Returns the matrix times the turns, whose columns have
/// the singular values as lengths, and the turns.
fn decompose(values: &[f64], columns: usize) -> (Vec<f64>, Vec<f64>) {
    let mut turned = values.to_vec();
    let mut turns = vec![0.0; columns * columns];
    for column in 0..columns {
        turns[column * columns + column] = 1.0;
    }
    for _ in 0..SWEEPS {
        let mut changed = false;
        for one in 0..columns {
            for other in one + 1..columns {
                if let Some(angle) = angle(&turned, columns, one, other) {
                    turn(&mut turned, columns, [one, other], angle);
                    turn(&mut turns, columns, [one, other], angle);
                    changed = true;
                }
            }
        }
        if !changed {
            break;
        }
    }
    (turned, turns)
}

/// Cosine and sine of the turn that makes two columns orthogonal; nothing if they are.
fn angle(values: &[f64], columns: usize, one: usize, other: usize) -> Option<[f64; 2]> {
    let [mut first, mut second, mut both] = [0.0; 3];
    for row in values.chunks(columns) {
        first += row[one] * row[one];
        second += row[other] * row[other];
        both += row[one] * row[other];
    }
    if both.abs() <= ORTHOGONAL * (first * second).sqrt() {
        return None;
    }
    let ratio = (second - first) / (2.0 * both);
    let tangent = ratio.signum() / (ratio.abs() + (1.0 + ratio * ratio).sqrt());
    let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
    Some([cosine, cosine * tangent])
}

fn turn(values: &mut [f64], columns: usize, [one, other]: [usize; 2], [cosine, sine]: [f64; 2]) {
    for row in values.chunks_mut(columns) {
        let (first, second) = (row[one], row[other]);
        row[one] = cosine * first - sine * second;
        row[other] = sine * first + cosine * second;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn matrix(rows: usize, columns: usize, seed: u64) -> Vec<f64> {
        let mut random = Random::stream(seed, 3);
        (0..rows * columns).map(|_| random.normal()).collect()
    }

    fn distance(one: &[f64], other: &[f64]) -> f64 {
        one.iter().zip(other).map(|(one, other)| (one - other).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn the_whole_rank_is_the_matrix_itself() {
        for (rows, columns) in [(16, 8), (16, 16), (3, 7), (64, 64), (1, 1)] {
            let before = matrix(rows, columns, 1);
            let factors = Factors::nearest(&before, columns, rows.max(columns));
            assert_eq!(factors.rank, rows.min(columns));
            assert!(distance(&before, &factors.product()) < 1e-10, "{rows} {columns}");
        }
    }

    #[test]
    fn a_matrix_of_that_rank_is_found_again_and_another_loses_its_least_directions() {
        let known = Factors { left: matrix(16, 3, 1), right: matrix(3, 12, 2), rank: 3 };
        let mut values = known.product();
        let before = values.clone();
        truncate(&mut values, 12, 3);
        assert!(distance(&before, &values) < 1e-10);
        // The rest is orthogonal to what stays, and no other directions would leave less.
        let noisy: Vec<f64> =
            before.iter().zip(matrix(16, 12, 5)).map(|(value, noise)| value + 0.01 * noise).collect();
        let mut nearest = noisy.clone();
        truncate(&mut nearest, 12, 3);
        let rest: Vec<f64> = noisy.iter().zip(&nearest).map(|(value, kept)| value - kept).collect();
        let product: f64 = rest.iter().zip(&nearest).map(|(rest, kept)| rest * kept).sum();
        assert!(product.abs() < 1e-9);
        assert!(distance(&noisy, &nearest) < distance(&noisy, &before));
    }

    #[test]
    fn zeros_and_equal_columns_are_no_trouble() {
        let mut values = vec![0.0; 12];
        truncate(&mut values, 4, 2);
        assert_eq!(values, [0.0; 12]);
        let mut values = vec![1.0; 12];
        truncate(&mut values, 4, 1);
        assert!(values.iter().all(|value| (value - 1.0).abs() < 1e-12));
    }
}
