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
