//! `tiny-dancer keygen` and `tiny-dancer sign`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{EncodePrivateKey, EncodePublicKey};
use tinydancer_engine::artifact::signature;

use crate::files;

/// Make an Ed25519 key pair to sign models with.
#[derive(Args)]
pub(crate) struct Keygen {
    /// Where the private key goes (PKCS #8 PEM, mode 0600). The public key goes beside it as `.pub`.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Keygen {
    /// Writes both files; neither may exist.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let key = SigningKey::from_bytes(&rand::random());
        let private = key.to_pkcs8_pem(LineEnding::LF).context("failed to encode the private key")?;
        let public = key
            .verifying_key()
            .to_public_key_pem(LineEnding::LF)
            .context("failed to encode the public key")?;
        let public_path = self.out.with_extension("pub");
        anyhow::ensure!(public_path != self.out, "--out must not end in .pub: the public key goes there");
        files::create(&self.out, 0o600, &private)?;
        files::create(&public_path, 0o644, &public)?;
        println!("{} (keep it secret)", self.out.display());
        println!("{}", public_path.display());
        Ok(())
    }
}

/// Sign an artifact's digest and version; prints what goes into a RouterModel.
#[derive(Args)]
pub(crate) struct Sign {
    /// The artifact. It must load, so that nothing broken is ever signed.
    file: PathBuf,
    /// The private key, PKCS #8 PEM.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The version to sign; it must be the artifact's own.
    #[arg(long)]
    version: String,
}

impl Sign {
    /// Signs and prints digest, version and signature.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let (_, model) = files::read_model(&self.file)?;
        let own = &model.metadata().version;
        anyhow::ensure!(*own == self.version, "--version must be the artifact's own, {own}");
        let key = String::from_utf8(files::read(&self.key)?)
            .with_context(|| format!("failed to read {} as PEM", self.key.display()))?;
        let signature = signature::sign(&key, &model.digest(), &self.version)
            .with_context(|| format!("failed to sign with {}", self.key.display()))?;
        println!("version: {}", self.version);
        println!("digest: {}", model.digest());
        println!("ed25519: {signature}");
        Ok(())
    }
}
