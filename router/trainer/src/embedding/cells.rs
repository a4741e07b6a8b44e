//! Cells of a space of directions: spherical k-means (Dhillon and Modha, 2001) from a k-means++ start (Arthur and
//! Vassilvitskii, 2007), rows and dimensions taken in one fixed order.

use crate::embeddings::dot;
use crate::random::Random;

/// The most cells; an artifact takes no more.
const MOST_CELLS: usize = 64;
/// The fewest rows there are for each cell.
const FEWEST_ROWS: usize = 8;
/// Rounds of assigning and moving; few rows change their cell after these.
const ROUNDS: usize = 12;

/// A centre in bytes: `scale * bytes`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Quantised {
    /// One a dimension, the largest in size 127.
    pub(super) bytes: Vec<i8>,
    /// What a byte of one is worth.
    pub(super) scale: f32,
}

impl Quantised {
    /// The direction that is kept, of length 1.
    pub(super) fn centre(&self) -> Vec<f32> {
        let mut centre: Vec<f32> = self.bytes.iter().map(|byte| f32::from(*byte)).collect();
        to_unit(&mut centre);
        centre
    }
}

/// Centres of length 1 for these rows of length 1.
pub(super) fn centres(rows: &[&[f32]], random: &mut Random) -> Vec<Vec<f32>> {
    let mut centres = spread(rows, (rows.len() / FEWEST_ROWS).clamp(1, MOST_CELLS), random);
    for _ in 0..ROUNDS {
        let mut sums: Vec<Vec<f32>> = centres.iter().map(|centre| vec![0.0; centre.len()]).collect();
        for row in rows {
            if let Some(sum) = nearest(&centres, row).and_then(|cell| sums.get_mut(cell)) {
                sum.iter_mut().zip(*row).for_each(|(sum, number)| *sum += number);
            }
        }
        for (centre, mut sum) in centres.iter_mut().zip(sums) {
            // A cell without a row, or whose rows cancel out, stays where it is.
            if to_unit(&mut sum) {
                *centre = sum;
            }
        }
    }
    centres
}

/// Each centre in bytes, with the scale that its largest number asks for.
pub(super) fn quantise(centres: &[Vec<f32>]) -> Vec<Quantised> {
    let one = |centre: &Vec<f32>| {
        let largest = centre.iter().fold(f32::MIN_POSITIVE, |largest, number| largest.max(number.abs()));
        let scale = largest / 127.0;
        Quantised { bytes: centre.iter().map(|number| (number / scale).round() as i8).collect(), scale }
    };
    centres.iter().map(one).collect()
}

/// The most similar centre; of equal ones the first.
pub(super) fn nearest(centres: &[Vec<f32>], row: &[f32]) -> Option<usize> {
    let mut best = None;
    for (cell, centre) in centres.iter().enumerate() {
        let similarity = dot(centre, row);
        if best.is_none_or(|(_, most)| similarity > most) {
            best = Some((cell, similarity));
        }
    }
    best.map(|(cell, _)| cell)
}

/// Rows that lie apart: each drawn with a chance that grows with the square of its distance to those before.
fn spread(rows: &[&[f32]], most: usize, random: &mut Random) -> Vec<Vec<f32>> {
    let mut chosen: Vec<Vec<f32>> =
        rows.get(random.below(rows.len())).map(|row| row.to_vec()).into_iter().collect();
    let mut distances = vec![f64::INFINITY; rows.len()];
    while let Some(last) = chosen.last().filter(|_| chosen.len() < most) {
        for (distance, row) in distances.iter_mut().zip(rows) {
            // Half the squared distance of two points of length 1.
            *distance = distance.min(f64::from(1.0 - dot(last, row)).max(0.0));
        }
        let mut left = random.uniform() * distances.iter().sum::<f64>();
        let drawn = distances.iter().position(|distance| {
            left -= distance;
            left < 0.0
        });
        // All rows lie on the chosen ones.
        let Some(row) = drawn.and_then(|drawn| rows.get(drawn)) else { break };
        chosen.push(row.to_vec());
    }
    chosen
}

/// Scales to length 1; false for what has no direction.
fn to_unit(numbers: &mut [f32]) -> bool {
    let length = dot(numbers, numbers).sqrt();
    if length < f32::EPSILON {
        return false;
    }
    for number in numbers {
        *number /= length;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundles() -> Vec<Vec<f32>> {
        let mut random = Random::stream(2, 2);
        (0..90)
            .map(|row| {
                let mut numbers: Vec<f32> = (0..3)
                    .map(|axis| if axis == row % 3 { 1.0 } else { 0.05 * random.normal() as f32 })
                    .collect();
                to_unit(&mut numbers);
                numbers
            })
            .collect()
    }

    #[test]
    fn every_bundle_has_cells_of_its_own_and_the_same_seed_gives_the_same_ones() {
        let bundles = bundles();
        let rows: Vec<&[f32]> = bundles.iter().map(Vec::as_slice).collect();
        let centres = |seed| centres(&rows, &mut Random::stream(seed, 1));
        let found = centres(5);
        assert_eq!(found, centres(5));
        assert_eq!(found.len(), 90 / FEWEST_ROWS);
        let cells: Vec<usize> = rows.iter().map(|row| nearest(&found, row).unwrap()).collect();
        for (row, cell) in cells.iter().enumerate() {
            let axis = found[*cell].iter().position(|number| *number > 0.8);
            assert_eq!(axis, Some(row % 3), "row {row}");
        }
    }

    #[test]
    fn rows_that_are_all_the_same_make_one_cell() {
        let row = [0.6_f32, 0.8];
        let rows = vec![&row[..]; 100];
        let found = centres(&rows, &mut Random::stream(1, 1));
        assert_eq!(found.len(), 1);
        assert!(dot(&found[0], &row) > 0.999_99);
    }

    #[test]
    fn a_centre_in_bytes_points_the_same_way() {
        let mut centre: Vec<f32> = (0..50_i8).map(|number| f32::from(number - 20)).collect();
        to_unit(&mut centre);
        let kept = quantise(&[centre.clone()]);
        assert!(dot(&kept[0].centre(), &centre) > 0.9999);
        assert_eq!(kept[0].bytes.iter().map(|byte| byte.unsigned_abs()).max(), Some(127));
    }
}
