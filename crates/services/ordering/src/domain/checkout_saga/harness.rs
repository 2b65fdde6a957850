//! The saga harness: every way in which a checkout can go, tried out.
//!
//! A catalogue and a finance service that honour their contracts are simulated against the real saga and the real
//! order. From each state of this little world every move is tried: any message in flight may arrive next, and may stay
//! in flight to arrive again; a time-out may fire at any moment; the customer may confirm or cancel at any moment.
//! Services decide yes or no. So "fail every step, repeat every message, reorder all of them, time out every step,
//! cancel at every moment" are not five tests but one search through all reachable states.
//!
//! In each state nothing is captured that was not confirmed. And from each state, once messages arrive and nobody
//! interferes any more, the checkout comes to one of the allowed ends.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    rc::Rc,
};

use bookworm_eventstore::Aggregate;
use bookworm_kernel::{Currency, Money, Timestamp};
use bookworm_saga::Saga;
use uuid::Uuid;

use super::{Action, Charge, Checkout, CheckoutSaga, Input, Limits, Step};
use crate::domain::{
    event::Actor,
    order::{
        Decided, Order,
        tests::{free_placement, line, placement},
    },
    status::{OrderStatus, PaymentStatus},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Message {
    Reserve,
    Authorise,
    Capture,
    Release,
    Void,
    StockReserved,
    StockRejected,
    StockReleased,
    Authorised,
    Declined,
    ActionRequired,
    Voided,
    Captured,
    Failed,
    Refunded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stock {
    Untouched,
    Reserved,
    Refused,
    Released,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Payment {
    Unasked,
    Challenged,
    Authorised,
    Declined,
    Voided,
    Captured,
    Failed,
    Refunded,
}

#[derive(Debug, Clone, Copy)]
enum Bank {
    Approves,
    Declines,
    Challenges { then_approves: bool },
}

/// What the services answer.
#[derive(Debug, Clone, Copy)]
struct Behaviour {
    in_stock: bool,
    bank: Bank,
    captures: bool,
}

#[derive(Debug, Clone, Copy)]
enum Move {
    /// A message arrives; `again` leaves a copy in flight.
    Deliver {
        message: Message,
        again: bool,
    },
    TimeOut,
    CustomerConfirms,
    Cancel,
}

#[derive(Debug, Clone)]
struct World {
    checkout: Checkout,
    over: bool,
    order: Rc<Order>,
    stock: Stock,
    payment: Payment,
    in_flight: BTreeSet<Message>,
    /// The order costs nothing.
    is_free: bool,
}

/// What distinguishes two worlds.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    step: Step,
    status: OrderStatus,
    payment_seen: u8,
    confirmed: bool,
    captured: bool,
    stock: Stock,
    payment: Payment,
    in_flight: u16,
}

fn total() -> Money {
    Money::new(2540, Currency::USD)
}

impl World {
    fn begin(is_free: bool) -> Self {
        let amount = if is_free { Money::zero(total().currency) } else { total() };
        let charge = Charge { order_number: "BW".into(), customer_id: None, amount, token: "tok".into() };
        let limits = Limits { reserve_seconds: 30, payment_seconds: 60, action_seconds: 900 };
        let (checkout, actions, _) = CheckoutSaga::begin(charge, limits);
        let mut world = Self {
            checkout,
            over: false,
            order: Rc::default(),
            stock: Stock::Untouched,
            payment: Payment::Unasked,
            in_flight: BTreeSet::new(),
            is_free,
        };
        let placement = if is_free { free_placement() } else { placement(vec![line(1000, 2)]) };
        world.decide(|_| Order::place(placement));
        world.perform(actions);
        world
    }

    fn key(&self) -> Key {
        let step = match self.checkout.step {
            // How often something was asked makes no difference to what happens next.
            Step::Capturing { .. } => Step::Capturing { attempt: 0 },
            Step::Compensating { release, void, ending, .. } => {
                Step::Compensating { release, void, attempt: 0, ending }
            }
            other => other,
        };
        Key {
            step,
            status: self.order.status(),
            payment_seen: self.order.payment() as u8,
            confirmed: self.order.was_confirmed(),
            captured: self.order.captured() > 0,
            stock: self.stock,
            payment: self.payment,
            in_flight: self.in_flight.iter().fold(0, |set, message| set | 1 << *message as u16),
        }
    }

    fn moves(&self) -> Vec<Move> {
        let mut moves = vec![Move::Cancel];
        for message in &self.in_flight {
            moves.extend([false, true].map(|again| Move::Deliver { message: *message, again }));
        }
        if !self.over {
            moves.push(Move::TimeOut);
        }
        if self.payment == Payment::Challenged {
            moves.push(Move::CustomerConfirms);
        }
        moves
    }

    fn make(&mut self, step: Move, behaviour: Behaviour) {
        match step {
            Move::Deliver { message, again } => {
                if !again {
                    self.in_flight.remove(&message);
                }
                self.deliver(message, behaviour);
            }
            Move::TimeOut => self.advance(Input::TimedOut),
            Move::CustomerConfirms => {
                let approves = matches!(behaviour.bank, Bank::Challenges { then_approves: true });
                self.payment = if approves { Payment::Authorised } else { Payment::Declined };
                self.answer_payment();
            }
            Move::Cancel => self.cancel(),
        }
        if self.over {
            // An ended checkout ignores every input, so a message that would only advance it makes no difference.
            self.in_flight.retain(|message| *message <= Message::Void || *message == Message::Refunded);
        }
    }

    /// As the cancel feature does it.
    fn cancel(&mut self) {
        if self.order.cancel("", Actor::Customer).is_err() {
            return;
        }
        let input = Input::CancelRequested { reason: String::new(), by: Actor::Customer };
        if !self.over {
            self.advance(input);
            assert_eq!(self.order.status(), OrderStatus::Cancelled, "a checkout that runs calls the order off");
            return;
        }
        let by = Actor::Customer;
        self.perform(CheckoutSaga::call_off(String::new(), by, self.is_free));
    }

    fn advance(&mut self, input: Input) {
        if self.over {
            return;
        }
        let decision = CheckoutSaga::decide(&self.checkout, input);
        if let Some(state) = decision.state {
            (self.checkout, self.over) = (state, decision.done);
        }
        self.perform(decision.actions);
    }

    fn decide(&mut self, decide: impl FnOnce(&Order) -> Decided) {
        let events = decide(&self.order).unwrap_or_else(|error| panic!("the order refuses: {error}\n{self:#?}"));
        for event in events {
            Rc::make_mut(&mut self.order).apply(&event, Timestamp::default());
        }
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            let command = match action {
                Action::SendReserve => Message::Reserve,
                Action::SendAuthorise(_) => Message::Authorise,
                Action::SendCapture => {
                    assert!(self.order.was_confirmed(), "a capture is asked for before the order is confirmed");
                    Message::Capture
                }
                Action::SendRelease => Message::Release,
                Action::SendVoid => Message::Void,
                Action::ConfirmOrder => {
                    let is_paid = self.payment != Payment::Unasked;
                    assert_ne!(is_paid, self.is_free, "confirmed without an authorised payment, or paid for nothing");
                    self.decide(Order::confirm);
                    continue;
                }
                Action::RejectOrder { code, reason, short } => {
                    self.decide(|order| order.reject(code.as_str(), &reason, &short));
                    continue;
                }
                Action::CancelOrder { reason, by } => {
                    self.decide(|order| order.cancel(&reason, by));
                    continue;
                }
                Action::FailCapture { reason } => {
                    self.decide(|order| order.fail_capture(&reason));
                    continue;
                }
                Action::NoteActionRequired { action_url } => {
                    self.decide(|order| order.note_action_required(&action_url));
                    continue;
                }
                Action::NoteCaptured { amount } => {
                    self.decide(|order| order.note_captured(amount));
                    continue;
                }
                Action::NoteVoided => {
                    self.decide(Order::note_voided);
                    continue;
                }
            };
            self.in_flight.insert(command);
        }
    }

    fn deliver(&mut self, message: Message, behaviour: Behaviour) {
        match message {
            Message::Reserve => {
                if self.stock == Stock::Untouched {
                    self.stock = if behaviour.in_stock { Stock::Reserved } else { Stock::Refused };
                }
                let reserved = self.stock == Stock::Reserved;
                self.in_flight.insert(if reserved { Message::StockReserved } else { Message::StockRejected });
            }
            Message::Release => {
                self.stock = Stock::Released;
                self.in_flight.insert(Message::StockReleased);
            }
            Message::Authorise => {
                if self.payment == Payment::Unasked {
                    self.payment = match behaviour.bank {
                        Bank::Approves => Payment::Authorised,
                        Bank::Declines => Payment::Declined,
                        Bank::Challenges { .. } => Payment::Challenged,
                    };
                }
                self.answer_payment();
            }
            Message::Capture => {
                if self.payment == Payment::Authorised {
                    assert!(self.order.was_confirmed(), "captured before the order was confirmed");
                    self.payment = if behaviour.captures { Payment::Captured } else { Payment::Failed };
                }
                let failed = matches!(self.payment, Payment::Voided | Payment::Declined);
                if failed {
                    self.in_flight.insert(Message::Failed);
                } else {
                    self.answer_payment();
                }
            }
            Message::Void => {
                self.payment = match self.payment {
                    Payment::Captured | Payment::Refunded => Payment::Refunded,
                    _ => Payment::Voided,
                };
                // Of a refund finance publishes both: that the money went back, and that the payment is settled.
                self.answer_payment();
                self.in_flight.insert(Message::Voided);
            }
            Message::StockReserved => self.advance(Input::StockReserved),
            Message::StockRejected => self.advance(Input::StockRejected { short: vec![] }),
            Message::StockReleased => self.advance(Input::StockReleased),
            Message::Authorised => self.advance(Input::PaymentAuthorised),
            Message::Declined => self.advance(Input::PaymentDeclined { reason: "no".into() }),
            Message::ActionRequired => self.advance(Input::PaymentActionRequired { action_url: "/pay".into() }),
            Message::Voided => self.advance(Input::PaymentVoided),
            Message::Captured => self.advance(Input::PaymentCaptured { amount: total() }),
            Message::Failed => self.advance(Input::PaymentFailed { reason: "closed".into() }),
            Message::Refunded => {
                self.advance(Input::PaymentRefunded);
                self.decide(|order| order.note_refunded(Uuid::from_u128(1), total()));
            }
        }
    }

    /// Finance reports where the payment stands.
    fn answer_payment(&mut self) {
        let answer = match self.payment {
            Payment::Unasked => return,
            Payment::Challenged => Message::ActionRequired,
            Payment::Authorised => Message::Authorised,
            Payment::Declined => Message::Declined,
            Payment::Voided => Message::Voided,
            Payment::Captured => Message::Captured,
            Payment::Failed => Message::Failed,
            Payment::Refunded => Message::Refunded,
        };
        self.in_flight.insert(answer);
    }

    /// Nobody interferes any more: messages arrive, and when there is none, time passes. What is known to end well, in
    /// `fine`, is not played again.
    fn run_out(mut self, behaviour: Behaviour, fine: &mut HashSet<Key>) -> Self {
        for _ in 0..60 {
            if !fine.insert(self.key()) {
                return self;
            }
            match self.in_flight.iter().next().copied() {
                Some(message) => self.make(Move::Deliver { message, again: false }, behaviour),
                None if self.over => {
                    self.assert_allowed_end();
                    return self;
                }
                None => self.make(Move::TimeOut, behaviour),
            }
        }
        panic!("it never ends: {self:#?}");
    }

    /// What people are promised.
    fn assert_allowed_end(&self) {
        let settled = if self.is_free {
            self.payment == Payment::Unasked && self.order.payment() == PaymentStatus::NotRequired
        } else {
            self.payment == Payment::Captured && self.order.payment() == PaymentStatus::Captured
        };
        assert!(!self.is_free || settled, "finance was asked for an order of zero: {self:#?}");
        let sold = self.order.status() == OrderStatus::Confirmed && settled && self.stock == Stock::Reserved;
        let off = matches!(self.order.status(), OrderStatus::Rejected | OrderStatus::Cancelled)
            && self.stock != Stock::Reserved
            && !matches!(self.payment, Payment::Authorised | Payment::Captured | Payment::Challenged);
        assert!(sold || off, "not an allowed end: {self:#?}");
        let given_back = self.payment == Payment::Refunded;
        assert!(!given_back || self.order.payment() == PaymentStatus::Refunded, "the order does not know: {self:#?}");
    }
}

/// Visits every state that can be reached, and returns how many there are.
fn search(behaviour: Behaviour, is_free: bool) -> usize {
    let begin = World::begin(is_free);
    let mut seen = HashSet::from([begin.key()]);
    let mut queue = VecDeque::from([begin]);
    let mut fine = HashSet::new();
    while let Some(world) = queue.pop_front() {
        world.clone().run_out(behaviour, &mut fine);
        for step in world.moves() {
            let mut next = world.clone();
            next.make(step, behaviour);
            if seen.insert(next.key()) {
                queue.push_back(next);
            }
        }
    }
    seen.len()
}

#[test]
fn every_reachable_state_leads_to_an_allowed_end() {
    let mut states = search(Behaviour { in_stock: false, bank: Bank::Approves, captures: true }, false);
    for (bank, captures) in [
        (Bank::Approves, true),
        (Bank::Approves, false),
        (Bank::Declines, true),
        (Bank::Challenges { then_approves: true }, true),
        (Bank::Challenges { then_approves: true }, false),
        (Bank::Challenges { then_approves: false }, true),
    ] {
        states += search(Behaviour { in_stock: true, bank, captures }, false);
    }
    assert!(states > 10_000, "the search must not be trivial: {states}");
}

#[test]
fn an_order_of_zero_comes_to_an_allowed_end_without_finance() {
    let free = |in_stock| search(Behaviour { in_stock, bank: Bank::Declines, captures: false }, true);
    assert!(free(true) > 20, "the search must not be trivial");
    assert!(free(false) > 5);
}

#[test]
fn nobody_interferes_and_the_books_are_sold() {
    let behaviour = Behaviour { in_stock: true, bank: Bank::Approves, captures: true };
    let end = World::begin(false).run_out(behaviour, &mut HashSet::new());
    assert_eq!((end.order.status(), end.checkout.step), (OrderStatus::Confirmed, Step::Done));
}
