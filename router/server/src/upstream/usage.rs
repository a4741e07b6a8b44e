//! Tokens as upstreams count them, and what they cost.

use serde::Deserialize;
use tinydancer_crds::valid::Cost;

/// Tokens of one request and its answer, as the upstream counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Usage {
    /// Tokens of the request.
    #[serde(rename = "prompt_tokens", default)]
    pub input_tokens: u64,
    /// Tokens of the answer.
    #[serde(rename = "completion_tokens", default)]
    pub output_tokens: u64,
}

impl Usage {
    /// The `usage` object of a whole answer; `None` where the upstream did not count.
    pub fn of_answer(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Answer {
            usage: Option<Usage>,
        }
        serde_json::from_slice::<Answer>(body).ok()?.usage
    }
}

/// What the tokens cost, in millionths of a dollar: prices are per million tokens, so tokens times price is in
/// millionths of a millionth.
pub fn cost_micro_dollars(usage: Usage, cost: Cost) -> f64 {
    let part = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
    let total = part(usage.input_tokens, cost.input_per_million_tokens.0)
        + part(usage.output_tokens, cost.output_per_million_tokens.0);
    total as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use tinydancer_crds::valid::MicroDollars;

    #[test]
    fn a_million_tokens_cost_their_price() {
        let cost = Cost {
            input_per_million_tokens: MicroDollars(150_000),
            output_per_million_tokens: MicroDollars(600_000),
        };
        let usage = Usage { input_tokens: 2_000_000, output_tokens: 1_000_000 };
        assert!((cost_micro_dollars(usage, cost) - 900_000.0).abs() < 1e-6);
        let small = Usage { input_tokens: 1, output_tokens: 0 };
        assert!((cost_micro_dollars(small, cost) - 0.15).abs() < 1e-9);
    }

    #[test]
    fn an_answer_without_usage_has_none() {
        assert_eq!(Usage::of_answer(b"{}"), None);
        assert_eq!(Usage::of_answer(b"not json"), None);
        let usage =
            Usage::of_answer(br#"{"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#);
        assert_eq!(usage, Some(Usage { input_tokens: 3, output_tokens: 4 }));
    }
}
