//! A bounded queue of texts, with workers that take several at once.

use std::{sync::Arc, time::Instant};

use futures::future::try_join_all;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::provider::{Provider, ProviderError, Purpose};

/// Why there is no vector for a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoVector {
    /// The queue is full.
    #[error("too many texts wait for the model: try again later")]
    Full,
    /// The provider cannot take this text.
    #[error("the model cannot take a text: {0}")]
    Rejected(String),
    /// The provider does not answer, or not sensibly.
    #[error("{0}")]
    Unavailable(String),
}

impl From<ProviderError> for NoVector {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Rejected(why) => Self::Rejected(why),
            ProviderError::Unavailable(why) => Self::Unavailable(why),
        }
    }
}

/// A text in the queue. Its caller gave up when the answer is closed.
struct Job {
    text: Arc<str>,
    answer: oneshot::Sender<Result<Arc<[f32]>, NoVector>>,
}

/// A bounded queue of texts and its workers, which end when it is dropped.
pub struct Lane {
    jobs: mpsc::Sender<Job>,
}

impl Lane {
    /// Starts one where `queue` texts may wait.
    pub fn start(provider: Arc<dyn Provider>, purpose: Purpose, queue: usize) -> Self {
        let (jobs, waiting) = mpsc::channel(queue);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..provider.concurrency(purpose).max(1) {
            tokio::spawn(work(provider.clone(), purpose, waiting.clone()));
        }
        Self { jobs }
    }

    /// The vectors of texts, in their order. Texts of one call are batched with those of others.
    ///
    /// # Errors
    /// When one of the texts gets none. Dropping the future removes the texts from the queue.
    pub async fn embed(&self, texts: Vec<String>) -> Result<Vec<Arc<[f32]>>, NoVector> {
        let places = self.jobs.try_reserve_many(texts.len()).map_err(|_| NoVector::Full)?;
        let answers: Vec<_> = places
            .zip(texts)
            .map(|(place, text)| {
                let (answer, answered) = oneshot::channel();
                place.send(Job { text: text.into(), answer });
                async { answered.await.unwrap_or_else(|_| Err(NoVector::Unavailable("shutting down".to_owned()))) }
            })
            .collect();
        try_join_all(answers).await
    }
}

/// Takes batches of texts from the queue until it is dropped.
async fn work(provider: Arc<dyn Provider>, purpose: Purpose, waiting: Arc<Mutex<mpsc::Receiver<Job>>>) {
    let most = provider.batch(purpose).max(1);
    let mut jobs = Vec::with_capacity(most);
    loop {
        jobs.clear();
        let (taken, left) = {
            let mut waiting = waiting.lock().await;
            (waiting.recv_many(&mut jobs, most).await, waiting.len())
        };
        if taken == 0 {
            return;
        }
        metrics::gauge!("ai_waiting_texts", "purpose" => purpose.name()).set(left as f64);
        jobs.retain(|job| !job.answer.is_closed());
        if jobs.is_empty() {
            continue;
        }
        let texts: Vec<Arc<str>> = jobs.iter().map(|job| job.text.clone()).collect();
        let start = Instant::now();
        let vectors = embed(&*provider, &texts, purpose).await;
        metrics::histogram!("ai_batch_seconds", "purpose" => purpose.name()).record(start.elapsed());
        for (job, vector) in jobs.drain(..).zip(vectors) {
            let outcome = if vector.is_ok() { "ok" } else { "failed" };
            metrics::counter!("ai_texts_total", "purpose" => purpose.name(), "outcome" => outcome).increment(1);
            // The caller may have given up meanwhile.
            let _ = job.answer.send(vector);
        }
    }
}

/// One answer for each text. When the provider rejects several texts together, each is tried alone: one text that it
/// cannot take must not cost the others their vectors.
async fn embed(provider: &dyn Provider, texts: &[Arc<str>], purpose: Purpose) -> Vec<Result<Arc<[f32]>, NoVector>> {
    match checked(provider, texts, purpose).await {
        Ok(vectors) => vectors.into_iter().map(Ok).collect(),
        Err(ProviderError::Rejected(_)) if texts.len() > 1 => {
            let mut answers = Vec::with_capacity(texts.len());
            for text in texts {
                let alone = checked(provider, std::slice::from_ref(text), purpose).await;
                answers.push(alone.map(|mut vectors| vectors.remove(0)).map_err(NoVector::from));
            }
            answers
        }
        Err(error) => vec![Err(error.into()); texts.len()],
    }
}

/// The provider's vectors at length 1, once they are what was asked for.
async fn checked(
    provider: &dyn Provider,
    texts: &[Arc<str>],
    purpose: Purpose,
) -> Result<Vec<Arc<[f32]>>, ProviderError> {
    let vectors = provider.embed(texts, purpose).await?;
    let wrong = |what: String| Err(ProviderError::Unavailable(format!("the model's answer is wrong: {what}")));
    if vectors.len() != texts.len() {
        return wrong(format!("{} vectors for {} texts", vectors.len(), texts.len()));
    }
    let dimensions = provider.dimensions().unwrap_or_else(|| vectors[0].len());
    let mut checked = Vec::with_capacity(vectors.len());
    for mut vector in vectors {
        if vector.len() != dimensions || vector.is_empty() {
            return wrong(format!("a vector of {} numbers instead of {dimensions}", vector.len()));
        }
        let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        if !length.is_finite() || length == 0.0 {
            return wrong("a vector without a direction".to_owned());
        }
        vector.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
        checked.push(vector.into());
    }
    Ok(checked)
}
