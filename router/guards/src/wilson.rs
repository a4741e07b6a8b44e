//! Wilson's score interval for a share.

use crate::verdict::Interval;

/// The standard normal quantile of a two-sided 99 % interval.
pub(crate) const Z_99: f64 = 2.575_829_303_548_901;

/// Wilson's score interval (JASA 22, 1927) for a share of `successes` in `trials` at the normal quantile `z`; `None` without
/// trials. More successes than trials count as all.
pub fn wilson(successes: u64, trials: u64, z: f64) -> Option<Interval> {
    if trials == 0 {
        return None;
    }
    let count = trials as f64;
    let share = successes.min(trials) as f64 / count;
    let square = z * z;
    let centre = share + square / (2.0 * count);
    let radius = z * (share * (1.0 - share) / count + square / (4.0 * count * count)).sqrt();
    let scale = 1.0 + square / count;
    Some(Interval { low: ((centre - radius) / scale).max(0.0), high: ((centre + radius) / scale).min(1.0) })
}

#[cfg(test)]
mod tests {
    use super::wilson;

    const Z_95: f64 = 1.959_963_984_540_054;

    #[test]
    fn wilson_gives_the_textbook_intervals() {
        let none = wilson(0, 381, Z_95).unwrap();
        assert!(none.low.abs() < 1e-12 && (none.high - 0.009_982).abs() < 1e-5, "{none:?}");
        let some = wilson(81, 263, Z_95).unwrap();
        assert!((some.low - 0.255_3).abs() < 1e-4 && (some.high - 0.366_2).abs() < 1e-4, "{some:?}");
    }

    #[test]
    fn a_share_of_nothing_has_no_interval() {
        assert_eq!(wilson(0, 0, Z_95), None);
    }
}
