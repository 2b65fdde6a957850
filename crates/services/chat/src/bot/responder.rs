//! The bot: classifies a message, looks up what it needs, and puts the answer together.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use axum::Router;
use bookworm_config::ChatBot as Settings;
use bookworm_kernel::TimeZone;
use bookworm_loops::Loop;
use tokio::sync::mpsc;

use super::{
    HandOver, Memory, Pending, Reason, Reply, Responder, Turn,
    answer::Answer,
    ask::Ask,
    lookup::{Asker, Shop},
    policies::Policies,
    reference, talk,
    writer::Writer,
};
use crate::{
    domain::intent::Intent,
    triage::{Classification, Triage},
};

/// After this many messages in a row that were not understood, a person goes on.
const NOT_UNDERSTOOD: u32 = 2;
/// The most suggestions of a reply, and the most characters.
const MAX_SUGGESTIONS: usize = 4;
const MAX_CHARS: usize = 4_000;

/// The bot. Cheap to clone.
#[derive(Clone)]
pub struct Bot(Arc<Inner>);

struct Inner {
    triage: Triage,
    policies: Policies,
    shop: Shop,
    writer: Option<Writer>,
    zone: TimeZone,
}

impl Bot {
    /// A bot that classifies with this triage, and quotes the policies of this folder. It looks nothing up before
    /// [`Bot::connect`]. With a writer, a language model puts its answers into words. Dates in answers are in `zone`.
    #[must_use]
    pub fn new(
        triage: Triage,
        policies_folder: &Path,
        settings: &Settings,
        writer: Option<Writer>,
        zone: TimeZone,
    ) -> Self {
        let policies = Policies::open(policies_folder);
        let shop = Shop::new(Duration::from_millis(settings.lookup_timeout_ms));
        Self(Arc::new(Inner { triage, policies, shop, writer, zone }))
    }

    /// Connects it to the public API, once that is there.
    pub fn connect(&self, api: Router) {
        self.0.shop.connect(api);
    }

    /// The classifier.
    #[must_use]
    pub fn triage(&self) -> &Triage {
        &self.0.triage
    }

    /// The policies that it quotes.
    #[must_use]
    pub fn policies(&self) -> &Policies {
        &self.0.policies
    }

    /// Its background loops: learning once the model is ready, and following the policies' folder.
    #[must_use]
    pub fn loops(&self) -> Vec<Loop> {
        let (triage, policies) = (self.0.triage.clone(), self.0.policies.clone());
        let embedder = triage.embedder().cloned();
        let mut loops = Vec::new();
        if embedder.is_some() {
            loops.push(Loop::new("chat.learn", move |stop| triage.clone().learn(stop)));
        }
        loops.push(Loop::new("chat.policies", move |stop| policies.clone().follow(embedder.clone(), stop)));
        loops
    }

    /// The answer, the intent that was recognised, and the memory.
    async fn think(&self, turn: &Turn) -> (Answer, Option<Intent>, Memory) {
        let inner = &self.0;
        let classification = inner.triage.classify(&turn.text, &turn.cause).await;
        let asker = Asker { rights: &turn.rights, cause: &turn.cause };
        let ask = Ask {
            turn,
            classification: &classification,
            asker,
            shop: &inner.shop,
            policies: &inner.policies,
            zone: inner.zone,
        };
        let mut memory = Memory::default();

        if let Some(Pending::CancelOrder { order, number }) = &turn.memory.pending {
            let other =
                matches!(reference::find(&turn.text), Some(reference::Reference::Number(named)) if named != *number);
            if talk::is_yes(&turn.text) && !other {
                let answer = ask.cancel_now(*order, number).await;
                return (answer, Some(Intent::CancelOrder), memory);
            }
            if talk::is_no(&turn.text) {
                return (talk::not_cancelled(), Some(Intent::CancelOrder), memory);
            }
        }
        if talk::asks_what_it_is(&turn.text) && !classification.mood.is_upset() {
            return (talk::what_it_is(), Some(Intent::StoreInformation), memory);
        }
        let intent = understood(turn, &classification);
        if classification.mood.is_upset() && !matches!(intent, Some(Intent::Complaint | Intent::PaymentIssue)) {
            let skill = talk::skill(intent.unwrap_or(Intent::OutOfScope));
            return (talk::hand_over(Reason::Upset, skill), intent, memory);
        }
        let Some(intent) = intent else {
            if let Some(section) = inner.policies.find(&turn.text, classification.embedded.as_ref()) {
                let answer = Answer::new(section.quote()).link(section.heading.clone(), section.href());
                return (answer.suggest(&[super::answer::PERSON]), None, memory);
            }
            let foreign = !turn.language.is_empty() && !turn.language.starts_with("en");
            if foreign || talk::is_foreign(&turn.text) {
                return (talk::only_english(), None, memory);
            }
            memory.not_understood = turn.memory.not_understood.saturating_add(1);
            let answer = if memory.not_understood >= NOT_UNDERSTOOD {
                talk::hand_over(Reason::NotUnderstood, super::Skill::General)
            } else {
                talk::rephrase()
            };
            return (answer, None, memory);
        };
        (ask.answer(intent).await, Some(intent), memory)
    }
}

/// The intent of a turn: the one that the bot asked about last counts when the message has none by itself.
fn understood(turn: &Turn, classification: &Classification) -> Option<Intent> {
    let unclear = !classification.understood || classification.intent == Intent::OutOfScope;
    let names_an_order = reference::find(&turn.text).is_some();
    let bare = turn.text.split_whitespace().count() <= 4;
    match turn.memory.asked_for {
        Some(asked @ (Intent::FindBook | Intent::BookAvailability | Intent::RecommendBook))
            if unclear || bare && classification.confidence < 0.8 =>
        {
            return Some(asked);
        }
        Some(asked) if names_an_order && (unclear || bare || classification.intent == Intent::TrackOrder) => {
            return Some(asked);
        }
        _ => {}
    }
    if names_an_order && unclear {
        return Some(Intent::TrackOrder);
    }
    classification.understood.then_some(classification.intent)
}

impl Ask<'_> {
    async fn answer(&self, intent: Intent) -> Answer {
        match intent {
            Intent::TrackOrder => self.track().await,
            Intent::CancelOrder => self.cancel().await,
            Intent::ChangeOrder | Intent::ChangeShippingAddress => self.change(intent).await,
            Intent::TrackRefund => self.refund_status().await,
            Intent::GetRefund => self.refund().await,
            Intent::CheckInvoice | Intent::GetInvoice => self.invoice(intent).await,
            Intent::DeliveryOptions => self.delivery_options().await,
            Intent::DeliveryPeriod => self.delivery_period().await,
            Intent::CheckPaymentMethods => self.payment_methods().await,
            Intent::FindBook => self.find_book().await,
            Intent::BookAvailability => self.availability().await,
            Intent::RecommendBook => self.recommend().await,
            Intent::Complaint => talk::hand_over(Reason::Complaint, talk::skill(intent)),
            Intent::PaymentIssue => talk::hand_over(Reason::PaymentTrouble, talk::skill(intent)),
            Intent::ContactCustomerService | Intent::ContactHumanAgent => {
                talk::hand_over(Reason::Wanted, talk::skill(intent))
            }
            Intent::Greeting => talk::greeting(&self.turn.customer_name),
            Intent::Thanks => talk::thanks(),
            Intent::OutOfScope if talk::is_foreign(&self.turn.text) => talk::only_english(),
            Intent::OutOfScope => talk::out_of_scope(),
            Intent::CreateAccount
            | Intent::RegistrationProblems
            | Intent::RecoverPassword
            | Intent::EditAccount
            | Intent::SwitchAccount
            | Intent::DeleteAccount
            | Intent::SetUpShippingAddress
            | Intent::CheckCancellationFee
            | Intent::CheckRefundPolicy
            | Intent::NewsletterSubscription
            | Intent::Review
            | Intent::PlaceOrder
            | Intent::StoreInformation => self.house(intent),
        }
    }
}

#[async_trait]
impl Responder for Bot {
    async fn answer(&self, turn: Turn, draft: mpsc::Sender<String>) -> Reply {
        let start = Instant::now();
        let (mut answer, intent, mut memory) = self.think(&turn).await;
        metrics::histogram!("chat_bot_seconds").record(start.elapsed());
        let first = !turn.before.iter().any(|earlier| !earlier.by_customer);
        let introduction = (first && !answer.text.starts_with(talk::I_AM)).then(|| format!("{} ", talk::I_AM));
        if let Some(writer) = &self.0.writer
            && !answer.fixed
        {
            if let Some(introduction) = &introduction {
                // Its receiver may be dropped.
                let _ = draft.try_send(introduction.clone());
            }
            if let Some(text) = writer.write(&turn, &answer.text, &draft).await {
                answer.text = text;
            }
        }
        let text = introduction.unwrap_or_default() + &answer.text;
        memory.pending = answer.pending;
        memory.asked_for = answer.asked_for;
        answer.suggestions.dedup();
        answer.suggestions.truncate(MAX_SUGGESTIONS);
        let outcome = answer.hand_over.map_or("answered", |HandOver { .. }| "handed_over");
        metrics::counter!("chat_bot_turns_total", "outcome" => outcome).increment(1);
        Reply {
            text: text.chars().take(MAX_CHARS).collect(),
            links: answer.links,
            suggestions: answer.suggestions,
            intent,
            hand_over: answer.hand_over,
            memory,
        }
    }
}
