//! What a fleet pays to learn how good its decisions are.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::KeyReference;

/// Requests that both tiers answer, so that a grader can say what the cheaper answer would have lost. The answer that was
/// asked for is given first and does not wait.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AuditSpec {
    /// Share of the routed chat requests, in thousandths. Each costs one call more to the other tier and one to the grader.
    /// 0 is no audits.
    #[schemars(range(min = 0, max = 1000))]
    pub permille: i32,
    /// Who grades.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grader: Option<GraderSpec>,
}

/// A service that reads a conversation with both answers and grades each from 0 to 1.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GraderSpec {
    /// Address that `{"messages": [...], "answers": {"lightweight": "...", "powerful": "..."}}` is posted to.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new("isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != ''")
        .message("`endpoint` must be an http or https URL with a host"))]
    pub endpoint: String,
    /// Seconds that a grade may take.
    #[serde(default = "timeout_seconds")]
    #[schemars(range(min = 1, max = 300))]
    pub timeout_seconds: i32,
    /// The key sent to it as a bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_ref: Option<KeyReference>,
}

/// Requests that go to the other tier than was decided, so that outcomes of both are known.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExploreSpec {
    /// Share of the routed requests, in thousandths; never where the model abstained. 0 is none.
    #[schemars(range(min = 0, max = 200))]
    pub permille: i32,
}

fn timeout_seconds() -> i32 {
    30
}
