//! What a run has finished, kept on disk: a run that was killed goes on where it stopped and ends with the same
//! bytes.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tinydancer_engine::Digest;

use crate::network::{PARAMETERS, Parameters};

/// A folder with the networks that are finished.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    directory: PathBuf,
    /// Of everything a network depends on: a file of another run is not read.
    run: Digest,
}

/// A folder could not be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "failed to keep a finished fit in {path}; name a folder that can be written, or train without --resume"
)]
pub struct CheckpointError {
    /// What was to be written.
    path: PathBuf,
    /// The cause.
    source: std::io::Error,
}

#[derive(Serialize, Deserialize)]
struct Finished {
    run: String,
    parameters: Vec<f64>,
}

impl Checkpoint {
    /// Keeps finished networks of the run named by `run` in `directory`, which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn open(directory: &Path, run: Digest) -> Result<Self, CheckpointError> {
        fs::create_dir_all(directory)
            .map_err(|source| CheckpointError { path: directory.to_owned(), source })?;
        Ok(Self { directory: directory.to_owned(), run })
    }

    /// The network called `name`, read if this run has finished it before, else made and kept.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn network(
        &self,
        name: usize,
        make: impl FnOnce() -> Parameters,
    ) -> Result<Parameters, CheckpointError> {
        let path = self.directory.join(format!("network-{name}.json"));
        if let Some(parameters) = self.read(&path) {
            return Ok(parameters);
        }
        let parameters = make();
        self.write(&path, &parameters).map_err(|source| CheckpointError { path, source })?;
        Ok(parameters)
    }

    /// Nothing for a file that is not there, torn, or of another run.
    fn read(&self, path: &Path) -> Option<Parameters> {
        let finished: Finished = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        let whole = finished.run == self.run.to_hex() && finished.parameters.len() == PARAMETERS;
        whole.then_some(Parameters(finished.parameters))
    }

    /// Under another name first, so that a kill leaves no half of a file.
    fn write(&self, path: &Path, parameters: &Parameters) -> std::io::Result<()> {
        let finished = Finished { run: self.run.to_hex(), parameters: parameters.0.clone() };
        let unfinished = path.with_extension("unfinished");
        fs::write(&unfinished, serde_json::to_vec(&finished)?)?;
        fs::rename(&unfinished, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn parameters(seed: u64) -> Parameters {
        Parameters::random([0.3, 0.6, 0.8], &mut Random::stream(seed, 1))
    }

    #[test]
    fn a_finished_network_is_read_to_the_last_bit_and_that_of_another_run_or_a_torn_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let first = Checkpoint::open(directory.path(), Digest::of(b"one")).unwrap();
        assert_eq!(first.network(2, || parameters(1)).unwrap(), parameters(1));
        assert_eq!(first.network(2, || parameters(9)).unwrap(), parameters(1), "is read");
        assert_eq!(first.network(3, || parameters(2)).unwrap(), parameters(2));
        let other = Checkpoint::open(directory.path(), Digest::of(b"other")).unwrap();
        assert_eq!(other.network(2, || parameters(3)).unwrap(), parameters(3));
        let path = directory.path().join("network-3.json");
        let torn = fs::read(&path).unwrap();
        fs::write(&path, &torn[..torn.len() / 2]).unwrap();
        assert_eq!(first.network(3, || parameters(4)).unwrap(), parameters(4));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, b"").unwrap();
        let error = Checkpoint::open(&file.join("below"), Digest::of(b"one")).unwrap_err();
        assert!(error.to_string().contains("below"));
    }
}
