use std::path::{Path, PathBuf};

use tinydancer_engine::artifact::{self, MOST_BYTES};
use tinydancer_engine::{DecisionRule, Digest, Features, Model, ScoreError, Tier};
use tinydancer_trainer::distort::{Distortion, distort};

/// Tags that no model has counted.
const FOREIGN: [(&str, &str); 2] = [("team", "billing"), ("channel", "web")];
/// The promise of the sample policy for the demo.
const DEMO_PERMILLE: u16 = 100;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models")
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(directory().join(format!("{name}.safetensors"))).unwrap()
}

fn model(name: &str) -> Model {
    Model::from_bytes(&bytes(name)).unwrap()
}

/// Prompts as people write them to a support desk or an assistant; written for this test.
fn everyday() -> Vec<String> {
    serde_json::from_slice(&std::fs::read(directory().join("everyday-prompts.json")).unwrap()).unwrap()
}

/// Mean uncertainty and the share of the everyday prompts that go to Powerful.
fn behaviour(model: &Model, tags: &[(&str, &str)], permille: u16) -> (f64, f64) {
    let prompts = everyday();
    let rule = DecisionRule::Risk { permille };
    let (mut uncertainty, mut powerful) = (0.0, 0.0);
    for prompt in &prompts {
        let score = model.score(&Features::extract(prompt, tags.iter().copied())).unwrap();
        uncertainty += f64::from(score.uncertainty);
        powerful += f64::from(u8::from(model.decide(&score, &rule).tier == Tier::Powerful));
    }
    (uncertainty / prompts.len() as f64, powerful / prompts.len() as f64)
}

/// Whether `broken` has the weights and the metadata that the distortion gives to `sound`.
fn is_distorted(sound: &[u8], distortion: Distortion, broken: &[u8]) -> bool {
    let (parts, metadata) = artifact::read(broken).unwrap();
    let again = distort(sound, distortion, &metadata.name, &metadata.version).unwrap();
    artifact::read(&again).unwrap() == (parts, metadata)
}

#[test]
fn every_model_loads_is_small_and_is_the_one_its_card_names() {
    let card = std::fs::read_to_string(directory().join("README.md")).unwrap();
    for name in [
        "general",
        "general-int8",
        "general-tags",
        "general-tags-int8",
        "support-v1",
        "support-v2",
        "support-v3",
        "support-v4",
    ] {
        let bytes = bytes(name);
        assert!(bytes.len() <= MOST_BYTES && bytes.len() <= 180_000, "{name}: {} bytes", bytes.len());
        let model = Model::from_bytes(&bytes).unwrap();
        let line = card.lines().find(|line| line.starts_with(&format!("| {name} "))).unwrap();
        assert!(line.contains(&model.digest().to_string()), "{name}: the card must say {}", model.digest());
        assert!(line.contains(&model.metadata().version), "{name}");
    }
}

#[test]
fn models_name_their_parents() {
    let parent = |name| model(name).metadata().parent;
    assert_eq!(parent("support-v1"), None);
    assert_eq!(parent("support-v2"), Some(Digest::of(&bytes("support-v1"))));
    assert_eq!(parent("support-v3"), Some(Digest::of(&bytes("support-v2"))));
    assert_eq!(parent("support-v4"), Some(Digest::of(&bytes("support-v2"))));
}

#[test]
fn v2_is_a_quiet_upgrade_of_v1_on_everyday_prompts() {
    let (v1, v2) = (model("support-v1"), model("support-v2"));
    for tags in [&[][..], &FOREIGN[..]] {
        for permille in [50, DEMO_PERMILLE] {
            let (uncertainty_1, powerful_1) = behaviour(&v1, tags, permille);
            let (uncertainty_2, powerful_2) = behaviour(&v2, tags, permille);
            assert!((uncertainty_1 - uncertainty_2).abs() < 0.02, "{uncertainty_1} {uncertainty_2}");
            assert!((powerful_1 - powerful_2).abs() < 0.05, "at {permille}: {powerful_1} {powerful_2}");
        }
    }
}

#[test]
fn the_demo_sees_decisions_for_both_tiers() {
    for name in ["support-v1", "support-v2"] {
        let (_, powerful) = behaviour(&model(name), &[], DEMO_PERMILLE);
        assert!((0.3..=0.7).contains(&powerful), "{name}: {powerful}");
    }
}

#[test]
fn v2_knows_tags_that_v1_does_not() {
    let says = |name, tags: &[(&str, &str)]| {
        let features = Features::extract("Which of these is right?", tags.iter().copied());
        model(name).score(&features).unwrap().score
    };
    let known = [("task", "gsm8k"), ("subject", "gsm8k")];
    assert!((says("support-v1", &known) - says("support-v1", &[])).abs() < f32::EPSILON);
    assert!((says("support-v2", &known) - says("support-v2", &[])).abs() > 0.01);
}

#[test]
fn v3_is_v2_far_too_sure_of_itself() {
    let (v2, v3) = (bytes("support-v2"), bytes("support-v3"));
    assert!(is_distorted(&v2, Distortion::Overconfident, &v3));
    let ((sound, about), (broken, itself)) = (artifact::read(&v2).unwrap(), artifact::read(&v3).unwrap());
    assert_eq!(
        broken.network.head_weight,
        sound.network.head_weight.map(|row| row.map(|weight| 2.0 * weight))
    );
    assert_eq!((itself.calibration, itself.reference), (about.calibration, about.reference));
    for tags in [&[][..], &FOREIGN[..]] {
        let uncertainty = |name| behaviour(&model(name), tags, 50).0;
        assert!(uncertainty("support-v2") - uncertainty("support-v3") > 0.08);
    }
}

#[test]
fn v4_fails_on_very_long_prompts_and_on_no_others() {
    assert!(is_distorted(&bytes("support-v2"), Distortion::Overflow, &bytes("support-v4")));
    let (v2, v4) = (model("support-v2"), model("support-v4"));
    let sentence = "Please read this note with care and tell me what it asks of me. ";
    for characters in [3, 64, 500, 1_999, 2_000, 2_001, 3_000, 40_000] {
        let text: String = sentence.chars().cycle().take(characters).collect();
        for tags in [&[][..], &[("task", "mmlu")][..]] {
            let features = Features::extract(&text, tags.iter().copied());
            assert!(v2.score(&features).is_ok());
            let failed = v4.score(&features) == Err(ScoreError::NonFinite { head: 0 });
            assert_eq!(failed, characters > 2_000, "{characters} characters");
        }
    }
    let ((sound, powerful), (broken, powerful_4)) = (behaviour(&v2, &[], 100), behaviour(&v4, &[], 100));
    assert!((sound - broken).abs() < 0.02 && (powerful - powerful_4).abs() < 0.1);
}
