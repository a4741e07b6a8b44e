//! A cell of 64 units, whole and with matrices of rank 8: where low rank is worth a form of its own.

use std::hint::black_box;

use tinydancer_compare::inputs::{self, Numbers};
use tinydancer_compare::measure::Operation;
use tinydancer_engine::fastgrnn::{Cell, LowRankCell, LowRankWeights};

use super::{Row, Rows, matrix, row};

const INPUTS: usize = 32;
const UNITS: usize = 64;
const RANK: usize = 8;

pub(crate) fn add(all: &mut Rows) -> anyhow::Result<()> {
    let weights = weights();
    let (whole, narrow) = (Cell::new(&weights.multiplied()), LowRankCell::new(&weights));
    let mut state = [0.0; UNITS];
    let step = operation(move |input| {
        whole.step(input, &mut state);
        state[0]
    });
    all.add("cell/64-units/portable", |_| Ok(Row::of(step)))?;
    let step = operation(move |input| {
        narrow.step(input, &mut state);
        state[0]
    });
    all.add("cell/64-units-rank-8/portable", |_| Ok(Row::of(step)))
}

/// One step after the other, on inputs that take turns.
fn operation(mut step: impl FnMut(&[f32; INPUTS]) -> f32 + 'static) -> Operation {
    let mut numbers = Numbers::new(8);
    let inputs: Vec<[f32; INPUTS]> = (0..inputs::QUERIES).map(|_| row(&mut numbers, 1.0)).collect();
    Operation::of(move |number| step(black_box(&inputs[number % inputs::QUERIES])))
}

fn weights() -> LowRankWeights<INPUTS, UNITS, RANK, RANK> {
    let mut numbers = Numbers::new(9);
    LowRankWeights {
        w1: matrix(&mut numbers, 0.3),
        w2: matrix(&mut numbers, 0.3),
        u1: matrix(&mut numbers, 0.3),
        u2: matrix(&mut numbers, 0.3),
        bias_gate: row(&mut numbers, 1.0),
        bias_update: row(&mut numbers, 1.0),
        zeta: 1.0,
        nu: -4.0,
    }
}
