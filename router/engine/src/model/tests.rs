use super::*;
use crate::artifact::{MetadataParts, NoveltyParts, Precision};
use crate::features::tag_bucket;
use crate::novelty::{NoveltyLimit, WordFilter};
use crate::testing;
use crate::{Reason, Tier};

const PROMPT: &str = "A farmer has 17 sheep and sells 9. How many are left?";

fn model_of(parts: &ModelParts) -> Model {
    let bytes = artifact::write(parts, &testing::metadata("1.0.0", 7), Precision::F32).expect("must write");
    Model::from_bytes(&bytes).expect("must load")
}

fn features(tags: &[(&'static str, &'static str)]) -> Features {
    Features::extract(PROMPT, tags.iter().copied())
}

#[test]
fn a_score_is_made_of_the_three_calibrated_probabilities() {
    let model = model_of(&testing::parts(7));
    let score = model.score(&features(&[])).expect("must score");
    let [p1, p2, p3] = model.metadata().calibration.probabilities(model.logits(&features(&[])));
    assert_eq!((score.lightweight_right, score.powerful_right, score.confidence()), (p1, p2, p3));
    assert_eq!(score.score, (p2 - p1) + (1.0 - p3));
    assert_eq!(score.uncertainty, p3.min(1.0 - p3));
}

#[test]
fn a_calibration_moves_the_score_and_not_the_logits() {
    let parts = testing::parts(7);
    let mut metadata: MetadataParts = testing::metadata("1.0.0", 7);
    for head in &mut metadata.calibration.heads {
        head.offset = 0.5;
    }
    let bytes = artifact::write(&parts, &metadata, Precision::F32).expect("must write");
    let (plain, moved) = (model_of(&parts), Model::from_bytes(&bytes).expect("must load"));
    assert_eq!(plain.logits(&features(&[])), moved.logits(&features(&[])));
    let confidence = |model: &Model| model.score(&features(&[])).expect("must score").confidence();
    assert!(confidence(&moved) > confidence(&plain));
}

#[test]
fn the_recurrent_weights_reach_the_logits_through_one_and_two_steps() {
    let parts = testing::parts(7);
    let mut without = parts.clone();
    without.network.cell.u = [[0.0; 16]; 16];
    for tags in [&[][..], &[testing::KNOWN_TAG]] {
        assert_ne!(model_of(&parts).logits(&features(tags)), model_of(&without).logits(&features(tags)));
    }
}

#[test]
fn a_second_step_reads_the_state_that_the_first_one_left() {
    let parts = testing::parts(7);
    let mut other = parts.clone();
    // Only the input weights of the n-gram step change; the tag step comes later.
    for row in &mut other.network.cell.w {
        row[3] += 0.5;
    }
    let tagged = features(&[testing::KNOWN_TAG]);
    assert_ne!(model_of(&parts).logits(&tagged), model_of(&other).logits(&tagged));
}

#[test]
fn a_tag_that_was_not_counted_is_no_step() {
    let model = model_of(&testing::parts(7));
    let plain = model.logits(&features(&[]));
    assert_eq!(model.logits(&features(&[("task", "never seen")])), plain);
    assert_ne!(model.logits(&features(&[testing::KNOWN_TAG])), plain);
    assert_ne!(
        model.logits(&features(&[testing::KNOWN_TAG, ("task", "poetry")])),
        model.logits(&features(&[testing::KNOWN_TAG]))
    );
}

#[test]
fn without_any_source_the_heads_read_the_initial_state() {
    let mut parts = testing::parts(7);
    (parts.ngrams, parts.tags, parts.novelty) = (None, None, None);
    let model = model_of(&parts);
    let mut changed = parts.clone();
    changed.network.cell.w = [[9.0; 8]; 16];
    assert_eq!(model.logits(&features(&[])), model_of(&changed).logits(&features(&[])));
    // A text without a word has no step either.
    let short = Features::extract("?!", []);
    assert_eq!(model_of(&testing::parts(7)).logits(&short), model.logits(&short));
}

#[test]
fn a_logit_that_is_no_number_is_an_error_and_only_on_the_prompts_it_concerns() {
    let mut parts = testing::parts(7);
    // Two units that stay 0 until a prompt is very long, and heads that overflow then.
    let network = &mut parts.network;
    (network.statistics_mean[14], network.statistics_std[14]) = (0.0, 0.01);
    for unit in 0..2 {
        network.h0_weight[unit] = [0.0; 15];
        network.h0_weight[unit][14] = 1.0;
        network.h0_bias[unit] = 0.0;
        network.cell.w[unit] = [0.0; 8];
        network.cell.u[unit] = [0.0; 16];
        network.cell.bias_gate[unit] = 20.0;
        network.cell.bias_update[unit] = 0.0;
        network.cell.u.iter_mut().for_each(|row| row[unit] = 0.0);
        network.head_weight[1][unit] = f32::MAX;
    }
    let model = model_of(&parts);
    assert!(model.score(&features(&[])).is_ok());
    let long = Features::extract(&"word ".repeat(500), []);
    assert_eq!(model.score(&long), Err(ScoreError::NonFinite { head: 1 }));
}

#[test]
fn the_order_of_words_changes_no_ngram_evidence() {
    let tables = NgramTables::new(&testing::parts(7).ngrams.expect("must have tables"));
    let of = |text: &str| tables.evidence(&Features::extract(text, []));
    assert_eq!(of("one two THREE"), of("three, one; two"));
    assert_ne!(of("one two three"), of("one two four"));
}

#[test]
fn a_model_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Model>();
    shared::<Features>();
}

#[test]
fn a_model_decides_with_its_own_calibration() {
    let model = model_of(&testing::parts(7));
    let score = model.score(&features(&[])).expect("must score");
    let rule = DecisionRule::Risk { permille: 100 };
    assert_eq!(model.decide(&score, &rule), decide(&score, &rule, &model.metadata().calibration));
}

#[test]
fn the_tag_of_the_tests_is_counted_under_its_bucket() {
    let tags = testing::parts(7).tags.expect("must be there");
    let bucket = tag_bucket(testing::KNOWN_TAG.0, testing::KNOWN_TAG.1);
    assert!(tags.buckets.binary_search(&bucket).is_ok());
}

#[test]
fn a_request_is_read_scored_and_decided_without_allocating() {
    let mut parts = testing::parts(7);
    parts.embedding = Some(testing::embedding(7));
    let model = model_of(&parts);
    let long = PROMPT.repeat(200);
    let embedding: Vec<f32> = (1..=12_u8).map(f32::from).collect();
    let mut features = Features::extract(&long, [testing::KNOWN_TAG]);
    features.set_embedding(&embedding).expect("must be an embedding");
    let rule = DecisionRule::Risk { permille: 50 };
    let counted = allocation_counter::measure(|| {
        features.extract_into(&long, [testing::KNOWN_TAG]);
        features.set_embedding(&embedding).expect("must be an embedding");
        let score = model.score(&features).expect("must score");
        assert!(score.novelty.is_some() && score.set.is_some());
        std::hint::black_box(model.known_tags(&features));
        std::hint::black_box(model.decide(&score, &rule));
    });
    assert_eq!(counted.count_total, 0);
}

/// A model that knows the words of [`PROMPT`] only, and lets half of the words be unknown.
fn model_of_prompt() -> Model {
    let mut parts = testing::parts(7);
    let mut filter = WordFilter::default();
    filter.extend(features(&[]).words().iter().copied());
    let limit = NoveltyLimit { words: features(&[]).words().len() as u64, limit_permille: 500 };
    parts.novelty = Some(NoveltyParts { filter, limit });
    model_of(&parts)
}

#[test]
fn a_prompt_of_unseen_words_goes_to_powerful_and_the_model_abstains() {
    let model = model_of_prompt();
    let rule = DecisionRule::Score { lambda: 2.0 };
    let judged = |text: &str| {
        let score = model.score(&Features::extract(text, [])).expect("must score");
        (score.novelty, model.decide(&score, &rule))
    };
    let (novelty, decision) = judged(PROMPT);
    assert_eq!((novelty, decision.tier, decision.abstained), (Some(0.0), Tier::Lightweight, false));
    let (novelty, decision) = judged("a farmer has penguins in Patagonia");
    assert_eq!((novelty, decision.tier), (Some(0.5), Tier::Lightweight), "the limit itself is allowed");
    let (novelty, decision) = judged("penguins swim near Patagonia");
    assert_eq!((novelty, decision.reason), (Some(1.0), Reason::Novel));
    assert!(decision.abstained && decision.tier == Tier::Powerful);
    let (novelty, decision) = judged("penguins swim there");
    assert_eq!((novelty, decision.tier), (None, Tier::Lightweight), "three words say nothing");
}

#[test]
fn a_model_without_a_filter_calls_nothing_novel() {
    let mut parts = testing::parts(7);
    parts.novelty = None;
    let model = model_of(&parts);
    let score = model.score(&Features::extract("penguins swim near Patagonia", [])).expect("must score");
    assert_eq!((score.novelty, score.novel), (None, false));
}

#[test]
fn unknown_tags_are_counted_and_never_make_a_prompt_novel() {
    let model = model_of(&testing::parts(7));
    let known = |tags: &[(&'static str, &'static str)]| model.known_tags(&features(tags));
    assert_eq!(
        [known(&[]), known(&[("task", "new")]), known(&[("task", "new"), testing::KNOWN_TAG])],
        [0, 0, 1]
    );
    assert!(!model.score(&features(&[("task", "new")])).expect("must score").novel);
}

#[test]
fn a_score_carries_the_set_of_the_first_coverage() {
    let model = model_of(&testing::parts(7));
    let score = model.score(&features(&[])).expect("must score");
    assert_eq!(score.set, Some(testing::metadata("1", 7).calibration.sets[0].at(score.good_enough)));
    let mut metadata = testing::metadata("1.0.0", 7);
    metadata.calibration.sets.clear();
    let bytes = artifact::write(&testing::parts(7), &metadata, Precision::F32).expect("must write");
    let model = Model::from_bytes(&bytes).expect("must load");
    assert_eq!(model.score(&features(&[])).expect("must score").set, None);
}

fn embedded(features: &Features, embedding: &[f32]) -> Features {
    let mut features = features.clone();
    features.set_embedding(embedding).expect("must be an embedding");
    features
}

/// Twelve numbers, as many as the embeddings of [`testing::embedding`] have.
const EMBEDDING: [f32; 12] = [3.0, -1.0, 2.0, 0.5, 0.0, -2.0, 1.0, 1.5, -0.5, 0.25, 4.0, -3.0];

#[test]
fn a_supplied_embedding_is_two_more_steps_and_only_its_direction_counts() {
    let plain = testing::parts(7);
    let parts = |prototypes: bool, read_out: bool| {
        let mut embedding = testing::embedding(7);
        embedding.prototypes = embedding.prototypes.filter(|_| prototypes);
        embedding.read_out = embedding.read_out.filter(|_| read_out);
        ModelParts { embedding: Some(embedding), ..plain.clone() }
    };
    let without = model_of(&plain).logits(&features(&[]));
    let with = embedded(&features(&[]), &EMBEDDING);
    assert_eq!(model_of(&plain).logits(&with), without, "a model that reads none ignores it");
    let both = model_of(&parts(true, true));
    assert_eq!(both.logits(&features(&[])), without, "without an embedding there is no step");
    let logits = [
        both.logits(&with),
        model_of(&parts(true, false)).logits(&with),
        model_of(&parts(false, true)).logits(&with),
    ];
    assert!(logits.iter().all(|logits| *logits != without));
    assert!(logits[0] != logits[1] && logits[0] != logits[2] && logits[1] != logits[2]);
    let doubled = embedded(&features(&[]), &EMBEDDING.map(|number| 2.0 * number));
    assert_eq!(both.logits(&doubled), both.logits(&with));
}

#[test]
fn an_embedding_of_other_dimensions_is_an_error_that_names_both() {
    let mut parts = testing::parts(7);
    parts.embedding = Some(testing::embedding(7));
    let error = model_of(&parts).score(&embedded(&features(&[]), &[1.0; 13])).expect_err("must fail");
    assert_eq!(error, ScoreError::Dimensions { expected: 12, found: 13 });
    assert_eq!(error.to_string(), "an embedding for this model must have 12 numbers, this one has 13");
    let ignorant = model_of(&testing::parts(7));
    assert!(ignorant.score(&embedded(&features(&[]), &[1.0; 13])).is_ok());
}

#[test]
fn an_embedding_far_from_every_prototype_makes_a_prompt_novel() {
    let mut parts = testing::parts(7);
    parts.embedding = Some(testing::embedding(7));
    let novel = |least_similarity: f32, features: &Features| {
        let mut parts = parts.clone();
        parts.embedding.as_mut().expect("must be there").space.least_similarity = least_similarity;
        model_of(&parts).score(features).expect("must score").novel
    };
    let with = embedded(&features(&[]), &EMBEDDING);
    assert!(!novel(-1.0, &with) && novel(1.0, &with));
    assert!(!novel(1.0, &features(&[])), "without an embedding nothing is far");
}
