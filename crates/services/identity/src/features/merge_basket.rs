use bookworm_contracts::grpc::{self, basket::MergeGuestRequest};
use bookworm_kernel::{Cause, CustomerId};

use crate::{IdentityService, client::GuestBasket};

impl IdentityService {
    /// Takes along the basket that was filled as a guest. Best effort: signing in never fails for it, and the basket
    /// merges by itself when a later request brings both secrets.
    pub(crate) async fn merge_basket(&self, customer: CustomerId, guest: GuestBasket, cause: &Cause) {
        let Some(guest_token) = guest.0 else { return };
        let request = MergeGuestRequest { customer_id: customer.to_string(), guest_token };
        if let Err(status) = self.0.basket.clone().merge_guest(grpc::request(cause, request)).await {
            metrics::counter!("identity_basket_merge_failures_total").increment(1);
            tracing::warn!(why = status.code().description(), "a guest's basket was not merged");
        }
    }
}
