//! How fast messages arrive and the bot answers while many people chat at once.

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bookworm_testkit::HubClient;
use clap::Args;
use futures::future::try_join_all;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use super::{CAPACITY, Conversation, HUB, be_available, connect_agent, make_agent, send};
use crate::{books, load::Outcome, say, server::Program};

/// What to measure.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The program
    #[arg(long, default_value = "target/release/bookworm")]
    bin: PathBuf,
    /// How many conversations at once
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=2000))]
    conversations: u16,
    /// How long to measure the bot, and then the agents
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How many seconds a customer takes for the next message, on average
    #[arg(long, default_value_t = 8.0)]
    pause: f64,
}

/// The longest that anybody waits for a message before the run has failed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// What customers ask the bot.
const QUESTIONS: [&str; 8] = [
    "Hello!",
    "Where is my order?",
    "How much is delivery to Germany?",
    "How long does delivery take?",
    "Which cards do you accept?",
    "Can I send a book back?",
    "Do you have a novel about the sea?",
    "Can you recommend something to read?",
];

/// Measures and prints.
///
/// # Errors
/// When a message does not arrive.
pub async fn run(arguments: Arguments) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("books.jsonl");
    books::write(&file, 2000, 100)?;
    let program = Program::new(&arguments.bin, folder.path(), None)
        // All of them come from this one address.
        .with("BOOKWORM_CHAT__MAX_OPEN", 1000)
        // An agent here answers twenty people at once, faster than any person types.
        .with("BOOKWORM_CHAT__MESSAGE_BURST", 1000)
        .with("BOOKWORM_CHAT__MESSAGES_PER_MINUTE", 10_000);
    program.run(&["import", &file.to_string_lossy()]).await?;
    let server = program.start().await?;
    let address = server.address;
    let people = usize::from(arguments.conversations);

    let customers = try_join_all((0..people).map(|n| Customer::arrive(address, n, arguments.pause))).await?;
    say(&format!("{people} conversations, a message each {} s; {:.0} MiB", arguments.pause, server.memory()?));
    let (began, until) = (Instant::now(), Instant::now() + Duration::from_secs(arguments.seconds));
    let asked = try_join_all(customers.into_iter().map(|customer| customer.ask_the_bot(until))).await?;
    let took = began.elapsed();
    let (customers, latencies): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
    say(&format!("bot answers: {}", Outcome::new(latencies.concat(), took)));

    // Agents hold on to what they are given for as long as they are connected.
    let mut agents = Vec::new();
    for n in 0..people.div_ceil(CAPACITY) {
        // One after the other: many sign-ins of the administrator at once look like guessing.
        agents.push(Agent::arrive(address, n).await?);
    }
    let (began, until) = (Instant::now(), Instant::now() + Duration::from_secs(arguments.seconds));
    let agents = try_join_all(agents.into_iter().map(|agent| agent.answer(until + ANSWER_TIMEOUT / 4, began)));
    let talks = try_join_all(customers.into_iter().map(|customer| customer.talk(until, began)));
    let (received, answered) = tokio::try_join!(agents, talks)?;
    let took = began.elapsed();
    say(&format!("customer to agent: {}", Outcome::new(received.concat(), took)));
    say(&format!("agent to customer: {}", Outcome::new(answered.concat(), took)));
    say(&format!("{:.0} MiB at the end; stopped within {:.0?}", server.memory()?, server.stop().await?));
    Ok(())
}

/// Somebody who asks.
struct Customer {
    client: HubClient,
    conversation: Conversation,
    random: StdRng,
    pause: f64,
}

impl Customer {
    async fn arrive(address: SocketAddr, n: usize, pause: f64) -> Result<Self> {
        let mut client = HubClient::connect(address, HUB, None).await?;
        let conversation = Conversation::start(&mut client).await?;
        Ok(Self { client, conversation, random: StdRng::seed_from_u64(n as u64), pause })
    }

    /// Thinks for a while, half as long to half as long again.
    async fn think(&mut self) {
        sleep(Duration::from_secs_f64(self.pause * self.random.random_range(0.5..1.5))).await;
    }

    /// Gives back how many microseconds each answer took, and the customer.
    async fn ask_the_bot(mut self, until: Instant) -> Result<(Self, Vec<u32>)> {
        let mut latencies = Vec::new();
        // Not all in the same instant.
        sleep(Duration::from_secs_f64(self.pause * self.random.random::<f64>())).await;
        while Instant::now() < until {
            let question = QUESTIONS.choose(&mut self.random).copied().unwrap_or(QUESTIONS[0]);
            let asked = Instant::now();
            let seq = self.conversation.send(&mut self.client, Uuid::new_v4(), question).await?;
            let later = |message: &Value| message["author"] == "bot" && message["seq"].as_u64() > Some(seq);
            let answer = self.client.event_like("message", ANSWER_TIMEOUT, later).await?;
            ensure!(answer.is_some(), "the bot does not answer `{question}`");
            latencies.push(micros(asked.elapsed()));
            self.forget_events().await?;
            self.think().await;
        }
        Ok((self, latencies))
    }

    /// Talks with an agent; gives back how many microseconds each of the agent's answers was on its way.
    async fn talk(mut self, until: Instant, zero: Instant) -> Result<Vec<u32>> {
        self.conversation.ask_for_person(&mut self.client).await?;
        let joined = self.client.event_like("agent_joined", ANSWER_TIMEOUT, |_| true).await?;
        joined.context("no agent joins")?;
        let mut latencies = Vec::new();
        while Instant::now() < until {
            // What came while thinking would be taken for the answer.
            self.forget_events().await?;
            let text = stamp(zero);
            self.conversation.send(&mut self.client, Uuid::new_v4(), &text).await?;
            let by_agent = |message: &Value| message["author"] == "agent";
            let answer =
                self.client.event_like("message", ANSWER_TIMEOUT, by_agent).await?.context("no answer arrives")?;
            latencies.push(age(&answer, zero)?);
            self.think().await;
        }
        Ok(latencies)
    }

    async fn forget_events(&mut self) -> Result<()> {
        while self.client.event(Duration::ZERO).await?.is_some() {}
        Ok(())
    }
}

/// Somebody who answers.
struct Agent {
    client: HubClient,
}

impl Agent {
    async fn arrive(address: SocketAddr, n: usize) -> Result<Self> {
        let (email, password) = make_agent(address, n).await?;
        let mut client = connect_agent(address, &email, &password).await?;
        be_available(&mut client).await?;
        Ok(Self { client })
    }

    /// Answers every message at once; gives back how many microseconds each was on its way.
    async fn answer(mut self, until: Instant, zero: Instant) -> Result<Vec<u32>> {
        let mut latencies = Vec::new();
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            let Some(event) = self.client.event(left).await? else { break };
            let argument = &event.argument;
            match event.name.as_str() {
                "assigned" => {
                    let opened = self.client.invoke("Open", &[json!({"conversation_id": argument["id"]})]).await?;
                    // The first words may have come before the agent.
                    let last = opened["messages"].as_array().and_then(|all| all.last());
                    if let Some(message) = last.filter(|message| message["author"] == "customer") {
                        self.reply(message, zero).await?;
                    }
                }
                "message" if argument["author"] == "customer" => {
                    latencies.push(age(argument, zero)?);
                    self.reply(argument, zero).await?;
                }
                _ => {}
            }
        }
        Ok(latencies)
    }

    async fn reply(&mut self, to: &Value, zero: Instant) -> Result<()> {
        let conversation = to["conversation_id"].as_str().context("a message names its conversation")?.to_owned();
        send(&mut self.client, &conversation, Uuid::new_v4(), &stamp(zero)).await?;
        Ok(())
    }
}

/// A text that says when it was sent.
fn stamp(zero: Instant) -> String {
    format!("sent after {} microseconds", zero.elapsed().as_micros())
}

/// How many microseconds ago the message was sent.
fn age(message: &Value, zero: Instant) -> Result<u32> {
    let text = message["text"].as_str().unwrap_or_default();
    let sent: u128 =
        text.split(' ').nth(2).and_then(|number| number.parse().ok()).context("a message without its time")?;
    Ok(u32::try_from(zero.elapsed().as_micros().saturating_sub(sent))?)
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
