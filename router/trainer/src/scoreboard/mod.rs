//! The scoreboard: how well routers do on rows they have not seen, beside what anybody has without one. Every router
//! is fitted and asked on the same folds, and every interval is taken on the same samples.

mod board;
mod bootstrap;
mod frontier;
pub mod metrics;
mod partition;
mod routers;
mod run;
mod section;

pub use board::{FoldFigures, Gain, LeftOutFigures, Method, RouterFigures, Scoreboard};
pub use bootstrap::Figure;
pub use frontier::{Candidate, Frontier, FrontierError, Point, frontier};
pub use partition::{Partition, PartitionError};
pub use routers::{PROMISES, RouterError};
pub use run::{ScoreboardError, Settings, Subject, View, scoreboard, units};
pub use section::{
    CalibrationFigures, CoverageFigures, KeptFigures, PromiseFigures, RecoveryFigures, Section,
};
