//! A candidate network in the form in which many candidates run through it at once.
//!
//! What depends on neither request nor time is added up when a candidate's standing changes: `U h`, and `W` times
//! the signals that are the candidate's own. A decision adds four columns to that.
//!
//! One power serves gate and update of a unit. With `e = exp(-(a + bias_gate))` the gate is `1 / (1 + e)`, and
//! `tanh(a + bias_update) = (1 - q) / (1 + q)` with `q = e^2 * exp(-2 (bias_update - bias_gate))`; so
//!
//! ```text
//! h' = (h (1 + q) + ((Z + N) e + N) (1 - q)) / ((1 + e) (1 + q)),  Z = sigmoid(zeta), N = sigmoid(nu)
//! ```
//!
//! Sums are kept times `-log2(e)`, so that the power is one of two.

use std::time::Duration;

use super::network::{CandidateWeights, HEADS, HIDDEN, INPUTS};
use super::stream::{HALF_LIFE, Standing};
use crate::fastgrnn::CellWeights;
use crate::numerics;
use crate::simd::{LANES, Line};

/// The biases of gate and update of a unit may differ by this much, or the one power could leave f32.
pub const WIDEST_BIASES: f32 = 20.0;
/// No weight, state or signal may be larger, so that no sum leaves f32.
pub const LARGEST: f32 = 1e9;

/// How alike the tags of a request and of a candidate are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// Tags of both over tags of either.
    Jaccard,
    /// Tags of both over tags of the request.
    ShareOfRequest,
}

/// Which inputs of a network depend on request and candidate, or on the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// Cosine of the embeddings.
    pub similarity: usize,
    /// Natural logarithm of one plus the seconds since the last call.
    pub gap: Option<usize>,
    /// 2 to the minus of the half-lives since the last call.
    pub recency: usize,
    /// See [`Overlap`].
    pub overlap: usize,
}

/// The weights of any network of this kind; matrices by rows, one row an output. The first head is the logit of
/// success; a second is the logarithm of its precision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankerWeights<const I: usize, const H: usize, const N: usize> {
    /// Mean of each input.
    pub input_mean: [f32; I],
    /// Standard deviation of each input; positive.
    pub input_std: [f32; I],
    /// The recurrent cell.
    pub cell: CellWeights<I, H>,
    /// State to heads.
    pub head_weight: [[f32; H]; N],
    /// Bias of the heads.
    pub head_bias: [f32; N],
    /// Which inputs are made at a decision.
    pub roles: Roles,
    /// After this time recency is a half.
    pub half_life: Duration,
    /// How tags are compared.
    pub overlap: Overlap,
}

/// Weights that cannot be run in this form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RankerError {
    /// A weight is no number or too large.
    #[error("{part} must have finite weights of at most {LARGEST:e}")]
    Weight {
        /// Which weights.
        part: &'static str,
    },
    /// A standard deviation is too small.
    #[error(
        "the standard deviation of input {input} must be positive and its weights over it at most {LARGEST:e}"
    )]
    Deviation {
        /// Which input.
        input: usize,
    },
    /// Gate and update are too far apart.
    #[error("the biases of gate and update of unit {unit} must differ by at most {WIDEST_BIASES}")]
    Biases {
        /// Which unit.
        unit: usize,
    },
    /// Two roles for one input, or one that is not there.
    #[error("similarity, gap, recency and overlap must be different inputs of the network")]
    Roles,
    /// Recency would be no number.
    #[error("the half-life must be positive")]
    HalfLife,
}

/// What a unit adds up and multiplies at a decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Unit<const N: usize> {
    pub(super) similarity: f32,
    pub(super) gap: f32,
    pub(super) recency: f32,
    pub(super) overlap: f32,
    /// `exp(-2 (bias_update - bias_gate))`
    pub(super) ratio: f32,
    pub(super) heads: [f32; N],
}

/// The weights with the units side by side, for one candidate at once; empty places are 0.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ByLane<const I: usize, const H: usize, const N: usize> {
    pub(super) w: [Line<f32, LANES>; I],
    pub(super) u: [Line<f32, LANES>; H],
    pub(super) constant: Line<f32, LANES>,
    pub(super) ratio: Line<f32, LANES>,
    pub(super) heads: [Line<f32, LANES>; N],
}

/// A network that is ready to run over many candidates.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranker<const I: usize, const H: usize, const N: usize> {
    pub(super) units: [Unit<N>; H],
    pub(super) head_bias: [f32; N],
    /// `sigmoid(zeta) + sigmoid(nu)`
    pub(super) gain: f32,
    /// `sigmoid(nu)`
    pub(super) floor: f32,
    /// Exponent of two a second.
    pub(super) rate: f32,
    pub(super) overlap: Overlap,
    roles: Roles,
    pub(super) w_by_input: [[f32; H]; I],
    pub(super) u_by_input: [[f32; H]; H],
    pub(super) constant: [f32; H],
    pub(super) by_lane: ByLane<I, H, N>,
}

impl Ranker<INPUTS, HIDDEN, HEADS> {
    /// The candidate network.
    ///
    /// # Errors
    /// [`RankerError`].
    pub fn candidate(weights: &CandidateWeights) -> Result<Self, RankerError> {
        Self::new(&RankerWeights {
            input_mean: weights.input_mean,
            input_std: weights.input_std,
            cell: weights.cell,
            head_weight: weights.head_weight,
            head_bias: weights.head_bias,
            roles: Roles { similarity: 0, gap: Some(5), recency: 6, overlap: 9 },
            half_life: HALF_LIFE,
            overlap: Overlap::Jaccard,
        })
    }
}

impl<const I: usize, const H: usize, const N: usize> Ranker<I, H, N> {
    /// Prepares these weights.
    ///
    /// # Errors
    /// [`RankerError`].
    pub fn new(weights: &RankerWeights<I, H, N>) -> Result<Self, RankerError> {
        check(weights)?;
        const { assert!(N > 0, "a ranker must have a head") };
        let cell = &weights.cell;
        let scale = -std::f64::consts::LOG2_E;
        let over = |input: usize| scale / f64::from(weights.input_std[input]);
        let column =
            |input: usize| std::array::from_fn(|unit| (over(input) * f64::from(cell.w[unit][input])) as f32);
        let w_by_input: [[f32; H]; I] = std::array::from_fn(column);
        let constant: [f32; H] = std::array::from_fn(|unit| {
            let means = (0..I).map(|input| {
                over(input) * f64::from(cell.w[unit][input]) * f64::from(weights.input_mean[input])
            });
            (scale * f64::from(cell.bias_gate[unit]) - means.sum::<f64>()) as f32
        });
        let roles = weights.roles;
        let units = std::array::from_fn(|unit| Unit {
            similarity: w_by_input[roles.similarity][unit],
            gap: roles.gap.map_or(0.0, |gap| w_by_input[gap][unit]),
            recency: w_by_input[roles.recency][unit],
            overlap: w_by_input[roles.overlap][unit],
            ratio: (-2.0 * (f64::from(cell.bias_update[unit]) - f64::from(cell.bias_gate[unit]))).exp()
                as f32,
            heads: std::array::from_fn(|head| weights.head_weight[head][unit]),
        });
        let u_by_input: [[f32; H]; H] = std::array::from_fn(|from| {
            std::array::from_fn(|unit| (scale * f64::from(cell.u[unit][from])) as f32)
        });
        let by_lane = ByLane {
            w: w_by_input.map(|column| in_lanes(&column)),
            u: u_by_input.map(|column| in_lanes(&column)),
            constant: in_lanes(&constant),
            ratio: in_lanes(&units.map(|unit: Unit<N>| unit.ratio)),
            heads: weights.head_weight.map(|row| in_lanes(&row)),
        };
        let nu = numerics::sigmoid(cell.nu);
        Ok(Self {
            units,
            head_bias: weights.head_bias,
            gain: numerics::sigmoid(cell.zeta) + nu,
            floor: nu,
            rate: (-1.0 / weights.half_life.as_secs_f64()) as f32,
            overlap: weights.overlap,
            roles,
            w_by_input,
            u_by_input,
            constant,
            by_lane,
        })
    }

    /// What a candidate brings to each unit's sum, whatever the request.
    pub(super) fn base(&self, known: &Known<I, H>) -> [f32; H] {
        let mut sums = self.constant.map(f64::from);
        self.add(&mut sums, &known.signals);
        for (column, hidden) in self.u_by_input.iter().zip(known.state) {
            for (sum, weight) in sums.iter_mut().zip(column) {
                *sum += f64::from(*weight) * f64::from(hidden);
            }
        }
        sums.map(|sum| sum as f32)
    }

    /// What a request brings to each unit's sum, whatever the candidate.
    pub(super) fn request(&self, signals: &[f32; I]) -> [f32; H] {
        let mut sums = [0.0; H];
        for (column, signal) in self.w_by_input.iter().zip(signals) {
            if *signal != 0.0 {
                for (sum, weight) in sums.iter_mut().zip(column) {
                    *sum += weight * signal;
                }
            }
        }
        sums
    }

    fn add(&self, sums: &mut [f64; H], signals: &[f32; I]) {
        for (column, signal) in self.w_by_input.iter().zip(signals) {
            for (sum, weight) in sums.iter_mut().zip(column) {
                *sum += f64::from(*weight) * f64::from(*signal);
            }
        }
    }

    /// Whether the network knows how long ago the last call was.
    pub(super) fn has_gap(&self) -> bool {
        self.roles.gap.is_some()
    }

    /// Whether an input is made at a decision, so that nobody else may give it.
    pub(super) fn is_made(&self, input: usize) -> bool {
        let roles = &self.roles;
        [Some(roles.similarity), roles.gap, Some(roles.recency), Some(roles.overlap)].contains(&Some(input))
    }
}

/// The numbers of the units side by side; empty places are 0.
#[inline]
pub(super) fn in_lanes<const H: usize>(numbers: &[f32; H]) -> Line<f32, LANES> {
    let mut line = Line([0.0; LANES]);
    for (lane, number) in line.0.iter_mut().zip(numbers) {
        *lane = *number;
    }
    line
}

fn check<const I: usize, const H: usize, const N: usize>(
    weights: &RankerWeights<I, H, N>,
) -> Result<(), RankerError> {
    let cell = &weights.cell;
    let parts: [(&str, &[f32]); 7] = [
        ("the input mean", &weights.input_mean),
        ("W", cell.w.as_flattened()),
        ("U", cell.u.as_flattened()),
        ("the gate's bias", &cell.bias_gate),
        ("the update's bias", &cell.bias_update),
        ("the head's weight", weights.head_weight.as_flattened()),
        ("the head's bias", &weights.head_bias),
    ];
    if let Some((part, _)) = parts.iter().find(|(_, numbers)| !numbers.iter().all(|number| fits(*number))) {
        return Err(RankerError::Weight { part });
    }
    if !(cell.zeta.is_finite() && cell.nu.is_finite()) {
        return Err(RankerError::Weight { part: "zeta and nu" });
    }
    for (input, std) in weights.input_std.iter().enumerate() {
        let usable = std.is_finite() && *std > 0.0 && cell.w.iter().all(|row| fits(row[input] / std));
        if !usable {
            return Err(RankerError::Deviation { input });
        }
    }
    let biases = cell.bias_gate.iter().zip(&cell.bias_update);
    if let Some(unit) = biases.into_iter().position(|(gate, update)| (gate - update).abs() > WIDEST_BIASES) {
        return Err(RankerError::Biases { unit });
    }
    let roles = &weights.roles;
    let mut inputs: Vec<usize> = [roles.similarity, roles.recency, roles.overlap].into();
    inputs.extend(roles.gap);
    inputs.sort_unstable();
    if inputs.iter().any(|input| *input >= I) || inputs.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(RankerError::Roles);
    }
    if weights.half_life.is_zero() {
        return Err(RankerError::HalfLife);
    }
    Ok(())
}

/// Whether a number can be used without leaving f32 later.
pub(super) fn fits(number: f32) -> bool {
    number.abs() <= LARGEST
}

/// What is known of a candidate without a request: its own inputs (0 where the request or the time makes them), the
/// state of its stream, and when its last call ended, since the same start as decisions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known<const I: usize, const H: usize> {
    /// Inputs before they are normalised.
    pub signals: [f32; I],
    /// The state of the stream; 0 where there is none.
    pub state: [f32; H],
    /// When the last call ended.
    pub last_call: Option<Duration>,
}

/// The inputs of [`Known::of_five`]: similarity, recency, frequency, success, overlap.
pub const FIVE: Roles = Roles { similarity: 0, gap: None, recency: 1, overlap: 4 };
/// So many calls count as the most there are.
pub const MOST_CALLS: u64 = 10_000;

impl<const H: usize> Known<5, H> {
    /// A candidate of a network over the five signals of [`FIVE`] without a stream: how often it was called, the
    /// share of successes, and when it was called last. Frequency is logarithmic, 1 at [`MOST_CALLS`].
    pub fn of_five(calls: u64, success: f32, last_call: Option<Duration>) -> Self {
        let most = numerics::ln_1p(MOST_CALLS as f32);
        let frequency = (numerics::ln_1p(calls as f32) / most).min(1.0);
        Self { signals: [0.0, 0.0, frequency, success, 0.0], state: [0.0; H], last_call }
    }
}

impl From<&Standing> for Known<INPUTS, HIDDEN> {
    fn from(standing: &Standing) -> Self {
        let mut signals = [0.0; INPUTS];
        (signals[3], signals[4]) = (standing.price, standing.latency);
        (signals[7], signals[8], signals[10]) = (standing.frequency, standing.success, standing.outcome);
        Self { signals, state: standing.state, last_call: standing.last_call }
    }
}
