//! The context in which one turn is answered.

use bookworm_kernel::TimeZone;

use super::{
    Turn,
    answer::Answer,
    lookup::{Asker, Shop},
    policies::Policies,
};
use crate::triage::Classification;

/// A message, its classification, and where to look things up.
pub(super) struct Ask<'a> {
    pub turn: &'a Turn,
    pub classification: &'a Classification,
    pub asker: Asker<'a>,
    pub shop: &'a Shop,
    pub policies: &'a Policies,
    /// The time zone of dates in answers.
    pub zone: TimeZone,
}

impl Ask<'_> {
    /// Adds a policy's answer to a question, with a link to its section.
    pub fn quoting(&self, mut answer: Answer, slug: &str, question: &str) -> Answer {
        let Some(section) = self.policies.of(slug, question, self.embedded_for(question)) else {
            if answer.text.is_empty() {
                answer.text = "I don’t have anything about that. Our team can help.".to_owned();
            }
            return answer.fixed();
        };
        if !answer.text.is_empty() {
            answer.text.push_str("\n\n");
        }
        answer.text.push_str(&section.quote());
        answer.link(section.heading.clone(), section.href())
    }

    /// The message's vector, for a question that is the message itself.
    fn embedded_for(&self, question: &str) -> Option<&bookworm_contracts::grpc::vectors::Vectors> {
        self.classification.embedded.as_ref().filter(|_| question == self.turn.text)
    }
}
