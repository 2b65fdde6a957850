//! Identity from the outside: HTTP and what it publishes, on each database.
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Extension, Router, body::Body, middleware};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bookworm_config::{Argon2, Identity, Lockout, Secret};
use bookworm_contracts::grpc::{
    Edge,
    basket::{
        ClaimBasketRequest, ClaimBasketResponse, GetBasketRequest, GetBasketResponse, MergeGuestRequest,
        MergeGuestResponse, ReleaseBasketRequest, ReleaseBasketResponse,
        basket_client::BasketClient,
        basket_server::{Basket, BasketServer},
    },
    methods,
    notification::{
        AdmitRequest, AdmitResponse,
        mailroom_client::MailroomClient,
        mailroom_server::{Mailroom, MailroomServer},
    },
};
use bookworm_db::{Databases, DbError, FromRow, Sql};
use bookworm_http::{auth::TokenVerifier, context};
use bookworm_identity::{AUDIENCE, IdentityService};
use bookworm_kernel::{ManualClock, Timestamp};
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status};
use tower::ServiceExt;
use uuid::Uuid;

/// As `insta::assert_snapshot`, for a test that runs on every database: each run must say the same.
macro_rules! assert_snapshot {
    ($($assertion:tt)*) => {
        insta::allow_duplicates! { insta::assert_snapshot!($($assertion)*); }
    };
}

const NOW: i64 = 1_800_000_000;
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const PASSWORD: &str = "correct horse battery";

/// A basket service that remembers what it was asked to merge.
#[derive(Clone, Default)]
struct Baskets {
    merged: Arc<Mutex<Vec<MergeGuestRequest>>>,
    silent: Arc<AtomicBool>,
}

#[tonic::async_trait]
impl Basket for Baskets {
    async fn get_basket(&self, _: tonic::Request<GetBasketRequest>) -> Result<Response<GetBasketResponse>, Status> {
        Err(Status::unimplemented("not asked by identity"))
    }

    async fn merge_guest(
        &self,
        request: tonic::Request<MergeGuestRequest>,
    ) -> Result<Response<MergeGuestResponse>, Status> {
        if self.silent.load(Ordering::SeqCst) {
            return Err(Status::unavailable("down"));
        }
        self.merged.lock().unwrap().push(request.into_inner());
        Ok(Response::new(MergeGuestResponse { merged: 1 }))
    }

    async fn claim_basket(
        &self,
        _: tonic::Request<ClaimBasketRequest>,
    ) -> Result<Response<ClaimBasketResponse>, Status> {
        Err(Status::unimplemented("not asked by identity"))
    }

    async fn release_basket(
        &self,
        _: tonic::Request<ReleaseBasketRequest>,
    ) -> Result<Response<ReleaseBasketResponse>, Status> {
        Err(Status::unimplemented("not asked by identity"))
    }
}

/// A mailroom that says yes until it is told otherwise, and remembers what it was asked.
#[derive(Clone, Default)]
struct Mails {
    asked: Arc<Mutex<Vec<AdmitRequest>>>,
    refuses: Arc<Mutex<Option<&'static str>>>,
}

#[tonic::async_trait]
impl Mailroom for Mails {
    async fn admit(&self, request: tonic::Request<AdmitRequest>) -> Result<Response<AdmitResponse>, Status> {
        self.asked.lock().unwrap().push(request.into_inner());
        let refused = *self.refuses.lock().unwrap();
        Ok(Response::new(AdmitResponse {
            granted: refused.is_none(),
            wait_seconds: 600,
            limit: refused.unwrap_or_default().to_owned(),
        }))
    }
}

impl Mails {
    fn client(&self) -> MailroomClient<Edge> {
        let server = MailroomServer::new(self.clone());
        MailroomClient::new(Edge::local("test.notification", server, methods::NOTIFICATION))
    }
}

impl Baskets {
    fn client(&self) -> BasketClient<Edge> {
        BasketClient::new(Edge::local("test.basket", BasketServer::new(self.clone()), methods::BASKET))
    }
}

fn settings() -> Identity {
    Identity {
        argon2: Argon2 { memory_kib: 8, iterations: 1, parallelism: 1 },
        lockout: Lockout { per_address_per_minute: 20, ..Lockout::default() },
        ..Identity::default()
    }
}

struct Shop {
    service: IdentityService,
    clock: Arc<ManualClock>,
    baskets: Baskets,
    mails: Mails,
    verifier: Arc<TokenVerifier>,
    app: Router,
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("")
    }

    fn text(&self, member: &str) -> String {
        self.body[member].as_str().unwrap_or_else(|| panic!("no {member} in {self:?}")).to_owned()
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.text("access_token"))
    }

    fn refresh(&self) -> String {
        self.text("refresh_token")
    }
}

impl Shop {
    async fn open(databases: &Databases, settings: &Identity, clock: Arc<ManualClock>) -> Self {
        let (baskets, mails) = (Baskets::default(), Mails::default());
        let db = databases.open(IdentityService::NAME).await.unwrap();
        let service = IdentityService::open(
            db,
            settings,
            "https://shop.example/",
            clock.clone(),
            baskets.client(),
            mails.client(),
        )
        .await
        .unwrap();
        let verifier = Arc::new(TokenVerifier::new(Some(service.issuer()), AUDIENCE, clock.clone()));
        verifier.set_keys(service.public_keys());
        let (api, _) = service.api().split_for_parts();
        let app = api
            .merge(service.well_known())
            .layer(Extension(verifier.clone()))
            .layer(middleware::from_fn(context::layer));
        Self { service, clock, baskets, mails, verifier, app }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        }
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
        let request = headers.iter().fold(Request::builder().method(method).uri(path), |r, (k, v)| r.header(*k, *v));
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        self.send(request.unwrap()).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, &[], Some(body)).await
    }

    async fn register(&self, email: &str) -> Answer {
        self.post("/identity/register", json!({"email": email, "password": PASSWORD, "name": "Ann"})).await
    }

    async fn sign_in_from(&self, address: &str, email: &str, password: &str) -> Answer {
        let body = json!({"grant_type": "password", "email": email, "password": password});
        self.ask(Method::POST, "/identity/token", &[("x-forwarded-for", address)], Some(body)).await
    }

    async fn sign_in(&self, email: &str, password: &str) -> Answer {
        self.sign_in_from("192.0.2.1", email, password).await
    }

    async fn refresh(&self, token: &str) -> Answer {
        self.post("/identity/token", json!({"grant_type": "refresh_token", "refresh_token": token})).await
    }

    async fn get(&self, path: &str, bearer: &str) -> Answer {
        self.ask(Method::GET, path, &[("authorization", bearer)], None).await
    }

    /// Signs in the first admin.
    async fn admin(&self) -> String {
        let printed = self.service.ensure_admin(None, None).await.unwrap().unwrap();
        self.sign_in(&printed.email, &printed.password).await.bearer()
    }
}

/// Runs a test on SQLite, and on PostgreSQL when there is one.
async fn on_each_database<F: Future<Output = Shop>>(settings: Identity, test: impl Fn(Shop) -> F) {
    let clock = || Arc::new(ManualClock::at(Timestamp::from_micros(NOW * 1_000_000)));
    let folder = tempfile::tempdir().unwrap();
    let shop = test(Shop::open(&Databases::Sqlite(folder.path().to_owned()), &settings, clock()).await).await;
    shop.service.db().close().await;
    let Ok(url) = std::env::var("BOOKWORM_TEST_POSTGRES") else {
        eprintln!("SKIPPED on PostgreSQL: BOOKWORM_TEST_POSTGRES is not set");
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI must test on PostgreSQL");
        return;
    };
    let prefix = format!("t{}_", Uuid::new_v4().simple());
    let drop = format!("DROP SCHEMA \"{prefix}identity\" CASCADE");
    let databases = Databases::Postgres { url, max_connections: 8, prefix };
    let shop = test(Shop::open(&databases, &settings, clock()).await).await;
    let db = shop.service.db();
    db.transact::<_, DbError, _>(move |tx| Box::pin(async move { tx.exec(&drop, []).await })).await.unwrap();
    db.close().await;
}

#[tokio::test]
async fn an_account_is_made_and_signs_in_with_a_token_that_the_published_keys_check() {
    on_each_database(settings(), |shop| async move {
        let made = shop.register(" Ann@Example.ORG ").await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        let id = made.text("id");
        assert_eq!(made.body, json!({"id": id, "email": "Ann@example.org", "name": "Ann", "roles": ["customer"], "email_confirmed": false}));
        let outbox: Option<String> =
            shop.service.db().read().scalar("SELECT envelope FROM outbox ORDER BY seq DESC LIMIT 1", []).await.unwrap();
        let event: Value = serde_json::from_str(&outbox.unwrap()).unwrap();
        assert_eq!(event["type"], "events.identity.CustomerRegistered.v1");
        assert_eq!(event["data"], json!({"customer_id": id, "email": "Ann@example.org", "name": "Ann"}));

        let signed = shop.sign_in("ANN@example.org", PASSWORD).await;
        assert_eq!(signed.status, 200);
        assert_eq!((signed.text("token_type").as_str(), &signed.body["expires_in"]), ("Bearer", &json!(900)));
        assert_eq!(signed.headers["cache-control"], "no-store");
        assert_eq!(shop.get("/identity/me", &signed.bearer()).await.body, made.body);

        // As a stranger would check it: with nothing but the published documents.
        let discovered = shop.ask(Method::GET, "/.well-known/openid-configuration", &[], None).await.body;
        assert_eq!(discovered["issuer"], "https://shop.example");
        assert_eq!(discovered["jwks_uri"], "https://shop.example/.well-known/jwks.json");
        let keys = shop.ask(Method::GET, "/.well-known/jwks.json", &[], None).await;
        assert_eq!(keys.headers["cache-control"], "public, max-age=300");
        let set: jsonwebtoken::jwk::JwkSet = serde_json::from_value(keys.body.clone()).unwrap();
        let token = signed.text("access_token");
        let kid = jsonwebtoken::decode_header(&token).unwrap().kid.unwrap();
        let key = jsonwebtoken::DecodingKey::from_jwk(set.find(&kid).unwrap()).unwrap();
        let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
        rules.set_audience(&[AUDIENCE]);
        rules.set_issuer(&["https://shop.example"]);
        rules.validate_exp = false;
        let claims = jsonwebtoken::decode::<Value>(&token, &key, &rules).unwrap().claims;
        assert_eq!(
            (&claims["sub"], &claims["roles"], &claims["exp"]),
            (&json!(id), &json!(["customer"]), &json!(NOW + 900))
        );
        assert_eq!(keys.body["keys"].as_array().unwrap().len(), 1);
        let x = URL_SAFE_NO_PAD.decode(keys.body["keys"][0]["x"].as_str().unwrap()).unwrap();
        assert_eq!((kid, x), {
            let (kid, x) = shop.service.public_keys().remove(0);
            (kid, x.to_vec())
        });

        shop.clock.advance(15 * MINUTE);
        assert_eq!(shop.get("/identity/me", &signed.bearer()).await.code(), "invalid_token");
        shop
    })
    .await;
}

#[tokio::test]
async fn an_address_has_one_account_even_when_two_ask_at_once() {
    on_each_database(settings(), |shop| async move {
        let answers = futures::future::join_all(
            ["ann@example.org", "ANN@example.org", "Ann@EXAMPLE.org"].map(|email| shop.register(email)),
        )
        .await;
        let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409, 409]);
        assert_eq!(shop.register("ann@example.org").await.code(), "email_taken");
        let events: Option<i64> = shop.service.db().read().scalar("SELECT COUNT(*) FROM outbox", []).await.unwrap();
        assert_eq!(events, Some(2), "one account, and one link for its address");
        shop
    })
    .await;
}

#[tokio::test]
async fn wrong_credentials_tell_nothing() {
    on_each_database(settings(), |shop| async move {
        shop.register("ann@example.org").await;
        let long = "x".repeat(1000);
        for (email, password) in [
            ("ann@example.org", "wrong password"),
            ("ann@example.org", ""),
            ("ann@example.org", long.as_str()),
            ("nobody@example.org", PASSWORD),
            ("not an address", PASSWORD),
            ("' OR 1=1 --", PASSWORD),
            ("", ""),
        ] {
            let answer = shop.sign_in(email, password).await;
            assert_eq!((answer.status, answer.code()), (StatusCode::UNAUTHORIZED, "invalid_credentials"), "{email}");
            assert_eq!(answer.body["detail"], Value::Null, "the same for everybody");
        }
        shop
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_is_good_for_one_use() {
    on_each_database(settings(), |shop| async move {
        shop.register("ann@example.org").await;
        let first = shop.sign_in("ann@example.org", PASSWORD).await.refresh();
        let second = shop.refresh(&first).await;
        assert_eq!(second.status, 200);
        assert_ne!(second.refresh(), first);
        assert_eq!(shop.get("/identity/me", &second.bearer()).await.status, 200);

        // Two tabs at once: the late one gets a token of its own.
        shop.clock.advance(Duration::from_secs(30));
        let tab = shop.refresh(&first).await;
        assert_eq!(tab.status, 200);
        assert_eq!(shop.refresh(&second.refresh()).await.status, 200);

        // A thief: the token was used long ago, so the session ends for everybody.
        shop.clock.advance(Duration::from_secs(1));
        for token in [&first, &tab.refresh(), &second.refresh()] {
            let refused = shop.refresh(token).await;
            assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "invalid_token"));
        }
        // Signing in again starts another session.
        let again = shop.sign_in("ann@example.org", PASSWORD).await;
        assert_eq!(shop.refresh(&again.refresh()).await.status, 200);

        let stored: Option<i64> = shop
            .service
            .db()
            .read()
            .scalar("SELECT COUNT(*) FROM refresh_tokens WHERE hash = $1", bookworm_db::values![first])
            .await
            .unwrap();
        assert_eq!(stored, Some(0), "only hashes are stored");
        for bad in ["", "x", "' OR 1=1 --", &"A".repeat(43), &"z".repeat(5000)] {
            assert_eq!(shop.refresh(bad).await.code(), "invalid_token", "{bad}");
        }
        shop
    })
    .await;
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used_or_signed_out() {
    on_each_database(settings(), |shop| async move {
        shop.register("ann@example.org").await;
        let token = shop.sign_in("ann@example.org", PASSWORD).await.refresh();
        let other = shop.sign_in("ann@example.org", PASSWORD).await.refresh();
        let next = shop.refresh(&token).await.refresh();
        for token in [token.as_str(), "nonsense"] {
            let out = shop.post("/identity/sign-out", json!({"refresh_token": token})).await;
            assert_eq!(out.status, StatusCode::NO_CONTENT);
        }
        assert_eq!(shop.refresh(&next).await.code(), "invalid_token");
        shop.clock.advance(29 * DAY);
        let other = shop.refresh(&other).await.refresh();
        shop.clock.advance(30 * DAY);
        assert_eq!(shop.refresh(&other).await.code(), "invalid_token");
        shop.clock.advance(DAY);
        assert!(shop.service.tidy().await.unwrap() > 0);
        let left: Option<i64> = shop.service.db().read().scalar("SELECT COUNT(*) FROM sessions", []).await.unwrap();
        assert_eq!(left, Some(0));
        shop
    })
    .await;
}

#[tokio::test]
async fn two_tabs_that_refresh_at_once_both_stay_signed_in() {
    on_each_database(settings(), |shop| async move {
        shop.register("ann@example.org").await;
        let token = shop.sign_in("ann@example.org", PASSWORD).await.refresh();
        let answers = futures::future::join_all((0..8).map(|_| shop.refresh(&token))).await;
        let mut tokens: Vec<_> = answers.iter().map(Answer::refresh).collect();
        tokens.sort();
        tokens.dedup();
        assert_eq!(tokens.len(), 8);
        for token in tokens {
            assert_eq!(shop.refresh(&token).await.status, 200);
        }
        shop
    })
    .await;
}

#[tokio::test]
async fn guessing_is_slowed_down_and_the_owner_is_not_locked_out() {
    on_each_database(settings(), |shop| async move {
        shop.register("ann@example.org").await;
        let (thief, owner) = ("203.0.113.9", "192.0.2.1");
        // The same for an address that has no account.
        for email in ["ann@example.org", "nobody@example.org"] {
            for _ in 0..5 {
                assert_eq!(shop.sign_in_from(thief, email, "a guess").await.code(), "invalid_credentials");
            }
            let refused = shop.sign_in_from(thief, email, PASSWORD).await;
            assert_eq!((refused.status, refused.code()), (StatusCode::TOO_MANY_REQUESTS, "too_many_attempts"));
            assert_eq!(refused.headers["retry-after"], "2", "the right password is not even looked at");
        }
        // The owner signs in from elsewhere as ever.
        let signed = shop.sign_in_from(owner, "ann@example.org", PASSWORD).await;
        assert_eq!(signed.status, 200);

        // The wait doubles, to a quarter of an hour at most.
        let mut waits = Vec::new();
        for _ in 0..12 {
            let refused = shop.sign_in_from(thief, "ann@example.org", "a guess").await;
            assert_eq!(refused.code(), "too_many_attempts");
            let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
            waits.push(wait);
            shop.clock.advance(Duration::from_secs(wait) + MINUTE);
            assert_eq!(shop.sign_in_from(thief, "ann@example.org", "a guess").await.code(), "invalid_credentials");
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
        assert_eq!(shop.sign_in_from(owner, "ann@example.org", PASSWORD).await.status, 200);
        assert_eq!(shop.refresh(&signed.refresh()).await.status, 200, "who is signed in stays signed in");

        // Success forgives: from the same address too, once the wait is over.
        shop.clock.advance(15 * MINUTE);
        assert_eq!(shop.sign_in_from(thief, "ann@example.org", PASSWORD).await.status, 200);
        for _ in 0..5 {
            assert_eq!(shop.sign_in_from(thief, "ann@example.org", "a guess").await.code(), "invalid_credentials");
        }
        shop.clock.advance(2 * DAY);
        assert!(shop.service.tidy().await.unwrap() > 0);
        let left: Option<i64> =
            shop.service.db().read().scalar("SELECT COUNT(*) FROM failed_attempts", []).await.unwrap();
        assert_eq!(left, Some(0));
        shop
    })
    .await;
}

#[tokio::test]
async fn trying_many_accounts_from_one_address_is_slowed_down_too() {
    on_each_database(settings(), |shop| async move {
        shop.register("ann@example.org").await;
        for _ in 0..30 {
            assert_eq!(shop.sign_in("ann@example.org", PASSWORD).await.status, 200, "signing in is no guess");
        }
        for n in 0..20 {
            let answer = shop.sign_in(&format!("nobody{n}@example.org"), PASSWORD).await;
            assert_eq!(answer.code(), "invalid_credentials");
        }
        let refused = shop.sign_in("ann@example.org", PASSWORD).await;
        assert_eq!((refused.code(), refused.headers["retry-after"].to_str().unwrap()), ("too_many_attempts", "60"));
        shop.clock.advance(MINUTE);
        assert_eq!(shop.sign_in("ann@example.org", PASSWORD).await.status, 200);
        shop
    })
    .await;
}

#[tokio::test]
async fn many_guesses_at_once_gain_nothing() {
    on_each_database(settings(), |shop| async move {
        shop.register("ann@example.org").await;
        assert_eq!(shop.sign_in("ann@example.org", "a guess").await.code(), "invalid_credentials");
        let answers = futures::future::join_all((0..15).map(|_| shop.sign_in("ann@example.org", "a guess"))).await;
        let looked_at = answers.iter().filter(|answer| answer.code() == "invalid_credentials").count();
        assert_eq!(looked_at, 4);
        shop
    })
    .await;
}

#[tokio::test]
async fn the_account_is_its_owners() {
    on_each_database(settings(), |shop| async move {
        shop.register("ann@example.org").await;
        let signed = shop.sign_in("ann@example.org", PASSWORD).await;
        let bearer = signed.bearer();
        let headers = [("authorization", bearer.as_str())];
        let renamed = shop.ask(Method::PATCH, "/identity/me", &headers, Some(json!({"name": " Ann B. "}))).await;
        assert_eq!((renamed.status, renamed.text("name").as_str()), (StatusCode::OK, "Ann B."));
        assert_eq!(shop.get("/identity/me", &bearer).await.text("name"), "Ann B.");

        let change = |current: &str, new: &str| {
            let body = json!({"current_password": current, "new_password": new});
            let headers = [("authorization", bearer.clone())];
            let shop = &shop;
            async move {
                let headers = headers.each_ref().map(|(k, v)| (*k, v.as_str()));
                shop.ask(Method::POST, "/identity/me/password", &headers, Some(body)).await
            }
        };
        let wrong = change("not mine at all", "another good one").await;
        assert_eq!(
            (wrong.code(), &wrong.body["errors"][0]["field"]),
            ("validation_failed", &json!("/current_password"))
        );
        let weak = change(PASSWORD, "password").await;
        assert_eq!((weak.code(), &weak.body["errors"][0]["field"]), ("validation_failed", &json!("/new_password")));
        let changed = change(PASSWORD, "another good one").await;
        assert_eq!(changed.status, 200, "{}", changed.body);
        assert_eq!(shop.refresh(&signed.refresh()).await.code(), "invalid_token", "every other session is ended");
        assert_eq!(shop.refresh(&changed.refresh()).await.status, 200);
        assert_eq!(shop.sign_in("ann@example.org", PASSWORD).await.code(), "invalid_credentials");
        assert_eq!(shop.sign_in("ann@example.org", "another good one").await.status, 200);
        shop
    })
    .await;
}

#[tokio::test]
async fn the_first_admin_is_made_once_and_gives_roles() {
    on_each_database(settings(), |shop| async move {
        let printed = shop.service.ensure_admin(None, None).await.unwrap().unwrap();
        assert_eq!((printed.email.as_str(), printed.password.len()), ("admin@bookworm.example", 23));
        assert!(shop.service.ensure_admin(None, None).await.unwrap().is_none());
        let bearer = shop.sign_in(&printed.email, &printed.password).await.bearer();
        let admin_id = shop.get("/identity/me", &bearer).await.text("id");
        let ann = shop.register("ann@example.org").await.text("id");
        let customer = shop.sign_in("ann@example.org", PASSWORD).await;

        let roles = |bearer: &str, id: &str, roles: Value| {
            let (headers, path) = ([("authorization", bearer.to_owned())], format!("/identity/accounts/{id}/roles"));
            let shop = &shop;
            async move {
                let headers = headers.each_ref().map(|(k, v)| (*k, v.as_str()));
                shop.ask(Method::PUT, &path, &headers, Some(json!({"roles": roles}))).await
            }
        };
        assert_eq!(roles(&customer.bearer(), &ann, json!(["admin"])).await.code(), "forbidden");
        let promoted = roles(&bearer, &ann, json!(["staff", "agent", "staff"])).await;
        assert_eq!(promoted.body["roles"], json!(["customer", "agent", "staff"]));
        // The next token carries them.
        let token = shop.refresh(&customer.refresh()).await.text("access_token");
        assert!(shop.verifier.verify(&token).unwrap().is_staff());
        // The last admin stays one.
        let last = roles(&bearer, &admin_id, json!(["customer"])).await;
        assert_eq!((last.code(), &last.body["errors"][0]["field"]), ("validation_failed", &json!("/roles")));
        assert_eq!(roles(&bearer, &ann, json!(["admin"])).await.status, 200);
        assert_eq!(roles(&bearer, &admin_id, json!([])).await.body["roles"], json!(["customer"]));
        assert_eq!(roles(&bearer, &Uuid::new_v4().to_string(), json!([])).await.code(), "not_found");
        assert_eq!(roles(&bearer, "nonsense", json!([])).await.code(), "not_found");
        let unknown = roles(&bearer, &ann, json!(["king"])).await;
        assert_eq!((unknown.code(), &unknown.body["errors"][0]["field"]), ("validation_failed", &json!("/roles/0")));
        shop
    })
    .await;
}

#[tokio::test]
async fn the_first_admin_comes_from_the_settings() {
    on_each_database(settings(), |shop| async move {
        let secret = |text: &str| Secret::new(text);
        for (email, password) in [(Some("nonsense"), None), (None, Some("short"))] {
            let password = password.map(secret);
            let error = shop.service.ensure_admin(email, password.as_ref()).await.unwrap_err().to_string();
            assert!(error.starts_with("admin."), "names the key: {error}");
        }
        let password = secret("given by the owner");
        let printed = shop.service.ensure_admin(Some("owner@example.org"), Some(&password)).await.unwrap();
        assert!(printed.is_none(), "nothing to print: the owner knows it");
        let signed = shop.sign_in("owner@example.org", "given by the owner").await;
        assert_eq!(shop.get("/identity/me", &signed.bearer()).await.body["roles"], json!(["customer", "admin"]));
        shop
    })
    .await;
}

#[tokio::test]
async fn admins_find_accounts() {
    on_each_database(settings(), |shop| async move {
        let bearer = shop.admin().await;
        for n in 1..=5 {
            let body =
                json!({"email": format!("reader{n}@example.org"), "password": PASSWORD, "name": format!("Größe_{n}")});
            assert_eq!(shop.post("/identity/register", body).await.status, 201);
        }
        let list = async |query: &str| shop.get(&format!("/identity/accounts?{query}"), &bearer).await;
        let emails = |answer: &Answer| -> Vec<String> {
            answer.body["items"]
                .as_array()
                .unwrap_or_else(|| panic!("{answer:?}"))
                .iter()
                .map(|a| a["email"].as_str().unwrap().to_owned())
                .collect()
        };
        let first = list("limit=4").await;
        assert_eq!(
            emails(&first),
            ["reader5@example.org", "reader4@example.org", "reader3@example.org", "reader2@example.org"]
        );
        let rest = list(&format!("limit=4&cursor={}", first.text("next"))).await;
        assert_eq!(emails(&rest), ["reader1@example.org", "admin@bookworm.example"]);
        assert_eq!(rest.body["next"], Value::Null);
        assert_eq!(emails(&list("q=READER3").await), ["reader3@example.org"]);
        assert_eq!(emails(&list("q=gr%C3%B6%C3%9Fe_4").await), ["reader4@example.org"]);
        assert_eq!(emails(&list("q=%25").await), Vec::<String>::new(), "a percent sign is no pattern");
        assert_eq!(emails(&list("role=admin").await), ["admin@bookworm.example"]);
        for (query, code) in
            [("role=king", "validation_failed"), ("limit=0", "validation_failed"), ("cursor=x", "invalid_cursor")]
        {
            assert_eq!(list(query).await.code(), code, "{query}");
        }
        let customer = shop.sign_in("reader1@example.org", PASSWORD).await.bearer();
        assert_eq!(shop.get("/identity/accounts", &customer).await.code(), "forbidden");
        assert_eq!(shop.ask(Method::GET, "/identity/accounts", &[], None).await.code(), "unauthenticated");
        shop
    })
    .await;
}

#[tokio::test]
async fn the_guests_basket_comes_along_and_never_stands_in_the_way() {
    on_each_database(settings(), |shop| async move {
        let body = json!({"email": "ann@example.org", "password": PASSWORD, "name": "Ann"});
        let made = shop.ask(Method::POST, "/identity/register", &[("basket-token", "one")], Some(body)).await;
        let grant = json!({"grant_type": "password", "email": "ann@example.org", "password": PASSWORD});
        let cookie = [("cookie", "theme=dark; basket_token=two")];
        assert_eq!(shop.ask(Method::POST, "/identity/token", &cookie, Some(grant.clone())).await.status, 200);
        let asked: Vec<_> = shop
            .baskets
            .merged
            .lock()
            .unwrap()
            .iter()
            .map(|m| (m.customer_id.clone(), m.guest_token.clone()))
            .collect();
        assert_eq!(asked, [(made.text("id"), "one".to_owned()), (made.text("id"), "two".to_owned())]);
        shop.baskets.silent.store(true, Ordering::SeqCst);
        assert_eq!(shop.ask(Method::POST, "/identity/token", &cookie, Some(grant)).await.status, 200);
        shop
    })
    .await;
}

#[tokio::test]
async fn keys_rotate_without_anybody_noticing() {
    on_each_database(settings(), |shop| async move {
        shop.register("ann@example.org").await;
        let mut changes = shop.service.watch_keys();
        shop.service.rotate_keys().await.unwrap();
        assert!(!changes.has_changed().unwrap());
        shop.clock.advance(90 * DAY);
        shop.service.rotate_keys().await.unwrap();
        assert!(changes.has_changed().unwrap());
        let keys = changes.borrow_and_update().clone();
        assert_eq!(keys.len(), 2);
        shop.verifier.set_keys(keys.clone());
        let kid = |answer: &Answer| jsonwebtoken::decode_header(answer.text("access_token")).unwrap().kid.unwrap();
        let old = shop.sign_in("ann@example.org", PASSWORD).await;
        assert_eq!(kid(&old), keys[0].0, "published first, used later");
        shop.clock.advance(15 * MINUTE - Duration::from_secs(1));
        let last = shop.sign_in("ann@example.org", PASSWORD).await;
        shop.clock.advance(Duration::from_secs(1));
        let new = shop.sign_in("ann@example.org", PASSWORD).await;
        assert_eq!((kid(&last), kid(&new)), (keys[0].0.clone(), keys[1].0.clone()));
        for token in [&last, &new] {
            assert_eq!(shop.get("/identity/me", &token.bearer()).await.status, 200);
        }
        shop.clock.advance(20 * MINUTE);
        shop.service.rotate_keys().await.unwrap();
        assert_eq!(shop.service.public_keys(), keys[1..]);
        shop
    })
    .await;
}

#[tokio::test]
async fn accounts_sessions_and_keys_survive_a_restart_and_hashes_grow_with_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::Sqlite(folder.path().to_owned());
    let clock = Arc::new(ManualClock::at(Timestamp::from_micros(NOW * 1_000_000)));
    let shop = Shop::open(&databases, &settings(), clock.clone()).await;
    shop.register("ann@example.org").await;
    let signed = shop.sign_in("ann@example.org", PASSWORD).await;
    let keys = shop.service.public_keys();
    shop.service.db().close().await;

    let dearer = Identity { argon2: Argon2 { memory_kib: 16, iterations: 2, parallelism: 1 }, ..settings() };
    let shop = Shop::open(&databases, &dearer, clock).await;
    assert_eq!(shop.service.public_keys(), keys);
    assert_eq!(shop.get("/identity/me", &signed.bearer()).await.status, 200);
    assert_eq!(shop.refresh(&signed.refresh()).await.status, 200);
    for _ in 0..2 {
        assert_eq!(shop.sign_in("ann@example.org", PASSWORD).await.status, 200);
        let hash: Option<String> =
            shop.service.db().read().scalar("SELECT password_hash FROM accounts", []).await.unwrap();
        assert!(hash.unwrap().starts_with("$argon2id$v=19$m=16,t=2,p=1$"));
    }
    shop.service.db().close().await;
}

#[tokio::test]
async fn bad_input_is_named_and_changes_nothing() {
    on_each_database(settings(), |shop| async move {
        let mut answers = Vec::new();
        let mut send = async |path: &str, body: String| {
            let request =
                Request::post(path).header("content-type", "application/json").body(Body::from(body.clone())).unwrap();
            let answer = shop.send(request).await;
            let fields: Vec<_> = answer.body["errors"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|e| format!("{}: {}", e["field"].as_str().unwrap(), e["message"].as_str().unwrap()))
                .collect();
            let shown: String = body.chars().take(90).collect();
            let sent = format!("{path} {shown}");
            answers.push(
                format!("{}\n    {} {} {}",
                    sent.trim_end(),
                    answer.status.as_u16(), answer.code(), fields.join("; "))
                    .trim_end()
                    .to_owned(),
            );
        };
        let account = |email: &str, password: &str, name: &str| {
            json!({"email": email, "password": password, "name": name}).to_string()
        };
        for body in [
            String::new(),
            "{".to_owned(),
            "[]".to_owned(),
            "{}".to_owned(),
            account("", "", ""),
            account("nonsense", "short", "  "),
            account("a@b.c\r\nBcc: x@y.z", PASSWORD, "a\u{0}b"),
            account("ann@example.org", "password123", "Ann"),
            account("annabella@example.org", "annabella", "Ann"),
            account("ann@example.org", &"x".repeat(129), &"n".repeat(101)),
            account(&format!("{}@example.org", "a".repeat(300)), "        ", "Ann"),
            r#"{"email":1,"password":"correct horse battery","name":"Ann"}"#.to_owned(),
            r#"{"email":"ann@example.org","password":null,"name":"Ann"}"#.to_owned(),
        ] {
            send("/identity/register", body).await;
        }
        for body in [
            "{}",
            r#"{"grant_type":"implicit"}"#,
            r#"{"grant_type":1}"#,
            r#"{"grant_type":"password"}"#,
            r#"{"grant_type":"password","email":"ann@example.org"}"#,
            r#"{"grant_type":"password","email":"ann@example.org","password":5}"#,
            r#"{"grant_type":"refresh_token"}"#,
            r#"{"grant_type":"refresh_token","refresh_token":[]}"#,
        ] {
            send("/identity/token", body.to_owned()).await;
        }
        for body in ["{}", r#"{"refresh_token":7}"#] {
            send("/identity/sign-out", body.to_owned()).await;
        }
        assert_snapshot!(answers.join("\n"), @r#"
        /identity/register
            400 malformed_body
        /identity/register {
            400 malformed_body
        /identity/register []
            400 validation_failed : must be an object
        /identity/register {}
            400 validation_failed /email: is required
        /identity/register {"email":"","name":"","password":""}
            400 validation_failed /email: must be an e-mail address such as name@example.org, at most 254 characters; /password: must be 8 to 128 characters, not 0; /name: must not be empty
        /identity/register {"email":"nonsense","name":"  ","password":"short"}
            400 validation_failed /email: must be an e-mail address such as name@example.org, at most 254 characters; /password: must be 8 to 128 characters, not 5; /name: must not be empty
        /identity/register {"email":"a@b.c\r\nBcc: x@y.z","name":"a\u0000b","password":"correct horse battery"}
            400 validation_failed /email: must be an e-mail address such as name@example.org, at most 254 characters; /name: must not contain control characters
        /identity/register {"email":"ann@example.org","name":"Ann","password":"password123"}
            400 validation_failed /password: is one of the passwords that are tried first; choose another
        /identity/register {"email":"annabella@example.org","name":"Ann","password":"annabella"}
            400 validation_failed /password: must not be your e-mail address
        /identity/register {"email":"ann@example.org","name":"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn
            400 validation_failed /password: must be 8 to 128 characters, not 129; /name: must be at most 100 characters, not 101
        /identity/register {"email":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
            400 validation_failed /email: must be an e-mail address such as name@example.org, at most 254 characters; /password: must not be only spaces
        /identity/register {"email":1,"password":"correct horse battery","name":"Ann"}
            400 validation_failed /email: must be a string, not 1
        /identity/register {"email":"ann@example.org","password":null,"name":"Ann"}
            400 validation_failed /password: must be a string, not null
        /identity/token {}
            400 validation_failed /grant_type: is required
        /identity/token {"grant_type":"implicit"}
            400 validation_failed /grant_type: must be `password` or `refresh_token`
        /identity/token {"grant_type":1}
            400 validation_failed /grant_type: must be a string, not 1
        /identity/token {"grant_type":"password"}
            400 validation_failed /email: is required; /password: is required
        /identity/token {"grant_type":"password","email":"ann@example.org"}
            400 validation_failed /password: is required
        /identity/token {"grant_type":"password","email":"ann@example.org","password":5}
            400 validation_failed /password: must be a string, not 5
        /identity/token {"grant_type":"refresh_token"}
            400 validation_failed /refresh_token: is required
        /identity/token {"grant_type":"refresh_token","refresh_token":[]}
            400 validation_failed /refresh_token: must be a string, not an array
        /identity/sign-out {}
            400 validation_failed /refresh_token: is required
        /identity/sign-out {"refresh_token":7}
            400 validation_failed /refresh_token: must be a string, not 7
        "#);
        let accounts: Option<i64> = shop.service.db().read().scalar("SELECT COUNT(*) FROM accounts", []).await.unwrap();
        assert_eq!(accounts, Some(0));
        let hostile = "<script>alert(1)</script>'; DROP TABLE accounts; --";
        let made = shop
            .post("/identity/register", json!({"email": "ann@example.org", "password": PASSWORD, "name": hostile}))
            .await;
        assert_eq!((made.status, made.text("name").as_str()), (StatusCode::CREATED, hostile), "text is only text");
        let form = Request::post("/identity/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from("grant_type=password"))
            .unwrap();
        assert_eq!(shop.send(form).await.code(), "unsupported_media_type");
        shop
    })
    .await;
}

#[derive(FromRow)]
struct Queued {
    envelope: String,
}

/// The links that set a new password, oldest first.
async fn links(shop: &Shop) -> Vec<String> {
    tokens(shop, "PasswordResetRequested").await
}

/// The links that confirm an address, oldest first.
async fn confirmations(shop: &Shop) -> Vec<String> {
    tokens(shop, "EmailConfirmationRequested").await
}

async fn tokens(shop: &Shop, event: &str) -> Vec<String> {
    // Links are made after their request is answered; the loops end when that is done.
    let stopped = CancellationToken::new();
    stopped.cancel();
    futures::future::join_all(shop.service.loops().iter().map(|work| work.run(stopped.clone()))).await;
    let rows: Vec<Queued> = shop.service.db().read().all("SELECT envelope FROM outbox ORDER BY seq", []).await.unwrap();
    let messages = rows.iter().map(|row| serde_json::from_str::<Value>(&row.envelope).unwrap());
    let wanted = messages.filter(|message| message["type"].as_str().unwrap().contains(event));
    wanted.map(|message| message["data"]["token"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_by_mail_once_and_ends_every_session() {
    on_each_database(settings(), |shop| async move {
        shop.register("ann@reader.test").await;
        let session = shop.sign_in("ann@reader.test", PASSWORD).await;
        let ask = |email: &'static str| shop.post("/identity/password-reset", json!({"email": email}));
        let (known, unknown) = (ask("Ann@reader.test").await, ask("nobody@reader.test").await);
        assert_eq!((known.status, &known.body), (StatusCode::ACCEPTED, &unknown.body));
        assert_eq!(unknown.status, StatusCode::ACCEPTED);
        let link = links(&shop).await.pop().unwrap();

        let set = |token: String, password: &'static str| {
            shop.post("/identity/password-reset/confirm", json!({"token": token, "new_password": password}))
        };
        let check = |token: String| shop.post("/identity/password-reset/check", json!({"token": token}));
        for _ in 0..2 {
            assert_eq!(check(link.clone()).await.status, StatusCode::NO_CONTENT, "asking uses nothing up");
        }
        let weak = set(link.clone(), "short").await;
        assert_eq!((weak.status, weak.code()), (StatusCode::BAD_REQUEST, "validation_failed"));
        assert_eq!(set(link.clone(), "a whole new password").await.status, StatusCode::NO_CONTENT);
        assert_eq!(shop.sign_in("ann@reader.test", PASSWORD).await.code(), "invalid_credentials");
        assert_eq!(shop.sign_in("ann@reader.test", "a whole new password").await.status, StatusCode::OK);
        assert_eq!(shop.refresh(&session.refresh()).await.status, StatusCode::UNAUTHORIZED);
        let again = set(link.clone(), "yet another password").await;
        assert_eq!((again.status, &again.body["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!("/token")));
        for token in [link, String::new(), "x".to_owned()] {
            let answer = check(token).await;
            let field = &answer.body["errors"][0]["field"];
            assert_eq!((answer.status, field), (StatusCode::BAD_REQUEST, &json!("/token")));
        }
        shop
    })
    .await;
}

#[tokio::test]
async fn accounts_of_the_release_before_keep_their_password_and_count_as_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let file = rusqlite::Connection::open(folder.path().join("identity.db")).unwrap();
    file.execute_batch(include_str!("fixtures/before_confirmations.sql")).unwrap();
    file.close().unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp::from_micros(NOW * 1_000_000)));
    let shop = Shop::open(&Databases::Sqlite(folder.path().to_owned()), &settings(), clock).await;
    for (email, name, password) in [
        ("ann@reader.test", "Ann Reader", PASSWORD),
        ("ben@reader.test", "Ben Reader", PASSWORD),
        ("admin@shop.test", "Admin", "a long admin password"),
    ] {
        let session = shop.sign_in(email, password).await;
        assert_eq!(session.status, StatusCode::OK, "{email}: {session:?}");
        let me = shop.get("/identity/me", &session.bearer()).await.body;
        assert_eq!((&me["name"], &me["email_confirmed"]), (&json!(name), &json!(true)), "{email}");
        let bearer = session.bearer();
        let again = shop.ask(Method::POST, "/identity/me/confirm-email", &[("authorization", &bearer)], None).await;
        assert_eq!(again.status, StatusCode::ACCEPTED);
    }
    assert!(confirmations(&shop).await.is_empty(), "nobody who had an account is asked");
    assert_eq!(shop.register("ann@reader.test").await.code(), "email_taken");
    assert_eq!(shop.register("cleo@reader.test").await.body["email_confirmed"], false, "who is new is asked");
    assert_eq!(confirmations(&shop).await.len(), 1);
    shop.service.db().close().await;
}

#[tokio::test]
async fn links_for_a_new_password_age_are_few_and_go_with_a_new_one() {
    on_each_database(settings(), |shop| async move {
        shop.register("ann@reader.test").await;
        // All at once: none may count before the others have written.
        let ask = || shop.post("/identity/password-reset", json!({"email": "ann@reader.test"}));
        let asked = futures::future::join_all(std::iter::repeat_with(ask).take(12)).await;
        assert!(asked.iter().all(|answer| answer.status == StatusCode::ACCEPTED));
        let mailed = links(&shop).await;
        assert_eq!(mailed.len(), 3, "more mails than an account may get in an hour");
        let confirm = async |token: &str| {
            let body = json!({"token": token, "new_password": "a whole new password"});
            shop.post("/identity/password-reset/confirm", body).await.status
        };
        assert_eq!(confirm(&mailed[2]).await, StatusCode::NO_CONTENT);
        assert_eq!(confirm(&mailed[0]).await, StatusCode::BAD_REQUEST, "an older link outlived the new password");

        shop.post("/identity/password-reset", json!({"email": "ann@reader.test"})).await;
        let link = links(&shop).await.pop().unwrap();
        shop.clock.advance(61 * MINUTE);
        let late = shop.post("/identity/password-reset/check", json!({"token": link})).await;
        assert_eq!(late.status, StatusCode::BAD_REQUEST, "the page can say so at once");
        assert_eq!(confirm(&link).await, StatusCode::BAD_REQUEST);
        assert!(shop.service.tidy().await.unwrap() > 0);
        for nonsense in ["", "x", "' OR 1=1 --"] {
            assert_eq!(confirm(nonsense).await, StatusCode::BAD_REQUEST);
        }
        shop
    })
    .await;
}

#[tokio::test]
async fn a_password_is_the_same_however_its_letters_are_composed() {
    on_each_database(settings(), |shop| async move {
        let (nfc, nfd) = ("ma\u{f1}ana \u{fc}ber \u{e9} 1!", "man\u{303}ana u\u{308}ber e\u{301} 1!");
        for (email, first, then) in [("ann@reader.test", nfc, nfd), ("ben@reader.test", nfd, nfc)] {
            let body = json!({"email": email, "password": first, "name": "Ann"});
            assert_eq!(shop.post("/identity/register", body).await.status, StatusCode::CREATED);
            for typed in [first, then] {
                assert_eq!(shop.sign_in(email, typed).await.status, StatusCode::OK, "{typed:?}");
            }
            let plain = shop.sign_in(email, "manana uber e 1!").await;
            assert_eq!(plain.code(), "invalid_credentials", "accents count");
        }
        shop
    })
    .await;
}

#[tokio::test]
async fn an_international_domain_is_one_account_and_shown_as_typed() {
    on_each_database(settings(), |shop| async move {
        let made = shop.register("a@m\u{fc}nchen.example").await;
        assert_eq!((made.status, made.text("email").as_str()), (StatusCode::CREATED, "a@m\u{fc}nchen.example"));
        assert_eq!(shop.register("A@xn--mnchen-3ya.example").await.code(), "email_taken");
        for typed in ["a@m\u{fc}nchen.example", "a@MU\u{308}NCHEN.example", "a@xn--mnchen-3ya.example"] {
            assert_eq!(shop.sign_in(typed, PASSWORD).await.status, StatusCode::OK, "{typed}");
        }
        let local = shop.register("m\u{fc}ller@reader.test").await;
        assert_eq!(local.status, StatusCode::BAD_REQUEST);
        let message = local.body["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains("before the @"), "{message}");
        shop
    })
    .await;
}

#[tokio::test]
async fn a_changed_password_ends_links_and_sessions() {
    on_each_database(settings(), |shop| async move {
        shop.register("ann@reader.test").await;
        let elsewhere = shop.sign_in("ann@reader.test", PASSWORD).await;
        let here = shop.sign_in("ann@reader.test", PASSWORD).await;
        shop.post("/identity/password-reset", json!({"email": "ann@reader.test"})).await;
        let link = links(&shop).await.pop().unwrap();
        let body = json!({"current_password": PASSWORD, "new_password": "a whole new password"});
        let changed =
            shop.ask(Method::POST, "/identity/me/password", &[("authorization", &here.bearer())], Some(body)).await;
        assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
        let body = json!({"token": link, "new_password": "the thief's password"});
        let late = shop.post("/identity/password-reset/confirm", body).await;
        assert_eq!((late.status, &late.body["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!("/token")));
        for old in [&elsewhere, &here] {
            assert_eq!(shop.refresh(&old.refresh()).await.status, StatusCode::UNAUTHORIZED);
        }
        assert_eq!(shop.refresh(&changed.refresh()).await.status, StatusCode::OK);
        shop
    })
    .await;
}

#[tokio::test]
async fn many_right_sign_ins_at_once_lock_nobody_out_and_many_guesses_do() {
    on_each_database(settings(), |shop| async move {
        shop.register("ann@reader.test").await;
        let right = futures::future::join_all((0..16).map(|_| shop.sign_in("ann@reader.test", PASSWORD))).await;
        assert!(right.iter().all(|answer| answer.status == StatusCode::OK), "{right:?}");
        let wrong = futures::future::join_all((0..16).map(|_| shop.sign_in("ann@reader.test", "a wrong guess"))).await;
        let tried = wrong.iter().filter(|answer| answer.code() == "invalid_credentials").count();
        assert_eq!(tried, 5, "no more guesses at once than one after the other");
        assert!(wrong.iter().all(|answer| ["invalid_credentials", "too_many_attempts"].contains(&answer.code())));
        shop
    })
    .await;
}

#[tokio::test]
async fn a_name_can_be_seen_and_is_no_link() {
    on_each_database(settings(), |shop| async move {
        let token = {
            shop.register("ann@reader.test").await;
            shop.sign_in("ann@reader.test", PASSWORD).await.bearer()
        };
        for name in ["\u{200B}", "\u{202E}nnA", "Claim it at https://evil.example/win", "evil.com", "a@b.c"] {
            let body = json!({"email": "ben@reader.test", "password": PASSWORD, "name": name});
            let made = shop.post("/identity/register", body).await;
            assert_eq!((made.status, &made.body["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!("/name")));
            let renamed = shop
                .ask(Method::PATCH, "/identity/me", &[("authorization", &token)], Some(json!({"name": name})))
                .await;
            assert_eq!(renamed.code(), "validation_failed", "{name}");
        }
        shop
    })
    .await;
}

#[tokio::test]
async fn an_address_is_its_owners_once_the_link_was_followed() {
    on_each_database(settings(), |shop| async move {
        let made = shop.register("ann@reader.test").await;
        assert_eq!(made.body["email_confirmed"], json!(false));
        assert_eq!(shop.mails.asked.lock().unwrap()[0].kind, "confirm_email");
        let link = confirmations(&shop).await.pop().unwrap();
        let signed = shop.sign_in("ann@reader.test", PASSWORD).await;
        let confirm = async |token: &str| shop.post("/identity/confirm-email", json!({"token": token})).await;
        for wrong in ["", "x", &"A".repeat(43)] {
            let refused = confirm(wrong).await;
            assert_eq!(
                (refused.status, &refused.body["errors"][0]["field"]),
                (StatusCode::BAD_REQUEST, &json!("/token"))
            );
        }
        assert_eq!(confirm(&link).await.status, StatusCode::NO_CONTENT);
        assert_eq!(confirm(&link).await.status, StatusCode::NO_CONTENT, "again changes nothing");
        assert_eq!(shop.get("/identity/me", &signed.bearer()).await.body["email_confirmed"], json!(true));
        let claims = shop.verifier.verify(&shop.refresh(&signed.refresh()).await.text("access_token")).unwrap();
        assert!(claims.email_confirmed, "the next token says so");
        let welcomed: Option<i64> = shop
            .service
            .db()
            .read()
            .scalar("SELECT COUNT(*) FROM outbox WHERE envelope LIKE '%EmailConfirmed.v1%'", [])
            .await
            .unwrap();
        assert_eq!(welcomed, Some(1));
        shop
    })
    .await;
}

#[tokio::test]
async fn a_link_for_the_address_ages_and_comes_again_within_limits() {
    on_each_database(settings(), |shop| async move {
        shop.register("ann@reader.test").await;
        let old = confirmations(&shop).await.pop().unwrap();
        shop.clock.advance(49 * 60 * MINUTE);
        let body = json!({"token": old});
        assert_eq!(shop.post("/identity/confirm-email", body).await.status, StatusCode::BAD_REQUEST);
        let signed = shop.sign_in("ann@reader.test", PASSWORD).await.bearer();
        let again =
            async || shop.ask(Method::POST, "/identity/me/confirm-email", &[("authorization", &signed)], None).await;
        assert_eq!(again().await.status, StatusCode::ACCEPTED);
        let link = confirmations(&shop).await.pop().unwrap();
        assert_ne!(link, old);
        *shop.mails.refuses.lock().unwrap() = Some("recipient");
        let refused = again().await;
        assert_eq!((refused.status, refused.code()), (StatusCode::TOO_MANY_REQUESTS, "too_many_requests"));
        assert_eq!(refused.headers["retry-after"], "600");
        // An account is made all the same when its mailbox has got enough; not when its client has.
        assert_eq!(shop.register("ben@reader.test").await.status, StatusCode::CREATED);
        *shop.mails.refuses.lock().unwrap() = Some("sender");
        let refused = shop.register("cas@reader.test").await;
        assert_eq!((refused.status, refused.code()), (StatusCode::TOO_MANY_REQUESTS, "too_many_requests"));
        assert_eq!(shop.sign_in("cas@reader.test", PASSWORD).await.code(), "invalid_credentials", "none was made");
        assert_eq!(confirmations(&shop).await.last(), Some(&link), "no mail without leave");
        shop
    })
    .await;
}

#[tokio::test]
async fn the_owner_of_an_address_takes_an_account_back() {
    on_each_database(settings(), |shop| async move {
        shop.register("victim@reader.test").await;
        let stranger = shop.sign_in("victim@reader.test", PASSWORD).await;
        shop.post("/identity/password-reset", json!({"email": "victim@reader.test"})).await;
        let link = links(&shop).await.pop().unwrap();
        let body = json!({"token": link, "new_password": "the owner's password"});
        assert_eq!(shop.post("/identity/password-reset/confirm", body).await.status, StatusCode::NO_CONTENT);
        assert_eq!(shop.refresh(&stranger.refresh()).await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(shop.sign_in("victim@reader.test", PASSWORD).await.code(), "invalid_credentials");
        let owner = shop.sign_in("victim@reader.test", "the owner's password").await;
        assert_eq!(shop.get("/identity/me", &owner.bearer()).await.body["email_confirmed"], json!(true));
        shop
    })
    .await;
}

#[tokio::test]
async fn the_first_admin_counts_as_confirmed() {
    on_each_database(settings(), |shop| async move {
        let admin = shop.admin().await;
        assert_eq!(shop.get("/identity/me", &admin).await.body["email_confirmed"], json!(true));
        shop
    })
    .await;
}
