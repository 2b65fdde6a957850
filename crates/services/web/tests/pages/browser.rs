//! A browser before pages whose API is a fake. It fills in the token of a form.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use bookworm_kernel::{ManualClock, TimeZone, Timestamp};
use bookworm_testing::{Client, Page, Request};
use bookworm_web::{ApiClient, Dependencies, WebService, WebSettings};
use tower::util::BoxCloneSyncService;

use crate::fake_api::{self, FakeApi};

#[derive(Clone)]
pub struct Browser {
    browser: bookworm_testing::Browser,
    pub api: FakeApi,
}

impl Deref for Browser {
    type Target = bookworm_testing::Browser;

    fn deref(&self) -> &Self::Target {
        &self.browser
    }
}

impl DerefMut for Browser {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.browser
    }
}

impl Browser {
    pub fn new() -> Self {
        Self::with(false)
    }

    pub fn with(secure_cookies: bool) -> Self {
        Self::of(secure_cookies, true)
    }

    /// In a shop whose mail is only kept, not sent.
    pub fn without_mail() -> Self {
        Self::of(false, false)
    }

    fn of(secure_cookies: bool, sends_mail: bool) -> Self {
        let api = FakeApi::default();
        let client = ApiClient::new(BoxCloneSyncService::new(fake_api::router(&api)));
        let settings = WebSettings {
            shop_name: "Test & Shop".to_owned(),
            email: "shop@shop.example".to_owned(),
            hours: vec!["mon-fri 09:00-18:00".to_owned(), "sat 10:00-14:00".to_owned()],
            utc_offset_minutes: -210,
            sends_mail,
            time_zone: TimeZone::parse("Europe/Berlin").unwrap(),
            secure_cookies,
            secret: [9; 32],
        };
        let clock = Arc::new(ManualClock::at(Timestamp::parse("2026-03-02T09:00:00Z").unwrap()));
        let app = WebService::new(Dependencies { api: client, clock, settings }).pages();
        Self { browser: bookworm_testing::Browser::new(Client::new(app)), api }
    }

    pub fn signed_in(roles: &[&str]) -> Self {
        let mut browser = Self::new();
        browser.cookies.insert("bw_access".to_owned(), fake_api::token(roles));
        browser
    }

    pub async fn send(&mut self, request: Request) -> Page {
        self.browser.send(request.header("host", "shop.example")).await
    }

    pub async fn get(&mut self, path: &str) -> Page {
        self.send(self.client.get(path)).await
    }

    /// Posts a form with the token of this browser, which a page gave it.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.post_with(path, fields, |request| request).await
    }

    pub async fn post_with(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        more: impl FnOnce(Request) -> Request,
    ) -> Page {
        let token = self.get("/about").await.hidden("_csrf");
        let fields = [&[("_csrf", token.as_str())], fields].concat();
        self.send(more(self.client.post(path).fields(&fields))).await
    }
}
