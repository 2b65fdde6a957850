//! What the identity service tells.

use bookworm_kernel::{CustomerId, Email};
use bookworm_messaging::message;

message! {
    /// Somebody made an account.
    "events.identity.CustomerRegistered.v1" CustomerRegistered {
        /// The account.
        pub customer_id: CustomerId,
        /// Where to write to.
        pub email: Email,
        /// How to address them.
        pub name: String,
    }
}

message! {
    /// Somebody forgot the password of an account and wants a link that sets a new one.
    "events.identity.PasswordResetRequested.v1" PasswordResetRequested {
        /// The account.
        pub customer_id: CustomerId,
        /// Where to write to.
        pub email: Email,
        /// How to address them.
        pub name: String,
        /// What the link proves: good for one use, and not for long.
        pub token: String,
        /// For how many minutes.
        pub minutes: u32,
    }
}
