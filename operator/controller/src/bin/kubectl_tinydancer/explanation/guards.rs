//! Guards as a table: what each saw, what it may not cross, and how far it is from either verdict.

use tinydancer_crds::routing_policy::GuardStatus;

use crate::table::table;

const HEAD: [&str; 8] =
    ["GUARD", "VERDICT", "ESTIMATE", "INTERVAL", "LIMIT", "SAMPLES", "TOWARDS FAIL", "TOWARDS PASS"];

/// The table and how to read it.
pub(super) fn describe(guards: &[GuardStatus]) -> String {
    let row = |guard: &GuardStatus| {
        vec![
            guard.name.clone(),
            format!("{:?}", guard.verdict),
            guard.estimate.clone(),
            guard.interval.clone().unwrap_or_else(|| "none".to_owned()),
            guard.limit.clone(),
            guard.samples.to_string(),
            towards(&guard.log_e_value, &guard.fails_at),
            towards(&guard.safe_log_e_value, &guard.passes_at),
        ]
    };
    let head = HEAD.map(str::to_owned).to_vec();
    let rows: Vec<_> = std::iter::once(head).chain(guards.iter().map(row)).collect();
    format!(
        "{}  the last columns are log e-values and what they must reach; they may be looked at at any time\n",
        table(&rows, 2)
    )
}

/// In words and numbers. E-values grow by factors, so the share of the logarithm is the share of the way.
fn towards(has: &str, needs: &str) -> String {
    let numbers = has.parse::<f64>().ok().zip(needs.parse::<f64>().ok());
    let Some((value, goal)) = numbers.filter(|(_, goal)| *goal > 0.0) else {
        return format!("{has} of {needs}");
    };
    let share = value / goal;
    let words = match share {
        _ if share >= 1.0 => "there",
        _ if share >= 0.75 => "near",
        _ if share >= 0.25 => "on the way",
        _ if share > 0.0 => "far",
        _ => "no sign",
    };
    format!("{words} ({has} of {needs})")
}

#[cfg(test)]
mod tests {
    use super::towards;

    #[test]
    fn the_way_to_a_verdict_is_told_in_words_and_numbers() {
        for (has, words) in [
            ("6.000", "there"),
            ("5.000", "near"),
            ("2.000", "on the way"),
            ("0.100", "far"),
            ("0.000", "no sign"),
            ("-3.000", "no sign"),
        ] {
            assert_eq!(towards(has, "5.991"), format!("{words} ({has} of 5.991)"));
        }
        assert_eq!(towards("none", "5.991"), "none of 5.991");
    }
}
