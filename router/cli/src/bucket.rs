//! `tiny-dancer bucket`.

use clap::Args;
use tinydancer_engine::Digest;
use tinydancer_guards::{BasisPoints, bucket};

/// Print the sticky bucket of a key: in which step of a rollout it meets the candidate.
#[derive(Args)]
pub(crate) struct Bucket {
    /// The request's key: conversation, user or request id, as it was sent.
    key: String,
    /// The candidate's digest, `sha256:...`: every candidate has buckets of its own.
    #[arg(long, value_name = "DIGEST")]
    model: Digest,
}

impl Bucket {
    /// Prints the bucket and the first weight that reaches it.
    pub(crate) fn run(&self) {
        let bucket = bucket(&self.model.to_string(), self.key.as_bytes());
        println!("bucket         {} of {}", bucket.get(), BasisPoints::ALL.get());
        println!("candidate from {}.{:02} %", (bucket.get() + 1) / 100, (bucket.get() + 1) % 100);
    }
}
