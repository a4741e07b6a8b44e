//! A cell of 64 units, whole and with matrices of rank 8: where low rank is worth a form of its own.
#![allow(clippy::inline_always, reason = "a step is compiled for each level of the processor")]

use std::hint::black_box;

use tinydancer_compare::inputs::{self, Numbers};
use tinydancer_compare::measure::Operation;
use tinydancer_engine::fastgrnn::{Cell, LowRankCell, LowRankWeights};
use tinydancer_engine::simd::{Level, Simd, Work};

use super::{Row, Rows, levels, matrix, row};

const INPUTS: usize = 32;
const UNITS: usize = 64;
const RANK: usize = 8;

pub(crate) fn add(all: &mut Rows) -> anyhow::Result<()> {
    for level in levels() {
        let weights = weights();
        all.add(&format!("cell/64-units/{}", level.name()), |_| {
            Ok(Row::of(operation(level, Cell::new(&weights.multiplied()))))
        })?;
        all.add(&format!("cell/64-units-rank-8/{}", level.name()), |_| {
            Ok(Row::of(operation(level, LowRankCell::new(&weights))))
        })?;
    }
    Ok(())
}

/// One step after the other, on inputs that take turns.
fn operation(level: Level, cell: impl Recurrent + 'static) -> Operation {
    let mut numbers = Numbers::new(8);
    let inputs: Vec<[f32; INPUTS]> = (0..inputs::QUERIES).map(|_| row(&mut numbers, 1.0)).collect();
    let mut state = [0.0; UNITS];
    Operation::of(move |number| {
        let input = black_box(&inputs[number % inputs::QUERIES]);
        level.run(Step { cell: &cell, input, state: &mut state });
        state[0]
    })
}

trait Recurrent {
    fn step(&self, input: &[f32; INPUTS], state: &mut [f32; UNITS]);
}

impl Recurrent for Cell<INPUTS, UNITS> {
    #[inline(always)]
    fn step(&self, input: &[f32; INPUTS], state: &mut [f32; UNITS]) {
        self.step(input, state);
    }
}

impl Recurrent for LowRankCell<INPUTS, UNITS, RANK, RANK> {
    #[inline(always)]
    fn step(&self, input: &[f32; INPUTS], state: &mut [f32; UNITS]) {
        self.step(input, state);
    }
}

struct Step<'a, C> {
    cell: &'a C,
    input: &'a [f32; INPUTS],
    state: &'a mut [f32; UNITS],
}

impl<C: Recurrent> Work for Step<'_, C> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        self.cell.step(self.input, self.state);
    }
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
