//! Quantiles of what was measured.

use std::fmt;

/// Nanoseconds that half, 99 % and 99.9 % of the decisions stayed within.
#[derive(Clone, Copy, Default)]
pub(crate) struct Quantiles([u64; 3]);

/// Quantiles, each with its ratio to another run's.
pub(crate) struct Beside(Quantiles, Quantiles);

impl Quantiles {
    pub(crate) fn of(times: &[u64]) -> Self {
        let mut sorted = times.to_owned();
        sorted.sort_unstable();
        let at = |permille: usize| sorted.get(sorted.len() * permille / 1000).copied().unwrap_or_default();
        Self([at(500), at(990), at(999)])
    }

    pub(crate) const fn beside(self, other: Self) -> Beside {
        Beside(self, other)
    }
}

impl fmt::Display for Beside {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(own, other) = self;
        for (name, (own, other)) in ["p50", "p99", "p99.9"].iter().zip(own.0.iter().zip(&other.0)) {
            let micros = *own as f64 / 1e3;
            let ratio = *own as f64 / (*other).max(1) as f64;
            write!(formatter, "{name} {micros:>8.1} ({ratio:.2})  ")?;
        }
        Ok(())
    }
}
