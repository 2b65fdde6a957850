use bookworm_eventstore::Aggregate;
use bookworm_kernel::{BookId, CustomerId, OrderId, Timestamp};
use serde::{Deserialize, Serialize};

use super::Stars;

/// Where a review stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// Everybody sees it.
    Published,
    /// Its author and staff see it; staff decide.
    #[default]
    Waiting,
    /// As `Waiting`, because something in it was found.
    Held,
    /// Staff took it from the page.
    Hidden,
    /// Its author took it back.
    Deleted,
}

impl Status {
    const ALL: [Self; 5] = [Self::Published, Self::Waiting, Self::Held, Self::Hidden, Self::Deleted];

    /// As it is stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Hidden => "hidden",
            Self::Deleted => "deleted",
        }
    }

    /// From what is stored.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// Why a review is not seen at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// No completed order says that its author has the book.
    NotVerified,
    /// Staff hid an earlier version.
    HiddenBefore,
    /// A web address.
    Link,
    /// A mail address.
    Address,
    /// The same words over and over, or those of another review.
    Repeated,
    /// Too many reviews in a short time.
    Rate,
}

impl Reason {
    const ALL: [Self; 6] =
        [Self::NotVerified, Self::HiddenBefore, Self::Link, Self::Address, Self::Repeated, Self::Rate];

    /// As it is stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotVerified => "not_verified",
            Self::HiddenBefore => "hidden_before",
            Self::Link => "link",
            Self::Address => "address",
            Self::Repeated => "repeated",
            Self::Rate => "rate",
        }
    }

    /// From what is stored.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// What happens to a review. The words of a review are no part of its events: a person can take them back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub(crate) enum ReviewEvent {
    /// Its author wrote it; also again, after taking it back.
    Written {
        /// About this book.
        book_id: BookId,
        /// Whose it is.
        author: CustomerId,
        /// In halves.
        stars: Stars,
    },
    /// Its author wrote it anew.
    Edited {
        /// In halves.
        stars: Stars,
    },
    /// A completed order says that its author has the book.
    Verified {
        /// The order.
        order_id: OrderId,
    },
    /// It waits for staff.
    Waiting {
        /// Why.
        reason: Reason,
    },
    /// It waits for staff, because something in it was found.
    Held {
        /// What.
        reason: Reason,
    },
    /// Everybody sees it from now on.
    Published {
        /// What staff noted; empty when nobody had to decide.
        #[serde(default)]
        reason: String,
    },
    /// Staff took it from the page.
    Hidden {
        /// Why: its author reads this.
        reason: String,
    },
    /// Its author asked staff to decide again.
    Appealed,
    /// The shop answered, or changed its answer.
    Answered,
    /// The shop took its answer back.
    AnswerRemoved,
    /// Its author took it back.
    Deleted,
}

/// The rules do not permit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("Only a review that waits, is held or is hidden can be appealed for.")]
    NothingToAppeal,
    #[error("You have asked already: staff decide first.")]
    AppealedAlready,
    #[error("Only a published review can be answered.")]
    NotPublished,
}

/// A review, as its events tell it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Review {
    status: Status,
    stars: Stars,
    verified: bool,
    reason: Option<Reason>,
    /// What staff wrote when they hid it.
    explanation: Option<String>,
    appealed: bool,
    /// Staff hid a version of it and have published none since.
    hidden_before: bool,
}

impl Aggregate for Review {
    type Event = ReviewEvent;

    fn apply(&mut self, event: &ReviewEvent, _at: Timestamp) {
        let (status, reason, explanation) = match event {
            ReviewEvent::Written { stars, .. } | ReviewEvent::Edited { stars } => {
                self.stars = *stars;
                return;
            }
            ReviewEvent::Verified { .. } => {
                self.verified = true;
                return;
            }
            ReviewEvent::Appealed => {
                self.appealed = true;
                return;
            }
            ReviewEvent::Answered | ReviewEvent::AnswerRemoved => return,
            ReviewEvent::Waiting { reason } => (Status::Waiting, Some(*reason), None),
            ReviewEvent::Held { reason } => (Status::Held, Some(*reason), None),
            ReviewEvent::Published { .. } => {
                self.hidden_before = false;
                (Status::Published, None, None)
            }
            ReviewEvent::Hidden { reason } => {
                self.hidden_before = true;
                (Status::Hidden, None, Some(reason.clone()))
            }
            ReviewEvent::Deleted => (Status::Deleted, None, None),
        };
        (self.status, self.reason, self.explanation, self.appealed) = (status, reason, explanation, false);
    }
}

impl Review {
    pub fn status(&self) -> Status {
        self.status
    }

    pub fn stars(&self) -> Stars {
        self.stars
    }

    /// What it adds to its book's rating: nothing while it is not published.
    pub fn counted(&self) -> Option<Stars> {
        (self.status == Status::Published).then_some(self.stars)
    }

    pub fn is_verified(&self) -> bool {
        self.verified
    }

    /// Why it waits or is held.
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// What staff wrote when they hid it.
    pub fn explanation(&self) -> Option<&str> {
        self.explanation.as_deref()
    }

    /// Whether its author has asked since the last decision.
    pub fn is_appealed(&self) -> bool {
        self.appealed
    }

    /// Whether staff have something to decide.
    pub fn is_open(&self) -> bool {
        self.appealed || matches!(self.status, Status::Waiting | Status::Held)
    }

    /// A new review, or one that was taken back and is written again. `order` is a completed one with the book.
    pub fn write(
        &self,
        book_id: BookId,
        author: CustomerId,
        stars: Stars,
        order: Option<OrderId>,
        found: Option<Reason>,
    ) -> Vec<ReviewEvent> {
        let mut events = vec![ReviewEvent::Written { book_id, author, stars }];
        events.extend(order.filter(|_| !self.verified).map(|order_id| ReviewEvent::Verified { order_id }));
        events.push(self.place(self.verified || order.is_some(), found));
        events
    }

    /// Its author's new version.
    pub fn edit(&self, stars: Stars, found: Option<Reason>) -> Vec<ReviewEvent> {
        vec![ReviewEvent::Edited { stars }, self.place(self.verified, found)]
    }

    fn place(&self, verified: bool, found: Option<Reason>) -> ReviewEvent {
        match found {
            Some(reason) => ReviewEvent::Held { reason },
            None if self.hidden_before => ReviewEvent::Waiting { reason: Reason::HiddenBefore },
            None if !verified => ReviewEvent::Waiting { reason: Reason::NotVerified },
            None => ReviewEvent::Published { reason: String::new() },
        }
    }

    /// A completed order says that its author has the book.
    pub fn verify(&self, order_id: OrderId) -> Vec<ReviewEvent> {
        if self.verified {
            return Vec::new();
        }
        let waits_for_this = self.status == Status::Waiting && self.reason == Some(Reason::NotVerified);
        let published = waits_for_this.then(|| ReviewEvent::Published { reason: String::new() });
        std::iter::once(ReviewEvent::Verified { order_id }).chain(published).collect()
    }

    /// Staff want everybody to see it.
    pub fn publish(&self, reason: String) -> Vec<ReviewEvent> {
        vec![ReviewEvent::Published { reason }]
    }

    /// Staff take it from the page.
    pub fn hide(&self, reason: String) -> Vec<ReviewEvent> {
        vec![ReviewEvent::Hidden { reason }]
    }

    /// Its author asks staff to decide again, once for each decision.
    pub fn appeal(&self) -> Result<Vec<ReviewEvent>, Refused> {
        match self.status {
            Status::Published | Status::Deleted => Err(Refused::NothingToAppeal),
            _ if self.appealed => Err(Refused::AppealedAlready),
            _ => Ok(vec![ReviewEvent::Appealed]),
        }
    }

    /// The shop answers.
    pub fn answer(&self) -> Result<Vec<ReviewEvent>, Refused> {
        match self.status {
            Status::Published => Ok(vec![ReviewEvent::Answered]),
            _ => Err(Refused::NotPublished),
        }
    }

    /// Its author takes it back.
    pub fn delete(&self) -> Vec<ReviewEvent> {
        vec![ReviewEvent::Deleted]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(events: impl IntoIterator<Item = ReviewEvent>) -> Review {
        let mut review = Review::default();
        for event in events {
            review.apply(&event, Timestamp::from_micros(0));
        }
        review
    }

    impl Review {
        fn then(mut self, events: Vec<ReviewEvent>) -> Self {
            for event in events {
                self.apply(&event, Timestamp::from_micros(0));
            }
            self
        }
    }

    fn written(order: Option<OrderId>, found: Option<Reason>) -> Review {
        let none = Review::default();
        let events = none.write(BookId::new(), CustomerId::new(), Stars::new(4.5).unwrap(), order, found);
        after(events)
    }

    fn stands(review: &Review) -> (Status, Option<Reason>, bool) {
        (review.status(), review.reason(), review.is_verified())
    }

    #[test]
    fn a_buyer_is_seen_at_once_and_others_wait() {
        assert_eq!(stands(&written(Some(OrderId::new()), None)), (Status::Published, None, true));
        assert_eq!(stands(&written(None, None)), (Status::Waiting, Some(Reason::NotVerified), false));
        for reason in [Reason::Link, Reason::Address, Reason::Repeated, Reason::Rate] {
            assert_eq!(stands(&written(Some(OrderId::new()), Some(reason))), (Status::Held, Some(reason), true));
        }
    }

    #[test]
    fn the_order_that_comes_later_publishes_only_what_waited_for_it() {
        let order = OrderId::new();
        let waiting = written(None, None);
        let published = waiting.clone().then(waiting.verify(order));
        assert_eq!(stands(&published), (Status::Published, None, true));
        assert_eq!(published.verify(order), [], "once");
        let held = written(None, Some(Reason::Link));
        let still = held.clone().then(held.verify(order));
        assert_eq!(stands(&still), (Status::Held, Some(Reason::Link), true));
        let hidden = waiting.clone().then(waiting.hide("no".to_owned()));
        let still = hidden.clone().then(hidden.verify(order));
        assert_eq!(stands(&still), (Status::Hidden, None, true));
    }

    #[test]
    fn what_staff_hid_does_not_come_back_by_editing_or_writing_it_again() {
        let review = written(Some(OrderId::new()), None);
        let hidden = review.clone().then(review.hide("rude".to_owned()));
        assert_eq!(hidden.explanation(), Some("rude"));
        let edited = hidden.clone().then(hidden.edit(Stars::new(1.0).unwrap(), None));
        assert_eq!(stands(&edited), (Status::Waiting, Some(Reason::HiddenBefore), true));
        let again = edited.clone().then(edited.edit(Stars::new(2.0).unwrap(), None));
        assert_eq!(again.status(), Status::Waiting);
        let deleted = hidden.clone().then(hidden.delete());
        let anew = deleted.write(BookId::new(), CustomerId::new(), Stars::default(), None, None);
        assert_eq!(stands(&deleted.then(anew)), (Status::Waiting, Some(Reason::HiddenBefore), true));
        let allowed = edited.clone().then(edited.publish("fine now".to_owned()));
        let edited = allowed.clone().then(allowed.edit(Stars::default(), None));
        assert_eq!(edited.status(), Status::Published, "staff trust it again");
    }

    #[test]
    fn there_is_one_appeal_for_each_decision() {
        let review = written(Some(OrderId::new()), None);
        assert_eq!(review.appeal(), Err(Refused::NothingToAppeal));
        let hidden = review.clone().then(review.hide("rude".to_owned()));
        let appealed = hidden.clone().then(hidden.appeal().unwrap());
        assert!(appealed.is_open() && appealed.is_appealed());
        assert_eq!(appealed.appeal(), Err(Refused::AppealedAlready));
        let hidden = appealed.clone().then(appealed.hide("still rude".to_owned()));
        assert!(!hidden.is_open());
        assert!(hidden.appeal().is_ok());
    }

    #[test]
    fn only_what_everybody_sees_is_answered() {
        assert!(written(Some(OrderId::new()), None).answer().is_ok());
        assert_eq!(written(None, None).answer(), Err(Refused::NotPublished));
    }

    #[test]
    fn stored_events_stay_readable() {
        let stored = [
            r#"{"type":"Written","book_id":"0192f0c4-0000-7000-8000-000000000003","author":"0192f0c4-0000-7000-8000-000000000004","stars":9}"#,
            r#"{"type":"Edited","stars":1}"#,
            r#"{"type":"Verified","order_id":"0192f0c4-0000-7000-8000-000000000005"}"#,
            r#"{"type":"Waiting","reason":"not_verified"}"#,
            r#"{"type":"Held","reason":"link"}"#,
            r#"{"type":"Published","reason":""}"#,
            r#"{"type":"Hidden","reason":"rude"}"#,
            r#"{"type":"Appealed"}"#,
            r#"{"type":"Answered"}"#,
            r#"{"type":"AnswerRemoved"}"#,
            r#"{"type":"Deleted"}"#,
        ];
        for text in stored {
            let event: ReviewEvent = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&event).unwrap(), text);
        }
        for status in Status::ALL {
            assert_eq!(Status::parse(status.name()), Some(status));
        }
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.name()), Some(reason));
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
        }
    }
}
