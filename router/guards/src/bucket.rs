//! Sticky buckets: the same key is in the same arm on every pod, platform and restart, and a key that reached the
//! candidate stays there while its weight rises.

use serde::{Deserialize, Serialize};

/// Buckets a key can fall into; one bucket is one basis point of the keys.
const BUCKETS: u16 = 10_000;

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// Which model's decision counts for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Arm {
    /// The model that is trusted.
    Stable,
    /// The model on trial.
    Candidate,
}

/// A share of the keys in hundredths of a percent, 0 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct BasisPoints(u16);

/// A weight above 10,000 basis points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("weight must be at most 10000 basis points, not {0}")]
pub struct BasisPointsError(u16);

impl BasisPoints {
    /// No key.
    pub const ZERO: Self = Self(0);
    /// Every key.
    pub const ALL: Self = Self(BUCKETS);

    /// A weight of 0 to 10,000 basis points.
    ///
    /// # Errors
    /// If it is above 10,000.
    pub const fn new(basis_points: u16) -> Result<Self, BasisPointsError> {
        if basis_points > BUCKETS { Err(BasisPointsError(basis_points)) } else { Ok(Self(basis_points)) }
    }

    /// Whole percent; what is above 100 is 100.
    pub const fn from_percent(percent: u8) -> Self {
        if percent >= 100 { Self::ALL } else { Self(percent as u16 * 100) }
    }

    /// The weight in basis points.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for BasisPoints {
    type Error = BasisPointsError;

    fn try_from(basis_points: u16) -> Result<Self, Self::Error> {
        Self::new(basis_points)
    }
}

impl From<BasisPoints> for u16 {
    fn from(weight: BasisPoints) -> Self {
        weight.0
    }
}

/// Where a key falls, 0 to 9,999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bucket(u16);

impl Bucket {
    /// The bucket as a number, 0 to 9,999.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The arm of this bucket: the candidate's exactly if the bucket lies below the weight. A larger weight
    /// therefore never moves a key from candidate to stable.
    pub const fn arm(self, weight: BasisPoints) -> Arm {
        if self.0 < weight.0 { Arm::Candidate } else { Arm::Stable }
    }
}

/// The hash state after the candidate's digest, so that a request only pays for its own key. The digest is in it so
/// that each trial draws its keys anew and no tenant is the first to meet every new model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketSalt(u64);

impl BucketSalt {
    /// From the candidate's digest as manifests write it: `sha256:` and 64 hexadecimal digits.
    pub fn new(candidate_digest: &str) -> Self {
        Self(fnv1a(fnv1a(FNV_OFFSET, candidate_digest.as_bytes()), &[0]))
    }

    /// The bucket of a key: FNV-1a 64 over digest, one zero byte and key; `MurmurHash3`'s 64-bit finaliser, because the
    /// upper bits of FNV-1a mix badly; then `hash * 10000 / 2^64`, whose bias is below 2^-50. Bytes and wrapping
    /// 64-bit arithmetic only: equal on every platform.
    pub fn bucket(self, key: &[u8]) -> Bucket {
        let hash = finalise(fnv1a(self.0, key));
        Bucket(((u128::from(hash) * u128::from(BUCKETS)) >> 64) as u16)
    }
}

/// The bucket of a key in the trial of the candidate with this digest (`sha256:...`).
pub fn bucket(candidate_digest: &str, key: &[u8]) -> Bucket {
    BucketSalt::new(candidate_digest).bucket(key)
}

fn fnv1a(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME))
}

fn finalise(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests;
