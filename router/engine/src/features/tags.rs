//! Buckets of request tags.

use sha2::{Digest as _, Sha256};

/// The bucket of the tag `key=value`: the first eight bytes, little endian, of
/// `sha256("tag" NUL key NUL value)`.
pub fn bucket(key: &str, value: &str) -> u64 {
    let mut hash = Sha256::new();
    hash.update(b"tag\0");
    hash.update(key);
    hash.update(b"\0");
    hash.update(value);
    let digest: [u8; 32] = hash.finalize().into();
    digest.iter().take(8).rev().fold(0, |bucket, &byte| bucket << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_the_little_endian_start_of_the_hash() {
        let digest: [u8; 32] = Sha256::digest(b"tag\0task\0algebra").into();
        let expected = u64::from_le_bytes(*digest.first_chunk().unwrap());
        assert_eq!(bucket("task", "algebra"), expected);
        assert_ne!(bucket("task", "algebra"), bucket("algebra", "task"));
    }
}
