//! Registered candidates, laid out for the processor: sixteen to a block, a line of memory a number, embeddings of
//! length 1, and what does not depend on a request added up beforehand.

use std::time::Duration;

use super::ranker::{Known, Ranker, fits};
use crate::embedding::{self, EmbeddingError, MOST_DIMENSIONS};
use crate::simd::{LANES, Level, Line};

/// The most tags of a candidate or a request.
pub const MOST_TAGS: usize = 32;
/// The most candidates of a store; their numbers are exact in f32.
pub const MOST_CANDIDATES: usize = 1 << 20;

/// How embeddings are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// Four bytes a number.
    F32,
    /// Two bytes a number.
    F16,
    /// One byte a number, one scale a candidate: the largest number is 127.
    Int8,
}

/// A candidate that wants to be registered.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a, const I: usize, const H: usize> {
    /// Its name; no other has it.
    pub id: &'a str,
    /// The centre of what it answers well; any length but 0.
    pub embedding: &'a [f32],
    /// Hashes of its tags ([`crate::features::tag_bucket`]); said twice counts once.
    pub tags: &'a [u64],
    /// What is known of it.
    pub known: Known<I, H>,
}

/// A candidate that is not taken. The store stays as it was, and no other candidate is touched.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum CandidateError {
    /// The embedding is none.
    #[error("the candidate's embedding must be usable")]
    Embedding(#[from] EmbeddingError),
    /// The embedding is of another space.
    #[error("the candidate's embedding must have {expected} numbers as the store's, it has {found}")]
    Dimensions {
        /// Numbers of an embedding of this store.
        expected: usize,
        /// Numbers of this one.
        found: usize,
    },
    /// An input is no number, too large, or not the candidate's to give.
    #[error("input {input} of the candidate must be finite and its own to give, it is {value}")]
    Signal {
        /// Which input.
        input: usize,
        /// What it is.
        value: f32,
    },
    /// The state is no number or too large.
    #[error("the candidate's state must be finite, unit {unit} is not")]
    State {
        /// Which unit.
        unit: usize,
    },
    /// A call that has not been yet.
    #[error("the candidate's last call must not be later than now, it is {by:?} later")]
    Future {
        /// How much later.
        by: Duration,
    },
    /// Too many tags.
    #[error("a candidate must have at most {MOST_TAGS} tags, this one has {found}")]
    Tags {
        /// How many it has.
        found: usize,
    },
    /// The name is taken.
    #[error("a candidate's id must be its own, that of candidate {index} is the same")]
    Id {
        /// Whose it is.
        index: usize,
    },
    /// There is no such candidate.
    #[error("there must be a candidate {index}, there are {candidates}")]
    Index {
        /// Which was asked for.
        index: usize,
        /// How many there are.
        candidates: usize,
    },
    /// The store is full.
    #[error("a store must have at most {MOST_CANDIDATES} candidates")]
    Full,
}

/// The embeddings, by block. See [`Storage`].
#[derive(Debug, Clone)]
pub(super) enum Embeddings {
    F32(Vec<Line<f32, LANES>>),
    F16(Vec<Line<[u16; LANES], 2>>),
    Int8 { lines: Vec<Line<i8, 64>>, scales: Vec<Line<f32, LANES>>, sums: Vec<Line<i32, LANES>> },
}

/// Registered candidates and the network that ranks them. See [`super::select`] for how they are chosen from.
#[derive(Debug, Clone)]
pub struct Store<const I: usize, const H: usize, const N: usize> {
    pub(super) ranker: Ranker<I, H, N>,
    pub(super) level: Level,
    pub(super) dimensions: usize,
    pub(super) embeddings: Embeddings,
    /// Whether any candidate has a state or the network a gap.
    pub(super) streams: bool,
    pub(super) base: Vec<[Line<f32, LANES>; H]>,
    pub(super) state: Vec<[Line<f32, LANES>; H]>,
    /// Seconds; minus infinite where there never was a call.
    pub(super) last_call: Vec<Line<f64, LANES>>,
    /// 0 for a candidate that may be chosen, minus infinite for others and for empty places.
    pub(super) open: Vec<Line<f32, LANES>>,
    pub(super) tag_counts: Vec<Line<f32, LANES>>,
    /// By hash; of each tag, the candidates that have it, a bit each.
    pub(super) tags: Vec<(u64, Vec<u16>)>,
    ids: Vec<Box<str>>,
    kept: Vec<f32>,
}

impl<const I: usize, const H: usize, const N: usize> Store<I, H, N> {
    /// An empty store for embeddings of `dimensions` numbers.
    ///
    /// # Errors
    /// [`EmbeddingError::Length`].
    pub fn new(ranker: Ranker<I, H, N>, dimensions: usize, storage: Storage) -> Result<Self, EmbeddingError> {
        if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
            return Err(EmbeddingError::Length { found: dimensions });
        }
        let embeddings = match storage {
            Storage::F32 => Embeddings::F32(Vec::new()),
            Storage::F16 => Embeddings::F16(Vec::new()),
            Storage::Int8 => Embeddings::Int8 { lines: Vec::new(), scales: Vec::new(), sums: Vec::new() },
        };
        let streams = ranker.has_gap();
        Ok(Self {
            ranker,
            level: Level::best(),
            dimensions,
            embeddings,
            streams,
            base: Vec::new(),
            state: Vec::new(),
            last_call: Vec::new(),
            open: Vec::new(),
            tag_counts: Vec::new(),
            tags: Vec::new(),
            ids: Vec::new(),
            kept: Vec::new(),
        })
    }

    /// The same store at another level, for tests and measurements.
    #[must_use]
    pub fn at_level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Candidates.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Numbers of an embedding.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The name of a candidate.
    pub fn id(&self, index: usize) -> Option<&str> {
        self.ids.get(index).map(AsRef::as_ref)
    }

    /// Registers a candidate and gives its index. `now` is on the clock of its last call.
    ///
    /// # Errors
    /// [`CandidateError`].
    pub fn register(&mut self, entry: &Entry<'_, I, H>, now: Duration) -> Result<usize, CandidateError> {
        if entry.embedding.len() != self.dimensions {
            let (expected, found) = (self.dimensions, entry.embedding.len());
            return Err(CandidateError::Dimensions { expected, found });
        }
        self.ranker.check(&entry.known, now)?;
        if entry.tags.len() > MOST_TAGS {
            return Err(CandidateError::Tags { found: entry.tags.len() });
        }
        if let Some(index) = self.ids.iter().position(|id| **id == *entry.id) {
            return Err(CandidateError::Id { index });
        }
        let index = self.ids.len();
        if index == MOST_CANDIDATES {
            return Err(CandidateError::Full);
        }
        embedding::keep(entry.embedding, &mut self.kept)?;
        if index.is_multiple_of(LANES) {
            self.add_block();
        }
        self.ids.push(entry.id.into());
        self.embeddings.put(index, &self.kept);
        self.put_tags(index, entry.tags);
        self.put_known(index, &entry.known);
        self.open[index / LANES].0[index % LANES] = 0.0;
        Ok(index)
    }

    /// Replaces what is known of a candidate, as after a finished call. Off the deciding path.
    ///
    /// # Errors
    /// [`CandidateError`].
    pub fn update(&mut self, index: usize, known: &Known<I, H>, now: Duration) -> Result<(), CandidateError> {
        self.checked(index)?;
        self.ranker.check(known, now)?;
        self.put_known(index, known);
        Ok(())
    }

    /// Whether a candidate may be chosen, such as while its breaker is closed.
    ///
    /// # Errors
    /// [`CandidateError::Index`].
    pub fn set_open(&mut self, index: usize, open: bool) -> Result<(), CandidateError> {
        self.checked(index)?;
        self.open[index / LANES].0[index % LANES] = if open { 0.0 } else { f32::NEG_INFINITY };
        Ok(())
    }

    /// Bytes that a decision reads of embeddings.
    pub fn embedding_bytes(&self) -> usize {
        match &self.embeddings {
            Embeddings::F32(lines) => size_of_val(lines.as_slice()),
            Embeddings::F16(lines) => size_of_val(lines.as_slice()),
            Embeddings::Int8 { lines, .. } => size_of_val(lines.as_slice()),
        }
    }

    fn checked(&self, index: usize) -> Result<(), CandidateError> {
        let candidates = self.len();
        if index < candidates { Ok(()) } else { Err(CandidateError::Index { index, candidates }) }
    }

    fn add_block(&mut self) {
        self.embeddings.add_block(self.dimensions);
        self.base.push([Line([0.0; LANES]); H]);
        self.state.push([Line([0.0; LANES]); H]);
        self.last_call.push(Line([f64::NEG_INFINITY; LANES]));
        self.open.push(Line([f32::NEG_INFINITY; LANES]));
        self.tag_counts.push(Line([0.0; LANES]));
        for (_, owners) in &mut self.tags {
            owners.push(0);
        }
    }

    fn put_known(&mut self, index: usize, known: &Known<I, H>) {
        let (block, lane) = (index / LANES, index % LANES);
        for (line, sum) in self.base[block].iter_mut().zip(self.ranker.base(known)) {
            line.0[lane] = sum;
        }
        for (line, hidden) in self.state[block].iter_mut().zip(known.state) {
            line.0[lane] = hidden;
        }
        self.streams |= known.state.iter().any(|hidden| *hidden != 0.0);
        self.last_call[block].0[lane] = known.last_call.map_or(f64::NEG_INFINITY, |at| at.as_secs_f64());
    }

    fn put_tags(&mut self, index: usize, tags: &[u64]) {
        let (block, lane) = (index / LANES, index % LANES);
        for tag in tags {
            let place = self.tags.binary_search_by_key(tag, |(hash, _)| *hash).unwrap_or_else(|place| {
                self.tags.insert(place, (*tag, vec![0; self.base.len()]));
                place
            });
            let owners = &mut self.tags[place].1[block];
            if *owners >> lane & 1 == 0 {
                *owners |= 1 << lane;
                self.tag_counts[block].0[lane] += 1.0;
            }
        }
    }
}

impl Embeddings {
    fn add_block(&mut self, dimensions: usize) {
        fn more<T: Clone>(lines: &mut Vec<T>, count: usize, line: T) {
            lines.resize(lines.len() + count, line);
        }
        match self {
            Self::F32(lines) => more(lines, dimensions, Line([0.0; LANES])),
            Self::F16(lines) => more(lines, dimensions.div_ceil(2), Line([[0; LANES]; 2])),
            Self::Int8 { lines, scales, sums } => {
                more(lines, dimensions.div_ceil(4), Line([0; 64]));
                scales.push(Line([0.0; LANES]));
                sums.push(Line([0; LANES]));
            }
        }
    }

    /// Keeps an embedding of length 1.
    fn put(&mut self, index: usize, embedding: &[f32]) {
        let (block, lane) = (index / LANES, index % LANES);
        match self {
            Self::F32(lines) => {
                for (line, number) in lines[block * embedding.len()..].iter_mut().zip(embedding) {
                    line.0[lane] = *number;
                }
            }
            Self::F16(lines) => {
                let first = block * embedding.len().div_ceil(2);
                for (place, number) in embedding.iter().enumerate() {
                    lines[first + place / 2].0[place % 2][lane] = half::f16::from_f32(*number).to_bits();
                }
            }
            Self::Int8 { lines, scales, sums } => {
                let first = block * embedding.len().div_ceil(4);
                let largest = embedding.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
                let mut sum = 0;
                for (place, number) in embedding.iter().enumerate() {
                    let byte = (number / largest * 127.0).round_ties_even() as i8;
                    lines[first + place / 4].0[4 * lane + place % 4] = byte;
                    sum += i32::from(byte);
                }
                scales[block].0[lane] = largest / 127.0;
                sums[block].0[lane] = sum;
            }
        }
    }
}

impl<const I: usize, const H: usize, const N: usize> Ranker<I, H, N> {
    /// Whether what is known of a candidate can be used.
    pub(super) fn check(&self, known: &Known<I, H>, now: Duration) -> Result<(), CandidateError> {
        for (input, value) in known.signals.iter().copied().enumerate() {
            if !fits(value) || (value != 0.0 && self.is_made(input)) {
                return Err(CandidateError::Signal { input, value });
            }
        }
        if let Some(unit) = known.state.iter().position(|hidden| !fits(*hidden)) {
            return Err(CandidateError::State { unit });
        }
        match known.last_call.and_then(|last| last.checked_sub(now)) {
            Some(by) if !by.is_zero() => Err(CandidateError::Future { by }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
