//! Two logistic regressions on the embedding, P(Lightweight right) and P(Powerful right), fitted as the n-gram models
//! are: by dual coordinate ascent.

use tinydancer_engine::artifact::ReadOutParts;

use crate::embeddings::dot;
use crate::ngram::solve;
use crate::random::Random;

/// Weight of a row's loss against half the squared norm of the weights (C of liblinear).
const STRENGTH: f64 = 1.0;
/// Passes over the rows.
const PASSES: usize = 12;
/// An embedding has length 1, and there is one constant feature beside it.
const SQUARES: f64 = 2.0;

/// Fits both on rows of length 1 with targets of 0 to 1, and rounds the weights to bytes.
pub(super) fn fit(rows: &[&[f32]], targets: &[[f64; 2]], random: &mut Random) -> ReadOutParts {
    let models = [0, 1].map(|tier| {
        let targets: Vec<f64> = targets.iter().map(|targets| targets[tier]).collect();
        regression(rows, &targets, random)
    });
    let scale = models.each_ref().map(|(weights, _)| {
        let largest = weights.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
        if largest > 0.0 { largest / 127.0 } else { 1.0 }
    });
    let bytes = models
        .iter()
        .zip(scale)
        .flat_map(|((weights, _), scale)| weights.iter().map(move |weight| (weight / scale).round() as i8));
    ReadOutParts {
        weight: bytes.collect(),
        scale,
        offset: models.each_ref().map(|(_, offset)| *offset as f32),
    }
}

/// Weights and offset of one regression.
fn regression(rows: &[&[f32]], targets: &[f64], random: &mut Random) -> (Vec<f32>, f64) {
    let mut weights = vec![0.0_f32; rows.first().map_or(0, |row| row.len())];
    let mut offset = 0.0;
    // What each row is predicted at the optimum. Starting at its target is a weight of zero.
    let mut duals = targets.to_vec();
    let mut order: Vec<usize> = (0..rows.len()).collect();
    for _ in 0..PASSES {
        random.shuffle(&mut order);
        for row in &order {
            let score = offset + f64::from(dot(&weights, rows[*row]));
            let dual = solve(score, duals[*row], STRENGTH * SQUARES);
            let change = STRENGTH * (duals[*row] - dual);
            duals[*row] = dual;
            offset += change;
            let step = change as f32;
            weights.iter_mut().zip(rows[*row]).for_each(|(weight, number)| *weight += step * number);
        }
    }
    (weights, offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ngram::logistic;

    fn rows() -> (Vec<Vec<f32>>, Vec<[f64; 2]>) {
        let mut random = Random::stream(4, 4);
        (0..500)
            .map(|_| {
                let angle = random.uniform() * std::f64::consts::TAU;
                let row = vec![libm::cos(angle) as f32, libm::sin(angle) as f32];
                let right = f64::from(u8::from(random.uniform() < logistic(3.0 * libm::cos(angle))));
                (row, [right, 0.5])
            })
            .unzip()
    }

    #[test]
    fn at_the_optimum_the_gradient_is_zero() {
        let (rows, targets) = rows();
        let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        let targets: Vec<f64> = targets.iter().map(|targets| targets[0]).collect();
        let (weights, offset) = regression(&rows, &targets, &mut Random::stream(1, 1));
        let mut gradient = [f64::from(weights[0]), f64::from(weights[1]), offset];
        for (row, target) in rows.iter().zip(&targets) {
            let error = STRENGTH * (logistic(offset + f64::from(dot(&weights, row))) - target);
            gradient[0] += error * f64::from(row[0]);
            gradient[1] += error * f64::from(row[1]);
            gradient[2] += error;
        }
        assert!(gradient.iter().all(|slope| slope.abs() < 0.05), "{gradient:?}");
    }

    #[test]
    fn what_a_direction_says_is_found_and_an_even_target_has_no_weights() {
        let (rows, targets) = rows();
        let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        let parts = fit(&rows, &targets, &mut Random::stream(1, 1));
        let slope = f32::from(parts.weight[0]) * parts.scale[0];
        assert!((2.2..3.8).contains(&slope), "{slope}");
        assert!(parts.weight[1].unsigned_abs() < 30);
        assert!(parts.offset[1].abs() < 0.01);
        assert!(parts.weight[2..].iter().all(|byte| (f32::from(*byte) * parts.scale[1]).abs() < 0.001));
    }
}
