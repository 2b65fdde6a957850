//! Identity from the outside: HTTP and what it publishes, on each database.
#![expect(clippy::unwrap_used, reason = "a test may")]

/// As `insta::assert_snapshot`, for a test that runs on every database: each run must say the same.
macro_rules! assert_snapshot {
    ($($assertion:tt)*) => {
        insta::allow_duplicates! { insta::assert_snapshot!($($assertion)*); }
    };
}

mod accounts;
mod admins;
mod mail_links;
mod sessions;
mod sign_in;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::Extension;
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
use bookworm_db::{FromRow, Sql};
use bookworm_http::{auth::TokenVerifier, context};
use bookworm_identity::{AUDIENCE, Dependencies, IdentityService};
use bookworm_kernel::{ManualClock, Timestamp};
use bookworm_testing::{Client, Response, TestDatabases, count, on_every_database};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use uuid::Uuid;

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
    async fn get_basket(
        &self,
        _: tonic::Request<GetBasketRequest>,
    ) -> Result<tonic::Response<GetBasketResponse>, Status> {
        Err(Status::unimplemented("not asked by identity"))
    }

    async fn merge_guest(
        &self,
        request: tonic::Request<MergeGuestRequest>,
    ) -> Result<tonic::Response<MergeGuestResponse>, Status> {
        if self.silent.load(Ordering::SeqCst) {
            return Err(Status::unavailable("down"));
        }
        self.merged.lock().unwrap().push(request.into_inner());
        Ok(tonic::Response::new(MergeGuestResponse { merged: 1 }))
    }

    async fn claim_basket(
        &self,
        _: tonic::Request<ClaimBasketRequest>,
    ) -> Result<tonic::Response<ClaimBasketResponse>, Status> {
        Err(Status::unimplemented("not asked by identity"))
    }

    async fn release_basket(
        &self,
        _: tonic::Request<ReleaseBasketRequest>,
    ) -> Result<tonic::Response<ReleaseBasketResponse>, Status> {
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
    async fn admit(&self, request: tonic::Request<AdmitRequest>) -> Result<tonic::Response<AdmitResponse>, Status> {
        self.asked.lock().unwrap().push(request.into_inner());
        let refused = *self.refuses.lock().unwrap();
        Ok(tonic::Response::new(AdmitResponse {
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
    client: Client,
}

/// What a response says of a session.
trait Session {
    fn bearer(&self) -> String;
    fn refresh(&self) -> String;
}

impl Session for Response {
    fn bearer(&self) -> String {
        format!("Bearer {}", self.string("access_token"))
    }

    fn refresh(&self) -> String {
        self.string("refresh_token")
    }
}

impl Shop {
    async fn open(home: &TestDatabases) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(NOW * 1_000_000)));
        Self::open_with(home, &settings(), clock).await
    }

    async fn open_with(home: &TestDatabases, settings: &Identity, clock: Arc<ManualClock>) -> Self {
        let (baskets, mails) = (Baskets::default(), Mails::default());
        let db = home.databases.open(IdentityService::NAME).await.unwrap();
        let service = IdentityService::open(Dependencies {
            db,
            clock: clock.clone(),
            settings: settings.clone(),
            public_url: "https://shop.example/".to_owned(),
            basket: baskets.client(),
            mail: mails.client(),
            shared_limits: None,
        })
        .await
        .unwrap();
        let verifier = Arc::new(TokenVerifier::new(Some(service.issuer()), AUDIENCE, clock.clone()));
        verifier.set_keys(service.public_keys());
        let (api, _) = service.api().split_for_parts();
        let app = api
            .merge(service.well_known())
            .layer(Extension(verifier.clone()))
            .layer(bookworm_http::Stack::new().with(context::layer));
        Self { service, clock, baskets, mails, verifier, client: Client::new(app) }
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Response {
        let request = self.client.request(method, path).headers(headers.iter().copied());
        match body {
            Some(body) => request.json(&body).send().await,
            None => request.send().await,
        }
    }

    async fn count(&self, sql: &str) -> i64 {
        count(self.service.db(), sql).await
    }

    async fn post(&self, path: &str, body: Value) -> Response {
        self.ask(Method::POST, path, &[], Some(body)).await
    }

    async fn register(&self, email: &str) -> Response {
        self.post("/identity/register", json!({"email": email, "password": PASSWORD, "name": "Ann"})).await
    }

    async fn sign_in_from(&self, address: &str, email: &str, password: &str) -> Response {
        let body = json!({"grant_type": "password", "email": email, "password": password});
        self.ask(Method::POST, "/identity/token", &[("x-forwarded-for", address)], Some(body)).await
    }

    async fn sign_in(&self, email: &str, password: &str) -> Response {
        self.sign_in_from("192.0.2.1", email, password).await
    }

    async fn refresh(&self, token: &str) -> Response {
        self.post("/identity/token", json!({"grant_type": "refresh_token", "refresh_token": token})).await
    }

    async fn get(&self, path: &str, bearer: &str) -> Response {
        self.ask(Method::GET, path, &[("authorization", bearer)], None).await
    }

    /// Signs in the first admin.
    async fn admin(&self) -> String {
        let printed = self.service.ensure_admin(None, None).await.unwrap().unwrap();
        self.sign_in(&printed.email, &printed.password).await.bearer()
    }
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
