use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of failure it is: mapped once to HTTP and once to gRPC (`bookworm-http`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request cannot be understood or breaks a rule of its format.
    Invalid,
    /// Nobody is signed in, or the proof is not valid.
    Unauthenticated,
    /// Money must move, or a person must act, before this can go on.
    PaymentRequired,
    /// Signed in, but not allowed.
    Forbidden,
    /// It does not exist, or the caller may not know that it does.
    NotFound,
    /// The method is not offered at this address.
    MethodNotAllowed,
    /// The state of the shop does not permit it now.
    Conflict,
    /// It was changed since the caller read it.
    PreconditionFailed,
    /// The client took too long to send it.
    TooSlow,
    /// The body is larger than allowed.
    TooLarge,
    /// The body's format is not offered.
    UnsupportedMediaType,
    /// Understood, but what it asks for contradicts itself or an earlier request.
    Unprocessable,
    /// The caller must say which version it edits.
    PreconditionRequired,
    /// Too many requests.
    TooManyRequests,
    /// A fault of ours.
    Internal,
    /// Something we need does not answer; trying again may help.
    Unavailable,
    /// It took longer than allowed.
    Timeout,
}

macro_rules! error_codes {
    ($($variant:ident = $code:literal, $kind:ident, $title:literal;)*) => {
        /// Every stable error code of the public API. Each has a page in `docs/errors/<code>.md`, which is what a
        /// problem's `type` links to.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $(#[doc = $title] $variant,)*
        }

        impl ErrorCode {
            /// All of them, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name in `snake_case`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The kind, which decides the status.
            #[must_use]
            pub const fn kind(self) -> ErrorKind {
                match self { $(Self::$variant => ErrorKind::$kind,)* }
            }

            /// A short sentence for people; the same for every occurrence (RFC 9457, 3.1.3).
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// Finds a code by its name.
            #[must_use]
            pub fn parse(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.as_str() == code)
            }
        }
    };
}

error_codes! {
    ValidationFailed = "validation_failed", Invalid, "Some fields are invalid";
    MalformedBody = "malformed_body", Invalid, "The request body cannot be read";
    MalformedRequest = "malformed_request", Invalid, "The request cannot be read";
    InvalidCursor = "invalid_cursor", Invalid, "The cursor is invalid";
    IdempotencyKeyRequired = "idempotency_key_required", Invalid, "An Idempotency-Key header is required";
    Unauthenticated = "unauthenticated", Unauthenticated, "Sign in to continue";
    InvalidCredentials = "invalid_credentials", Unauthenticated, "The email or password is incorrect";
    InvalidToken = "invalid_token", Unauthenticated, "The token is invalid";
    PaymentDeclined = "payment_declined", PaymentRequired, "The payment was declined";
    PaymentActionRequired = "payment_action_required", PaymentRequired, "The payment must be confirmed with the bank";
    Forbidden = "forbidden", Forbidden, "You are not allowed to do this";
    CsrfFailed = "csrf_failed", Forbidden, "The form has expired";
    NotFound = "not_found", NotFound, "Not found";
    MethodNotAllowed = "method_not_allowed", MethodNotAllowed, "This method is not allowed here";
    EmailTaken = "email_taken", Conflict, "This email address is already registered";
    BasketEmpty = "basket_empty", Conflict, "The basket is empty";
    BasketFull = "basket_full", Conflict, "The basket is full";
    InsufficientStock = "insufficient_stock", Conflict, "Not enough copies in stock";
    OrderInProgress = "order_in_progress", Conflict, "The basket is being ordered already";
    PriceChanged = "price_changed", Conflict, "A price has changed";
    TotalChanged = "total_changed", Conflict, "The total has changed";
    BookUnavailable = "book_unavailable", Conflict, "A book is no longer available";
    InvalidOrderState = "invalid_order_state", Conflict, "The order's status does not allow this";
    InvalidConversationState = "invalid_conversation_state", Conflict, "The conversation's status does not allow this";
    InvalidReviewState = "invalid_review_state", Conflict, "The review's status does not allow this";
    CheckoutTimedOut = "checkout_timed_out", Conflict, "The order could not be confirmed in time";
    DuplicateValue = "duplicate_value", Conflict, "This value is already taken";
    StillInUse = "still_in_use", Conflict, "This is still in use";
    RequestInProgress = "request_in_progress", Conflict, "The same request is still being processed";
    ConcurrentChange = "concurrent_change", Conflict, "Someone else changed this at the same time";
    EditConflict = "edit_conflict", PreconditionFailed, "This has changed since you loaded it";
    BodyTooSlow = "body_too_slow", TooSlow, "The request body arrived too slowly";
    BodyTooLarge = "body_too_large", TooLarge, "The request body is too large";
    UnsupportedMediaType = "unsupported_media_type", UnsupportedMediaType, "This media type is not supported";
    IdempotencyKeyReused = "idempotency_key_reused", Unprocessable, "This Idempotency-Key was used for a different request";
    MessageIdReused = "message_id_reused", Unprocessable, "This client_message_id was used for a different message";
    ShippingUnavailable = "shipping_unavailable", Unprocessable, "This shipping method is not available for the address";
    CouponRefused = "coupon_refused", Unprocessable, "The coupon cannot be used";
    PreconditionRequired = "precondition_required", PreconditionRequired, "An If-Match header is required";
    TooManyRequests = "too_many_requests", TooManyRequests, "Too many requests";
    TooManyAttempts = "too_many_attempts", TooManyRequests, "Too many attempts";
    Internal = "internal", Internal, "Something went wrong on our side";
    Unavailable = "unavailable", Unavailable, "This part of the shop is temporarily unavailable";
    ShuttingDown = "shutting_down", Unavailable, "The server is shutting down";
    Timeout = "timeout", Timeout, "The request took too long";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One field that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FieldError {
    /// JSON Pointer (RFC 6901) to the field in the body, or `/name` for a query parameter.
    #[schema(example = "/quantity")]
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl FieldError {
    /// A field and what is wrong with it.
    pub fn new(field: impl Into<String>, message: impl fmt::Display) -> Self {
        Self { field: field.into(), message: message.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_round_trip() {
        let names: HashSet<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), ErrorCode::ALL.len());
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::parse(code.as_str()), Some(*code));
        }
    }
}
