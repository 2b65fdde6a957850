//! The error answers of an OpenAPI document.

use std::collections::BTreeMap;

use bookworm_kernel::{ErrorCode, ErrorKind};
use utoipa::{
    IntoResponses,
    openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder},
};

use crate::{problem::MEDIA_TYPE, status_of};

/// The answers that rules may give: 403, 404 and 409. Name it in the `responses` of a `#[utoipa::path]` whose handler
/// has no more to say of them, and [`crate::ProblemBody`] among the document's schemas. What the layers around each
/// handler answer, such as 401 or 429, the gateway adds to every operation.
#[derive(Debug, Clone, Copy)]
pub struct ProblemResponses;

impl IntoResponses for ProblemResponses {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problem_responses(&[ErrorKind::Forbidden, ErrorKind::NotFound, ErrorKind::Conflict])
    }
}

/// An answer with a problem for each of these kinds, listing the codes that it may carry.
#[must_use]
pub fn problem_responses(kinds: &[ErrorKind]) -> BTreeMap<String, RefOr<Response>> {
    kinds.iter().map(|kind| (status_of(*kind).as_str().to_owned(), RefOr::T(problem_response(*kind)))).collect()
}

/// The answer with a problem of this kind.
#[must_use]
pub fn problem_response(kind: ErrorKind) -> Response {
    let codes = ErrorCode::ALL.iter().filter(|code| code.kind() == kind).map(|code| format!("`{code}`"));
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ProblemBody"))).build();
    ResponseBuilder::new().description(codes.collect::<Vec<_>>().join(", ")).content(MEDIA_TYPE, content).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_lists_its_codes() {
        let responses = problem_responses(&[ErrorKind::Unprocessable]);
        insta::assert_json_snapshot!(responses, @r##"
        {
          "422": {
            "description": "`idempotency_key_reused`, `message_id_reused`, `shipping_unavailable`, `coupon_refused`",
            "content": {
              "application/problem+json": {
                "schema": {
                  "$ref": "#/components/schemas/ProblemBody"
                }
              }
            }
          }
        }
        "##);
    }
}
