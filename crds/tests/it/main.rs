//! Tests against what is written down for users.

use tinydancer_crds::{
    conditions::{reasons, types},
    valid::validate,
    yaml,
};

const CONDITIONS: &str = include_str!("../../../docs/reference/conditions.md");

/// The first cell of every table row that has it in backquotes.
fn documented() -> Vec<&'static str> {
    let word = |line: &'static str| line.strip_prefix("| `")?.split_once('`').map(|(word, _)| word);
    CONDITIONS.lines().filter_map(word).collect()
}

#[test]
fn every_condition_type_and_reason_has_a_row_in_the_reference() {
    let documented = documented();
    let missing: Vec<_> =
        types::ALL.iter().chain(reasons::ALL).filter(|word| !documented.contains(word)).collect();
    assert!(missing.is_empty(), "docs/reference/conditions.md lacks {missing:?}");
}

#[test]
fn the_reference_names_nothing_that_does_not_exist() {
    let known = |word: &&str| types::ALL.contains(word) || reasons::ALL.contains(word);
    let unknown: Vec<_> = documented().into_iter().filter(|word| !known(word)).collect();
    assert!(unknown.is_empty(), "docs/reference/conditions.md has {unknown:?}, which crds does not");
}

#[test]
fn every_policy_that_the_schema_must_accept_is_valid() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/manifests/accepted");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let policies: Vec<_> =
        files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("policy-")).collect();
    assert!(!policies.is_empty());
    for path in policies {
        let policy = yaml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(validate(&policy).err(), None, "{}", path.display());
    }
}

#[test]
fn the_sample_in_earnest_is_valid_names_its_own_model_and_leaves_the_rollout_to_the_defaults() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/samples/general.yaml");
    let documents: Vec<serde_json::Value> =
        yaml::from_multi(&std::fs::read_to_string(file).unwrap()).unwrap();
    let [model, policy] = &documents[..] else { panic!("a model and a policy: {documents:?}") };
    for role in ["model", "stable"] {
        assert_eq!(policy["spec"][role]["name"], model["metadata"]["name"]);
    }
    assert!(policy["spec"].get("rollout").is_none());
    assert_eq!(validate(&serde_json::from_value(policy.clone()).unwrap()).err(), None);
}

#[test]
fn the_sample_of_audits_fits_the_sample_policy() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/samples");
    let read = |file: &str| -> serde_json::Value {
        yaml::from_str(&std::fs::read_to_string(format!("{root}/{file}")).unwrap()).unwrap()
    };
    let mut policy = read("routingpolicy.yaml");
    policy["spec"]["audit"] = read("audits.yaml")["spec"]["audit"].clone();
    let valid = validate(&serde_json::from_value(policy).unwrap()).unwrap();
    assert_eq!(valid.configuration.audit.unwrap().permille.get(), 20);
}
