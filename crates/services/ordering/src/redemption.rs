//! A code that somebody typed, and what it does to their purchase.

use std::sync::Arc;

use bookworm_http::Result;

use crate::{
    domain::coupon::{Coupon, CouponCode, Reduction, Refusal},
    purchase::Purchase,
    service::{Ordering, work::coupon_refused},
    shopper::Shopper,
    store::coupons,
};

/// A coupon that counts of this purchase. How often it was used is looked at here, and decided when the order is placed.
#[derive(Debug, Clone)]
pub(crate) struct Redemption {
    pub coupon: Coupon,
    pub reduction: Reduction,
}

impl Redemption {
    /// Looks up the code that came with a request, if one did. What an account may is looked at here. What a mailbox may is
    /// decided when an order for it is placed, and not before: nobody has shown that the mailbox is theirs, and whether
    /// somebody has bought here must not be told to whoever types an address.
    ///
    /// # Errors
    /// 422 `coupon_refused` with the `rule`.
    pub async fn of(
        service: &Arc<Ordering>,
        code: Option<&str>,
        purchase: &Purchase,
        shopper: &Shopper,
    ) -> Result<Option<Self>> {
        let Some(code) = code.map(str::trim).filter(|code| !code.is_empty()) else { return Ok(None) };
        let Ok(code) = CouponCode::parse(code) else { return Err(coupon_refused(&Refusal::Unknown)) };
        let db = service.db.read();
        let Some(stored) = coupons::find(db, &code).await? else { return Err(coupon_refused(&Refusal::Unknown)) };
        if let Some(refusal) = coupons::check(db, &stored, shopper.customer_id()).await? {
            return Err(coupon_refused(&refusal));
        }
        let goods = purchase.goods()?;
        let reduction = stored.coupon.reduce(&goods, service.now()).map_err(|refusal| coupon_refused(&refusal))?;
        Ok(Some(Self { coupon: stored.coupon, reduction }))
    }
}
