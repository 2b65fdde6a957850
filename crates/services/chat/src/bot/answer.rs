//! An answer while it is being put together.

use super::{HandOver, Link, Pending, Reason, Skill};
use crate::domain::intent::Intent;

/// What the customer types, or clicks, to reach a person.
pub(super) const PERSON: &str = "Talk to a person";

/// The bot's answer. All of it was looked up in this turn, or is in the shop's policies.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Answer {
    pub text: String,
    pub links: Vec<Link>,
    pub suggestions: Vec<String>,
    pub hand_over: Option<HandOver>,
    pub pending: Option<Pending>,
    /// It asked what is missing (an order's number, a title) to answer this.
    pub asked_for: Option<Intent>,
    /// Not to be reworded by a language model: a question that needs a yes, an outcome, a quotation.
    pub fixed: bool,
}

impl Answer {
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub fn fixed(mut self) -> Self {
        self.fixed = true;
        self
    }

    pub fn link(mut self, title: impl Into<String>, href: impl Into<String>) -> Self {
        let href = href.into();
        // Never another host: `//host` and `https:` are none of this shop's paths.
        if href.starts_with('/') && !href.starts_with("//") && self.links.iter().all(|link| link.href != href) {
            self.links.push(Link { title: title.into(), href });
        }
        self
    }

    pub fn suggest(mut self, suggestions: &[&str]) -> Self {
        self.suggestions.extend(suggestions.iter().map(|text| (*text).to_owned()));
        self
    }

    pub fn asking_for(mut self, intent: Intent) -> Self {
        self.asked_for = Some(intent);
        self
    }

    pub fn to(mut self, reason: Reason, skill: Skill) -> Self {
        self.hand_over = Some(HandOver { reason, skill });
        self.fixed()
    }
}

/// The answer when a look-up failed.
pub(super) fn cannot_look(what: &str) -> Answer {
    Answer::new(format!("I can’t look up {what} right now. Please try again in a moment, or talk to a person."))
        .suggest(&[PERSON])
        .fixed()
}
