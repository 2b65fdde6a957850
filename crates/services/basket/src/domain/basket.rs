use std::collections::HashMap;

use bookworm_kernel::{BookId, Money, OrderId, Quantity, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What the catalogue offers: one book as it is sold now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Offer {
    /// The book.
    pub book_id: BookId,
    /// Its title.
    pub title: String,
    /// Who wrote it.
    pub authors: Vec<String>,
    /// The language of both, when the catalogue knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Path of the cover.
    pub cover_url: String,
    /// What one copy costs.
    pub price: Money,
    /// How many copies can be bought.
    pub available: i64,
}

/// One book in a basket, with the offer that the customer saw last: the basket can be shown when the catalogue does
/// not answer, and a changed price is noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// How many copies.
    pub quantity: Quantity,
    /// What the customer saw last.
    #[serde(flatten)]
    pub seen: Offer,
}

/// Why a change is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BasketError {
    /// The line would have more than 99 copies.
    #[error("must not be above {} with the {present} already in the basket", Quantity::MAX)]
    LineFull {
        /// Copies on the line now.
        present: Quantity,
    },
    /// There is no room for another book.
    #[error("a basket holds at most {max} different books")]
    Full {
        /// The most lines.
        max: usize,
    },
    /// The book is not in the basket.
    #[error("the book is not in the basket")]
    NoSuchLine,
}

/// An order's claim on a basket: while it stands, no other order can be made of the basket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claim {
    /// The order.
    pub order_id: OrderId,
    /// Names the request that the order belongs to.
    pub claimant: String,
    /// When it was granted.
    pub at: Timestamp,
}

/// What somebody means to buy: each book on one line, in the order in which they were put in.
///
/// Every change that changes something counts `version` up by one; one that changes nothing leaves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Basket {
    /// Stays the same for the life of the basket.
    pub id: Uuid,
    /// Counts changes.
    pub version: u64,
    lines: Vec<Line>,
    claims: Vec<Claim>,
}

impl Basket {
    /// Empty, with an id of its own.
    pub fn new() -> Self {
        Self { id: Uuid::now_v7(), version: 0, lines: Vec::new(), claims: Vec::new() }
    }

    /// As it was stored.
    pub fn restore(id: Uuid, version: u64, lines: Vec<Line>, claims: Vec<Claim>) -> Self {
        Self { id, version, lines, claims }
    }

    /// In the order in which they were put in.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The orders that have claimed it: one at most, and more only where claimed baskets were merged.
    pub fn claims(&self) -> &[Claim] {
        &self.claims
    }

    /// Claims the basket, as it was at `version`, for one order. Returns the order to place: that of `wanted`, or that
    /// of an earlier claim by the same claimant. `None` when the basket has changed since, is empty, or is claimed by
    /// somebody else. What is in the basket does not change, so its version does not either.
    pub fn claim(&mut self, wanted: Claim, version: u64) -> Option<OrderId> {
        if self.version != version || self.lines.is_empty() {
            return None;
        }
        match self.claims.as_mut_slice() {
            [] => {
                let order_id = wanted.order_id;
                self.claims.push(wanted);
                Some(order_id)
            }
            [own] if own.claimant == wanted.claimant => {
                own.at = wanted.at;
                Some(own.order_id)
            }
            _ => None,
        }
    }

    /// Ends the claim of an order. Returns whether there was one.
    pub fn release(&mut self, order_id: OrderId) -> bool {
        let before = self.claims.len();
        self.claims.retain(|claim| claim.order_id != order_id);
        self.claims.len() != before
    }

    /// Puts more copies of a book in. Within `max_lines` different books, and 99 copies of each.
    ///
    /// A line that is there keeps the price it was seen at, so that a change is still shown.
    pub fn add(&mut self, offer: Offer, quantity: Quantity, max_lines: usize) -> Result<(), BasketError> {
        let full = self.lines.len() >= max_lines;
        match self.line(offer.book_id) {
            Some(line) => {
                line.quantity =
                    line.quantity.plus(quantity).map_err(|_| BasketError::LineFull { present: line.quantity })?;
            }
            None if full => return Err(BasketError::Full { max: max_lines }),
            None => self.lines.push(Line { quantity, seen: offer }),
        }
        self.version += 1;
        Ok(())
    }

    /// Sets how many copies of a book that is in the basket are wanted.
    pub fn set(&mut self, book_id: BookId, quantity: Quantity) -> Result<(), BasketError> {
        let line = self.line(book_id).ok_or(BasketError::NoSuchLine)?;
        if line.quantity != quantity {
            line.quantity = quantity;
            self.version += 1;
        }
        Ok(())
    }

    /// Takes a book out; nothing happens when it is not in.
    pub fn remove(&mut self, book_id: BookId) {
        let before = self.lines.len();
        self.lines.retain(|line| line.seen.book_id != book_id);
        self.version += u64::from(self.lines.len() != before);
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.version += u64::from(!self.lines.is_empty());
        self.lines.clear();
    }

    /// Takes in the lines of another basket; returns how many. Copies of a book in both are added up, to 99 at most;
    /// no line is lost, even if there are then more than a basket may be filled with. Claims come along, for they are
    /// on these very copies.
    pub fn merge(&mut self, guest: &Self) -> usize {
        for theirs in &guest.lines {
            match self.line(theirs.seen.book_id) {
                Some(ours) => ours.quantity = ours.quantity.plus_capped(theirs.quantity),
                None => self.lines.push(theirs.clone()),
            }
        }
        self.claims.extend(guest.claims.iter().cloned());
        self.version += u64::from(!guest.lines.is_empty());
        guest.lines.len()
    }

    /// Takes out what was bought and nothing else: copies that were added since stay.
    pub fn subtract(&mut self, bought: &[(BookId, Quantity)]) {
        let mut changed = false;
        for (book_id, quantity) in bought {
            let Some(at) = self.lines.iter().position(|line| line.seen.book_id == *book_id) else { continue };
            changed = true;
            let left = i64::from(self.lines[at].quantity) - i64::from(*quantity);
            match Quantity::new(left) {
                Ok(left) => self.lines[at].quantity = left,
                Err(_) => drop(self.lines.remove(at)),
            }
        }
        self.version += u64::from(changed);
    }

    /// Remembers what the customer is being shown. Returns whether there is anything worth storing: how many copies
    /// are available changes all the time and is not.
    pub fn see(&mut self, offers: &HashMap<BookId, Offer>) -> bool {
        let mut changed = false;
        for line in &mut self.lines {
            if let Some(offer) = offers.get(&line.seen.book_id) {
                changed |= Offer { available: line.seen.available, ..offer.clone() } != line.seen;
                line.seen.clone_from(offer);
            }
        }
        changed
    }

    fn line(&mut self, book_id: BookId) -> Option<&mut Line> {
        self.lines.iter_mut().find(|line| line.seen.book_id == book_id)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bookworm_kernel::Currency;
    use proptest::prelude::*;

    use super::*;

    fn book(n: u8) -> BookId {
        BookId::from_uuid(Uuid::from_u128(u128::from(n)))
    }

    fn offer(n: u8, price: i64) -> Offer {
        Offer {
            book_id: book(n),
            title: format!("Book {n}"),
            authors: vec!["Ann Author".to_owned()],
            language: None,
            cover_url: format!("/covers/{n}"),
            price: Money::new(price, Currency::USD),
            available: 5,
        }
    }

    fn pieces(n: i64) -> Quantity {
        Quantity::new(n).unwrap()
    }

    fn basket(lines: &[(u8, i64)]) -> Basket {
        let mut basket = Basket::new();
        for (n, quantity) in lines {
            basket.add(offer(*n, 1000), pieces(*quantity), usize::MAX).unwrap();
        }
        basket
    }

    fn contents(basket: &Basket) -> BTreeMap<BookId, i64> {
        basket.lines().iter().map(|line| (line.seen.book_id, line.quantity.into())).collect()
    }

    #[test]
    fn the_limits_are_99_a_line_and_so_many_lines() {
        let mut basket = basket(&[(1, 98)]);
        basket.add(offer(1, 1000), pieces(1), 2).unwrap();
        assert_eq!(basket.add(offer(1, 1000), pieces(1), 2), Err(BasketError::LineFull { present: pieces(99) }));
        basket.add(offer(2, 1000), pieces(1), 2).unwrap();
        assert_eq!(basket.add(offer(3, 1000), pieces(1), 2), Err(BasketError::Full { max: 2 }));
        basket.add(offer(2, 1000), pieces(1), 2).unwrap();
        assert_eq!(basket.version, 4);
    }

    #[test]
    fn what_changes_nothing_is_no_new_version() {
        let mut basket = basket(&[(1, 2)]);
        basket.set(book(1), pieces(2)).unwrap();
        basket.remove(book(9));
        basket.subtract(&[(book(9), pieces(1))]);
        basket.merge(&Basket::new());
        assert_eq!(basket.version, 1);
        assert_eq!(basket.set(book(9), pieces(2)), Err(BasketError::NoSuchLine));
        basket.clear();
        basket.clear();
        assert_eq!(basket.version, 2);
    }

    #[test]
    fn a_new_price_is_news_once_and_a_new_stock_never() {
        let mut basket = basket(&[(1, 2)]);
        let dearer = HashMap::from([(book(1), offer(1, 1200))]);
        assert!(basket.see(&dearer));
        assert!(!basket.see(&dearer));
        assert!(!basket.see(&HashMap::from([(book(1), Offer { available: 0, ..offer(1, 1200) })])));
        assert_eq!(basket.version, 1);
    }

    fn claim(order: u8, claimant: &str) -> Claim {
        let order_id = OrderId::from_uuid(Uuid::from_u128(u128::from(order)));
        Claim { order_id, claimant: claimant.to_owned(), at: Timestamp::from_micros(i64::from(order)) }
    }

    fn claimed_by(basket: &Basket) -> Vec<OrderId> {
        basket.claims().iter().map(|claim| claim.order_id).collect()
    }

    #[test]
    fn a_claim_is_granted_once_and_again_to_whoever_has_it() {
        let (first, second) = (claim(1, "one key"), claim(2, "another key"));
        let mut basket = basket(&[(1, 2)]);
        assert_eq!(basket.claim(first.clone(), 1), Some(first.order_id));
        assert_eq!(basket.claim(second.clone(), 1), None);
        // The same request, repeated after its answer was lost, goes on with the order it had begun.
        assert_eq!(basket.claim(claim(3, "one key"), 1), Some(first.order_id));
        assert_eq!(basket.claims().to_vec(), [Claim { at: Timestamp::from_micros(3), ..first.clone() }]);
        assert!(!basket.release(second.order_id), "only its own");
        assert!(basket.release(first.order_id));
        assert!(!basket.release(first.order_id), "once");
        assert_eq!(basket.claim(second.clone(), 1), Some(second.order_id));
        assert_eq!(basket.version, 1, "a claim changes nothing of what is in the basket");
    }

    #[test]
    fn a_basket_that_changed_or_is_empty_cannot_be_claimed() {
        let mut basket = basket(&[(1, 2)]);
        basket.set(book(1), pieces(3)).unwrap();
        assert_eq!(basket.claim(claim(1, "a"), 1), None);
        assert_eq!(basket.claim(claim(1, "a"), 2), Some(claim(1, "a").order_id));
        basket.set(book(1), pieces(4)).unwrap();
        assert_eq!(basket.claim(claim(1, "a"), 2), None, "also by whoever has claimed it");
        let mut empty = Basket::new();
        assert_eq!(empty.claim(claim(1, "a"), 0), None);
    }

    #[test]
    fn merged_baskets_keep_both_claims_and_are_free_when_both_have_ended() {
        let (mut ours, mut theirs) = (basket(&[(1, 1)]), basket(&[(2, 1)]));
        ours.claim(claim(1, "a"), 1).unwrap();
        theirs.claim(claim(2, "b"), 1).unwrap();
        ours.merge(&theirs);
        assert_eq!(claimed_by(&ours), [claim(1, "a").order_id, claim(2, "b").order_id]);
        let version = ours.version;
        assert_eq!(ours.claim(claim(3, "a"), version), None, "the other order still claims a part of it");
        ours.release(claim(1, "a").order_id);
        assert_eq!(ours.claim(claim(3, "c"), version), None);
        ours.release(claim(2, "b").order_id);
        assert_eq!(ours.claim(claim(3, "c"), version), Some(claim(3, "c").order_id));
    }

    fn any_lines() -> impl Strategy<Value = Vec<(u8, i64)>> {
        proptest::collection::btree_map(any::<u8>(), 1_i64..=99, 0..150).prop_map(|lines| lines.into_iter().collect())
    }

    proptest! {
        #[test]
        fn merging_loses_no_line_and_no_copy_below_the_limit(ours in any_lines(), theirs in any_lines()) {
            let (mut merged, guest) = (basket(&ours), basket(&theirs));
            let (before, other) = (contents(&merged), contents(&guest));
            prop_assert_eq!(merged.merge(&guest), theirs.len());
            let after = contents(&merged);
            prop_assert_eq!(after.len(), merged.lines().len(), "one line for each book");
            for book in before.keys().chain(other.keys()) {
                let sum = before.get(book).unwrap_or(&0) + other.get(book).unwrap_or(&0);
                prop_assert_eq!(after.get(book), Some(&sum.min(99)));
            }
            prop_assert!(after.keys().all(|book| before.contains_key(book) || other.contains_key(book)));
        }

        #[test]
        fn adding_never_passes_a_limit(adds in proptest::collection::vec((0_u8..20, 1_i64..=99), 0..60)) {
            let mut basket = Basket::new();
            for (n, quantity) in adds {
                let before = basket.clone();
                if basket.add(offer(n, 1000), pieces(quantity), 10).is_err() {
                    prop_assert_eq!(&basket, &before, "a refused change changes nothing");
                }
                prop_assert!(basket.lines().len() <= 10);
                prop_assert!(contents(&basket).values().all(|quantity| (1..=99).contains(quantity)));
            }
        }

        #[test]
        fn buying_takes_out_what_was_bought_and_keeps_the_rest(had in any_lines(), bought in any_lines()) {
            let mut left = basket(&had);
            let before = contents(&left);
            let sold: Vec<_> = bought.iter().map(|(n, quantity)| (book(*n), pieces(*quantity))).collect();
            left.subtract(&sold);
            let after = contents(&left);
            for (book, quantity) in &before {
                let sold: i64 = sold.iter().filter(|(id, _)| id == book).map(|(_, quantity)| i64::from(*quantity)).sum();
                let expected = quantity - sold;
                prop_assert_eq!(after.get(book).copied().unwrap_or(0), expected.max(0));
            }
            prop_assert!(after.keys().all(|book| before.contains_key(book)));
        }

        #[test]
        fn what_is_stored_is_read_back(lines in any_lines()) {
            let basket = basket(&lines);
            let json = serde_json::to_string(basket.lines()).unwrap();
            let read = Basket::restore(basket.id, basket.version, serde_json::from_str(&json).unwrap(), Vec::new());
            prop_assert_eq!(read, basket);
        }
    }
}
