//! Combinations of signals and sets of them, as bits: one bit for each value that a signal can have.

/// One value for each signal, or several that make no difference to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Facts(pub(crate) u64);

/// All combinations in which each signal has one of its allowed values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cube(pub(crate) u64);

impl Facts {
    /// The numbers of its bits.
    pub(crate) fn bits(self) -> impl Iterator<Item = usize> {
        let next = |rest: &u64| Some(rest & (rest - 1)).filter(|_| *rest != 0);
        std::iter::successors(Some(self.0), move |rest| next(rest).filter(|rest| *rest != 0))
            .filter(|rest| *rest != 0)
            .map(|rest| rest.trailing_zeros() as usize)
    }

    /// The set of only these.
    pub(crate) const fn alone(self) -> Cube {
        Cube(self.0)
    }
}

impl Cube {
    /// The smallest cube that holds all of these.
    pub(crate) fn around(facts: impl Iterator<Item = Facts>) -> Self {
        Self(facts.fold(0, |bits, facts| bits | facts.0))
    }

    /// Whether the combination lies in it.
    pub(crate) const fn holds(self, facts: Facts) -> bool {
        facts.0 & !self.0 == 0
    }
}
