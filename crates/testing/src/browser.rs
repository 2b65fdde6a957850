use std::collections::BTreeMap;

use http::{HeaderMap, StatusCode, header};

use crate::{Client, Request};

/// A browser without a screen: keeps cookies, and follows nothing by itself. A clone is another window that was opened
/// now; from here on each has its own cookies.
#[derive(Debug, Clone)]
pub struct Browser {
    /// Makes the requests; they go out with cookies by [`send`](Self::send).
    pub client: Client,
    /// Names and values.
    pub cookies: BTreeMap<String, String>,
}

/// What a browser shows.
#[derive(Debug)]
pub struct Page {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub body: String,
}

impl Browser {
    /// One that was never here.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, cookies: BTreeMap::new() }
    }

    /// The same with this cookie.
    #[must_use]
    pub fn with_cookie(mut self, name: &str, value: impl Into<String>) -> Self {
        self.cookies.insert(name.to_owned(), value.into());
        self
    }

    /// Sends a request with the cookies, and takes those of the response.
    ///
    /// # Panics
    /// When the body breaks off, or a cookie cannot be one.
    pub async fn send(&mut self, request: Request) -> Page {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let response = request.header("cookie", cookies.join("; ")).send().await;
        for cookie in response.headers.get_all(header::SET_COOKIE) {
            let text = cookie.to_str().expect("a cookie is visible ASCII");
            let pair = text.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("a cookie is a name and a value");
            if text.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let body = response.text();
        Page { status: response.status, headers: response.headers, body }
    }

    /// `GET`
    ///
    /// # Panics
    /// As [`send`](Self::send).
    pub async fn get(&mut self, path: &str) -> Page {
        self.send(self.client.get(path)).await
    }

    /// Sends the fields of a form.
    ///
    /// # Panics
    /// As [`send`](Self::send).
    pub async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.send(self.client.post(path).fields(fields)).await
    }
}

impl Page {
    /// Where it leads; empty when it leads nowhere.
    ///
    /// # Panics
    /// When the header is no text.
    #[must_use]
    pub fn location(&self) -> &str {
        self.headers.get(header::LOCATION).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The value of the first hidden field with this name, as it stands in the page.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn hidden(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let Some((_, rest)) = self.body.split_once(&start) else { panic!("no field {name} in {}", self.body) };
        rest.split('"').next().unwrap_or_default().to_owned()
    }
}
