//! Forms as the browser sends them, and their fields as the page shows them.

use std::borrow::Cow;

use askama::Template;
use axum::extract::FromRequestParts;
use bookworm_kernel::FieldError;
use http::request::Parts;

use crate::{error::PageError, words};

/// Names and values of a form or a query string. Nothing in it is trusted; a field that is missing is empty.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(Vec<(String, String)>, Option<Upload>);

/// The largest file that the API takes, in bytes.
pub(crate) const LARGEST_FILE: usize = 16 << 20;

/// A file that was sent with a form.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    /// As the browser names it.
    pub(crate) filename: String,
    pub(crate) content: bytes::Bytes,
}

impl Fields {
    pub(crate) fn parse(encoded: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(encoded).into_owned().collect(), None)
    }

    /// Reads a form with a file (RFC 7578). Names of files are UTF-8, as browsers send them; of several files the first
    /// counts. `None` when it is no such form, or was cut off.
    pub(crate) async fn parse_multipart(body: bytes::Bytes, content_type: &str) -> Option<Self> {
        let boundary = multer::parse_boundary(content_type).ok()?;
        let stream = futures::stream::once(async move { Ok::<_, std::convert::Infallible>(body) });
        let mut form = multer::Multipart::new(stream, boundary);
        let mut fields = Self::default();
        while let Some(field) = form.next_field().await.ok()? {
            let name = field.name().unwrap_or_default().to_owned();
            let filename = field.file_name().map(str::to_owned);
            match filename {
                Some(filename) => {
                    let content = field.bytes().await.ok()?;
                    fields.1.get_or_insert(Upload { filename, content });
                }
                None => {
                    let value = field.bytes().await.ok()?;
                    fields.0.push((name, String::from_utf8_lossy(&value).into_owned()));
                }
            }
        }
        Some(fields)
    }

    /// The file that came with the form.
    pub(crate) fn upload(&self) -> Option<&Upload> {
        self.1.as_ref()
    }

    /// The value without the blanks around it.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// The value as it was typed: for passwords.
    pub(crate) fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The values of a field that a form has several times, in its order, as they were typed.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value, unless it is empty.
    pub(crate) fn optional(&self, name: &str) -> Option<String> {
        Some(self.get(name)).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    /// Sets a field that the page fills in itself.
    pub(crate) fn put(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// The query string with one field set, or removed when the value is empty. Cursor and page number go: they belong
    /// to the old list.
    pub(crate) fn with(&self, name: &str, value: &str) -> String {
        let goes = |known: &str| known == name || matches!(known, "cursor" | "page");
        let others = self.0.iter().filter(|(known, value)| !goes(known) && !value.is_empty());
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(others);
        if !value.is_empty() {
            query.append_pair(name, value);
        }
        query.finish()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Fields {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        parts.extensions.get::<Self>().cloned().ok_or(PageError::Internal)
    }
}

/// The query string of a page's address.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(pub(crate) Fields);

impl std::ops::Deref for Query {
    type Target = Fields;
    fn deref(&self) -> &Fields {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(Fields::parse(parts.uri.query().unwrap_or_default().as_bytes())))
    }
}

/// The message for a field that is not a whole number.
pub(crate) const WHOLE: &str = "Enter a whole number such as 12 or -3.";

/// Reads a whole number as people type it: digits with a sign before them, and nothing else. `1,000`, `1O`, `12.0` and
/// what does not fit into 64 bits are no whole numbers, rather than something near them.
pub(crate) fn whole_number(text: &str) -> Option<i64> {
    let text = text.trim().replace('−', "-");
    let digits = text.strip_prefix(['+', '-']).unwrap_or(&text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// A labelled text field with its hint and its error, wired together for screen readers.
#[derive(Template, Clone)]
#[template(path = "parts/field.html")]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    label: &'static str,
    kind: &'static str,
    autocomplete: &'static str,
    hint: Cow<'static, str>,
    inputmode: &'static str,
    maxlength: u32,
    rows: u32,
    required: bool,
    value: String,
    error: String,
    class: &'static str,
}

impl Field {
    pub(crate) fn new(name: &'static str, label: &'static str) -> Self {
        Self {
            name,
            label,
            kind: "text",
            autocomplete: "off",
            hint: Cow::Borrowed(""),
            inputmode: "",
            maxlength: 200,
            rows: 0,
            required: true,
            value: String::new(),
            error: String::new(),
            class: "",
        }
    }

    pub(crate) fn label(mut self, label: &'static str) -> Self {
        self.label = label;
        self
    }

    pub(crate) fn kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    pub(crate) fn autocomplete(mut self, purpose: &'static str) -> Self {
        self.autocomplete = purpose;
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = hint.into();
        self
    }

    pub(crate) fn inputmode(mut self, mode: &'static str) -> Self {
        self.inputmode = mode;
        self
    }

    pub(crate) fn maxlength(mut self, characters: u32) -> Self {
        self.maxlength = characters;
        self
    }

    /// A text area of this many rows.
    pub(crate) fn rows(mut self, rows: u32) -> Self {
        self.rows = rows;
        self
    }

    pub(crate) fn optional(mut self) -> Self {
        self.required = false;
        self
    }

    pub(crate) fn class(mut self, class: &'static str) -> Self {
        self.class = class;
        self
    }

    pub(crate) fn value(mut self, value: impl Into<String>) -> Self {
        self.value = value.into();
        self
    }

    pub(crate) fn error(mut self, message: impl Into<String>) -> Self {
        self.error = message.into();
        self
    }

    /// Takes what was typed and what is wrong with it.
    pub(crate) fn fill(self, fields: &Fields, errors: &Errors) -> Self {
        let (value, error) = (fields.get(self.name).to_owned(), errors.of(self.name).to_owned());
        Self { value, error, ..self }
    }
}

/// What is wrong with a form: at most one message for each field, and messages that belong to no field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Errors {
    /// What stands above them; the usual words when it is empty.
    pub(crate) title: String,
    /// Name of the field on the page, and the message.
    pub(crate) fields: Vec<(String, String)>,
    /// About the whole form.
    pub(crate) general: Vec<String>,
}

impl Errors {
    pub(crate) fn general(message: impl Into<String>) -> Self {
        Self { general: vec![message.into()], ..Self::default() }
    }

    pub(crate) fn add(&mut self, field: &str, message: impl Into<String>) {
        if self.of(field).is_empty() {
            self.fields.push((field.to_owned(), message.into()));
        }
    }

    /// The heading above the messages.
    pub(crate) fn title(&self) -> String {
        match self.fields.len() + self.general.len() {
            _ if !self.title.is_empty() => self.title.clone(),
            0 | 1 => "There’s a problem".to_owned(),
            several => format!("Please fix {several} things"),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.general.is_empty()
    }

    pub(crate) fn of(&self, field: &str) -> &str {
        self.fields.iter().find(|(known, _)| known == field).map_or("", |(_, message)| message)
    }

    /// From the API's list. The last part of the JSON Pointer is the field's name on our pages; one that the page does
    /// not have becomes a general message.
    pub(crate) fn from_api(errors: &[FieldError], known: &[&str]) -> Self {
        let mut all = Self::default();
        for error in errors {
            let name = words::name_of(&error.field);
            if known.contains(&name) {
                all.add(name, words::of_field(error));
            } else {
                all.general.push(words::of_field(error));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_are_whole_numbers() {
        let right = [("12", 12), ("-3", -3), ("+4", 4), ("−5", -5), (" 007 ", 7), ("0", 0), ("-0", 0)];
        for (text, number) in right {
            assert_eq!(whole_number(text), Some(number), "{text}");
        }
        for text in [
            "", " ", "-", "+", "twelve", "1,000", "1 000", "1.5", "12.0", "1O", "1e3", "0x10", "--3", "+-3", "3-", "٣",
            "９",
        ] {
            assert_eq!(whole_number(text), None, "{text}");
        }
        assert_eq!(whole_number("9223372036854775807"), Some(i64::MAX));
        assert_eq!(whole_number("9223372036854775808"), None);
    }

    #[test]
    fn a_changed_filter_starts_the_list_again() {
        let fields = Fields::parse(b"subject=Sea+stories&cursor=abc&page=3&sort=price&language=");
        assert_eq!(fields.with("sort", "title"), "subject=Sea+stories&sort=title");
        assert_eq!(fields.with("subject", ""), "sort=price");
        assert_eq!(fields.with("page", "4"), "subject=Sea+stories&sort=price&page=4");
    }

    #[test]
    fn errors_of_the_api_find_their_field() {
        let errors = [
            FieldError::new("/shipping_address/city", "must not be empty"),
            FieldError::new("/authors/2", "is too long"),
            FieldError::new("/something_else", "is wrong"),
        ];
        let errors = Errors::from_api(&errors, &["city", "authors"]);
        assert_eq!(errors.of("city"), "Enter a town or city.");
        assert_eq!(errors.of("authors"), "Authors is too long.");
        assert_eq!(errors.general, ["Something else is wrong."]);
        assert_eq!(errors.title(), "Please fix 3 things");
        assert_eq!(Errors::general("No.").title(), "There’s a problem");
    }
}
