//! What is measured of the engine, each beside the peer's row of the same work.

mod breaker;
mod candidates;
mod cells;
mod history;
mod tier;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tinydancer_compare::inputs::Numbers;
use tinydancer_compare::measure::Operation;
use tinydancer_engine::simd::Level;

/// What is measured, and what bounds it.
pub(crate) struct Rows {
    /// Beginnings of the names that are asked for; any without one.
    asked: Vec<String>,
    pub(crate) list: Vec<Row>,
    /// By the names that rows know them by.
    pub(crate) bounds: BTreeMap<String, Operation>,
}

impl Rows {
    /// Makes a row if its name is asked for.
    fn add(&mut self, name: &str, row: impl FnOnce(&mut Self) -> Result<Row>) -> Result<()> {
        if self.asked.is_empty() || self.asked.iter().any(|begin| name.starts_with(begin.as_str())) {
            let mut row = row(self)?;
            name.clone_into(&mut row.name);
            self.list.push(row);
        }
        Ok(())
    }
}

/// One line of the table.
pub(crate) struct Row {
    pub(crate) name: String,
    /// The peer's row.
    pub(crate) peer: Option<String>,
    pub(crate) operation: Operation,
    pub(crate) figure: Figure,
    pub(crate) bounds: Bounded,
}

/// What is told of a row.
pub(crate) enum Figure {
    /// The median of its turns.
    Median,
    /// A quantile of its calls, each of which has a clock of its own.
    Quantile { share: f64, calls: Rc<RefCell<Vec<f64>>> },
}

/// What bounds a row.
#[derive(Default)]
pub(crate) struct Bounded {
    /// Bounds that are added up: all of their work has to be done.
    pub(crate) measured: Vec<String>,
    /// A bound of one vector operation, and how many there are.
    pub(crate) counted: Option<(String, f64)>,
}

impl Bounded {
    /// In nanoseconds, from what was measured of the bounds by name.
    pub(crate) fn of(&self, bounds: &BTreeMap<String, f64>) -> tinydancer_compare::report::Bounds {
        let limit = self.measured.iter().map(|name| bounds.get(name)).sum::<Option<f64>>();
        let counted = self.counted.as_ref().and_then(|(name, count)| Some(bounds.get(name)? * count));
        tinydancer_compare::report::Bounds { limit: limit.filter(|_| !self.measured.is_empty()), counted }
    }
}

impl Row {
    /// A row that nothing is beside.
    fn of(operation: Operation) -> Self {
        let (name, peer, bounds) = (String::new(), None, Bounded::default());
        Self { name, peer, operation, figure: Figure::Median, bounds }
    }

    /// Beside a row of the peers.
    fn beside(mut self, peer: impl Into<String>) -> Self {
        self.peer = Some(peer.into());
        self
    }
}

/// Two rows of the same calls: the median of their times, and what 99 of 100 stay within.
fn quantiles<T: 'static>(mut operation: impl FnMut(usize) -> T + 'static) -> [Row; 2] {
    let calls = Rc::new(RefCell::new(Vec::new()));
    let known = Rc::clone(&calls);
    let timed = Operation::of(move |number| {
        let begin = Instant::now();
        black_box(operation(number));
        known.borrow_mut().push(begin.elapsed().as_nanos() as f64);
    });
    let mut half = Row::of(timed);
    half.figure = Figure::Quantile { share: 0.5, calls: Rc::clone(&calls) };
    // Its calls are those of the row above.
    let mut most = Row::of(Operation::new(|_| Duration::from_nanos(1)));
    most.figure = Figure::Quantile { share: 0.99, calls };
    [half, most]
}

/// Every row whose name begins with one of these; all without any. `folder` is where files may be written.
pub(crate) fn all(folder: &Path, asked: &[String]) -> Result<Rows> {
    let mut all = Rows { asked: asked.to_vec(), list: Vec::new(), bounds: BTreeMap::new() };
    candidates::add(&mut all)?;
    cells::add(&mut all)?;
    tier::add(&mut all)?;
    breaker::add(&mut all)?;
    history::add(&mut all, folder)?;
    Ok(all)
}

/// What the processor can do, the best first.
fn levels() -> impl Iterator<Item = Level> {
    Level::all().into_iter().rev()
}

fn row<const N: usize>(numbers: &mut Numbers, size: f32) -> [f32; N] {
    [0.0; N].map(|_| numbers.next_between(size))
}

fn matrix<const N: usize, const M: usize>(numbers: &mut Numbers, size: f32) -> [[f32; N]; M] {
    [[0.0; N]; M].map(|_| row(numbers, size))
}
