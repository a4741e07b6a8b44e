use std::path::Path;

use serde::Deserialize;
use tinydancer_trainer::network::{PARAMETERS, Parameters, Sample};

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    parameters: Vec<f64>,
    statistics: [f64; 15],
    steps: Vec<[f64; 8]>,
    targets: [f64; 3],
    loss: f64,
    gradient: Vec<f64>,
}

/// The fixture is written by `tests/pytorch/gradients.py` from made-up numbers.
#[test]
fn gradients_agree_with_those_of_pytorch() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pytorch/gradients.json");
    let fixture: Fixture = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(fixture.cases.len(), 4);
    for case in fixture.cases {
        let steps = case.steps.len();
        let parameters = Parameters(case.parameters);
        let sample = Sample { statistics: case.statistics, steps: case.steps, targets: case.targets };
        assert!((parameters.loss(&sample, &sample.steps, 1.0) - case.loss).abs() < 1e-12, "{steps} steps");
        let mut gradient = vec![0.0; PARAMETERS];
        parameters.accumulate_gradient(&sample, &sample.steps, 1.0, &mut gradient);
        assert_eq!(case.gradient.len(), PARAMETERS);
        for (index, (ours, theirs)) in gradient.iter().zip(&case.gradient).enumerate() {
            assert!((ours - theirs).abs() < 1e-12, "parameter {index} with {steps} steps: {ours} {theirs}");
        }
    }
}
