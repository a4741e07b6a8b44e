//! Training of the candidate network: traces of calls and decisions, back-propagation through time over them, and
//! what the recurrence is worth.

mod beta;
mod learn;
mod network;
mod synthetic;
mod trace;

pub use learn::{Course, learn, mean_loss};
pub use network::{Memory, PARAMETERS, Parameters};
pub use synthetic::synthetic;
pub use trace::{Event, Normalisation, Target, Trace};
