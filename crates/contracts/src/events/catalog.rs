//! Events that the catalogue publishes.

use bookworm_kernel::{AuthorId, BookId, CustomerId, OrderId, Timestamp};
use bookworm_messaging::message;
use serde::{Deserialize, Serialize};

message! {
    /// All copies of an order are reserved.
    "events.catalog.StockReserved.v1" StockReserved {
        /// The order.
        pub order_id: OrderId,
    }
}

/// A line that could not be reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShortLine {
    /// The book.
    pub book_id: BookId,
    /// How many were wanted.
    pub wanted: u32,
    /// How many there are.
    pub available: u32,
}

message! {
    /// At least one line could not be reserved, so none is.
    "events.catalog.StockRejected.v1" StockRejected {
        /// The order.
        pub order_id: OrderId,
        /// The lines that are short.
        pub short: Vec<ShortLine>,
    }
}

message! {
    /// Nothing is reserved for this order any more.
    "events.catalog.StockReleased.v1" StockReleased {
        /// The order.
        pub order_id: OrderId,
    }
}

message! {
    /// The stock of a book changed: goods left with a completed order, or staff counted.
    "events.catalog.InventoryUpdated.v1" InventoryUpdated {
        /// The book.
        pub book_id: BookId,
        /// Copies in stock, reserved ones included.
        pub on_hand: i64,
        /// Of these, reserved for orders.
        pub reserved: i64,
        /// The order that took them, when it was one.
        pub order_id: Option<OrderId>,
    }
}

message! {
    /// A book was added, edited, rated or taken from sale.
    "events.catalog.BookChanged.v1" BookChanged {
        /// The book.
        pub book_id: BookId,
        /// Its version, counting edits: a rating leaves it as it is.
        pub version: i64,
        /// Whether it is no longer sold.
        pub deleted: bool,
    }
}

message! {
    /// Searches find these books as they are now. Published after the index has them, so that caches can ask
    /// again.
    "events.catalog.SearchIndexUpdated.v1" SearchIndexUpdated {
        /// The books that were added, edited or taken away; empty when there were too many to name.
        pub book_ids: Vec<BookId>,
    }
}

message! {
    /// Staff found that two authors are one.
    "events.catalog.AuthorsMerged.v1" AuthorsMerged {
        /// The author that is no more.
        pub author_id: AuthorId,
        /// Its name.
        pub name: String,
        /// The author that stays.
        pub into: AuthorId,
        /// Its name.
        pub into_name: String,
        /// How many books changed hands.
        pub books: i64,
        /// Who did it.
        pub by: CustomerId,
        /// When.
        pub at: Timestamp,
    }
}

message! {
    /// Staff found that one author is two.
    "events.catalog.AuthorSplit.v1" AuthorSplit {
        /// The author that the other books stay with.
        pub author_id: AuthorId,
        /// Its name.
        pub name: String,
        /// The author that has these books now.
        pub new_id: AuthorId,
        /// Its name.
        pub new_name: String,
        /// The books.
        pub books: Vec<BookId>,
        /// Who did it.
        pub by: CustomerId,
        /// When.
        pub at: Timestamp,
    }
}
