//! What the index knows of a book.

use bookworm_search::{Document, Language, Schema, SearchError, TextOptions};
use uuid::Uuid;

use crate::domain::{
    form::{author_forms, series_form, title_forms},
    study_guide::is_study_guide,
    text::{fold, title_key},
};

/// Raise it whenever a book is put into the fields in another way, so that an older index is made again.
const VERSION: u32 = 5;

/// Kinds of completions.
pub(crate) const TITLE: u8 = 0;
/// An author's name.
pub(crate) const AUTHOR: u8 = 1;
/// A subject's name.
pub(crate) const SUBJECT: u8 = 2;

/// The fields. `*_key` holds folded names, which filters ask for in any spelling; `*_form` names without blanks and in
/// Latin letters, by which a query is recognised; `subject`, `author` and `language` are counted as they are printed.
pub(crate) fn schema() -> Result<Schema, SearchError> {
    Schema::builder(VERSION)
        .text("title", TextOptions::name(3.0).stemmed(Language::English))
        .text("authors", TextOptions::name(3.0))
        .text("series", TextOptions { boost: 1.0, length: 0.5, ..TextOptions::default() })
        .text(
            "subjects",
            TextOptions { boost: 3.0, length: 0.6, exact: true, ..TextOptions::default() }.stemmed(Language::English),
        )
        .text("publisher", TextOptions { boost: 0.3, length: 0.3, positions: false, ..TextOptions::default() })
        .text("description", TextOptions::prose(2.0).stemmed(Language::English))
        .keyword("subject")
        .keyword("author")
        .keyword("language")
        .keyword("title_key")
        .keyword("series_key")
        .keyword("title_form")
        .keyword("author_form")
        .keyword("series_form")
        .identifier("subject_key")
        .identifier("author_key")
        .identifier("publisher_key")
        .identifier("isbn")
        .number("price")
        .number("year")
        .number("readers")
        .number("rating_key")
        .number("in_stock")
        .number("series_position")
        .number("study_guide")
        .build()
}

/// A book as the index takes it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) id: Uuid,
    pub(crate) isbn13: Option<String>,
    pub(crate) title: String,
    /// Id and name.
    pub(crate) authors: Vec<(Uuid, String)>,
    /// Id and name.
    pub(crate) subjects: Vec<(Uuid, String)>,
    pub(crate) publisher: Option<String>,
    pub(crate) year: Option<i64>,
    pub(crate) language: Option<String>,
    pub(crate) series: Option<String>,
    /// Hundredths.
    pub(crate) series_position: Option<i64>,
    pub(crate) description: Option<String>,
    /// Without one it is not for sale.
    pub(crate) price: Option<i64>,
    pub(crate) readers: i64,
    pub(crate) rating_key: i64,
    pub(crate) in_stock: bool,
}

impl Facts {
    /// What goes into the index.
    pub(crate) fn document(&self) -> Document {
        // Everything that completes is proposed by how many readers know it.
        let known = (self.readers.max(0) as f32).ln_1p();
        let mut document = Document::new(self.id)
            .text("title", self.title.as_str())
            .keyword("title_key", title_key(&self.title, self.language.as_deref()))
            .completion(TITLE, self.title.as_str(), self.id, known)
            .number("readers", self.readers)
            .number("rating_key", self.rating_key)
            .number("in_stock", i64::from(self.in_stock));
        for (id, name) in &self.authors {
            document = document
                .text("authors", name.as_str())
                .keyword("author", name.as_str())
                .keyword("author_key", fold(name))
                .completion(AUTHOR, name.as_str(), *id, known);
        }
        for form in title_forms(&self.title, self.language.as_deref()) {
            document = document.keyword("title_form", form);
        }
        let mut forms: Vec<String> = self.authors.iter().flat_map(|(_, name)| author_forms(name)).collect();
        forms.sort_unstable();
        forms.dedup();
        for form in forms {
            document = document.keyword("author_form", form);
        }
        let makers = self.authors.iter().map(|(_, name)| name.as_str()).chain(self.publisher.as_deref());
        document = document.number("study_guide", i64::from(is_study_guide(&self.title, makers)));
        for (id, name) in &self.subjects {
            document = document
                .text("subjects", name.as_str())
                .keyword("subject", name.as_str())
                .keyword("subject_key", fold(name))
                .completion(SUBJECT, name.as_str(), *id, known);
        }
        if let Some(isbn) = &self.isbn13 {
            document = document.keyword("isbn", isbn.as_str());
        }
        if let Some(publisher) = &self.publisher {
            document = document.text("publisher", publisher.as_str()).keyword("publisher_key", fold(publisher));
        }
        if let Some(series) = &self.series {
            document = document
                .text("series", series.as_str())
                .keyword("series_key", fold(series))
                .keyword("series_form", series_form(series));
        }
        if let Some(position) = self.series_position {
            document = document.number("series_position", position);
        }
        if let Some(description) = &self.description {
            document = document.text("description", description.as_str());
        }
        if let Some(language) = &self.language {
            document = document.keyword("language", language.as_str());
        }
        if let Some(price) = self.price {
            document = document.number("price", price);
        }
        if let Some(year) = self.year {
            document = document.number("year", year);
        }
        document
    }

    /// What its meaning is taken from: title, authors, series, subjects, description.
    pub(crate) fn text(&self) -> String {
        let names = |list: &[(Uuid, String)]| list.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(", ");
        let mut text = self.title.clone();
        if !self.authors.is_empty() {
            text.push_str(" by ");
            text.push_str(&names(&self.authors));
        }
        text.push('.');
        if let Some(series) = &self.series {
            text.push_str(&format!(" {series}."));
        }
        if !self.subjects.is_empty() {
            text.push_str(&format!(" Subjects: {}.", names(&self.subjects)));
        }
        if let Some(description) = &self.description {
            text.push(' ');
            text.push_str(description);
        }
        // The models look at a few hundred words at most.
        if let Some((end, _)) = text.char_indices().nth(4_000) {
            text.truncate(end);
        }
        text
    }
}
