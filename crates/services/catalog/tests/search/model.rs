//! A model that is slow, down or new, and an index that is lost.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_is_slow_or_down_costs_meaning_and_nothing_else() {
    on_each(|shop| async move {
        shop.fill().await;
        // Slow: words answer within the time that is allowed, and say so.
        shop.model.slow(30_000);
        let started = std::time::Instant::now();
        let body = shop.search("q=robot").await;
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        assert_eq!((titles(&body)[0].as_str(), &body["degraded"]), ("I, Robot", &json!(true)));
        // Down: after a few failures nobody asks any more.
        shop.model.slow(0);
        shop.model.fail(true);
        for n in 0..8 {
            assert_eq!(shop.search(&format!("q=robot%20{n}")).await["degraded"], true);
        }
        let asked = shop.model.0.queries.load(Ordering::SeqCst);
        for n in 0..8 {
            assert_eq!(shop.search(&format!("q=robots%20{n}")).await["degraded"], true);
        }
        assert!(shop.model.0.queries.load(Ordering::SeqCst) - asked < 8, "the breaker is open");
        assert_eq!(shop.status().await["meaning"], "failing");
        // Names are still found at once, and a book that comes now waits for its vector.
        shop.create(json!({"title": "The Automaton", "price": usd(700), "description": "An android wakes."})).await;
        eventually("found by words", async || shop.titles("q=automaton").await.contains(&"The Automaton".to_owned()))
            .await;
        // It recovers by itself.
        shop.model.fail(false);
        eventually("whole again", async || shop.search("q=robot").await["degraded"] == false).await;
        shop.ready().await;
        // No model at all: nothing is missing that was promised.
        shop.model.0.absent.store(true, Ordering::SeqCst);
        eventually("off", async || shop.status().await["meaning"] == "off").await;
        let body = shop.search("q=wizard").await;
        assert_eq!((titles(&body)[0].as_str(), &body["degraded"]), ("A Wizard of Earthsea", &json!(false)));
        shop
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_embeds_nothing_twice_and_a_lost_index_is_made_again() {
    on_each(|shop| async move {
        shop.fill().await;
        let embedded = shop.model.0.books.load(Ordering::SeqCst);
        assert!(embedded >= 7);
        let shop = shop.restart().await;
        shop.ready().await;
        assert_eq!(shop.model.embedded(), embedded);
        // Its files are overwritten while nobody looks.
        let folder = shop.folder.path().join("search");
        let (databases, data, model) = (shop.databases.clone(), shop.folder.clone(), shop.model.clone());
        shop.end().await;
        let mut spoilt = 0;
        spoil(&folder, &mut spoilt);
        assert!(spoilt > 0);
        let shop = Shop::open(Some(databases), data, model).await;
        shop.ready().await;
        assert_eq!(shop.titles("q=dispossessed").await[0], "The Dispossessed");
        // It is gone.
        let (databases, data, model) = (shop.databases.clone(), shop.folder.clone(), shop.model.clone());
        shop.end().await;
        std::fs::remove_dir_all(&folder).unwrap();
        let shop = Shop::open(Some(databases), data, model).await;
        // Meanwhile the database answers.
        let body = shop.search("q=dispossessed").await;
        assert_eq!(titles(&body)[0], "The Dispossessed");
        shop.ready().await;
        assert_eq!(shop.search("q=dispossessed").await["degraded"], false);
        assert_eq!(shop.model.embedded(), embedded, "the database has the vectors");
        shop
    })
    .await;
}

/// Overwrites the middle of every file, in its place: a thread of the shop that ended may still have it mapped, and must
/// not find it shorter.
fn spoil(folder: &Path, spoilt: &mut usize) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            spoil(&path, spoilt);
        } else {
            let mut bytes = std::fs::read(&path).unwrap();
            let length = bytes.len();
            bytes.iter_mut().skip(length / 3).take(length / 3 + 1).for_each(|byte| *byte = !*byte);
            let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            std::io::Write::write_all(&mut file, &bytes).unwrap();
            *spoilt += 1;
        }
    }
}
