use std::time::{Duration, Instant};

/// How long a test waits for a condition. Far longer than anything takes, so that a busy machine fails no test.
pub const POLL_TIMEOUT: Duration = Duration::from_secs(60);

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until `holds` is true. `what` completes the sentence "it never came true that ...".
///
/// # Panics
/// When it does not become true within [`POLL_TIMEOUT`].
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    until(what, async || holds().await.then_some(())).await;
}

/// Asks until there is an answer, and returns it.
///
/// # Panics
/// When there is none within [`POLL_TIMEOUT`].
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begun.elapsed() < POLL_TIMEOUT, "it never came true that {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
