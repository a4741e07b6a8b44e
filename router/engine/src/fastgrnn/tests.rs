//! The cell against `EdgeML`'s own (`goldens/make_goldens.py`).

use serde::Deserialize;

use super::*;

const GOLDENS: &str = include_str!("../../goldens/fastgrnn.json");

#[derive(Deserialize)]
struct Golden {
    inputs: usize,
    hidden: usize,
    #[serde(rename = "W")]
    w: Vec<f32>,
    #[serde(rename = "U")]
    u: Vec<f32>,
    bias_gate: Vec<f32>,
    bias_update: Vec<f32>,
    zeta: [f32; 1],
    nu: [f32; 1],
    x: Vec<f32>,
    h: Vec<GoldenState>,
}

/// The state after so many steps.
#[derive(Deserialize)]
struct GoldenState {
    step: usize,
    edgeml: Vec<f64>,
    exact: Vec<f64>,
}

impl Golden {
    fn all() -> Vec<Self> {
        serde_json::from_str(GOLDENS).unwrap()
    }

    fn cell<const I: usize, const H: usize>(&self) -> Cell<I, H> {
        Cell::new(&CellWeights {
            w: self.w.as_chunks().0.try_into().unwrap(),
            u: self.u.as_chunks().0.try_into().unwrap(),
            bias_gate: self.bias_gate.as_slice().try_into().unwrap(),
            bias_update: self.bias_update.as_slice().try_into().unwrap(),
            zeta: self.zeta[0],
            nu: self.nu[0],
        })
    }

    /// Runs the cell over the inputs and compares at each stored step.
    fn check<const I: usize, const H: usize>(&self) {
        let cell = self.cell::<I, H>();
        let mut state = [0.0; H];
        let mut compared = 0;
        for (index, input) in self.x.as_chunks().0.iter().enumerate() {
            cell.step(input, &mut state);
            for golden in self.h.iter().filter(|golden| golden.step == index + 1) {
                let tolerance = if golden.step == 1 { 1e-6 } else { 1e-5 };
                assert_near(&state, &golden.exact, tolerance, golden.step);
                assert_near(&state, &golden.edgeml, tolerance, golden.step);
                compared += 1;
            }
        }
        assert_eq!(compared, 4);
    }
}

fn assert_near(state: &[f32], expected: &[f64], tolerance: f64, step: usize) {
    assert_eq!(state.len(), expected.len());
    for (unit, (&found, expected)) in state.iter().zip(expected).enumerate() {
        let difference = (f64::from(found) - expected).abs();
        assert!(difference <= tolerance, "step {step}, unit {unit}: {found} is not {expected}");
    }
}

#[test]
fn the_cell_computes_what_that_of_edgeml_computes() {
    let goldens = Golden::all();
    assert_eq!(goldens.len(), 15);
    for golden in goldens {
        match (golden.inputs, golden.hidden) {
            (5, 8) => golden.check::<5, 8>(),
            (12, 16) => golden.check::<12, 16>(),
            (8, 16) => golden.check::<8, 16>(),
            shape => panic!("no cell of shape {shape:?}"),
        }
    }
}

#[test]
fn the_order_of_the_inputs_matters() {
    let goldens = Golden::all();
    let golden = goldens.iter().find(|golden| (golden.inputs, golden.hidden) == (8, 16)).unwrap();
    let cell = golden.cell::<8, 16>();
    let run = |order: [usize; 3]| {
        let mut state = [0.0; 16];
        for index in order {
            cell.step(&golden.x.as_chunks().0[index], &mut state);
        }
        state
    };
    assert_eq!(run([0, 1, 2]), run([0, 1, 2]));
    assert_ne!(run([0, 1, 2]), run([2, 1, 0]));
}
