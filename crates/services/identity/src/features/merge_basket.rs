use std::time::Duration;

use bookworm_contracts::grpc::{self, basket::MergeGuestRequest};
use bookworm_kernel::{Cause, CustomerId};

use crate::{IdentityService, client::GuestBasket};

/// How long a sign-in waits for the basket.
const PATIENCE: Duration = Duration::from_secs(2);

impl IdentityService {
    /// Takes along the basket that was filled as a guest. Best effort: signing in never fails for it, and the basket
    /// merges by itself when a later request brings both secrets.
    pub(crate) async fn merge_basket(&self, customer: CustomerId, guest: GuestBasket, cause: &Cause) {
        let Some(guest_token) = guest.0 else { return };
        let request = MergeGuestRequest { customer_id: customer.to_string(), guest_token };
        let mut basket = self.0.basket.clone();
        let why = match tokio::time::timeout(PATIENCE, basket.merge_guest(grpc::request(cause, request))).await {
            Ok(Ok(_)) => return,
            Ok(Err(status)) => status.code().description(),
            Err(_) => "no answer within 2 s",
        };
        metrics::counter!("identity_basket_merge_failures_total").increment(1);
        tracing::warn!(why, "a guest's basket could not be taken along");
    }
}
