//! With what a pod begins: the newer of its volume and the boot folder, without a trial; a watch goes on.

use std::{fs, io::ErrorKind, path::Path, sync::Arc};

use serde::de::DeserializeOwned;
use tinydancer_crds::Digest;
use tinydancer_history::{History, StateKey};
use tinydancer_protocol::{Assignment, PROTOCOL_VERSION};

use super::{
    Identity,
    arms::Arms,
    held::{HeldAssignment, Origin},
    model::LoadedModel,
    model_file::MappedModel,
    models::Models,
    trips::Trips,
};

/// File of the boot folder with the assignment.
pub const BOOT_ASSIGNMENT: &str = "assignment.json";
/// File of the boot folder with the stable model; absent without one.
pub const BOOT_MODEL: &str = "model.safetensors";

/// The snapshot a pod begins with, made of what is left of its earlier life and what it was given to start.
pub(super) fn begin(
    identity: &Identity,
    folder: &Path,
    history: &History,
    empty: Arms,
    trips: &mut Trips,
) -> Arms {
    let volume = from_volume(history).filter(|assignment| belongs(assignment, identity, "on the volume"));
    let boot = from_folder(folder).filter(|assignment| belongs(assignment, identity, "in the boot folder"));
    let kept = volume.clone();
    let Some((assignment, origin)) = newer(volume, boot) else { return empty };
    let same_policy = kept.as_ref().is_none_or(|kept| kept.policy.uid == assignment.policy.uid);
    for digest in trips.lift(same_policy, None) {
        if let Err(error) = history.clear_trip(digest.to_string()) {
            tracing::error!(%digest, %error, "failed to forget a trip of an earlier policy");
        }
    }
    let mut models = Models::default();
    if let Some(model) = &assignment.stable {
        load_stable(&mut models, model.digest, folder, history);
    }
    if let Some(watch) = &assignment.watch {
        models.load(watch.previous.digest, history);
    }
    // What served before the restart goes on serving until the assigned model is there.
    let kept = kept.filter(|_| same_policy && assignment.stable.is_some());
    let before = kept.and_then(|kept| served(&kept, trips)).and_then(|digest| {
        models.load(digest, history);
        models.verified(digest).cloned()
    });
    let held = HeldAssignment { assignment: Arc::new(assignment), origin, live: false };
    Arms { held: Some(held), models, stable: before, ..empty }
}

/// The model that an assignment made this pod serve: not a promoted one that tripped in its watch.
fn served(kept: &Assignment, trips: &Trips) -> Option<Digest> {
    let stable = kept.stable.as_ref()?.digest;
    match &kept.watch {
        Some(watch) if trips.holds(stable, watch.attempt) => Some(watch.previous.digest),
        _ => Some(stable),
    }
}

/// For the same policy the larger epoch, and if they are equal what the operator sent to this very pod; of two policies that of
/// the boot folder, because a volume can outlive its policy.
fn newer(volume: Option<Assignment>, boot: Option<Assignment>) -> Option<(Assignment, Origin)> {
    match (volume, boot) {
        (Some(volume), Some(boot)) if volume.policy.uid == boot.policy.uid && volume.epoch >= boot.epoch => {
            Some((volume, Origin::Accepted))
        }
        (_, Some(boot)) => Some((Assignment { trial: None, ..boot }, Origin::BootFolder)),
        (Some(volume), None) => Some((volume, Origin::Accepted)),
        (None, None) => None,
    }
}

/// From the boot folder if its bytes are the right ones, else from the volume.
fn load_stable(models: &mut Models, digest: Digest, folder: &Path, history: &History) {
    let path = folder.join(BOOT_MODEL);
    match MappedModel::open(&path) {
        Ok(bytes) => match LoadedModel::load(digest, &bytes) {
            Ok(model) => return models.insert(model),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the boot model is not the assigned one; looking on the volume");
            }
        },
        Err(error) if error.is_not_found() => {}
        Err(error) => tracing::error!(path = %path.display(), %error, "failed to read the boot model"),
    }
    models.load(digest, history);
    if models.verified(digest).is_none() {
        tracing::error!(%digest, "the assigned model is neither in the boot folder nor on the volume");
    }
}

fn from_volume(history: &History) -> Option<Assignment> {
    match history.load_state(StateKey::Assignment) {
        Ok(bytes) => parsed(&bytes?, "the assignment on the volume"),
        Err(error) => {
            tracing::error!(%error, "failed to read the assignment on the volume");
            None
        }
    }
}

fn from_folder(folder: &Path) -> Option<Assignment> {
    let path = folder.join(BOOT_ASSIGNMENT);
    match fs::read(&path) {
        Ok(bytes) => parsed(&bytes, "the boot assignment"),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "failed to read the boot assignment");
            None
        }
    }
}

fn parsed<Value: DeserializeOwned>(bytes: &[u8], what: &'static str) -> Option<Value> {
    serde_json::from_slice(bytes).inspect_err(|error| tracing::error!(%error, "failed to read {what}")).ok()
}

fn belongs(assignment: &Assignment, identity: &Identity, place: &'static str) -> bool {
    let policy = &assignment.policy;
    let ours = (&policy.namespace, &policy.name) == (&identity.namespace, &identity.policy)
        && assignment.protocol_version == PROTOCOL_VERSION;
    if !ours {
        tracing::error!("the assignment {place} is for another policy or release and is not used");
    }
    ours
}
