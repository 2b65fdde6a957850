use std::sync::Arc;

use bookworm_contracts::rest::identity::TokenResponse;
use bookworm_db::DbError;
use bookworm_http::Result;

use super::invalid_token;
use crate::{
    domain::{Account, RefreshToken, Verdict},
    service::Identity,
    store,
};

enum Outcome {
    Issued(Account),
    Refused,
}

impl Identity {
    /// The refresh grant: the next token of the session. A token that was used before ends its session.
    pub(crate) async fn refresh(self: &Arc<Self>, presented: &str) -> Result<TokenResponse> {
        let refused = || invalid_token("Sign in again: the session has ended.");
        let presented = RefreshToken::parse(presented.trim()).ok_or_else(refused)?;
        let (next, now) = (RefreshToken::new(), self.now());
        let (service, hash, next_one) = (self.clone(), presented.hash(), next.clone());
        // Reuse is not an error to the unit of work: that the session ended must be committed.
        let outcome = self
            .db
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    let Some(known) = store::lock_token(tx, &hash).await? else { return Ok(Outcome::Refused) };
                    match known.presented.judge(now, service.sessions.overlap) {
                        Verdict::Rotate => store::mark_used(tx, &hash, now).await?,
                        Verdict::Repeat => {}
                        Verdict::Reused => {
                            store::end_session(tx, known.session_id, now).await?;
                            let (account, session) = (known.account_id, known.session_id);
                            tx.after_commit(move || {
                                metrics::counter!("identity_refresh_reuse_total").increment(1);
                                tracing::warn!(
                                    security = true, account_id = %account, session_id = %session,
                                    "a refresh token was used again: it has been copied, its session is ended"
                                );
                            });
                            return Ok(Outcome::Refused);
                        }
                        Verdict::Worthless => return Ok(Outcome::Refused),
                    }
                    let Some(account) = store::by_id(tx, known.account_id).await? else { return Ok(Outcome::Refused) };
                    let token = service.new_token(&next_one, known.started_at, now);
                    store::insert_token(tx, known.session_id, token).await?;
                    Ok(Outcome::Issued(account))
                })
            })
            .await?;
        match outcome {
            Outcome::Issued(account) => self.answer(&account, &next, now),
            Outcome::Refused => Err(refused()),
        }
    }
}
