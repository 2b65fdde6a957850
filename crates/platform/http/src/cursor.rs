//! Opaque positions in a list: base64url of the JSON of a sort key.
//!
//! A cursor is not a secret and not a permission: what it points at is checked like any other input.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bookworm_kernel::ErrorCode;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Problem, Result};

/// The most bytes that a cursor has.
pub const MAX_BYTES: usize = 1024;

/// Writes a key as a cursor.
///
/// # Panics
/// When the key cannot be written as JSON (a map whose keys are not strings). Keys are plain structs and tuples.
#[must_use]
pub fn encode<T: Serialize>(key: &T) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).expect("a sort key is plain data"))
}

/// Reads a cursor back.
///
/// # Errors
/// 400 `invalid_cursor` when it is longer than [`MAX_BYTES`] or was not made from such a key.
pub fn decode<T: DeserializeOwned>(cursor: &str) -> Result<T> {
    let read = || {
        let json = URL_SAFE_NO_PAD.decode(Some(cursor).filter(|text| text.len() <= MAX_BYTES)?).ok()?;
        serde_json::from_slice(&json).ok()
    };
    read().ok_or_else(|| {
        Problem::new(ErrorCode::InvalidCursor)
            .detail("Use the `next` of an earlier page of the same list, unchanged, or leave the cursor out.")
    })
}

/// Makes a page of rows that were read with one more than `limit`: the rows to show, and the cursor of the next page
/// when there is one.
#[must_use]
pub fn page<R, K: Serialize>(mut rows: Vec<R>, limit: usize, key: impl FnOnce(&R) -> K) -> (Vec<R>, Option<String>) {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|last| encode(&key(last)));
    (rows, next)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_ends_with_a_cursor_only_when_there_is_more() {
        assert_eq!(page(vec![1, 2, 3], 2, |row| *row), (vec![1, 2], Some(encode(&2))));
        assert_eq!(page(vec![1, 2], 2, |row| *row), (vec![1, 2], None));
        assert_eq!(page(Vec::<i32>::new(), 2, |row| *row), (vec![], None));
    }

    #[test]
    fn refuses_what_it_did_not_write() {
        let long = "A".repeat(MAX_BYTES + 1);
        for bad in ["", "%%%", "e30=", "bnVsbA", &encode(&"another key"), &long] {
            assert_eq!(decode::<(i64, String)>(bad).unwrap_err().code(), ErrorCode::InvalidCursor, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn round_trips(number in any::<i64>(), text in ".{0,50}") {
            let key = (number, text);
            prop_assert_eq!(decode::<(i64, String)>(&encode(&key)).unwrap(), key);
        }

        #[test]
        fn never_panics(text in ".{0,60}") {
            let _ = decode::<(i64, String)>(&text);
        }
    }
}
