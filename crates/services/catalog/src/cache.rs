//! Answers that are already JSON.
//!
//! A book and a page of a list are read far more often than they change, and what costs most is not the database but
//! building the same JSON again. So both are cached as the bytes to send, bounded by memory, for one second. A change
//! made by this process is seen at once: every key carries a generation, and a commit moves it on, so a reading that
//! began before the commit can only ever be stored where nobody looks any more. A change made by another process is
//! seen within the second. Of many who ask for the same at once, one reads the database and all get its answer.
//!
//! Searches show the same books in ever new orders. They take the books one by one from a third cache, whose entries
//! live longer: what another process changed is dropped when the search index hears of it, and only counts of copies may
//! be older than that. Which books are like one costs a search of its own, and is cached for a minute.
//!
//! Checkout does not come this way: the gRPC query reads the database.

use std::{
    collections::HashMap,
    future::Future,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bookworm_db::Sql;
use bookworm_http::Problem;
use bookworm_kernel::BookId;
use bytes::Bytes;
use moka::future::Cache as Moka;
use serde_json::value::RawValue;

use crate::store::books;

/// How long an answer may be out of date when another process changed the book.
const TTL: Duration = Duration::from_secs(1);
/// How long a search may show an old count of copies, when another process sold some.
const SHOWN_TTL: Duration = Duration::from_secs(60);
/// Bytes for the books that searches show.
const SHOWN_CAPACITY: u64 = 64 * 1024 * 1024;
/// Bytes for books, and as much again for lists.
const CAPACITY: u64 = 16 * 1024 * 1024;
/// How long the same books are shown as like one, though others may have come that are more like it.
const ALIKE_TTL: Duration = Duration::from_secs(60);
/// Bytes for the ids of books that are like others.
const ALIKE_CAPACITY: u64 = 4 * 1024 * 1024;
/// Generations: books share them by their id, so that a sale of one leaves most others cached.
const SHARDS: usize = 1024;
/// What an entry takes beside its body.
const OVERHEAD: usize = 256;

/// An answer's body.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The book's version; 0 for lists.
    pub(crate) version: i64,
    /// JSON.
    pub(crate) body: Bytes,
}

/// Whether an answer was there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    Hit,
    Miss,
}

/// What a list answers to: every parameter, in one normal form.
pub(crate) type ListKey = String;

/// Books as searches show them.
type Shown = moka::sync::Cache<(BookId, u64), Arc<RawValue>>;

/// Which books are like one, for each number of them that was asked for.
type Alike = Moka<(BookId, u64, usize), Arc<[BookId]>>;

#[derive(Clone)]
pub(crate) struct Cache {
    books: Moka<(BookId, u64), Answer>,
    lists: Moka<(ListKey, u64), Answer>,
    shown: Shown,
    alike: Alike,
    generations: Arc<[AtomicU64]>,
    any: Arc<AtomicU64>,
}

impl Cache {
    pub(crate) fn new() -> Self {
        Self {
            books: bounded(|_| 0),
            lists: bounded(|key: &(ListKey, u64)| key.0.len()),
            shown: moka::sync::Cache::builder()
                .weigher(|_, json: &Arc<RawValue>| u32::try_from(json.get().len() + OVERHEAD).unwrap_or(u32::MAX))
                .max_capacity(SHOWN_CAPACITY)
                .time_to_live(SHOWN_TTL)
                .build(),
            alike: Moka::builder()
                .weigher(|_, ids: &Arc<[BookId]>| u32::try_from(size_of_val(&**ids) + OVERHEAD).unwrap_or(u32::MAX))
                .max_capacity(ALIKE_CAPACITY)
                .time_to_live(ALIKE_TTL)
                .build(),
            generations: (0..SHARDS).map(|_| AtomicU64::new(0)).collect(),
            any: Arc::default(),
        }
    }

    /// The book's answer, read with `load` when it is not there.
    pub(crate) async fn book<F>(&self, id: BookId, load: F) -> Result<(Answer, Lookup), Problem>
    where
        F: Future<Output = Result<Answer, Problem>>,
    {
        let generation = self.generation(id).load(Ordering::Acquire);
        get("book", &self.books, (id, generation), load).await
    }

    /// The list's answer, read with `load` when it is not there.
    pub(crate) async fn list<F>(&self, key: ListKey, load: F) -> Result<(Answer, Lookup), Problem>
    where
        F: Future<Output = Result<Answer, Problem>>,
    {
        let generation = self.any.load(Ordering::Acquire);
        get("list", &self.lists, (key, generation), load).await
    }

    /// The JSON of these books, as far as they are on sale; those that are not there are read together.
    pub(crate) async fn shown(&self, db: &impl Sql, ids: &[BookId]) -> Result<HashMap<BookId, Arc<RawValue>>, Problem> {
        let mut found = HashMap::with_capacity(ids.len());
        let (mut missing, mut generations) = (Vec::new(), HashMap::new());
        for id in ids {
            let generation = self.generation(*id).load(Ordering::Acquire);
            match self.shown.get(&(*id, generation)) {
                Some(json) => {
                    found.insert(*id, json);
                }
                None => {
                    missing.push(*id);
                    generations.insert(*id, generation);
                }
            }
        }
        for row in books::by_ids(db, &missing).await? {
            let id = BookId::from_uuid(row.id);
            let json = serde_json::value::to_raw_value(&row.into_book()?).map_err(|error| Problem::internal(&error))?;
            let json: Arc<RawValue> = Arc::from(json);
            if let Some(generation) = generations.get(&id) {
                self.shown.insert((id, *generation), json.clone());
            }
            found.insert(id, json);
        }
        Ok(found)
    }

    /// So many books that are like this one, looked for with `find` when that is not known, by one for all who ask at
    /// once. Nothing found is not cached: the index may be on its way.
    pub(crate) async fn alike<F>(&self, id: BookId, limit: usize, find: F) -> Arc<[BookId]>
    where
        F: Future<Output = Vec<BookId>>,
    {
        let key = (id, self.generation(id).load(Ordering::Acquire), limit);
        let found = async {
            let ids = find.await;
            (!ids.is_empty()).then(|| ids.into())
        };
        self.alike.optionally_get_with(key, found).await.unwrap_or_default()
    }

    /// Forgets these books and every list. Call it when the change is durable.
    pub(crate) fn changed(&self, ids: &[BookId]) {
        for id in ids {
            self.generation(*id).fetch_add(1, Ordering::Release);
        }
        self.any.fetch_add(1, Ordering::Release);
    }

    fn generation(&self, id: BookId) -> &AtomicU64 {
        // The last bits of a version 7 UUID are random.
        &self.generations[id.uuid().as_u128() as usize % SHARDS]
    }
}

fn bounded<K: Hash + Eq + Send + Sync + 'static>(key_size: fn(&K) -> usize) -> Moka<K, Answer> {
    Moka::builder()
        .weigher(move |key, answer: &Answer| {
            u32::try_from(answer.body.len() + key_size(key) + OVERHEAD).unwrap_or(u32::MAX)
        })
        .max_capacity(CAPACITY)
        .time_to_live(TTL)
        .build()
}

async fn get<K, F>(name: &'static str, cache: &Moka<K, Answer>, key: K, load: F) -> Result<(Answer, Lookup), Problem>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Answer, Problem>>,
{
    let entry = cache.entry(key).or_try_insert_with(load).await.map_err(|problem| (*problem).clone())?;
    let lookup = if entry.is_fresh() { Lookup::Miss } else { Lookup::Hit };
    let outcome = if lookup == Lookup::Hit { "hit" } else { "miss" };
    metrics::counter!("catalog_cache_total", "cache" => name, "outcome" => outcome).increment(1);
    Ok((entry.into_value(), lookup))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn answer(text: &'static str) -> Answer {
        Answer { version: 1, body: Bytes::from_static(text.as_bytes()) }
    }

    #[tokio::test]
    async fn a_change_is_seen_at_once_even_by_a_reading_that_was_under_way() {
        let (cache, id) = (Cache::new(), BookId::new());
        let slow = cache.book(id, async {
            // The commit comes between reading the database and storing the answer.
            cache.changed(&[id]);
            Ok(answer("old"))
        });
        assert_eq!(slow.await.unwrap().0.body, "old");
        let (after, lookup) = cache.book(id, async { Ok(answer("new")) }).await.unwrap();
        assert_eq!((&*after.body, lookup), (b"new".as_slice(), Lookup::Miss));
    }

    #[tokio::test]
    async fn one_reads_for_all_who_ask_at_once() {
        let (cache, reads) = (Cache::new(), AtomicUsize::new(0));
        let ask = || {
            cache.list("key".to_owned(), async {
                reads.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok(answer("page"))
            })
        };
        futures::future::join_all((0..50).map(|_| ask())).await;
        assert_eq!(reads.load(Ordering::Relaxed), 1);
    }
}
