use bookworm_kernel::FieldError;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Problem, Result, cursor};

/// The query parameters of every list. May be a `#[serde(flatten)]` member of a list's own parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// How many entries: 1 to 100; 20 when left out.
    // Text until `limit()` reads it: a flattened member of a query string cannot be anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<String>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(max_length = 1024)]
    pub cursor: Option<String>,
}

impl PageParams {
    /// Entries in a page when the caller does not say.
    pub const DEFAULT_LIMIT: usize = 20;
    /// The most entries in a page.
    pub const MAX_LIMIT: usize = 100;

    /// Asks for `limit` entries after `cursor`.
    #[must_use]
    pub fn new(limit: usize, cursor: Option<String>) -> Self {
        Self { limit: Some(limit.to_string()), cursor }
    }

    /// How many entries to show.
    ///
    /// # Errors
    /// 400 `validation_failed` naming `/limit` when it is not a number from 1 to 100.
    pub fn limit(&self) -> Result<usize> {
        match self.limit.as_deref().map(str::parse::<usize>) {
            None => Ok(Self::DEFAULT_LIMIT),
            Some(Ok(limit @ 1..=Self::MAX_LIMIT)) => Ok(limit),
            Some(_) => {
                Err(Problem::validation(vec![FieldError::new("/limit", "must be a whole number from 1 to 100")]))
            }
        }
    }

    /// The sort key after which the page starts; `None` for the first page. An empty cursor is none.
    ///
    /// # Errors
    /// 400 `invalid_cursor` when it is not a cursor of this list.
    pub fn after<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        self.cursor.as_deref().filter(|cursor| !cursor.is_empty()).map(cursor::decode).transpose()
    }
}

#[cfg(test)]
mod tests {
    use bookworm_kernel::ErrorCode;

    use super::*;

    #[test]
    fn the_limit_is_1_to_100_and_20_when_left_out() {
        let limit = |text: Option<&str>| PageParams { limit: text.map(str::to_owned), cursor: None }.limit();
        assert_eq!(limit(None).unwrap(), 20);
        assert_eq!(limit(Some("1")).unwrap(), 1);
        assert_eq!(limit(Some("100")).unwrap(), 100);
        for bad in ["0", "101", "-1", "", "ten", "1e2", "99999999999999999999999"] {
            let problem = limit(Some(bad)).unwrap_err();
            assert_eq!(
                (problem.code(), problem.errors()[0].field.as_str()),
                (ErrorCode::ValidationFailed, "/limit"),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_cursor_is_optional_and_checked() {
        let after = |text: Option<&str>| PageParams { limit: None, cursor: text.map(str::to_owned) }.after::<i64>();
        assert_eq!(after(None).unwrap(), None);
        assert_eq!(after(Some("")).unwrap(), None);
        assert_eq!(after(Some(&cursor::encode(&7))).unwrap(), Some(7));
        assert_eq!(after(Some("nonsense")).unwrap_err().code(), ErrorCode::InvalidCursor);
    }
}
