use bookworm_kernel::CustomerId;
use proptest::prelude::*;

use super::*;

const MOST: u64 = 1000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000)
}

fn agent(n: u128) -> ChatAgent {
    ChatAgent { id: CustomerId::from_uuid(Uuid::from_u128(n)), name: format!("Agent {n}") }
}

fn words(text: &str) -> Words {
    Words::parse(text).expect("a message")
}

fn customer(email: Option<&str>) -> Customer {
    let email = email.map(|email| Email::parse(email).expect("an address"));
    Customer { id: None, name: "Ann".to_owned(), email, confirmed: false, secret: None, address: None }
}

fn started() -> Conversation {
    Conversation::start(ConversationId::new(), customer(Some("ann@reader.test")), "en".to_owned(), at(0)).next
}

fn reply(hand_over: Option<HandOver>) -> Reply {
    Reply {
        text: "It is on its way.".to_owned(),
        links: Vec::new(),
        suggestions: Vec::new(),
        intent: None,
        hand_over,
        memory: Memory { not_understood: 1, ..Memory::default() },
    }
}

fn asks(conversation: &Conversation) -> Conversation {
    conversation.customer_says(&words("Where is it?"), Uuid::new_v4(), MOST, at(1)).expect("open").next
}

fn queued() -> Conversation {
    asks(&started()).ask_for_person(true, at(2)).expect("open").next
}

fn with_agent() -> Conversation {
    queued().accept(&agent(1), at(3)).expect("it waits").next
}

#[test]
fn the_bot_owes_an_answer_until_it_is_given() {
    let two = asks(&asks(&started()));
    assert_eq!((two.bot_due.as_slice(), two.bot_due_since), ([1, 2].as_slice(), Some(at(1))));
    assert_eq!(two.bot_answers(2, reply(None), None, true, at(5)), Err(Refusal::NotDue), "one after the other");
    let one = two.bot_answers(1, reply(None), None, true, at(5)).expect("it is due").next;
    assert_eq!((one.bot_due.as_slice(), one.last_seq, one.memory.not_understood), ([2].as_slice(), 3, 1));
    assert_eq!(one.bot_answers(1, reply(None), None, true, at(6)), Err(Refusal::NotDue), "once");
    let none = one.bot_answers(2, reply(None), None, true, at(6)).expect("it is due").next;
    assert_eq!((none.bot_due.len(), none.bot_due_since), (0, None));
}

#[test]
fn a_hand_over_queues_with_the_skill_that_is_needed() {
    let hand_over = HandOver { reason: Reason::PaymentTrouble, skill: Skill::Payment };
    let decided = asks(&started()).bot_answers(1, reply(Some(hand_over)), None, true, at(2)).expect("it is due");
    assert_eq!((decided.next.status, decided.next.skill), (ConversationStatus::Queued, Skill::Payment));
    assert!(decided.next.bot_due.is_empty() && !decided.next.mail_promised);
    assert!(decided.happened.contains(&Happened::HandedOver(Reason::PaymentTrouble)));
}

#[test]
fn what_the_bot_did_is_said_even_when_a_person_was_asked_for_meanwhile() {
    let hand_over = HandOver { reason: Reason::Upset, skill: Skill::Books };
    let queued = asks(&started()).ask_for_person(true, at(2)).expect("open").next;
    let answered = queued.bot_answers(1, reply(Some(hand_over)), None, true, at(3)).expect("it is due");
    assert_eq!(answered.messages[0].text, "It is on its way.");
    assert_eq!((answered.next.status, answered.next.skill), (ConversationStatus::Queued, Skill::General));
    assert_eq!(answered.next.waiting, queued.waiting, "its place is kept");
}

#[test]
fn a_mail_is_promised_when_nobody_is_there_and_sent_when_the_customer_is_away() {
    let queued = asks(&started()).ask_for_person(false, at(2)).expect("open").next;
    assert!(queued.mail_promised && queued.will_be_answered_by_mail());
    let with = queued.accept(&agent(1), at(3)).expect("it waits").next;
    let says =
        |there| with.agent_says(agent(1).id, &words("Here."), Uuid::new_v4(), there, MOST, at(10)).expect("mine");
    assert!(says(false).happened.contains(&Happened::AnsweredByMail("Here.".to_owned())));
    assert!(!says(true).happened.iter().any(|happened| matches!(happened, Happened::AnsweredByMail(_))));
    assert!(says(true).happened.contains(&Happened::FirstAnswer(Duration::from_secs(8))));
    let unreachable = Conversation::start(ConversationId::new(), customer(None), "en".to_owned(), at(0)).next;
    assert!(!asks(&unreachable).ask_for_person(false, at(2)).expect("open").next.mail_promised);
}

#[test]
fn a_guest_can_leave_an_address_when_nobody_is_there() {
    let email = || Email::parse("ada@example.org").expect("an address");
    let unreachable = Conversation::start(ConversationId::new(), customer(None), "en".to_owned(), at(0)).next;
    let queued = asks(&unreachable).ask_for_person(false, at(2)).expect("open");
    assert!(queued.messages.iter().any(|message| message.text.contains("Leave your email address")));
    assert!(queued.next.customer.email.is_none());
    let left = queued.next.leave_address(email(), false, at(3)).expect("open").next;
    assert!(left.customer.email.is_some() && left.will_be_answered_by_mail());
    let with = left.accept(&agent(1), at(4)).expect("it waits").next;
    let answered = with.agent_says(agent(1).id, &words("Here."), Uuid::new_v4(), false, MOST, at(5)).expect("mine");
    assert!(answered.happened.contains(&Happened::AnsweredByMail("Here.".to_owned())));

    // While somebody is there, the answer comes in the chat.
    let waits = asks(&unreachable).ask_for_person(true, at(2)).expect("open").next;
    let left = waits.leave_address(email(), true, at(3)).expect("open").next;
    assert!(left.customer.email.is_some() && !left.mail_promised);
    assert_eq!(left.leave_address(email(), true, at(4)), Ok(left.as_it_is()), "again is as once");
}

#[test]
fn only_the_agent_who_has_it_speaks_in_it() {
    let with = with_agent();
    let says = |n| with.agent_says(agent(n).id, &words("Hello"), Uuid::new_v4(), true, MOST, at(4));
    assert!(says(1).is_ok());
    assert_eq!(says(2), Err(Refusal::NotWithYou));
    assert_eq!(with.close(agent(2).id, Resolution::Closed, at(4)), Err(Refusal::NotWithYou));
    assert_eq!(with.transfer(agent(2).id, &agent(2), at(4)), Err(Refusal::NotWithYou));
    assert_eq!(with.accept(&agent(2), at(4)), Err(Refusal::NotQueued), "never two");
    assert_eq!(with.accept(&agent(1), at(4)), Ok(with.as_it_is()), "again is as once");
}

#[test]
fn a_lost_agents_conversation_waits_at_the_head_and_nobody_elses_does() {
    let with = with_agent();
    let lost = with.agent_is_lost(agent(1).id, at(100)).next;
    assert!(lost.rank() < queued().rank(), "although it waits for less long");
    assert_eq!(with.agent_is_lost(agent(2).id, at(100)), with.as_it_is());
    let given = with.give_back(agent(1).id, Some(Skill::Books), at(100)).expect("mine").next;
    assert_eq!((given.skill, given.waiting.and_then(|waiting| waiting.but)), (Skill::Books, Some(agent(1).id)));
}

#[test]
fn what_was_resolved_is_the_bots_again_and_what_was_closed_is_over() {
    let resolved = with_agent().close(agent(1).id, Resolution::Resolved, at(5)).expect("mine").next;
    let again = asks(&resolved);
    assert_eq!((again.status, again.bot_due.len(), again.agent), (ConversationStatus::Bot, 1, None));
    let closed = resolved.close(agent(2).id, Resolution::Closed, at(6)).expect("anybody's").next;
    assert_eq!(closed.customer_says(&words("?"), Uuid::new_v4(), MOST, at(7)), Err(Refusal::Closed));
    assert_eq!(closed.ask_for_person(true, at(7)), Err(Refusal::Closed));
    let back = closed.reopen(&agent(2), at(8)).expect("it ended").next;
    assert_eq!(back.agent, Some(agent(2)));
    assert_eq!(back.reopen(&agent(1), at(9)), Err(Refusal::StillOpen));
}

#[test]
fn a_conversation_ends_at_its_limit() {
    let full = Conversation { last_seq: MOST, ..with_agent() };
    assert_eq!(full.customer_says(&words("?"), Uuid::new_v4(), MOST, at(7)), Err(Refusal::TooLong));
    let says = full.agent_says(agent(1).id, &words("?"), Uuid::new_v4(), true, MOST, at(7));
    assert_eq!(says, Err(Refusal::TooLong));
}

#[test]
fn a_rating_needs_something_to_rate_and_the_last_one_counts() {
    assert_eq!(queued().rate(5, None, at(3)), Err(Refusal::NothingToRate));
    let once = with_agent().rate(5, None, at(4)).expect("a person answers").next;
    assert_eq!(once.rate(2, None, at(5)).expect("again").next.rating.map(|rating| rating.score), Some(2));
}

#[test]
fn three_transcripts_an_hour() {
    let mut conversation = asks(&started());
    for minute in 0..3 {
        conversation = conversation.send_transcript(None, at(60 * minute)).expect("few").0.next;
    }
    assert_eq!(conversation.send_transcript(None, at(3599)).err(), Some(Refusal::TooManyTranscripts));
    assert!(conversation.send_transcript(None, at(3600)).is_ok());
    assert_eq!(started().send_transcript(None, at(1)).err(), Some(Refusal::NothingSaid));
}

/// Something that somebody does.
#[derive(Debug, Clone)]
enum Act {
    Says,
    BotAnswers(bool),
    AsksForPerson,
    Accept(u128),
    AgentSays(u128),
    Transfer(u128, u128),
    GiveBack(u128),
    Lost(u128),
    Close(u128, bool),
    Reopen(u128),
    Ends,
    Mark(u64, u64),
    Expire,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let who = 1..4_u128;
    let act = prop_oneof![
        3 => Just(Act::Says),
        3 => any::<bool>().prop_map(Act::BotAnswers),
        2 => Just(Act::AsksForPerson),
        2 => who.clone().prop_map(Act::Accept),
        2 => who.clone().prop_map(Act::AgentSays),
        1 => (who.clone(), who.clone()).prop_map(|(from, to)| Act::Transfer(from, to)),
        1 => who.clone().prop_map(Act::GiveBack),
        1 => who.clone().prop_map(Act::Lost),
        1 => (who.clone(), any::<bool>()).prop_map(|(who, closed)| Act::Close(who, closed)),
        1 => who.prop_map(Act::Reopen),
        1 => Just(Act::Ends),
        2 => (0..40_u64, 0..40_u64).prop_map(|(delivered, read)| Act::Mark(delivered, read)),
        1 => Just(Act::Expire),
    ];
    proptest::collection::vec(act, 0..60)
}

fn act(conversation: &Conversation, act: &Act, now: Timestamp) -> Decided {
    let hand_over = HandOver { reason: Reason::Wanted, skill: Skill::Orders };
    match act {
        Act::Says => conversation.customer_says(&words("?"), Uuid::new_v4(), MOST, now),
        Act::BotAnswers(hands_over) => {
            let due = conversation.bot_due.first().copied().unwrap_or_default();
            conversation.bot_answers(due, reply(hands_over.then_some(hand_over)), None, true, now)
        }
        Act::AsksForPerson => conversation.ask_for_person(false, now),
        Act::Accept(n) => conversation.accept(&agent(*n), now),
        Act::AgentSays(n) => conversation.agent_says(agent(*n).id, &words("!"), Uuid::new_v4(), false, MOST, now),
        Act::Transfer(from, to) => conversation.transfer(agent(*from).id, &agent(*to), now),
        Act::GiveBack(n) => conversation.give_back(agent(*n).id, None, now),
        Act::Lost(n) => Ok(conversation.agent_is_lost(agent(*n).id, now)),
        Act::Close(n, true) => conversation.close(agent(*n).id, Resolution::Closed, now),
        Act::Close(n, false) => conversation.close(agent(*n).id, Resolution::Resolved, now),
        Act::Reopen(n) => conversation.reopen(&agent(*n), now),
        Act::Ends => conversation.customer_ends(now),
        Act::Mark(delivered, read) => Ok(conversation.mark(Side::Customer, *delivered, *read)),
        Act::Expire => Ok(conversation.expire(now)),
    }
}

proptest! {
    #[test]
    fn whatever_happens_a_conversation_makes_sense(acts in acts()) {
        let mut conversation = started();
        for (n, what) in acts.iter().enumerate() {
            let Ok(decided) = act(&conversation, what, at(n as i64)) else { continue };
            let next = decided.next;
            // Numbers have no gaps.
            let numbers: Vec<u64> = decided.messages.iter().map(|message| message.seq).collect();
            let expected: Vec<u64> = (conversation.last_seq + 1..=next.last_seq).collect();
            prop_assert_eq!(numbers, expected);
            // A change counts; nothing changes without.
            prop_assert_eq!(next.version > conversation.version, next != conversation);
            // Somebody has it if, and only if, it is with somebody; it has a place if, and only if, it waits.
            prop_assert_eq!(next.agent.is_some(), next.status == ConversationStatus::WithAgent, "{:?}", what);
            prop_assert_eq!(next.waiting.is_some(), next.status == ConversationStatus::Queued, "{:?}", what);
            prop_assert_eq!(next.bot_due.is_empty(), next.bot_due_since.is_none());
            // What ended owes nothing.
            let ended = matches!(next.status, ConversationStatus::Resolved | ConversationStatus::Closed);
            prop_assert!(!ended || (next.bot_due.is_empty() && !next.mail_promised));
            // Reading never goes back, nor ahead.
            prop_assert!(next.customer_read.read >= conversation.customer_read.read);
            prop_assert!(next.customer_read.read <= next.customer_read.delivered);
            prop_assert!(next.customer_read.delivered <= next.last_seq);
            // It is kept as a document.
            let text = serde_json::to_string(&next).expect("plain data");
            prop_assert_eq!(&serde_json::from_str::<Conversation>(&text).expect("plain data"), &next);
            conversation = next;
        }
    }
}

#[test]
fn what_came_with_the_contact_form_waits_for_a_person_and_is_answered_by_mail() {
    let decision = Conversation::from_contact(
        ConversationId::new(),
        customer(Some("ada@example.org")),
        "en".to_owned(),
        &words("Hello?"),
        at(0),
    );
    let texts: Vec<&str> = decision.messages.iter().map(|message| message.text.as_str()).collect();
    assert_eq!(texts, ["Hello?", "You wrote to us with the contact form. We’ll reply by email."]);
    let next = decision.next;
    assert_eq!((next.status, next.last_seq, next.version), (ConversationStatus::Queued, 2, 1));
    assert!(next.bot_due.is_empty(), "the bot has no part in it");
    let with = next.accept(&agent(1), at(4)).expect("it waits").next;
    let answered = with.agent_says(agent(1).id, &words("Here."), Uuid::new_v4(), false, MOST, at(5)).expect("mine");
    assert!(answered.happened.contains(&Happened::AnsweredByMail("Here.".to_owned())));
}
