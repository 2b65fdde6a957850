//! The checkout: stock, payment and order brought to one end.
//!
//! ```text
//! Reserving ──> Authorising ──> Capturing ──> Done
//!     │          │   ^               │
//!     │          v   │               │
//!     │   AwaitingCustomer           │
//!     │          │                   │
//!     └──────────┴───> Compensating <┘
//!                          │
//!                          v
//!                Rejected or Cancelled
//! ```
//!
//! An order that costs nothing is confirmed and done as soon as its books are reserved; finance is not asked.
//!
//! The order is confirmed the moment its payment is authorised, and only then is the money taken. Whatever fails, the
//! customer is told at once and what was taken is released afterwards: [`Step::Compensating`] repeats its requests
//! until catalogue and finance have answered that they have released everything. Both promise to refuse a request that
//! arrives after the one that released it, so those two answers are proof, and only with proof does the saga end.
//!
//! [`CheckoutSaga::decide`] answers every input in every step. What comes again, or too late to matter, changes
//! nothing.

use std::time::Duration;

use bookworm_kernel::{CustomerId, ErrorCode, Money};
use bookworm_saga::{Decision, Saga};
use serde::{Deserialize, Serialize};

use super::event::{Actor, ShortLine};

/// The longest pause before something is asked again.
const MAX_PAUSE: Duration = Duration::from_secs(3600);

/// The checkout saga; see the module.
#[derive(Debug)]
pub struct CheckoutSaga;

/// What a checkout remembers between steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkout {
    /// Where it stands.
    pub step: Step,
    /// How to ask for the money. Removed as soon as finance has answered, since it contains the customer's token.
    pub charge: Option<Charge>,
    /// How long to wait.
    pub limits: Limits,
}

/// What the payment provider must know.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// For the customer's statement.
    pub order_number: String,
    /// Who pays, when they have an account.
    pub customer_id: Option<CustomerId>,
    /// In the order's currency.
    pub amount: Money,
    /// The provider's token for the customer's card.
    pub token: String,
}

impl std::fmt::Debug for Charge {
    /// Hides the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Charge").field("order_number", &self.order_number).finish_non_exhaustive()
    }
}

/// How long a checkout waits, in seconds. Stored with each checkout, so that new settings apply to new ones only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// For the catalogue to reserve the books; also the first pause before a compensation is asked again.
    pub reserve_seconds: u64,
    /// For the provider to decide; also the first pause before a capture is asked again.
    pub payment_seconds: u64,
    /// For the customer to confirm with their bank.
    pub action_seconds: u64,
}

/// Where a checkout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// The catalogue was asked to reserve the books.
    Reserving,
    /// Finance was asked to authorise the payment.
    Authorising,
    /// The customer must confirm with their bank.
    AwaitingCustomer,
    /// The order is confirmed; finance was asked to capture the payment.
    Capturing {
        /// How often it was asked again.
        attempt: u32,
    },
    /// The order is off; stock and money are being released.
    Compensating {
        /// Whether the catalogue has yet to confirm that nothing is reserved.
        release: bool,
        /// Whether finance has yet to confirm that no money is authorised or taken.
        void: bool,
        /// How often they were asked again.
        attempt: u32,
        /// What the end will be called.
        ending: Ending,
    },
    /// The payment is captured and the books are reserved.
    Done,
    /// Never confirmed; everything is released.
    Rejected,
    /// Called off; everything is released.
    Cancelled,
}

/// The two ways in which an order is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It could not be confirmed.
    Rejected,
    /// Somebody called it off, or its capture failed.
    Cancelled,
}

/// What happens to a checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The catalogue has reserved the books.
    StockReserved,
    /// There are not enough books; the catalogue has reserved none.
    StockRejected {
        /// The lines of which there are too few.
        short: Vec<ShortLine>,
    },
    /// The catalogue has nothing reserved and will not reserve anything.
    StockReleased,
    /// The provider has authorised the payment.
    PaymentAuthorised,
    /// The provider refused, for good.
    PaymentDeclined {
        /// For the customer.
        reason: String,
    },
    /// The customer must confirm with their bank.
    PaymentActionRequired {
        /// A page of the payment provider's.
        action_url: String,
    },
    /// The payment is voided: nothing was taken and nothing will be.
    PaymentVoided,
    /// Money that had been taken went back.
    PaymentRefunded,
    /// The payment is captured.
    PaymentCaptured {
        /// In the order's currency.
        amount: Money,
    },
    /// The provider refused to capture what it had authorised.
    PaymentFailed {
        /// For staff.
        reason: String,
    },
    /// Somebody calls the order off.
    CancelRequested {
        /// For the customer; may be empty.
        reason: String,
        /// On whose behalf.
        by: Actor,
    },
    /// The deadline passed without an answer.
    TimedOut,
}

/// What a checkout wants done, all of it in the unit of work in which it was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Ask the catalogue to reserve the books.
    SendReserve,
    /// Ask finance to authorise the payment.
    SendAuthorise(Charge),
    /// Ask finance to capture the payment.
    SendCapture,
    /// Ask the catalogue to release the books.
    SendRelease,
    /// Ask finance to void the payment.
    SendVoid,
    /// The payment is authorised: confirm the order.
    ConfirmOrder,
    /// Reject the order.
    RejectOrder {
        /// Stable error code.
        code: ErrorCode,
        /// For the customer.
        reason: String,
        /// Of which books there were not enough.
        short: Vec<ShortLine>,
    },
    /// Call the order off.
    CancelOrder {
        /// For the customer; may be empty.
        reason: String,
        /// On whose behalf.
        by: Actor,
    },
    /// Call the confirmed order off, because its payment could not be captured.
    FailCapture {
        /// For staff.
        reason: String,
    },
    /// Note on the order where the customer confirms.
    NoteActionRequired {
        /// A page of the payment provider's.
        action_url: String,
    },
    /// Note on the order that it is paid.
    NoteCaptured {
        /// In the order's currency.
        amount: Money,
    },
    /// Note on the order that its payment is voided.
    NoteVoided,
}

impl CheckoutSaga {
    /// A new checkout, what it wants done first, and how long it waits for that.
    #[must_use]
    pub fn begin(charge: Charge, limits: Limits) -> (Checkout, Vec<Action>, Duration) {
        let deadline = Duration::from_secs(limits.reserve_seconds);
        (Checkout { step: Step::Reserving, charge: Some(charge), limits }, vec![Action::SendReserve], deadline)
    }

    /// How an order is called off after its checkout has ended: books and money are simply asked back. Nobody asks for
    /// the money of an order that cost nothing.
    #[must_use]
    pub fn call_off(reason: String, by: Actor, is_free: bool) -> Vec<Action> {
        let void = (!is_free).then_some(Action::SendVoid);
        [Action::CancelOrder { reason, by }, Action::SendRelease].into_iter().chain(void).collect()
    }
}

impl Saga for CheckoutSaga {
    const KIND: &'static str = "checkout";
    type State = Checkout;
    type Input = Input;
    type Action = Action;

    fn decide(checkout: &Checkout, input: Input) -> Decision<Self> {
        match checkout.step {
            Step::Reserving => checkout.reserving(input),
            Step::Authorising => checkout.authorising(input, false),
            Step::AwaitingCustomer => checkout.authorising(input, true),
            Step::Capturing { attempt } => checkout.capturing(attempt, input),
            Step::Compensating { release, void, attempt, ending } => {
                checkout.compensating(Pending { release, void }, attempt, ending, input)
            }
            Step::Done | Step::Rejected | Step::Cancelled => Decision::ignore(),
        }
    }

    fn step(checkout: &Checkout) -> &'static str {
        match checkout.step {
            Step::Reserving => "reserving",
            Step::Authorising => "authorising",
            Step::AwaitingCustomer => "awaiting_customer",
            Step::Capturing { .. } => "capturing",
            Step::Compensating { .. } => "compensating",
            Step::Done => "done",
            Step::Rejected => "rejected",
            Step::Cancelled => "cancelled",
        }
    }

    fn timed_out() -> Input {
        Input::TimedOut
    }
}

/// Which confirmations are pending before a checkout that failed may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pending {
    release: bool,
    void: bool,
}

impl Pending {
    const RELEASE: Self = Self { release: true, void: false };
    const BOTH: Self = Self { release: true, void: true };

    fn requests(self) -> Vec<Action> {
        let release = self.release.then_some(Action::SendRelease);
        let void = self.void.then_some(Action::SendVoid);
        release.into_iter().chain(void).collect()
    }
}

impl Checkout {
    fn reserving(&self, input: Input) -> Decision<CheckoutSaga> {
        match input {
            Input::StockReserved if self.charge.as_ref().is_some_and(|charge| charge.amount.amount == 0) => {
                Decision::end(self.at(Step::Done), vec![Action::ConfirmOrder])
            }
            Input::StockReserved => {
                let actions = self.charge.clone().map(Action::SendAuthorise).into_iter().collect();
                // The charge stays until finance has answered: it may be needed for nothing but that.
                let next = Self { step: Step::Authorising, ..self.clone() };
                Decision::wait(next, actions, self.payment_limit())
            }
            Input::StockRejected { short } => {
                // Nothing is reserved and finance was not asked: this is the end.
                let rejected = Action::RejectOrder {
                    code: ErrorCode::InsufficientStock,
                    reason: "There are not enough copies in stock any more. You have not been charged.".to_owned(),
                    short,
                };
                Decision::end(self.at(Step::Rejected), vec![rejected])
            }
            Input::CancelRequested { reason, by } => self.cancel(reason, by, Pending::RELEASE),
            Input::TimedOut => self.reject_late("The stock could not be checked in time.", Pending::RELEASE),
            // Of a payment that was not asked for, or a release that was not.
            Input::StockReleased
            | Input::PaymentAuthorised
            | Input::PaymentDeclined { .. }
            | Input::PaymentActionRequired { .. }
            | Input::PaymentVoided
            | Input::PaymentRefunded
            | Input::PaymentCaptured { .. }
            | Input::PaymentFailed { .. } => Decision::ignore(),
        }
    }

    fn authorising(&self, input: Input, awaiting_customer: bool) -> Decision<CheckoutSaga> {
        match input {
            Input::PaymentAuthorised => Decision::wait(
                self.at(Step::Capturing { attempt: 0 }),
                vec![Action::ConfirmOrder, Action::SendCapture],
                self.payment_limit(),
            ),
            Input::PaymentActionRequired { action_url } if !awaiting_customer => Decision::wait(
                self.at(Step::AwaitingCustomer),
                vec![Action::NoteActionRequired { action_url }],
                Duration::from_secs(self.limits.action_seconds),
            ),
            Input::PaymentDeclined { reason } => self.reject(ErrorCode::PaymentDeclined, reason, Pending::RELEASE),
            // Voided by the provider on its own: as good as declined.
            Input::PaymentVoided => self.reject(
                ErrorCode::PaymentDeclined,
                "The payment was withdrawn. You have not been charged.".to_owned(),
                Pending::RELEASE,
            ),
            Input::CancelRequested { reason, by } => self.cancel(reason, by, Pending::BOTH),
            Input::TimedOut if awaiting_customer => {
                self.reject_late("The payment was not confirmed with your bank in time.", Pending::BOTH)
            }
            Input::TimedOut => self.reject_late("The payment provider did not answer in time.", Pending::BOTH),
            // An event that comes again, or of a capture or a release that was not asked for.
            Input::StockReserved
            | Input::StockRejected { .. }
            | Input::StockReleased
            | Input::PaymentActionRequired { .. }
            | Input::PaymentRefunded
            | Input::PaymentCaptured { .. }
            | Input::PaymentFailed { .. } => Decision::ignore(),
        }
    }

    fn capturing(&self, attempt: u32, input: Input) -> Decision<CheckoutSaga> {
        match input {
            Input::PaymentCaptured { amount } => {
                Decision::end(self.at(Step::Done), vec![Action::NoteCaptured { amount }])
            }
            Input::PaymentFailed { reason } => {
                self.compensate(Action::FailCapture { reason }, Pending::RELEASE, Ending::Cancelled)
            }
            // Voided by the provider on its own: there is nothing left to capture.
            Input::PaymentVoided => self.compensate(
                Action::FailCapture { reason: "the authorisation was withdrawn before the capture".to_owned() },
                Pending::RELEASE,
                Ending::Cancelled,
            ),
            Input::CancelRequested { reason, by } => self.cancel(reason, by, Pending::BOTH),
            // The contract stands however slow the provider is: ask again, after ever longer pauses.
            Input::TimedOut => {
                let attempt = attempt.saturating_add(1);
                let pause = pause(self.limits.payment_seconds, attempt);
                Decision::wait(self.at(Step::Capturing { attempt }), vec![Action::SendCapture], pause)
            }
            Input::StockReserved
            | Input::StockRejected { .. }
            | Input::StockReleased
            | Input::PaymentAuthorised
            | Input::PaymentDeclined { .. }
            | Input::PaymentActionRequired { .. }
            | Input::PaymentRefunded => Decision::ignore(),
        }
    }

    fn compensating(&self, pending: Pending, attempt: u32, ending: Ending, input: Input) -> Decision<CheckoutSaga> {
        let ask_again = |now: Pending, first: Vec<Action>, more: Pending| {
            let step = Step::Compensating { release: now.release, void: now.void, attempt, ending };
            let actions = first.into_iter().chain(more.requests()).collect();
            Decision::wait(self.at(step), actions, pause(self.limits.reserve_seconds, attempt))
        };
        match input {
            Input::StockReleased if pending.release => {
                self.proven(Pending { release: false, ..pending }, attempt, ending, vec![])
            }
            Input::PaymentVoided if pending.void => {
                self.proven(Pending { void: false, ..pending }, attempt, ending, vec![Action::NoteVoided])
            }
            // The order notes the refund itself; here it proves that no money is taken.
            Input::PaymentRefunded if pending.void => {
                self.proven(Pending { void: false, ..pending }, attempt, ending, vec![])
            }
            // Reserved after the order was off: release it again.
            Input::StockReserved => ask_again(Pending { release: true, ..pending }, vec![], Pending::RELEASE),
            Input::PaymentAuthorised | Input::PaymentActionRequired { .. } => {
                ask_again(Pending { void: true, ..pending }, vec![], Pending { release: false, void: true })
            }
            Input::PaymentCaptured { amount } => ask_again(
                Pending { void: true, ..pending },
                vec![Action::NoteCaptured { amount }],
                Pending { release: false, void: true },
            ),
            Input::TimedOut => {
                let attempt = attempt.saturating_add(1);
                let step = Step::Compensating { release: pending.release, void: pending.void, attempt, ending };
                Decision::wait(self.at(step), pending.requests(), pause(self.limits.reserve_seconds, attempt))
            }
            Input::StockRejected { .. }
            | Input::StockReleased
            | Input::PaymentDeclined { .. }
            | Input::PaymentVoided
            | Input::PaymentRefunded
            | Input::PaymentFailed { .. }
            | Input::CancelRequested { .. } => Decision::ignore(),
        }
    }

    fn reject_late(&self, reason: &str, pending: Pending) -> Decision<CheckoutSaga> {
        self.reject(ErrorCode::CheckoutTimedOut, format!("{reason} You have not been charged."), pending)
    }

    fn reject(&self, code: ErrorCode, reason: String, pending: Pending) -> Decision<CheckoutSaga> {
        self.compensate(Action::RejectOrder { code, reason, short: Vec::new() }, pending, Ending::Rejected)
    }

    fn cancel(&self, reason: String, by: Actor, pending: Pending) -> Decision<CheckoutSaga> {
        self.compensate(Action::CancelOrder { reason, by }, pending, Ending::Cancelled)
    }

    /// Decides the order first, then releases what was taken.
    fn compensate(&self, decide: Action, pending: Pending, ending: Ending) -> Decision<CheckoutSaga> {
        let step = Step::Compensating { release: pending.release, void: pending.void, attempt: 0, ending };
        let actions = std::iter::once(decide).chain(pending.requests()).collect();
        Decision::wait(self.at(step), actions, pause(self.limits.reserve_seconds, 0))
    }

    /// Waits for the confirmations that are still pending; ends when there are none.
    fn proven(&self, pending: Pending, attempt: u32, ending: Ending, actions: Vec<Action>) -> Decision<CheckoutSaga> {
        if pending.release || pending.void {
            let step = Step::Compensating { release: pending.release, void: pending.void, attempt, ending };
            return Decision::wait(self.at(step), actions, pause(self.limits.reserve_seconds, attempt));
        }
        let step = match ending {
            Ending::Rejected => Step::Rejected,
            Ending::Cancelled => Step::Cancelled,
        };
        Decision::end(self.at(step), actions)
    }

    /// In another step, without the customer's token.
    fn at(&self, step: Step) -> Self {
        Self { step, charge: None, limits: self.limits }
    }

    fn payment_limit(&self) -> Duration {
        Duration::from_secs(self.limits.payment_seconds)
    }
}

/// Doubles with each attempt, up to [`MAX_PAUSE`].
fn pause(first_seconds: u64, attempt: u32) -> Duration {
    Duration::from_secs(first_seconds)
        .saturating_mul(1 << attempt.min(16))
        .min(MAX_PAUSE.max(Duration::from_secs(first_seconds)))
}

#[cfg(test)]
mod harness;

#[cfg(test)]
mod tests {
    use bookworm_kernel::Currency;

    use super::*;

    fn usd(amount: i64) -> Money {
        Money::new(amount, Currency::USD)
    }

    fn begin() -> Checkout {
        let charge =
            Charge { order_number: "BW".into(), customer_id: None, amount: usd(5), token: "tok_approve".into() };
        CheckoutSaga::begin(charge, Limits { reserve_seconds: 30, payment_seconds: 60, action_seconds: 900 }).0
    }

    fn every_input() -> Vec<Input> {
        vec![
            Input::StockReserved,
            Input::StockRejected { short: vec![] },
            Input::StockReleased,
            Input::PaymentAuthorised,
            Input::PaymentDeclined { reason: "no".into() },
            Input::PaymentActionRequired { action_url: "/pay".into() },
            Input::PaymentVoided,
            Input::PaymentRefunded,
            Input::PaymentCaptured { amount: usd(5) },
            Input::PaymentFailed { reason: "closed".into() },
            Input::CancelRequested { reason: String::new(), by: Actor::Customer },
            Input::TimedOut,
        ]
    }

    fn every_step() -> Vec<Step> {
        let mut steps = vec![
            Step::Reserving,
            Step::Authorising,
            Step::AwaitingCustomer,
            Step::Done,
            Step::Rejected,
            Step::Cancelled,
        ];
        for attempt in [0, 5, u32::MAX] {
            steps.push(Step::Capturing { attempt });
            for ending in [Ending::Rejected, Ending::Cancelled] {
                for (release, void) in [(true, true), (true, false), (false, true)] {
                    steps.push(Step::Compensating { release, void, attempt, ending });
                }
            }
        }
        steps
    }

    fn short(action: &Action) -> &'static str {
        match action {
            Action::SendReserve => "reserve",
            Action::SendAuthorise(_) => "authorise",
            Action::SendCapture => "capture",
            Action::SendRelease => "release",
            Action::SendVoid => "void",
            Action::ConfirmOrder => "CONFIRM",
            Action::RejectOrder { .. } => "REJECT",
            Action::CancelOrder { .. } => "CANCEL",
            Action::FailCapture { .. } => "FAIL",
            Action::NoteActionRequired { .. } => "note action",
            Action::NoteCaptured { .. } => "note captured",
            Action::NoteVoided => "note voided",
        }
    }

    fn name(input: &Input) -> String {
        format!("{input:?}").split([' ', '{']).next().unwrap_or_default().to_owned()
    }

    fn begin_free() -> Checkout {
        let mut checkout = begin();
        checkout.charge.as_mut().unwrap().amount = usd(0);
        checkout
    }

    #[test]
    fn an_order_of_zero_never_asks_finance() {
        for input in every_input() {
            let decision = CheckoutSaga::decide(&begin_free(), input.clone());
            let asks =
                |action: &Action| matches!(action, Action::SendAuthorise(_) | Action::SendCapture | Action::SendVoid);
            assert!(!decision.actions.iter().any(asks), "{input:?}");
        }
        let actions = CheckoutSaga::call_off(String::new(), Actor::Customer, true);
        assert_eq!(actions.iter().map(short).collect::<Vec<_>>(), ["CANCEL", "release"]);
    }

    #[test]
    fn every_input_is_answered_in_every_step() {
        for step in every_step() {
            for input in every_input() {
                let checkout = Checkout { step, ..begin() };
                let decision = CheckoutSaga::decide(&checkout, input.clone());
                assert!(decision.state.is_some() || decision.actions.is_empty(), "{step:?} {input:?}");
                let Some(next) = decision.state else { continue };
                let over = matches!(next.step, Step::Done | Step::Rejected | Step::Cancelled);
                assert_eq!(decision.done, over, "{step:?} {input:?}");
                assert_eq!(decision.deadline.is_none(), over, "every open step has a deadline: {step:?} {input:?}");
                assert!(decision.deadline.is_none_or(|limit| limit <= MAX_PAUSE));
                let names: Vec<_> = decision.actions.iter().map(short).collect();
                if let Some(capture) = names.iter().position(|name| *name == "capture") {
                    let confirmed = names[..capture].contains(&"CONFIRM") || matches!(step, Step::Capturing { .. });
                    assert!(confirmed, "no capture before the order is confirmed: {step:?} {input:?}");
                }
                assert_eq!(names.contains(&"CONFIRM"), input == Input::PaymentAuthorised && names.contains(&"capture"));
            }
        }
    }

    /// The table that people read; a change of any cell shows up here.
    #[test]
    fn the_whole_table() {
        let mut table = String::new();
        for (step, begun) in [
            (Step::Reserving, begin()),
            (Step::Reserving, begin_free()),
            (Step::Authorising, begin()),
            (Step::AwaitingCustomer, begin()),
            (Step::Capturing { attempt: 0 }, begin()),
            (Step::Compensating { release: true, void: true, attempt: 0, ending: Ending::Rejected }, begin()),
            (Step::Compensating { release: false, void: true, attempt: 0, ending: Ending::Cancelled }, begin()),
            (Step::Compensating { release: true, void: false, attempt: 0, ending: Ending::Rejected }, begin()),
        ] {
            let checkout = Checkout { step, ..begun };
            let is_free = checkout.charge.as_ref().is_some_and(|charge| charge.amount.amount == 0);
            let pending = match step {
                Step::Reserving if is_free => " (total of zero)".to_owned(),
                Step::Compensating { release, void, .. } => format!(" release={release} void={void}"),
                _ => String::new(),
            };
            table.push_str(&format!("{}{pending}\n", CheckoutSaga::step(&checkout)));
            for input in every_input() {
                let decision = CheckoutSaga::decide(&checkout, input.clone());
                let Some(next) = decision.state else { continue };
                let actions: Vec<_> = decision.actions.iter().map(short).collect();
                table.push_str(&format!(
                    "  {:<22}{:<18}{}\n",
                    name(&input),
                    CheckoutSaga::step(&next),
                    actions.join(", ")
                ));
            }
        }
        insta::assert_snapshot!(table, @r"
        reserving
          StockReserved         authorising       authorise
          StockRejected         rejected          REJECT
          CancelRequested       compensating      CANCEL, release
          TimedOut              compensating      REJECT, release
        reserving (total of zero)
          StockReserved         done              CONFIRM
          StockRejected         rejected          REJECT
          CancelRequested       compensating      CANCEL, release
          TimedOut              compensating      REJECT, release
        authorising
          PaymentAuthorised     capturing         CONFIRM, capture
          PaymentDeclined       compensating      REJECT, release
          PaymentActionRequired awaiting_customer note action
          PaymentVoided         compensating      REJECT, release
          CancelRequested       compensating      CANCEL, release, void
          TimedOut              compensating      REJECT, release, void
        awaiting_customer
          PaymentAuthorised     capturing         CONFIRM, capture
          PaymentDeclined       compensating      REJECT, release
          PaymentVoided         compensating      REJECT, release
          CancelRequested       compensating      CANCEL, release, void
          TimedOut              compensating      REJECT, release, void
        capturing
          PaymentVoided         compensating      FAIL, release
          PaymentCaptured       done              note captured
          PaymentFailed         compensating      FAIL, release
          CancelRequested       compensating      CANCEL, release, void
          TimedOut              capturing         capture
        compensating release=true void=true
          StockReserved         compensating      release
          StockReleased         compensating      
          PaymentAuthorised     compensating      void
          PaymentActionRequired compensating      void
          PaymentVoided         compensating      note voided
          PaymentRefunded       compensating      
          PaymentCaptured       compensating      note captured, void
          TimedOut              compensating      release, void
        compensating release=false void=true
          StockReserved         compensating      release
          PaymentAuthorised     compensating      void
          PaymentActionRequired compensating      void
          PaymentVoided         cancelled         note voided
          PaymentRefunded       cancelled         
          PaymentCaptured       compensating      note captured, void
          TimedOut              compensating      void
        compensating release=true void=false
          StockReserved         compensating      release
          StockReleased         rejected          
          PaymentAuthorised     compensating      void
          PaymentActionRequired compensating      void
          PaymentCaptured       compensating      note captured, void
          TimedOut              compensating      release
        ");
    }

    #[test]
    fn the_token_is_forgotten_once_finance_has_answered() {
        let (begun, actions, _) = CheckoutSaga::begin(begin().charge.unwrap(), begin().limits);
        assert_eq!(actions, [Action::SendReserve]);
        let asked = CheckoutSaga::decide(&begun, Input::StockReserved).state.unwrap();
        for input in every_input() {
            if let Some(next) = CheckoutSaga::decide(&asked, input.clone()).state {
                assert_eq!(next.charge, None, "{input:?}");
            }
        }
        for input in every_input() {
            let next = CheckoutSaga::decide(&begun, input.clone()).state;
            assert!(input == Input::StockReserved || next.is_none_or(|next| next.charge.is_none()), "{input:?}");
        }
        assert!(!format!("{begun:?}").contains("tok_approve"));
    }

    #[test]
    fn a_slow_capture_never_unmakes_the_contract() {
        let mut checkout = Checkout { step: Step::Capturing { attempt: 0 }, ..begin() };
        let mut last = Duration::ZERO;
        for _ in 0..100 {
            let decision = CheckoutSaga::decide(&checkout, Input::TimedOut);
            assert_eq!(decision.actions, [Action::SendCapture]);
            assert!(decision.deadline.unwrap() >= last);
            last = decision.deadline.unwrap();
            checkout = decision.state.unwrap();
        }
        assert_eq!(last, MAX_PAUSE);
    }

    #[test]
    fn states_survive_storage() {
        for step in every_step() {
            let checkout = Checkout { step, ..begin() };
            let text = serde_json::to_string(&checkout).unwrap();
            assert_eq!(serde_json::from_str::<Checkout>(&text).unwrap(), checkout);
        }
    }
}
