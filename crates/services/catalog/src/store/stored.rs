//! What the catalogue stores as JSON: types of their own, so that a field of the API can change without making old rows
//! unreadable. A field that comes later has a default; one that is stored stays.

use bookworm_kernel::{AuthorId, BookId, Money};
use serde::{Deserialize, Serialize};

/// An author of a book, in `books.authors`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Author {
    pub(crate) id: AuthorId,
    /// As printed on the cover.
    pub(crate) name: String,
}

/// Reads `books.authors`.
pub(crate) fn authors(text: &str) -> serde_json::Result<Vec<Author>> {
    serde_json::from_str(text)
}

/// A line of an order of which there were too few copies, in `reservations.short`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Short {
    pub(crate) book_id: BookId,
    /// Copies.
    pub(crate) wanted: u32,
    /// Copies.
    pub(crate) available: u32,
}

/// What a dry run or an import found, in `imports.summary`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) format: String,
    pub(crate) encoding: String,
    #[serde(default)]
    pub(crate) program: Option<String>,
    pub(crate) columns: Vec<Column>,
    pub(crate) records: u64,
    pub(crate) added: u64,
    pub(crate) changed: u64,
    pub(crate) unchanged: u64,
    pub(crate) rejected: u64,
    pub(crate) adjusted: u64,
    pub(crate) not_for_sale: u64,
    pub(crate) without_stock: u64,
    pub(crate) has_prices: bool,
    pub(crate) has_stock: bool,
    pub(crate) rejects: Vec<Note>,
    pub(crate) notes: Vec<Note>,
    pub(crate) samples: Vec<Sample>,
}

/// A column of an imported file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// None: it is ignored.
    #[serde(default)]
    pub(crate) field: Option<String>,
    #[serde(default)]
    pub(crate) example: Option<String>,
}

/// What is wrong with a record of an imported file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// Where the record begins, from 1.
    pub(crate) line: u64,
    #[serde(default)]
    pub(crate) column: Option<String>,
    pub(crate) value: String,
    pub(crate) message: String,
}

/// A book of an imported file, as it was understood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Where the record begins, from 1.
    pub(crate) line: u64,
    pub(crate) title: String,
    pub(crate) authors: Vec<String>,
    #[serde(default)]
    pub(crate) isbn13: Option<String>,
    /// None: not for sale.
    #[serde(default)]
    pub(crate) price: Option<Money>,
    /// Copies; none where the file does not say.
    #[serde(default)]
    pub(crate) stock: Option<i64>,
    #[serde(default)]
    pub(crate) language: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::{
        import::{Mapping, Totals},
        store::synonyms::Groups,
    };

    /// What was stored is read, and what is stored now is the same to the byte.
    fn stays<T: Serialize + DeserializeOwned>(stored: &str) -> T {
        let read: T = serde_json::from_str(stored).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), stored);
        read
    }

    #[test]
    fn stored_forms_stay() {
        let authors: Vec<Author> = stays(
            r#"[{"id":"01890a5d-ac96-774b-bcce-b302099a8057","name":"Ursula K. Le Guin"},{"id":"01890a5d-ac96-774b-bcce-b302099a8058","name":"O'Brien \"Flann\""}]"#,
        );
        assert_eq!(authors[0].name, "Ursula K. Le Guin");
        assert_eq!(stays::<Vec<String>>(r#"["Science Fiction","R&B"]"#).len(), 2);
        let short: Vec<Short> =
            stays(r#"[{"book_id":"01890a5d-ac96-774b-bcce-b302099a8057","wanted":3,"available":1}]"#);
        assert_eq!((short[0].wanted, short[0].available), (3, 1));
        assert_eq!(stays::<Groups>(r#"[["sci fi","science fiction"]]"#)[0].len(), 2);
        stays::<Mapping>(r#"{"price":"Regular price","stock":""}"#);
        stays::<Totals>(
            r#"{"records":10,"added":4,"changed":3,"unchanged":2,"rejected":1,"not_for_sale":0,"without_stock":1,"percent":50,"adjusted":1,"notes":[]}"#,
        );
        let summary: Summary = stays(
            r#"{"format":"CSV, separated by semicolons","encoding":"UTF-8","program":"Goodreads","columns":[{"name":"Title","field":"title","example":"Dune"},{"name":"Shelf","field":null,"example":null}],"records":3,"added":1,"changed":1,"unchanged":0,"rejected":1,"adjusted":1,"not_for_sale":1,"without_stock":1,"has_prices":true,"has_stock":false,"rejects":[{"line":4,"column":"ISBN","value":"12","message":"is no ISBN"}],"notes":[],"samples":[{"line":2,"title":"Dune","authors":["Frank Herbert"],"isbn13":null,"price":{"amount":1200,"currency":"USD"},"stock":4,"language":"en"}]}"#,
        );
        assert_eq!(summary.samples[0].stock, Some(4));
    }

    #[test]
    fn what_came_later_has_a_default() {
        assert_eq!(serde_json::from_str::<Totals>(r#"{"records":7}"#).unwrap().records, 7);
        let column: Column = serde_json::from_str(r#"{"name":"Title"}"#).unwrap();
        assert_eq!((column.field, column.example), (None, None));
    }
}
