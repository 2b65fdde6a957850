//! Events that identity publishes.

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
    /// An account's address is to be confirmed: whoever reads the mail has the link.
    "events.identity.EmailConfirmationRequested.v1" EmailConfirmationRequested {
        /// The account.
        pub customer_id: CustomerId,
        /// Where to write to.
        pub email: Email,
        /// What the link proves: good for one use, and not for long.
        pub token: String,
        /// For how many hours.
        pub hours: u32,
    }
}

message! {
    /// Somebody with an account followed the link: the address is theirs.
    "events.identity.EmailConfirmed.v1" EmailConfirmed {
        /// The account.
        pub customer_id: CustomerId,
        /// Their address.
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
