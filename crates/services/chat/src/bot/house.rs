//! Answers about accounts and the shop itself: links to pages, and quotes from the policies.

use super::{
    Reason, Skill,
    answer::{Answer, PERSON},
    ask::Ask,
};
use crate::domain::intent::Intent;

impl Ask<'_> {
    /// Answers that need no look-up but the policies.
    pub fn house(&self, intent: Intent) -> Answer {
        let signed_in = self.turn.rights.access_token.is_some();
        let text = self.turn.text.as_str();
        let answer = match intent {
            Intent::CreateAccount => Answer::new(
                "You can create an account with your name, your email address and a password.",
            )
            .link("Sign up", "/sign-up"),
            Intent::RegistrationProblems => Answer::new(
                "I’m sorry you’re having trouble signing up. The page tells you which field needs fixing. If your email \
                 is already registered, you can reset the password instead. If it still doesn’t work, our team can look \
                 into it.",
            )
            .link("Sign up", "/sign-up")
            .link("Reset your password", "/forgot-password"),
            Intent::RecoverPassword => Answer::new(
                "We can email you a link to reset your password. Never share your password with anyone, not even here.",
            )
            .link("Reset your password", "/forgot-password"),
            Intent::EditAccount => {
                let page = if signed_in { ("Your account", "/account") } else { ("Sign in", "/sign-in") };
                Answer::new("Your account page shows your details. If you can’t change something there, our team can help.")
                    .link(page.0, page.1)
            }
            Intent::SwitchAccount => Answer::new(
                "Sign out on your account page, then sign in with the other account.",
            )
            .link("Your account", "/account")
            .link("Sign in", "/sign-in"),
            Intent::DeleteAccount => {
                let answer = self.quoting(Answer::default(), "privacy", "deleting an account");
                answer.to(Reason::BeyondTheBot, Skill::Account)
            }
            Intent::SetUpShippingAddress => {
                self.quoting(Answer::default(), "delivery", "delivery addresses").link("Your basket", "/basket")
            }
            Intent::CheckCancellationFee => self.quoting(Answer::default(), "cancellation", "what cancelling costs"),
            Intent::CheckRefundPolicy => self.quoting(Answer::default(), "returns", text),
            Intent::NewsletterSubscription => self.quoting(Answer::default(), "privacy", "newsletter and mails"),
            Intent::Review => self.quoting(Answer::default(), "shop", "ratings and feedback"),
            Intent::PlaceOrder => Answer::new(
                "Find a book, add it to your basket and go to checkout. You’ll see shipping and tax before you pay, and you \
                 don’t need an account.",
            )
            .link("Books", "/books")
            .link("Your basket", "/basket"),
            _ => match self.policies.find(text, self.classification.embedded.as_ref()) {
                Some(section) => Answer::new(section.quote()).link(section.heading.clone(), section.href()),
                None => self.quoting(Answer::default(), "shop", "who we are").link("About us", "/about"),
            },
        };
        answer.suggest(&[PERSON])
    }
}
