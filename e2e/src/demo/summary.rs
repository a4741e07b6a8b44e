//! What the demo has shown, in numbers.

use anyhow::{Result, ensure};

use super::NAMESPACE;
use crate::cluster::Fleet;

/// Prints the numbers and what to try next.
pub(super) async fn print(fleet: &Fleet) -> Result<()> {
    let counts = fleet.counts().await?;
    let (mut spent, mut powerful_only) = (0.0, 0.0);
    for router in fleet.routers().await? {
        let metrics = fleet
            .cluster
            .ask_pod(&fleet.namespace, &router, http::Method::GET, "metrics", Vec::new())
            .await?;
        spent += sum(&metrics, "tinydancer_router_cost_dollars_total", "kind=\"actual\"");
        powerful_only += sum(&metrics, "tinydancer_router_cost_dollars_total", "kind=\"always_powerful\"");
    }
    println!("\n# what the client saw");
    println!("requests answered     {}", counts.answered);
    for (tier, number) in &counts.by_tier {
        println!("  {tier:<20}{number} ({:.1} %)", 100.0 * *number as f64 / counts.answered.max(1) as f64);
    }
    for (arm, number) in &counts.by_arm {
        println!("  by {arm:<17}{number}");
    }
    println!("requests failed       {}", counts.failed);
    if powerful_only > 0.0 {
        println!(
            "spent                 ${spent:.4} instead of ${powerful_only:.4} with the Powerful tier alone: {:.0} % saved",
            100.0 * (1.0 - spent / powerful_only)
        );
    }
    println!("\n# the cluster stays up; try");
    let kubectl = "cargo xtask cluster kubectl --name demo --";
    println!("{kubectl} -n {NAMESPACE} get routermodels,routingpolicies");
    println!("{kubectl} -n {NAMESPACE} describe routingpolicy support");
    println!("{kubectl} -n {NAMESPACE} get events --sort-by .lastTimestamp");
    println!("{kubectl} -n {NAMESPACE} delete pod support-router-0     # nothing is lost");
    println!("cargo xtask cluster down --name demo");
    ensure!(counts.failed == 0, "{} requests failed: {:?}", counts.failed, counts.errors);
    Ok(())
}

/// Adds up the series of a metric, in the text format, that carry a label.
fn sum(metrics: &str, name: &str, label: &str) -> f64 {
    let series = metrics.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') && rest.contains(label))
    });
    series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_with_the_label_counts_and_no_other() {
        let text = "a_total{x=\"1\",y=\"1\"} 1.5\na_total{x=\"1\",y=\"2\"} 2\na_total{x=\"2\"} 7\na_total_b{x=\"1\"} 9\n";
        assert!((sum(text, "a_total", "x=\"1\"") - 3.5).abs() < 1e-9);
    }
}
