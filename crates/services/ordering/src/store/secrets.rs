use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bookworm_db::{Db, DbError, Sql, values};

/// The secret under which guests' links are made: drawn at the first start, the same ever after.
pub(crate) async fn guest_link(db: &Db) -> Result<String, DbError> {
    let drawn = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let stored: Option<String> = db
        .transact::<_, DbError, _>(move |tx| {
            Box::pin(async move {
                let insert = "INSERT INTO secrets (name, value) VALUES ('guest_link', $1) ON CONFLICT DO NOTHING";
                tx.exec(insert, values![drawn]).await?;
                tx.scalar("SELECT value FROM secrets WHERE name = 'guest_link'", []).await
            })
        })
        .await?;
    stored.ok_or_else(|| DbError::Corrupt("the secret for guests' links is missing".to_owned()))
}
