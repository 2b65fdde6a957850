//! A browser without a screen: keeps cookies, follows nothing by itself, fills in the hidden fields of a form.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Router, body::Body};
use bookworm_kernel::{ManualClock, TimeZone, Timestamp};
use bookworm_web::{ApiClient, Dependencies, WebService, WebSettings};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use tower::{ServiceExt as _, util::BoxCloneSyncService};

use crate::fake_api::{self, FakeApi};

pub struct Seen {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Seen {
    pub fn location(&self) -> &str {
        self.headers.get(header::LOCATION).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The value of the first hidden field with this name.
    pub fn hidden(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let at = self.body.find(&start).unwrap_or_else(|| panic!("no field {name} in {}", self.body));
        let rest = &self.body[at + start.len()..];
        rest[..rest.find('"').unwrap()].to_owned()
    }
}

#[derive(Clone)]
pub struct Browser {
    app: Router,
    pub api: FakeApi,
    pub cookies: BTreeMap<String, String>,
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
        Self { app, api, cookies: BTreeMap::new() }
    }

    pub fn signed_in(roles: &[&str]) -> Self {
        let mut browser = Self::new();
        browser.cookies.insert("bw_access".to_owned(), fake_api::token(roles));
        browser
    }

    pub async fn send(&mut self, request: http::request::Builder, body: String) -> Seen {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request
            .header(header::HOST, "shop.example")
            .header(header::COOKIE, cookies.join("; "))
            .body(Body::from(body))
            .unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        for cookie in parts.headers.get_all(header::SET_COOKIE) {
            let text = cookie.to_str().unwrap();
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            if text.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let body = body.collect().await.unwrap().to_bytes();
        Seen { status: parts.status, headers: parts.headers, body: String::from_utf8_lossy(&body).into_owned() }
    }

    pub async fn get(&mut self, path: &str) -> Seen {
        self.send(Request::get(path), String::new()).await
    }

    /// Posts a form with the token of this browser, which a page gave it.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Seen {
        self.post_with(path, fields, |request| request).await
    }

    pub async fn post_with(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        more: impl FnOnce(http::request::Builder) -> http::request::Builder,
    ) -> Seen {
        let token = self.get("/about").await.hidden("_csrf");
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("_csrf", &token).extend_pairs(fields);
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(more(request), form.finish()).await
    }
}
