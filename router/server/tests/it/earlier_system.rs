//! What an earlier system did with models, stored files and times. `docs/reference/earlier-system.md` lists all such cases;
//! the numbers are those of its table.

use std::{
    fs::{self, File},
    path::Path,
};

use serde_json::Value;
use tinydancer_crds::Digest;
use tinydancer_history::{Pair, PairSums, Scored, StateKey, Tier};
use tinydancer_protocol::ModelState;
use tinydancer_server::runtime::{BOOT_MODEL, ModelError, PutModelError, Readiness};

use crate::pod::{Disk, model, settled};

/// The artifact with one tensor in another shape, cut to its size. Everything else fits, also the header.
fn reshaped(bytes: &[u8], tensor: &str, shape: [usize; 2]) -> Vec<u8> {
    let length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let (header, data) = bytes[8..].split_at(length);
    let mut header: Value = serde_json::from_slice(header).unwrap();
    header[tensor]["shape"] = shape.to_vec().into();
    let mut tensors: Vec<_> = header.as_object_mut().unwrap().iter_mut().collect();
    tensors.retain(|(name, _)| *name != "__metadata__");
    tensors.sort_by_key(|(_, entry)| entry["data_offsets"][0].as_u64());
    let mut moved = Vec::new();
    for (name, entry) in tensors {
        let offset = |end: usize| usize::try_from(entry["data_offsets"][end].as_u64().unwrap()).unwrap();
        let end = if name == tensor { offset(0) + shape[0] * shape[1] * size_of::<f32>() } else { offset(1) };
        let begin = moved.len();
        moved.extend_from_slice(&data[offset(0)..end]);
        entry["data_offsets"] = vec![begin, moved.len()].into();
    }
    let header = header.to_string();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &moved].concat()
}

#[test]
fn bug_09_a_model_of_seven_inputs_is_refused_before_the_swap_and_the_old_one_keeps_serving() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let stable = pod.put(&model("stable"));
    pod.runtime.assign(settled(1, Some(stable))).unwrap();
    let untouched = reshaped(&model("next"), "cell.W", [16, 8]);
    assert!(
        pod.runtime.put_model(Digest::of(&untouched), untouched).is_ok(),
        "the helper spoils nothing else"
    );
    let seven = reshaped(&model("next"), "cell.W", [16, 7]);
    let digest = Digest::of(&seven);
    pod.runtime.assign(settled(2, Some(digest))).unwrap();
    let refused = pod.runtime.put_model(digest, seven).unwrap_err();
    assert!(matches!(refused, PutModelError::Refused(ModelError::Artifact(_))), "{refused:?}");
    let said = "tensor `cell.W` must have shape [16, 8], this one has [16, 7]";
    assert!(refused.to_string().contains(said), "{refused}");
    for number in 0..100 {
        let decision = pod.decide("How many legs has a spider?", &number.to_string());
        assert_eq!((decision.digest, decision.classified), (Some(stable), true));
    }
    let report = pod.runtime.report();
    assert_eq!(report.stable, Some(stable));
    let state = &report.models.iter().find(|model| model.digest == digest).unwrap().state;
    assert!(matches!(state, ModelState::Refused(why) if why.contains(said)), "{state:?}");
}

#[test]
fn bug_12_a_stored_model_of_three_bytes_is_missing_and_the_pod_starts() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let wanted = Digest::of(&model("stable"));
    pod.runtime.assign(settled(1, Some(wanted))).unwrap();
    pod.history.save_model(wanted.to_string(), vec![1, 2, 3]).unwrap();
    pod.stop();
    let pod = disk.start();
    assert_eq!(pod.runtime.ready(), Readiness::Ready { classified: false });
    assert_eq!(pod.runtime.report().models[0].state, ModelState::Missing, "so that it is put again");
    pod.put(&model("stable"));
    assert_eq!(pod.runtime.report().stable, Some(wanted));
}

#[test]
fn bug_13_broken_stored_json_is_as_if_there_were_none_and_is_never_half_believed() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    pod.history.save_state(StateKey::Assignment, b"{\"epoch\": 7,".to_vec()).unwrap();
    pod.stop();
    let pod = disk.start();
    assert!(matches!(pod.runtime.ready(), Readiness::Waiting(_)));
    let stable = pod.put(&model("stable"));
    let report = pod.runtime.assign(settled(1, Some(stable))).unwrap();
    assert_eq!((report.epoch, report.stable), (1, Some(stable)), "nothing of the broken one holds");
    let pair = Pair {
        decision_id: "d-1".to_owned(),
        at: 1,
        decided: Scored { digest: stable.to_string(), score: 0.0, good_enough: 0.5, set: None },
        tier: Tier::Powerful,
        propensity: 1.0,
        lightweight: 1.0,
        powerful: 1.0,
        beside: None,
    };
    let sums = PairSums { digest: stable.to_string(), sums: "{\"broken\"".to_owned() };
    pod.history.record_pair(pair, vec![sums]);
    pod.history.flush().unwrap();
    pod.stop();
    let report = disk.start().runtime.report();
    assert_eq!((report.stable, report.calibration.len()), (Some(stable), 0), "sums begin anew");
}

#[test]
fn bug_14_the_time_of_inference_is_that_of_inference() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let stable = pod.put(&model("stable"));
    pod.runtime.assign(settled(1, Some(stable))).unwrap();
    let least = |text: &str| {
        let stages = (0..20).map(|_| {
            let latency = pod.decide(text, "k").latency;
            let parts = latency.features_us + latency.inference_us;
            assert!(latency.inference_us > 0.0 && parts <= latency.total_us, "{latency:?}");
            (latency.features_us, latency.inference_us)
        });
        stages.fold((f64::MAX, f64::MAX), |least, stage| (least.0.min(stage.0), least.1.min(stage.1)))
    };
    let (short, long) = (least("How many legs has a spider?"), least(&"a long story ".repeat(20_000)));
    assert!(long.0 > 20.0 * short.0, "a long text takes long to read: {short:?}, {long:?}");
    assert!(long.1 < long.0 / 20.0, "and none of that is inference: {short:?}, {long:?}");
}

#[test]
fn bug_15_no_way_to_load_a_model_goes_without_size_and_digest() {
    let disk = Disk::new("support-0");
    let pod = disk.start();
    let stable = pod.put(&model("stable"));
    pod.runtime.assign(settled(1, Some(stable))).unwrap();
    // Over the control port.
    let large = vec![0; 180 * 1024 + 1];
    let refused = pod.runtime.put_model(Digest::of(&large), large).unwrap_err();
    assert!(matches!(refused, PutModelError::Refused(ModelError::TooLarge)), "{refused:?}");
    let refused = pod.runtime.put_model(stable, model("another")).unwrap_err();
    assert!(matches!(refused, PutModelError::Refused(ModelError::DigestMismatch { .. })), "{refused:?}");
    // From the volume: a sound model under the digest of another.
    let next = Digest::of(&model("next"));
    pod.history.save_model(next.to_string(), model("another")).unwrap();
    let report = pod.runtime.assign(settled(2, Some(next))).unwrap();
    assert_eq!((report.stable, &report.models[0].state), (Some(stable), &ModelState::Missing));
    pod.stop();
    // From the boot folder: a sound model under the digest of another, and a file of a terabyte.
    for prepare in [
        |disk: &Disk| disk.write_boot(&settled(3, Some(Digest::of(&model("next")))), Some(&model("another"))),
        |disk: &Disk| File::create(disk.boot().join(BOOT_MODEL)).unwrap().set_len(1 << 40).unwrap(),
    ] {
        prepare(&disk);
        let pod = disk.start();
        let report = pod.runtime.report();
        assert_eq!((report.epoch, report.stable), (3, None), "Powerful answers until the right bytes come");
        assert_eq!(report.models[0].state, ModelState::Missing);
        pod.stop();
    }
}

#[test]
fn every_row_of_the_table_names_tests_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let table = fs::read_to_string(root.join("docs/reference/earlier-system.md")).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| #"));
    let mut numbers = Vec::new();
    for row in rows {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        numbers.push(cells[1].parse::<usize>().unwrap());
        let mut places = cells[5].split(" in ");
        let mut tests = places.next().unwrap();
        for place in places {
            let (file, rest) = place.split_once(", ").unwrap_or((place, ""));
            let source =
                fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            for test in tests.split(", ") {
                let test = test.trim_matches('`');
                assert!(
                    source.contains(&format!("fn {test}(")),
                    "row {}: no test {test} in {file}",
                    cells[1]
                );
            }
            tests = rest;
        }
        assert_eq!(tests, "", "row {}: names a test without its file", cells[1]);
    }
    assert_eq!(numbers, (1..=15).collect::<Vec<_>>());
}
