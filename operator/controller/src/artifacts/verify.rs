//! Whether bytes are the model that a RouterModel names, and whether a policy trusts it.

use tinydancer_crds::{
    Digest, RouterModelSpec, conditions::reasons, router_model::SignatureSpec, valid::Trust,
};
use tinydancer_engine::{LoadError, Model, artifact::signature::PublicKey};
use tinydancer_plan::SignatureCheck;

/// Why bytes are not the model.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Other bytes than the spec names.
    #[error("the artifact must have the digest of `spec.digest`, this one has {0}")]
    Digest(Digest),
    /// A loader refuses them.
    #[error("the artifact cannot be loaded: {0}")]
    Load(#[from] LoadError),
}

impl VerifyError {
    /// One of the documented reasons.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Digest(_) => reasons::DIGEST_MISMATCH,
            Self::Load(_) => reasons::ARTIFACT_INVALID,
        }
    }
}

/// Checks digest, then shape and known answers: nothing is parsed that was not named.
///
/// # Errors
/// The first check that fails.
pub fn artifact(bytes: &[u8], digest: &Digest) -> Result<Model, VerifyError> {
    let found = Digest::of(bytes);
    if found != *digest {
        return Err(VerifyError::Digest(found));
    }
    Ok(Model::from_bytes(bytes)?)
}

/// Checks the signature that a model carries against a policy's keys. `key` gives the text of the public key of an id,
/// or what is wrong with it. A signature that is there is checked also where none is required.
pub fn signature(
    model: &RouterModelSpec,
    trust: &Trust,
    key: impl Fn(&str) -> Result<String, String>,
) -> SignatureCheck {
    let Some(SignatureSpec { key_id, ed25519 }) = &model.signature else { return SignatureCheck::Missing };
    if !trust.keys.iter().any(|trusted| trusted.id == *key_id) {
        let problem =
            format!("the model is signed with key '{key_id}', which `spec.trust.keys` does not name");
        return SignatureCheck::UnknownKey(problem);
    }
    let public = match key(key_id).and_then(|text| PublicKey::parse(&text).map_err(|error| error.to_string()))
    {
        Ok(public) => public,
        Err(problem) => {
            return SignatureCheck::UnknownKey(format!("the key '{key_id}' cannot be read: {problem}"));
        }
    };
    let Ok(digest) = model.digest.parse() else { return SignatureCheck::Invalid };
    match public.verify(&digest, &model.version, ed25519) {
        Ok(()) => SignatureCheck::Valid,
        Err(_) => SignatureCheck::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tinydancer_crds::{
        router_model::SourceSpec,
        routing_policy::{KeyReference, TrustedKey},
    };
    use tinydancer_engine::{artifact::signature::sign, testing};

    /// An Ed25519 key made for these tests (RFC 8032, test 1) and its public half.
    const SIGNING_KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
    const PUBLIC_KEY: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    fn model(version: &str) -> RouterModelSpec {
        let digest = Digest::of(b"weights").to_string();
        let ed25519 = sign(SIGNING_KEY, &digest.parse().unwrap(), version).unwrap();
        let signature = Some(SignatureSpec { key_id: "release".into(), ed25519 });
        RouterModelSpec {
            version: version.into(),
            digest,
            source: SourceSpec { config_map: None, https: None },
            signature,
        }
    }

    fn trust() -> Trust {
        let secret_ref = KeyReference { name: "signers".into(), key: "release.pub".into() };
        Trust { keys: vec![TrustedKey { id: "release".into(), secret_ref }], require_signature: true }
    }

    fn key(id: &str) -> Result<String, String> {
        if id == "release" { Ok(PUBLIC_KEY.to_owned()) } else { Err("another key was asked for".to_owned()) }
    }

    #[test]
    fn a_signature_by_a_trusted_key_is_valid() {
        assert_eq!(signature(&model("1.0.0"), &trust(), key), SignatureCheck::Valid);
    }

    #[test]
    fn a_signature_of_another_version_or_digest_is_invalid() {
        let other_version = RouterModelSpec { version: "9.9.9".into(), ..model("1.0.0") };
        assert_eq!(signature(&other_version, &trust(), key), SignatureCheck::Invalid);
        let other_digest = RouterModelSpec { digest: Digest::of(b"other").to_string(), ..model("1.0.0") };
        assert_eq!(signature(&other_digest, &trust(), key), SignatureCheck::Invalid);
    }

    #[test]
    fn a_key_that_is_not_trusted_or_not_readable_is_unknown() {
        let nobody = Trust { keys: Vec::new(), require_signature: false };
        assert!(matches!(signature(&model("1"), &nobody, key), SignatureCheck::UnknownKey(_)));
        let gone = |_: &str| Err("no such Secret".to_owned());
        assert!(
            matches!(signature(&model("1"), &trust(), gone), SignatureCheck::UnknownKey(text) if text.contains("no such"))
        );
        let garbage = |_: &str| Ok("garbage".to_owned());
        assert!(matches!(signature(&model("1"), &trust(), garbage), SignatureCheck::UnknownKey(_)));
    }

    #[test]
    fn an_unsigned_model_is_told_as_such() {
        let unsigned = RouterModelSpec { signature: None, ..model("1.0.0") };
        assert_eq!(signature(&unsigned, &trust(), key), SignatureCheck::Missing);
    }

    #[test]
    fn bytes_of_another_digest_are_not_parsed_and_bytes_of_this_one_must_load() {
        let bytes = testing::artifact("1.0.0", 1).unwrap();
        assert!(artifact(&bytes, &Digest::of(&bytes)).is_ok());
        let mut tampered = bytes.clone();
        tampered[1000] ^= 1;
        let error = artifact(&tampered, &Digest::of(&bytes)).unwrap_err();
        assert_eq!(error.reason(), reasons::DIGEST_MISMATCH);
        let garbage = b"no artifact at all";
        let error = artifact(garbage, &Digest::of(garbage)).unwrap_err();
        assert_eq!(error.reason(), reasons::ARTIFACT_INVALID);
    }

    #[test]
    fn the_samples_name_artifacts_that_load() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let documents = |file: &str| -> Vec<serde_json::Value> {
            let text = std::fs::read_to_string(format!("{root}/config/samples/{file}")).unwrap();
            tinydancer_crds::yaml::from_multi(&text).unwrap()
        };
        let all = [documents("routermodels.yaml"), documents("general.yaml")].concat();
        let models = all.into_iter().filter(|document| document["kind"] == "RouterModel");
        let models: Vec<tinydancer_crds::RouterModel> =
            models.map(|model| serde_json::from_value(model).unwrap()).collect();
        assert_eq!(models.len(), 3);
        for model in models {
            let source = model.spec.source.config_map.unwrap();
            let bytes = std::fs::read(format!("{root}/models/{}.safetensors", source.name)).unwrap();
            let loaded = artifact(&bytes, &model.spec.digest.parse().unwrap()).unwrap();
            assert_eq!(loaded.metadata().version, model.spec.version);
        }
    }
}
