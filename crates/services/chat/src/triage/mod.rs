//! What a message is about: a classifier over sentence vectors and words, trained at start from example sentences.
//!
//! Words are learnt at once, so there is always an answer. Once the model that makes vectors is ready, the examples'
//! vectors are used as well; while it does not answer, words alone decide.
//!
//! | to change | open |
//! |---|---|
//! | the examples | `data/intents.tsv`, and the data folder's `chat/intents.tsv` |
//! | the least confidence | [`UNDERSTOOD`] |
//! | the classifiers over vectors and over words | `meaning.rs`, `words.rs` |
//! | who counts as upset | `data/sentiment.tsv`, `mood.rs` |

pub mod embed;
pub mod examples;
mod meaning;
pub mod mood;
mod vector_file;
mod words;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, PoisonError, RwLock},
    time::{Duration, Instant},
};

use bookworm_contracts::{grpc::vectors::Vectors, rest::chat::ChatRoute};
use bookworm_kernel::Cause;
use tokio_util::sync::CancellationToken;

use self::{
    embed::{Embedder, Models},
    examples::Example,
    meaning::Meaning,
    mood::Mood,
    vector_file::VectorFile,
    words::{Scores, Words},
};
use crate::domain::intent::Intent;

/// From this confidence on a message counts as understood.
pub const UNDERSTOOD: f32 = 0.45;
/// The same while only words are known: they mislead more often.
const UNDERSTOOD_BY_WORDS: f32 = 0.5;
/// The weights of scores of vectors, and of words beside them, before the softmax. Calibrated with `make intents-quality`.
const MEANING_WEIGHT: f32 = 0.4;
const WORDS_WEIGHT: f32 = 0.4;
/// The weight of words alone.
const WORDS_ALONE: f32 = 0.9;
/// How often to check whether the model is ready, and later whether it is still the same.
const FIRST_CHECKS: Duration = Duration::from_secs(2);
const LATER_CHECKS: Duration = Duration::from_secs(60);
/// The most characters of a message that are classified: a request stands at its beginning, and the model reads no more.
const MAX_READ: usize = 600;

/// What a message is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Classification {
    /// Its intent; `OutOfScope` when it has none of ours, or none that can be recognised.
    pub intent: Intent,
    /// The probability of the likeliest intent, 0 to 1.
    pub confidence: f32,
    /// Whether that is enough to act on.
    pub understood: bool,
    /// The mood of its writer.
    pub mood: Mood,
    /// Its vector, unless it came too late.
    pub embedded: Option<Vectors>,
}

impl Classification {
    /// Who should answer.
    #[must_use]
    pub fn route(&self) -> ChatRoute {
        let for_people = self.understood
            && matches!(
                self.intent,
                Intent::Complaint | Intent::PaymentIssue | Intent::ContactCustomerService | Intent::ContactHumanAgent
            );
        if for_people || self.mood.is_upset() { ChatRoute::Agent } else { ChatRoute::Bot }
    }
}

/// The built-in examples, learnt once for the whole process.
static BUILT_IN: LazyLock<(Arc<[Example]>, Arc<Words>)> = LazyLock::new(|| learn_words(Vec::new()));

fn learn_words(own: Vec<Example>) -> (Arc<[Example]>, Arc<Words>) {
    let examples = examples::with_built_in(own);
    let words = Words::learn(&examples);
    (examples.into(), Arc::new(words))
}

/// The classifier. Cheap to clone.
#[derive(Clone)]
pub struct Triage(Arc<Inner>);

struct Inner {
    examples: Arc<[Example]>,
    words: Arc<Words>,
    meaning: RwLock<Option<Arc<Meaning>>>,
    embedder: Option<Embedder>,
    vectors: PathBuf,
}

impl Triage {
    /// Learns words from the built-in examples and those in `folder/intents.tsv`. Vectors come with [`Triage::learn`],
    /// when there are models to ask.
    #[must_use]
    pub fn open(ai: Option<Models>, folder: &Path) -> Self {
        let own = examples::own(&folder.join("intents.tsv"));
        let (examples, words) = if own.is_empty() { BUILT_IN.clone() } else { learn_words(own) };
        let vectors = folder.join("vectors.bin");
        let embedder = ai.map(Embedder::new);
        Self(Arc::new(Inner { examples, words, meaning: RwLock::default(), embedder, vectors }))
    }

    /// The client for vectors, if there is one.
    #[must_use]
    pub fn embedder(&self) -> Option<&Embedder> {
        self.0.embedder.as_ref()
    }

    /// Whether vectors are used.
    #[must_use]
    pub fn knows_meaning(&self) -> bool {
        self.meaning().is_some()
    }

    fn meaning(&self) -> Option<Arc<Meaning>> {
        self.0.meaning.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a message is about. Always answers: by words alone when there is no vector in time.
    pub async fn classify(&self, text: &str, cause: &Cause) -> Classification {
        let start = Instant::now();
        let text: String = text.chars().take(MAX_READ).collect();
        let embedded = match (&self.0.embedder, self.meaning()) {
            (Some(embedder), Some(_)) => embedder.message(&text, cause).await,
            _ => None,
        };
        let classification = self.judge(&text, embedded);
        let by = if classification.embedded.is_some() { "meaning" } else { "words" };
        metrics::histogram!("chat_classify_seconds", "by" => by).record(start.elapsed());
        metrics::counter!("chat_intents_total", "intent" => classification.intent.name()).increment(1);
        classification
    }

    fn judge(&self, text: &str, embedded: Option<Vectors>) -> Classification {
        let words = self.0.words.scores(text);
        let by_meaning = embedded.as_ref().and_then(|embedded| {
            let meaning = self.meaning().filter(|meaning| meaning.model() == embedded.model)?;
            meaning.scores(embedded.vectors.first()?)
        });
        let (scores, enough): (Scores, f32) = match by_meaning {
            Some(meaning) => {
                let both = |at: usize| MEANING_WEIGHT * meaning[at] + WORDS_WEIGHT * words[at];
                (std::array::from_fn(both), UNDERSTOOD)
            }
            None => (words.map(|score| WORDS_ALONE * score), UNDERSTOOD_BY_WORDS),
        };
        let (best, confidence) = most_likely(&scores);
        let mut understood = confidence >= enough;
        let mut intent = if understood { best } else { Intent::OutOfScope };
        if (!understood || intent == Intent::OutOfScope) && mood::wants_a_person(text) {
            (intent, understood) = (Intent::ContactHumanAgent, true);
        }
        Classification { intent, confidence, understood, mood: Mood::of(text), embedded }
    }

    /// Learns the examples' vectors as soon as a model makes some, and again when another model does. Ends at `stop`.
    pub async fn learn(self, stop: CancellationToken) {
        let Some(embedder) = self.0.embedder.clone() else { return };
        loop {
            let known = self.meaning();
            let pause = match embedder.model().await {
                Some(model) if known.as_ref().is_none_or(|known| known.model() != model) => {
                    tokio::select! {
                        learnt = self.learn_from(&embedder, &model) => if learnt { LATER_CHECKS } else { FIRST_CHECKS },
                        () = stop.cancelled() => return,
                    }
                }
                Some(_) => LATER_CHECKS,
                None if known.is_some() => LATER_CHECKS,
                None => FIRST_CHECKS,
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Learns from the vectors of one model: those on disk, and the missing ones from the model.
    async fn learn_from(&self, embedder: &Embedder, model: &str) -> bool {
        let start = Instant::now();
        let file = self.0.vectors.clone();
        let stored = tokio::task::spawn_blocking(move || VectorFile::read(&file)).await.unwrap_or_default();
        let missing: Vec<String> = self
            .0
            .examples
            .iter()
            .map(|example| &example.text)
            .filter(|text| stored.get(model, text).is_none())
            .cloned()
            .collect();
        let asked = missing.len();
        let fresh = if missing.is_empty() {
            Vectors { model: model.to_owned(), vectors: Vec::new() }
        } else {
            match embedder.all(&missing).await {
                Some(fresh) if fresh.model == model => fresh,
                _ => return false,
            }
        };
        let mut fresh = missing.iter().zip(fresh.vectors).peekable();
        let vectors: Vec<(Intent, Vec<f32>)> = self
            .0
            .examples
            .iter()
            .filter_map(|example| {
                let vector = match fresh.next_if(|(text, _)| **text == example.text) {
                    Some((_, vector)) => vector,
                    None => stored.get(model, &example.text)?.clone(),
                };
                Some((example.intent, vector))
            })
            .collect();
        let (this, model) = (self.clone(), model.to_owned());
        let learnt = tokio::task::spawn_blocking(move || {
            let learnt = Meaning::learn(&model, &vectors)?;
            if asked > 0 {
                let texts = this.0.examples.iter().zip(&vectors);
                let pairs = texts.map(|(example, (_, vector))| (example.text.as_str(), vector.as_slice()));
                if let Err(error) = VectorFile::write(&this.0.vectors, &model, pairs) {
                    tracing::warn!(%error, file = %this.0.vectors.display(), "the examples' vectors cannot be stored");
                }
            }
            Some(learnt)
        });
        let Ok(Some(learnt)) = learnt.await else {
            tracing::warn!("the examples' vectors cannot be learnt from: the chat goes by words alone");
            return false;
        };
        tracing::info!(model = learnt.model(), asked, took = ?start.elapsed(), "the chat understands by meaning");
        *self.0.meaning.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(learnt));
        true
    }
}

/// The likeliest intent, and its probability (softmax).
fn most_likely(scores: &Scores) -> (Intent, f32) {
    let mut best = 0;
    for at in 1..scores.len() {
        if scores[at] > scores[best] {
            best = at;
        }
    }
    let total: f32 = scores.iter().map(|score| (score - scores[best]).exp()).sum();
    (Intent::ALL[best], 1.0 / total)
}

#[cfg(test)]
mod tests;
