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
