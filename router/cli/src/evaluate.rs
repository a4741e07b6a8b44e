//! `tiny-dancer evaluate`.

use std::path::PathBuf;

use clap::Args;
use tinydancer_trainer::evaluate::{out_of_fold, with_model};
use tinydancer_trainer::fit::Recipe;
use tinydancer_trainer::folds::FOLDS;
use tinydancer_trainer::metrics::Estimate;
use tinydancer_trainer::report::{Method, Report};

use crate::files;
use crate::selection::{Making, Rows, progress};

/// Measure how well a model routes, out-of-fold with 95 % bootstrap intervals, beside random, prompt length and
/// always-Powerful.
#[derive(Args)]
pub(crate) struct Evaluate {
    #[command(flatten)]
    rows: Rows,
    #[command(flatten)]
    making: Making,
    /// Score the rows with this artifact instead of training in folds. With `--evidence ngram` tags are withheld.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Evaluate {
    /// Evaluates and prints.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let recipe = self.making.recipe()?;
        let model = self.model.as_deref().map(files::read_model).transpose()?;
        let rows = self.rows.load()?;
        let report = match model {
            Some((_, model)) => with_model(&rows, &model, recipe.tags, recipe.seed)?,
            None => out_of_fold(&rows, recipe, &progress("evaluate", FOLDS * Recipe::units()))?,
        };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            print(&report);
        }
        Ok(())
    }
}

fn print(report: &Report) {
    println!("{} rows, {}", report.rows, method(report.method));
    println!("data {}", report.data);
    println!();
    println!("{:<16} {:<22} {:<22} {:<22} ECE", "router", "APGR", "CPT50", "CPT80");
    for figures in &report.routers {
        let ece = figures.ece.map_or_else(|| "-".to_owned(), |ece| interval(&ece));
        println!(
            "{:<16} {:<22} {:<22} {:<22} {ece}",
            figures.router,
            interval(&figures.apgr),
            interval(&figures.cpt50),
            interval(&figures.cpt80),
        );
    }
    println!();
    println!("APGR above prompt length, paired: {}", interval(&report.gain_over_length));
    println!();
    println!("{:<18} {:<22} {:<22} quality", "promised regret", "regret", "calls to Powerful");
    for promise in &report.promises {
        println!(
            "{:<18} {:<22} {:<22} {}",
            format!("{:.3}", f64::from(promise.permille) / 1000.0),
            interval(&promise.regret),
            interval(&promise.powerful_share),
            interval(&promise.quality),
        );
    }
    println!("{:<18} {:<22} {:<22} {:.3}", "always Powerful", "0", "1", report.always_powerful);
    println!("{:<18} {:<22} {:<22} {:.3}", "always Lightweight", "", "0", report.always_lightweight);
}

fn method(method: Method) -> &'static str {
    match method {
        Method::OutOfFold => {
            "out-of-fold: each row is scored by an artifact that was fitted, stopped and calibrated without its fold"
        }
        Method::InSample => {
            "IN-SAMPLE: the model was trained on exactly these rows, so these figures flatter it"
        }
        Method::OtherRows => {
            "not the rows the model was trained on as a whole; whether some of them were among those is not known"
        }
    }
}

fn interval(estimate: &Estimate) -> String {
    format!("{:.3} [{:.3}, {:.3}]", estimate.value, estimate.low, estimate.high)
}
