use std::net::IpAddr;

use bookworm_contracts::rest::identity::TokenResponse;
use bookworm_db::{DbError, Tx};
use bookworm_http::{Problem, Result};
use bookworm_kernel::{Cause, Email, ErrorCode, Timestamp};
use uuid::Uuid;

use super::{attempt::Attempt, guest_basket::GuestBasket};
use crate::{
    domain::{Account, RefreshToken},
    hasher::Checked,
    service::Identity,
    store::{self, NewToken},
};

impl Identity {
    /// The password grant: starts a session.
    pub(crate) async fn sign_in(
        &self,
        email: &str,
        password: String,
        address: IpAddr,
        guest: GuestBasket,
        cause: &Cause,
    ) -> Result<TokenResponse> {
        let attempt = self.begin_attempt(email, address).await?;
        let account = match Email::parse(email) {
            Ok(email) => store::by_email(self.db.read(), &email).await?,
            Err(_) => None,
        };
        let hash = account.as_ref().map(|account| account.password_hash.clone());
        let checked = self.hasher.check(password.clone(), hash).await.map_err(|error| Problem::internal(&error))?;
        let (Some(account), Checked::Right { outdated }) = (account, checked) else {
            metrics::counter!("identity_sign_ins_total", "outcome" => "refused").increment(1);
            return Err(Problem::new(ErrorCode::InvalidCredentials));
        };
        self.attempt_succeeded(&attempt).await;
        let new_hash = match outdated {
            true => Some(self.hasher.hash(password).await.map_err(|error| Problem::internal(&error))?),
            false => None,
        };
        let (refresh, now) = (RefreshToken::new(), self.now());
        let token = self.new_token(&refresh, now, now);
        let (id, old_hash) = (account.id, account.password_hash.clone());
        self.db
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    if let Some(new_hash) = new_hash {
                        store::set_password(tx, id, &old_hash, &new_hash).await?;
                    }
                    start_session(tx, id, token, &attempt, now).await
                })
            })
            .await?;
        metrics::counter!("identity_sign_ins_total", "outcome" => "signed_in").increment(1);
        self.clients.merge_basket(account.id, guest.0, cause).await;
        self.answer(&account, &refresh, now)
    }

    /// What to store of a refresh token of a session that started at `started`.
    pub(crate) fn new_token(&self, refresh: &RefreshToken, started: Timestamp, now: Timestamp) -> NewToken {
        NewToken { hash: refresh.hash(), expires_at: self.sessions.expires_at(started, now) }
    }

    /// Both tokens.
    pub(crate) fn answer(&self, account: &Account, refresh: &RefreshToken, now: Timestamp) -> Result<TokenResponse> {
        let access_token = self.tokens.sign(account, now).map_err(|error| Problem::internal(&error))?;
        Ok(TokenResponse {
            access_token,
            token_type: "Bearer".to_owned(),
            expires_in: self.tokens.lifetime().as_secs(),
            refresh_token: refresh.reveal(),
        })
    }
}

/// A session with its first token; the client's failures are forgiven.
pub(crate) async fn start_session(
    tx: &Tx,
    account: bookworm_kernel::CustomerId,
    token: NewToken,
    attempt: &Attempt,
    now: Timestamp,
) -> Result<(), DbError> {
    let session = Uuid::now_v7();
    store::insert_session(tx, session, account, now).await?;
    store::insert_token(tx, session, token).await?;
    store::forget_failures(tx, &attempt.account, &attempt.client).await
}
