//! How unsure a model is.

/// `min(p, 1 - p)` of the calibrated probability that Lightweight is good enough: the share of
/// wrong answers to expect from deciding by it, 0 to 0.5.
pub fn of(good_enough: f32) -> f32 {
    good_enough.min(1.0 - good_enough)
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn an_even_chance_is_most_uncertain_and_either_certainty_least() {
        assert_eq!(of(0.5), 0.5);
        assert_eq!(of(0.25), of(0.75));
        assert_eq!((of(0.0), of(1.0)), (0.0, 0.0));
    }
}
