//! Answers without a look-up: greetings, thanks, what the bot is, and what it did not understand.

use super::{
    Reason, Skill,
    answer::{Answer, PERSON},
};
use crate::domain::{intent::Intent, message::GUEST_NAME};

/// Part of the first answer, and of the answer to whoever asks.
pub(super) const I_AM: &str = "I’m a bot, the shop’s automated assistant.";

const EXAMPLES: &[&str] = &["Where is my order?", "What does delivery cost?", "Recommend me a book", PERSON];
const ABILITIES: &str = "I can look up orders, deliveries and refunds, cancel orders that haven’t shipped, find books and answer \
                         questions about our policies.";

pub(super) fn greeting(name: &str) -> Answer {
    let name = name.trim();
    let hello = if name.is_empty() || name == GUEST_NAME { "Hello!".to_owned() } else { format!("Hello {name}!") };
    Answer::new(format!("{hello} {ABILITIES} How can I help?")).suggest(EXAMPLES).fixed()
}

pub(super) fn thanks() -> Answer {
    Answer::new("You’re welcome! Is there anything else I can help with?").suggest(&["No, that’s all", PERSON]).fixed()
}

/// Whether a text asks whether this is a bot.
pub(super) fn asks_what_it_is(text: &str) -> bool {
    const ASKING: &[&str] =
        &["are you", "r u ", "am i talking to", "am i speaking", "am i chatting", "is this a", "you're a", "you are a"];
    const WHAT: &[&str] =
        &["bot", "robot", "human", "real person", "machine", "a.i.", " ai", "person", "computer", "chatgpt"];
    let lower = text.to_lowercase();
    lower.chars().count() <= 80
        && ASKING.iter().any(|asking| lower.contains(asking))
        && WHAT.iter().any(|what| lower.contains(what))
}

pub(super) fn what_it_is() -> Answer {
    Answer::new(format!("{I_AM} {ABILITIES} If you’d rather talk to a person, just say so.")).suggest(EXAMPLES).fixed()
}

pub(super) fn out_of_scope() -> Answer {
    Answer::new(format!("I can’t help with that, only with this bookshop. {ABILITIES}")).suggest(EXAMPLES).fixed()
}

pub(super) fn rephrase() -> Answer {
    Answer::new(format!("I’m not sure I understand. Could you rephrase that? {ABILITIES}")).suggest(EXAMPLES).fixed()
}

pub(super) fn only_english() -> Answer {
    Answer::new("I’m sorry, I only speak English. Someone on our team may speak your language. Would you like to talk to a person?")
        .suggest(&[PERSON])
        .fixed()
}

pub(super) fn not_cancelled() -> Answer {
    Answer::new("All right, I haven’t changed anything. Is there anything else I can help with?")
        .suggest(&["Where is my order?", PERSON])
        .fixed()
}

/// Hands the conversation to a person.
pub(super) fn hand_over(reason: Reason, skill: Skill) -> Answer {
    let text = match reason {
        Reason::Complaint => "I’m sorry this went wrong. I’m passing you to our team, who will look into it.",
        Reason::PaymentTrouble => {
            "I’m sorry about the trouble with your payment. I’m passing you to our team, who can look into it. Please \
             never write a card number here."
        }
        Reason::Wanted => "Of course. I’m passing you to our team.",
        Reason::NotUnderstood => "I’m sorry, I still don’t understand. I’m passing you to our team.",
        Reason::Upset => "I’m sorry you’ve had so much trouble. I’m passing you to our team, who can help.",
        Reason::BeyondTheBot => "Our team has to take care of that. I’m passing you over.",
    };
    Answer::new(text).to(reason, skill)
}

/// The skill that a person needs to answer this.
pub(super) fn skill(intent: Intent) -> Skill {
    match intent {
        Intent::CancelOrder
        | Intent::ChangeOrder
        | Intent::ChangeShippingAddress
        | Intent::SetUpShippingAddress
        | Intent::CheckCancellationFee
        | Intent::DeliveryOptions
        | Intent::DeliveryPeriod
        | Intent::PlaceOrder
        | Intent::TrackOrder => Skill::Orders,
        Intent::CheckInvoice
        | Intent::CheckPaymentMethods
        | Intent::CheckRefundPolicy
        | Intent::GetInvoice
        | Intent::GetRefund
        | Intent::PaymentIssue
        | Intent::TrackRefund => Skill::Payment,
        Intent::FindBook | Intent::BookAvailability | Intent::RecommendBook => Skill::Books,
        Intent::CreateAccount
        | Intent::DeleteAccount
        | Intent::EditAccount
        | Intent::RecoverPassword
        | Intent::RegistrationProblems
        | Intent::SwitchAccount => Skill::Account,
        Intent::Complaint
        | Intent::ContactCustomerService
        | Intent::ContactHumanAgent
        | Intent::NewsletterSubscription
        | Intent::Review
        | Intent::StoreInformation
        | Intent::Greeting
        | Intent::Thanks
        | Intent::OutOfScope => Skill::General,
    }
}

/// An explicit yes, and nothing else: a yes with a condition is none.
pub(super) fn is_yes(text: &str) -> bool {
    let words = words(text);
    let yes = matches!(
        words.first().map(String::as_str),
        Some(
            "yes"
                | "yeah"
                | "yep"
                | "yup"
                | "sure"
                | "confirm"
                | "confirmed"
                | "absolutely"
                | "definitely"
                | "certainly"
        )
    ) || ["go ahead", "please do", "do it", "cancel it", "please cancel it", "yes please"]
        .contains(&words.join(" ").as_str());
    yes && words.len() <= 8 && !words.iter().any(|word| is_doubt(word))
}

/// A refusal, or a change of mind.
pub(super) fn is_no(text: &str) -> bool {
    let words = words(text);
    words.len() <= 8
        && (matches!(
            words.first().map(String::as_str),
            Some("no" | "nope" | "nah" | "never" | "stop" | "don't" | "keep")
        ) || words.join(" ").contains("keep it"))
}

fn is_doubt(word: &str) -> bool {
    matches!(word, "no" | "not" | "but" | "if" | "wait" | "unless" | "or" | "instead" | "only" | "maybe" | "keep")
        || word.ends_with("n't")
}

fn words(text: &str) -> Vec<String> {
    let text = text.to_lowercase().replace('’', "'");
    let words = text.split(|letter: char| !letter.is_alphanumeric() && letter != '\'');
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Whether a text looks like another language than English: letters of another script, or the commonest words of others
/// without one of English.
pub(super) fn is_foreign(text: &str) -> bool {
    const OTHERS: &str = " der die das und ich nicht ist wo wie mein meine bitte eine le la les je est où ma mon pas une \
                          vous el los dónde está por mi pedido una qué como il di che è il mio dove non ordine o meu onde \
                          está não de het ik niet waar mijn een bestelling gdzie jest moje ";
    const ENGLISH: &str =
        " the is my i a to you where what how do order book can of and in it for me please want need not ";
    let letters = text.chars().filter(|letter| letter.is_alphabetic());
    let (mut all, mut other) = (0, 0);
    for letter in letters {
        all += 1;
        if u32::from(letter) > 0x24f {
            other += 1;
        }
    }
    if other * 2 > all {
        return true;
    }
    let words = words(text);
    let count = |list: &str| words.iter().filter(|word| list.contains(&format!(" {word} "))).count();
    let others = count(OTHERS);
    others >= 2 && others > count(ENGLISH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_yes_is_a_yes() {
        for text in ["yes", "Yes, cancel it", "yes please!", "go ahead", "YEP", "sure, do it", "please cancel it"] {
            assert!(is_yes(text) && !is_no(text), "{text}");
        }
        for text in [
            "",
            "no",
            "yes but only one book",
            "yes if it is free",
            "not sure",
            "don't",
            "where is it",
            "ok so what",
            "y",
        ] {
            assert!(!is_yes(text), "{text}");
        }
        for text in ["no", "No, keep it", "nope", "please keep it"] {
            assert!(is_no(text), "{text}");
        }
        assert!(!is_no("I know nothing"));
    }

    #[test]
    fn who_asks_what_it_is_is_told() {
        for text in ["are you a bot?", "Am I talking to a machine", "are you human", "is this a real person?"] {
            assert!(asks_what_it_is(text), "{text}");
        }
        for text in ["where is my order", "do you have books about robots", "are you open"] {
            assert!(!asks_what_it_is(text), "{text}");
        }
    }

    #[test]
    fn other_languages_are_recognised() {
        for text in [
            "wo ist meine bestellung und wie",
            "où est ma commande",
            "¿dónde está mi pedido?",
            "где мой заказ",
            "私の注文はどこ",
        ] {
            assert!(is_foreign(text), "{text}");
        }
        for text in ["where is my order", "hi", "die hard", "", "BW-7K3M-92QV", "El Dorado is a book I want"] {
            assert!(!is_foreign(text), "{text}");
        }
    }
}
