//! Typed identifiers: UUID version 7 (RFC 9562), so they sort by creation time and index well.

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
        )]
        #[serde(transparent)]
        #[schema(value_type = uuid::Uuid)]
        pub struct $name(uuid::Uuid);

        impl $name {
            /// A fresh identifier, later than every one made before in this process.
            #[must_use]
            #[expect(clippy::new_without_default, reason = "a default id would hide a missing one")]
            pub fn new() -> Self {
                Self(uuid::Uuid::now_v7())
            }

            /// Wraps an identifier that was stored or received.
            #[must_use]
            pub const fn from_uuid(id: uuid::Uuid) -> Self {
                Self(id)
            }

            /// The raw UUID, for storage.
            #[must_use]
            pub const fn uuid(self) -> uuid::Uuid {
                self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )*};
}

ids! {
    /// A book in the catalogue.
    BookId,
    /// Somebody who writes books.
    AuthorId,
    /// A publisher.
    PublisherId,
    /// What a book is about.
    SubjectId,
    /// A person with an account, whatever their roles.
    CustomerId,
    /// An order; also the id of its event stream, its saga and its reservation.
    OrderId,
    /// A payment at the payment provider.
    PaymentId,
    /// Stock reserved for an order.
    ReservationId,
    /// A message on the bus; also its de-duplication id.
    MessageId,
    /// A conversation of the support chat.
    ConversationId,
    /// Everything that one request set in motion, through every service.
    CorrelationId,
}
