//! Values that every crate shares: ids, money, quantities, ISBNs, times, error codes. Pure: no I/O, no async, no clock
//! but the one handed in.
//!
//! Each type parses at the edge and cannot be wrong afterwards: a [`Quantity`] is 1 to 99, an [`Isbn13`] has a
//! correct check digit, [`Money`] never mixes currencies.

#![warn(missing_docs)]

mod amount;
mod cause;
mod clock;
mod email;
mod error;
mod id;
mod isbn;
mod language;
mod mean;
mod money;
mod name;
mod quantity;
mod zone;

pub use amount::InvalidAmount;
pub use cause::{Cause, TraceParent};
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use email::{Email, InvalidEmail};
pub use error::{ErrorCode, ErrorKind, FieldError};
pub use id::{
    AuthorId, BookId, ConversationId, CorrelationId, CustomerId, MessageId, OrderId, PaymentId, PublisherId,
    ReservationId, SubjectId,
};
pub use isbn::{InvalidIsbn, Isbn13, IsbnMention, Misprint};
pub use language::{Language, UnknownLanguage};
pub use mean::{PRIOR_STARS, PRIOR_WEIGHT, bayesian_mean};
pub use money::{Currency, InvalidCurrency, Money, MoneyError};
pub use name::{InvalidName, PersonName, has_link, has_visible};
pub use quantity::{InvalidQuantity, Quantity};
pub use zone::{TimeZone, UnknownTimeZone};
