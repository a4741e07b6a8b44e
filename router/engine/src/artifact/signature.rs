//! Signatures over an artifact's digest and version (Ed25519).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::digest::Digest;

/// First line of what is signed.
pub const CONTEXT: &str = "tinydancer/model/v1";

/// Why a signature does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The key cannot be read.
    #[error("a public key must be Ed25519, as PEM (SPKI) or as the 32 raw bytes in base64")]
    PublicKey,
    /// The signing key cannot be read.
    #[error("a signing key must be Ed25519, as PEM (PKCS #8)")]
    SigningKey,
    /// The version cannot stand on a line of its own.
    #[error("a signed version must be 1 to 128 visible ASCII characters")]
    Version,
    /// The signature cannot be read.
    #[error("a signature must be 64 bytes in base64")]
    Signature,
    /// The signature is of something else or by another key.
    #[error("the signature does not match the digest, the version and this key")]
    Mismatch,
}

/// A key that models are trusted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads a key: PEM (SPKI), or the 32 raw bytes in base64. White space around it is ignored.
    ///
    /// # Errors
    /// [`SignatureError::PublicKey`].
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        let text = text.trim();
        let key = if text.starts_with("-----BEGIN") {
            VerifyingKey::from_public_key_pem(text).ok()
        } else {
            let bytes = STANDARD.decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            bytes.and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok())
        };
        // Under a weak key one signature fits many messages.
        key.filter(|key| !key.is_weak()).map(Self).ok_or(SignatureError::PublicKey)
    }

    /// The 32 raw bytes in base64.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0.as_bytes())
    }

    /// Checks a signature (64 bytes in base64) of this digest and version.
    ///
    /// # Errors
    /// [`SignatureError::Mismatch`] if it is of something else; others if something cannot be read.
    pub fn verify(&self, digest: &Digest, version: &str, signature: &str) -> Result<(), SignatureError> {
        let bytes = STANDARD.decode(signature.trim()).map_err(|_| SignatureError::Signature)?;
        let signature = Signature::from_slice(&bytes).map_err(|_| SignatureError::Signature)?;
        let message = message(digest, version)?;
        self.0.verify_strict(message.as_bytes(), &signature).map_err(|_| SignatureError::Mismatch)
    }
}

/// Signs a digest and version with a PEM (PKCS #8) key; the signature in base64.
///
/// # Errors
/// [`SignatureError::SigningKey`] or [`SignatureError::Version`].
pub fn sign(signing_key_pem: &str, digest: &Digest, version: &str) -> Result<String, SignatureError> {
    let key = SigningKey::from_pkcs8_pem(signing_key_pem.trim()).map_err(|_| SignatureError::SigningKey)?;
    let message = message(digest, version)?;
    Ok(STANDARD.encode(key.sign(message.as_bytes()).to_bytes()))
}

/// What is signed: context, digest and version, a line each.
///
/// # Errors
/// [`SignatureError::Version`] if the version could be read as more than one line.
pub fn message(digest: &Digest, version: &str) -> Result<String, SignatureError> {
    if !crate::artifact::is_name(version) {
        return Err(SignatureError::Version);
    }
    Ok(format!("{CONTEXT}\n{digest}\n{version}\n"))
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
    use ed25519_dalek::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _};

    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn private_pem(key: &SigningKey) -> String {
        key.to_pkcs8_pem(LineEnding::LF).unwrap().to_string()
    }

    fn public_pem(key: &SigningKey) -> String {
        key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap()
    }

    fn digest() -> Digest {
        Digest::of(b"a model")
    }

    #[test]
    fn the_message_has_three_lines() {
        let hex = digest().to_hex();
        let expected = format!("tinydancer/model/v1\nsha256:{hex}\n1.0.0\n");
        assert_eq!(message(&digest(), "1.0.0"), Ok(expected));
    }

    #[test]
    fn a_signature_holds_for_its_digest_version_and_key_only() {
        let signature = sign(&private_pem(&key(1)), &digest(), "1.0.0").unwrap();
        let public = PublicKey::parse(&public_pem(&key(1))).unwrap();
        assert_eq!(public.verify(&digest(), "1.0.0", &signature), Ok(()));
        let mismatch = Err(SignatureError::Mismatch);
        assert_eq!(public.verify(&digest(), "1.0.1", &signature), mismatch);
        assert_eq!(public.verify(&Digest::of(b"another"), "1.0.0", &signature), mismatch);
        let other = PublicKey::parse(&public_pem(&key(2))).unwrap();
        assert_eq!(other.verify(&digest(), "1.0.0", &signature), mismatch);
    }

    #[test]
    fn a_key_is_read_as_pem_or_as_base64_of_its_bytes() {
        let from_pem = PublicKey::parse(&public_pem(&key(1))).unwrap();
        assert_eq!(PublicKey::parse(&format!("\n{}\n", from_pem.to_base64())), Ok(from_pem));
    }

    #[test]
    fn other_texts_are_no_key_and_no_signature() {
        let pem = public_pem(&key(1));
        // The point of order one: under it, one signature fits many messages.
        let weak = STANDARD.encode([&[1_u8][..], &[0; 31]].concat());
        let short = STANDARD.encode([7; 31]);
        for text in ["", "key", &pem[..40], &private_pem(&key(1)), &weak, &short] {
            assert_eq!(PublicKey::parse(text), Err(SignatureError::PublicKey), "{text}");
        }
        let public = PublicKey::parse(&pem).unwrap();
        for text in ["", "!", "AAAA"] {
            assert_eq!(public.verify(&digest(), "1.0.0", text), Err(SignatureError::Signature));
        }
        assert_eq!(sign(&pem, &digest(), "1.0.0"), Err(SignatureError::SigningKey));
    }

    #[test]
    fn a_version_that_reads_as_two_lines_is_never_signed() {
        assert_eq!(sign(&private_pem(&key(1)), &digest(), "1\n2"), Err(SignatureError::Version));
    }
}
