use std::path::{Path, PathBuf};

use kube::api::DynamicObject;
use tinydancer_crds::yaml;
use tinydancer_e2e::cluster::Cluster;

const EXPECTATION: &str = "# must say: ";

#[tokio::test]
async fn every_rule_of_the_schema_refuses_with_its_message() {
    let Some(cluster) = Cluster::for_tests("bad manifests are refused").await else { return };
    let namespace = format!("e2e-manifests-{:04x}", rand::random::<u16>());
    cluster.make_namespace(&namespace).await.unwrap();

    for (path, text) in manifests("accepted") {
        for object in yaml::from_multi::<DynamicObject>(&text).unwrap() {
            let refusal = cluster.refusal(&object, &namespace, true).await.unwrap();
            assert_eq!(refusal, None, "{}", path.display());
        }
    }
    for (path, text) in manifests("rejected") {
        let object = yaml::from_str::<DynamicObject>(&text).unwrap();
        expect(&path, &text, cluster.refusal(&object, &namespace, true).await.unwrap());
    }
    for (path, text) in manifests("rejected-updates") {
        let mut objects = yaml::from_multi::<DynamicObject>(&text).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        for object in &mut objects {
            object.metadata.name = Some(name.clone());
        }
        assert_eq!(
            cluster.refusal(&objects[0], &namespace, false).await.unwrap(),
            None,
            "{}",
            path.display()
        );
        expect(&path, &text, cluster.refusal_to_change(&objects[1], &namespace).await.unwrap());
    }
    cluster.delete_namespace(&namespace).await.unwrap();
}

fn expect(path: &Path, text: &str, refusal: Option<String>) {
    let expected =
        text.lines().find_map(|line| line.strip_prefix(EXPECTATION)).expect("a first line that says what");
    let refusal = refusal.unwrap_or_else(|| panic!("{} was accepted", path.display()));
    assert!(refusal.contains(expected), "{}: {refusal}", path.display());
}

fn manifests(folder: &str) -> Vec<(PathBuf, String)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crds/tests/manifests").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}
