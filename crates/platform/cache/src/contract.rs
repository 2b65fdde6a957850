//! What every [`SharedCache`] must do, as tests over `dyn SharedCache`. The crate of a cache calls [`run`] from a test of
//! its own.
//!
//! Time is the cache's: the suite compares no clocks, and asks the [`Bench`] to let time pass.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

use crate::SharedCache;

/// A cache under test. Each test gets one that is new and empty.
#[async_trait]
pub trait Bench: Send + Sync {
    /// A handle on the cache, as another process would have it.
    async fn open(&self) -> Arc<dyn SharedCache>;

    /// Lets at least this much time pass on the cache: moves its clock, or waits.
    async fn pass(&self, time: Duration);

    /// The shortest time to live that the cache can tell from none.
    fn short(&self) -> Duration;
}

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(600);

/// Runs the whole suite, each test on a bench of its own.
///
/// # Panics
/// When the cache breaks the contract.
pub async fn run<B: Bench>(new: impl AsyncFn() -> B) {
    macro_rules! tests {
        ($($name:ident),* $(,)?) => {$(
            eprintln!("contract: {}", stringify!($name));
            $name(&new().await).await;
        )*};
    }
    tests!(
        a_value_is_found_until_another_takes_its_place,
        keys_are_exact_and_values_are_bytes,
        an_invalidation_reaches_what_has_the_tag_and_nothing_else,
        a_value_fetched_before_an_invalidation_is_never_returned_after_it,
        each_of_many_invalidations_counts,
        an_invalidation_by_one_process_is_seen_by_all,
        the_tick_never_goes_back,
        invalidations_side_by_side_each_count,
        a_value_expires,
        a_value_put_again_lives_as_long_as_it_was_put_last,
    );
}

fn tags(tags: &[&str]) -> Vec<String> {
    tags.iter().map(ToString::to_string).collect()
}

async fn tick(cache: &dyn SharedCache) -> u64 {
    cache.get("no such key").await.unwrap().tick
}

async fn value(cache: &dyn SharedCache, key: &str) -> Option<String> {
    let value = cache.get(key).await.unwrap().value;
    value.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

async fn put(cache: &dyn SharedCache, key: &str, text: &str, tagged: &[&str], tick: u64) {
    cache.put(key, Bytes::copy_from_slice(text.as_bytes()), &tags(tagged), tick, LONG).await.unwrap();
}

async fn a_value_is_found_until_another_takes_its_place(bench: &impl Bench) {
    let cache = &*bench.open().await;
    assert_eq!(value(cache, "one").await, None);
    let now = tick(cache).await;
    put(cache, "one", "1", &["everything", "red"], now).await;
    put(cache, "two", "2", &[], now).await;
    assert_eq!(value(cache, "one").await.as_deref(), Some("1"));
    assert_eq!(value(&*bench.open().await, "two").await.as_deref(), Some("2"), "another process finds it too");
    put(cache, "one", "3", &["everything", "blue"], now).await;
    assert_eq!(value(cache, "one").await.as_deref(), Some("3"));
    cache.invalidate(&tags(&["red"])).await.unwrap();
    assert_eq!(value(cache, "one").await.as_deref(), Some("3"), "the tags of the value before are gone with it");
}

async fn keys_are_exact_and_values_are_bytes(bench: &impl Bench) {
    let cache = &*bench.open().await;
    let now = tick(cache).await;
    let long = "k".repeat(9_000);
    for key in ["one", "one\n:x y", "ONE", "ö", long.as_str()] {
        put(cache, key, key, &["everything"], now).await;
    }
    for key in ["one", "one\n:x y", "ONE", "ö", long.as_str()] {
        assert_eq!(value(cache, key).await.as_deref(), Some(key));
    }
    assert_eq!(value(cache, "One").await, None);
    for bytes in [Bytes::new(), Bytes::from((0..=255).cycle().take(1 << 20).collect::<Vec<u8>>())] {
        cache.put("bytes", bytes.clone(), &[], now, LONG).await.unwrap();
        assert_eq!(cache.get("bytes").await.unwrap().value, Some(bytes));
    }
}

async fn an_invalidation_reaches_what_has_the_tag_and_nothing_else(bench: &impl Bench) {
    let cache = &*bench.open().await;
    let now = tick(cache).await;
    put(cache, "red", "1", &["everything", "red"], now).await;
    put(cache, "blue", "2", &["everything", "blue"], now).await;
    put(cache, "none", "3", &[], now).await;
    cache.invalidate(&tags(&["red", "green"])).await.unwrap();
    assert_eq!(value(cache, "red").await, None);
    assert_eq!(value(cache, "blue").await.as_deref(), Some("2"));
    cache.invalidate(&tags(&["everything"])).await.unwrap();
    assert_eq!(value(cache, "blue").await, None);
    assert_eq!(value(cache, "none").await.as_deref(), Some("3"));
}

async fn a_value_fetched_before_an_invalidation_is_never_returned_after_it(bench: &impl Bench) {
    let cache = &*bench.open().await;
    let before = tick(cache).await;
    cache.invalidate(&tags(&["red"])).await.unwrap();
    put(cache, "one", "old", &["everything", "red"], before).await;
    assert_eq!(value(cache, "one").await, None);
    let now = tick(cache).await;
    assert!(now > before);
    put(cache, "one", "new", &["everything", "red"], now).await;
    assert_eq!(value(cache, "one").await.as_deref(), Some("new"));
}

async fn each_of_many_invalidations_counts(bench: &impl Bench) {
    let cache = &*bench.open().await;
    let before = tick(cache).await;
    for n in 0..200 {
        cache.invalidate(&tags(&[&format!("tag-{n}")])).await.unwrap();
    }
    for n in 0..200 {
        put(cache, "one", "old", &[&format!("tag-{n}")], before).await;
        assert_eq!(value(cache, "one").await, None, "tag {n}");
    }
    put(cache, "one", "1", &["another"], before).await;
    assert_eq!(value(cache, "one").await.as_deref(), Some("1"));
}

async fn an_invalidation_by_one_process_is_seen_by_all(bench: &impl Bench) {
    let (one, two) = (bench.open().await, bench.open().await);
    let before = tick(&*one).await;
    put(&*one, "one", "1", &["red"], before).await;
    two.invalidate(&tags(&["red"])).await.unwrap();
    assert_eq!(value(&*one, "one").await, None);
    put(&*one, "one", "1", &["red"], before).await;
    assert_eq!(value(&*two, "one").await, None);
}

async fn the_tick_never_goes_back(bench: &impl Bench) {
    let cache = bench.open().await;
    let mut last = tick(&*cache).await;
    for n in 0..20 {
        cache.invalidate(&tags(&["red"])).await.unwrap();
        let now = tick(&*bench.open().await).await;
        assert!(now > last, "{now} after {last}");
        put(&*cache, "one", "1", &["red"], now).await;
        assert_eq!(value(&*cache, "one").await.as_deref(), Some("1"), "round {n}");
        last = now;
    }
}

async fn invalidations_side_by_side_each_count(bench: &impl Bench) {
    let (one, two) = (bench.open().await, bench.open().await);
    let before = tick(&*one).await;
    for key in ["red", "blue"] {
        put(&*one, key, "1", &[key], before).await;
    }
    for _ in 0..50 {
        let (red, blue) = (tags(&["red"]), tags(&["blue"]));
        let (first, second) = futures::join!(one.invalidate(&red), two.invalidate(&blue));
        first.unwrap();
        second.unwrap();
        for key in ["red", "blue"] {
            put(&*two, key, "old", &[key], before).await;
            assert_eq!(value(&*one, key).await, None, "{key}");
        }
    }
}

async fn a_value_expires(bench: &impl Bench) {
    let cache = &*bench.open().await;
    let now = tick(cache).await;
    cache.put("brief", Bytes::from_static(b"1"), &[], now, bench.short()).await.unwrap();
    put(cache, "long", "2", &[], now).await;
    bench.pass(bench.short()).await;
    assert_eq!(value(cache, "brief").await, None);
    assert_eq!(value(cache, "long").await.as_deref(), Some("2"));
}

async fn a_value_put_again_lives_as_long_as_it_was_put_last(bench: &impl Bench) {
    let cache = &*bench.open().await;
    let now = tick(cache).await;
    cache.put("one", Bytes::from_static(b"1"), &[], now, bench.short()).await.unwrap();
    put(cache, "one", "2", &[], now).await;
    bench.pass(bench.short()).await;
    assert_eq!(value(cache, "one").await.as_deref(), Some("2"));
    cache.put("one", Bytes::from_static(b"3"), &[], now, bench.short()).await.unwrap();
    bench.pass(bench.short()).await;
    assert_eq!(value(cache, "one").await, None);
}
