//! What a store remembers of messages goes when nobody can repeat them any more.

use std::time::Duration;

use bookworm_db::{DbError, Sql, values};
use bookworm_kernel::{Clock, SystemClock};
use bookworm_node::Role;
use bookworm_testkit::{TestShop, on_every_database, until};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn every_inbox_is_pruned() {
    on_every_database(|database| async move {
        let mut shop = TestShop::start_with(database, &[("messaging.retention_days", "1")]).await;
        shop.stop().await;
        let old = SystemClock.now().minus(Duration::from_secs(3 * 24 * 3600)).micros();
        let mut with_inbox = Vec::new();
        for role in Role::ALL {
            let Some(db) = shop.database(role.name()).await else { continue };
            if db.has_table("inbox").await.unwrap() {
                for at in [old, SystemClock.now().micros()] {
                    let bound = values!["test", Uuid::now_v7(), at];
                    let receive = "INSERT INTO inbox (consumer, message_id, at) VALUES ($1, $2, $3)";
                    db.transact::<_, DbError, _>(move |tx| Box::pin(async move { tx.exec(receive, bound).await }))
                        .await
                        .unwrap();
                }
                with_inbox.push(role.name());
            }
            db.close().await;
        }
        for role in ["catalog", "basket", "finance", "ordering", "rating", "notification"] {
            assert!(with_inbox.contains(&role), "{role} has an inbox: {with_inbox:?}");
        }
        shop.restart().await;
        for name in with_inbox {
            let db = shop.database(name).await.unwrap();
            let left = "SELECT COUNT(*) FROM inbox WHERE consumer = 'test'";
            until(&format!("the inbox of {name} is pruned"), || async {
                let left: Option<i64> = db.read().scalar(left, []).await.unwrap();
                (left == Some(1)).then_some(())
            })
            .await;
            db.close().await;
        }
        shop.stop().await;
    })
    .await;
}
