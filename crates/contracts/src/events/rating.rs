//! Events that rating publishes.

use bookworm_kernel::{BookId, Email, OrderId};
use bookworm_messaging::message;
use serde::{Deserialize, Serialize};

message! {
    /// What the published reviews of a book say together, counted anew: a repeat says the same again. Of two of a book
    /// the one with the higher version counts.
    "events.rating.BookRated.v1" BookRated {
        /// The book.
        pub book_id: BookId,
        /// Counts the changes of this book's numbers, from 1.
        pub version: i64,
        /// Published reviews; 0 when there are none any more.
        pub count: i64,
        /// The sum of their stars, in halves of a star: 1 to 10 for each review.
        pub half_stars: i64,
        /// Their plain mean in hundredths of a star, 50 to 500: what is shown. 0 without reviews.
        pub average_hundredths: i64,
        /// Their Bayesian mean ([`bookworm_kernel::bayesian_mean`]) in ten-thousandths of a star, for sorting by whoever
        /// knows nothing else about the book.
        pub bayesian_ten_thousandths: i64,
        /// How many give 1, 2, 3, 4 and 5 stars; half a star counts as the whole that it begins.
        pub distribution: [i64; 5],
    }
}

/// A book that somebody is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitedBook {
    /// The book.
    pub book_id: BookId,
    /// Its title when it was sold.
    pub title: String,
}

message! {
    /// Somebody who has the books of an order is asked what they think of them; at most once for each order.
    "events.rating.ReviewInvited.v1" ReviewInvited {
        /// The order.
        pub order_id: OrderId,
        /// Where to write to.
        pub email: Email,
        /// How to address them.
        pub name: String,
        /// What they bought.
        pub books: Vec<InvitedBook>,
        /// What the links prove: whose order it was. With it its books can be reviewed without an account, and further
        /// invitations be ended.
        pub token: String,
        /// For how many days reviews are taken with it.
        pub days: u32,
    }
}
