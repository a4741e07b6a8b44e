//! A router that makes embeddings itself.

use std::sync::Arc;

use tempfile::TempDir;
use tinydancer_engine::{
    artifact::{self, Precision},
    testing,
    token_table::TokenTable,
};
use tinydancer_history::{History, Options};
use tinydancer_server::runtime::Runtime;

use super::{Router, Setup, configuration, json, pair, upstream::Upstream};

/// As many numbers as a made-up embedding has.
const DIMENSIONS: usize = 12;

/// Row r is 1 at r, and 0.5 behind it.
fn table(words: &[&str]) -> TokenTable {
    let numbers = (0..words.len() * DIMENSIONS).map(|index| match index % DIMENSIONS {
        column if column == index / DIMENSIONS => 1.0,
        column if column == index / DIMENSIONS + 1 => 0.5,
        _ => 0.0_f32,
    });
    let data: Vec<u8> = numbers.flat_map(f32::to_le_bytes).collect();
    let header = format!(
        r#"{{"rows":{{"dtype":"F32","shape":[{},{DIMENSIONS}],"data_offsets":[0,{}]}}}}"#,
        words.len(),
        data.len()
    );
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    TokenTable::new(&file, &words.join("\n")).unwrap()
}

/// The runtime of a model that reads the embeddings of the embedder of this name.
fn runtime(embedder: &str) -> (Arc<Runtime>, Arc<History>, TempDir) {
    let mut parts = testing::parts(1);
    let mut embedding = testing::embedding(1);
    embedder.clone_into(&mut embedding.space.name);
    parts.embedding = Some(embedding);
    let model = artifact::write(&parts, &testing::metadata("embedding", 1), Precision::F32).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (history, _) = History::open(&folder.path().join("history.db"), &Options::default()).unwrap();
    let history = Arc::new(history);
    let configuration = configuration(Vec::new(), &Setup::default());
    let runtime = Runtime::standalone(configuration, Some(&model), Arc::clone(&history), [7; 32]).unwrap();
    (runtime, history, folder)
}

#[tokio::test]
async fn a_request_without_an_embedding_is_embedded_by_the_router_and_one_with_keeps_its_own() {
    let up = Upstream::absent().await;
    let candidates = pair(&up, &up);
    let words = ["rain", "falls"];
    let (runtime, history, folder) = runtime(table(&words).name());
    let configuration = configuration(candidates, &Setup::default());
    let router =
        Router::before(Arc::clone(&runtime), history, &configuration, Setup::default(), folder).await;
    let score =
        async |body: &str| json(router.post("/v1/route", body.to_owned()).await).await["score"].clone();
    let (plain, supplied) =
        (r#"{"text":"rain"}"#, r#"{"text":"rain","embedding":[0,0,0,0,0,0,0,0,0,0,0,1]}"#);
    let same = r#"{"text":"rain","embedding":[2,1,0,0,0,0,0,0,0,0,0,0]}"#;
    let (without, with) = (score(plain).await, score(supplied).await);
    assert!(without.is_number());
    runtime.embed_with(table(&words)).unwrap();
    let own = score(plain).await;
    assert_ne!(own, without);
    assert_eq!(own, score(same).await, "only the direction counts");
    assert_eq!(score(supplied).await, with);
    let unknown = r#"{"text":"snow"}"#;
    assert!(score(unknown).await.is_number(), "a text without a known token is scored without an embedding");
}

#[test]
fn a_table_that_the_model_was_not_trained_with_is_refused_with_what_to_do() {
    let mine = table(&["rain", "falls"]);
    let (runtime, _history, _folder) = runtime(table(&["rain", "fell"]).name());
    let message = runtime.embed_with(mine).unwrap_err().to_string();
    assert!(message.contains("leave `--token-table` out") && message.contains("sha256:"), "{message}");
}
