//! Names of decisions: they carry pod, arm and model, and a proof that this fleet made them.
//!
//! `td1.<pod>.<arm s|c|n>.<12 hex digits of the digest, or a dash>.<uuid v7>.<proof>`, the proof being the first 16 bytes of
//! HMAC-SHA256 over everything before it, under the key that the fleet's pods share. A pod's name may contain dots, so
//! the text is taken apart from its end.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tinydancer_crds::Digest;
use uuid::Uuid;

use super::decision::Arm;

const VERSION: &str = "td1";
const NO_DIGEST: &str = "-";
/// Bytes of the proof.
const PROOF: usize = 16;
/// Longest text that is looked at: a pod's name has at most 253 characters.
const LONGEST: usize = 400;

/// A text that is not the name of a decision of this fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`decision_id` must be one that this fleet gave")]
pub struct DecisionIdError;

/// The name of one decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionId {
    text: Box<str>,
    pod_end: usize,
    arm: Arm,
    unique: Uuid,
}

impl DecisionId {
    /// As clients see it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The pod that decided.
    pub fn pod(&self) -> &str {
        self.text.get(VERSION.len() + 1..self.pod_end).unwrap_or_default()
    }

    /// Whose decision counted.
    pub fn arm(&self) -> Arm {
        self.arm
    }

    /// The short form of the digest of the model that decided; `None` if none did.
    pub fn model(&self) -> Option<&str> {
        let digest = self.text.get(self.pod_end..)?.split('.').nth(2)?;
        (digest != NO_DIGEST).then_some(digest)
    }

    /// Unique among all decisions; begins with the time of the decision.
    pub fn unique(&self) -> Uuid {
        self.unique
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// The key under which a fleet's decision names are proven.
#[derive(Clone)]
pub struct DecisionKey(Hmac<Sha256>);

impl DecisionKey {
    /// From 32 random bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        // HMAC pads a short key to the hash's block with zeros.
        let mut block = [0; 64];
        for (padded, byte) in block.iter_mut().zip(bytes) {
            *padded = *byte;
        }
        Self(Hmac::new(&block.into()))
    }

    /// Names a decision.
    pub fn name(&self, pod: &str, arm: Arm, digest: Option<&Digest>, unique: Uuid) -> DecisionId {
        let digest = digest.map_or_else(|| NO_DIGEST.to_owned(), Digest::short);
        let mut text = format!("{VERSION}.{pod}.{}.{digest}.{}", letter(arm), unique.as_simple());
        let proof = BASE64.encode(self.proof(&text));
        text.push('.');
        text.push_str(&proof);
        DecisionId { text: text.into(), pod_end: VERSION.len() + 1 + pod.len(), arm, unique }
    }

    /// Reads a name and checks its proof, in the same time whatever is wrong with it.
    ///
    /// # Errors
    /// [`DecisionIdError`] if this fleet did not give it.
    pub fn read(&self, text: &str) -> Result<DecisionId, DecisionIdError> {
        if text.len() > LONGEST {
            return Err(DecisionIdError);
        }
        let (signed, proof) = text.rsplit_once('.').ok_or(DecisionIdError)?;
        let proof = BASE64.decode(proof).map_err(|_| DecisionIdError)?;
        if proof.len() != PROOF {
            return Err(DecisionIdError);
        }
        let mut mac = self.0.clone();
        mac.update(signed.as_bytes());
        mac.verify_truncated_left(&proof).map_err(|_| DecisionIdError)?;
        let (rest, unique) = signed.rsplit_once('.').ok_or(DecisionIdError)?;
        let (rest, _digest) = rest.rsplit_once('.').ok_or(DecisionIdError)?;
        let (rest, arm) = rest.rsplit_once('.').ok_or(DecisionIdError)?;
        let (version, pod) = rest.split_once('.').ok_or(DecisionIdError)?;
        if version != VERSION || pod.is_empty() {
            return Err(DecisionIdError);
        }
        let unique = Uuid::try_parse(unique).map_err(|_| DecisionIdError)?;
        Ok(DecisionId { pod_end: rest.len(), arm: arm_of(arm)?, unique, text: text.into() })
    }

    fn proof(&self, text: &str) -> [u8; PROOF] {
        let mut mac = self.0.clone();
        mac.update(text.as_bytes());
        let whole = mac.finalize().into_bytes();
        std::array::from_fn(|index| whole.get(index).copied().unwrap_or_default())
    }
}

impl fmt::Debug for DecisionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DecisionKey")
    }
}

const fn letter(arm: Arm) -> &'static str {
    match arm {
        Arm::Stable => "s",
        Arm::Candidate => "c",
        Arm::Unclassified => "n",
    }
}

fn arm_of(letter: &str) -> Result<Arm, DecisionIdError> {
    match letter {
        "s" => Ok(Arm::Stable),
        "c" => Ok(Arm::Candidate),
        "n" => Ok(Arm::Unclassified),
        _ => Err(DecisionIdError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(byte: u8) -> DecisionKey {
        DecisionKey::new(&[byte; 32])
    }

    #[test]
    fn a_name_reads_back_even_if_the_pod_has_dots() {
        let digest = Digest::of(b"model");
        for pod in ["support-router-0", "a.b-router-11"] {
            for (arm, digest) in
                [(Arm::Stable, Some(&digest)), (Arm::Candidate, Some(&digest)), (Arm::Unclassified, None)]
            {
                let name = key(1).name(pod, arm, digest, Uuid::now_v7());
                assert_eq!(key(1).read(name.as_str()), Ok(name.clone()));
                assert_eq!((name.pod(), name.arm()), (pod, arm));
                assert_eq!(name.model().map(str::to_owned), digest.map(Digest::short));
            }
        }
    }

    #[test]
    fn a_name_of_another_fleet_is_refused() {
        let name = key(1).name("pod-0", Arm::Stable, None, Uuid::now_v7());
        assert_eq!(key(2).read(name.as_str()), Err(DecisionIdError));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_name_with_any_byte_changed_is_refused(position in any::<prop::sample::Index>(), change in 1_u8..=127) {
            let name = key(1).name("pod-0", Arm::Candidate, Some(&Digest::of(b"x")), Uuid::now_v7());
            let mut bytes = name.as_str().as_bytes().to_vec();
            let position = position.index(bytes.len());
            bytes[position] ^= change;
            let text = String::from_utf8_lossy(&bytes);
            prop_assume!(text != name.as_str());
            prop_assert_eq!(key(1).read(&text), Err(DecisionIdError));
        }

        #[test]
        fn any_text_is_read_without_harm(text in any::<String>()) {
            prop_assert_eq!(key(1).read(&text), Err(DecisionIdError));
        }
    }
}
