//! Answers about accounts and the shop itself: pages that are there, and what the policies say.

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
                "You can make an account on the sign-up page: it takes a name, an e-mail address and a password.",
            )
            .link("Sign up", "/sign-up"),
            Intent::RegistrationProblems => Answer::new(
                "I’m sorry that signing up does not work. The page says which field it does not accept; if the address \
                 is already taken, there is an account with it, and you can set a new password. If it still fails, a \
                 person can look into it.",
            )
            .link("Sign up", "/sign-up")
            .link("Set a new password", "/forgot-password"),
            Intent::RecoverPassword => Answer::new(
                "You can set a new password with a link that we mail you. Never tell anybody your password, not even here.",
            )
            .link("Set a new password", "/forgot-password"),
            Intent::EditAccount => {
                let page = if signed_in { ("Your account", "/account") } else { ("Sign in", "/sign-in") };
                Answer::new("Your account’s page shows your details and what you can change. A person can help with the rest.")
                    .link(page.0, page.1)
            }
            Intent::SwitchAccount => Answer::new(
                "Sign out on your account’s page, then sign in with the other account.",
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
                "Find a book, put it into the basket, and go to the checkout: it asks for the address, shows shipping and \
                 tax, and takes the payment. You need no account.",
            )
            .link("Books", "/books")
            .link("Your basket", "/basket"),
            _ => match self.policies.find(text, self.found.embedded.as_ref()) {
                Some(section) => Answer::new(section.quote()).link(section.heading.clone(), section.href()),
                None => self.quoting(Answer::default(), "shop", "who we are").link("About us", "/about"),
            },
        };
        answer.suggest(&[PERSON])
    }
}
