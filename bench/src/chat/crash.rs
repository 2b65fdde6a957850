//! People chat, the program is killed in mid-conversation and started again. In the end nothing that was acknowledged
//! may be missing, nothing may be there twice, and nobody may have seen what is not there.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bookworm_testkit::{HubClient, HubClientError};
use clap::Args;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle, time::sleep};
use uuid::Uuid;

use super::{Conversation, HUB, be_available, connect_agent, make_agent, send};
use crate::{
    say,
    server::{OwnDatabase, Program},
};

/// How to crash.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The program
    #[arg(long, default_value = "target/release/bookworm")]
    bin: PathBuf,
    /// How often to kill it
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    kills: u32,
    /// How many people chat at once, every other one with an agent
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=256))]
    customers: u32,
    /// A PostgreSQL server to run on, in a database of its own; SQLite when missing
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Decides the moments; printed at the start
    #[arg(long)]
    seed: Option<u64>,
}

/// How long anything may take once the killing has ended.
const SUCCESS_TIMEOUT: Duration = Duration::from_secs(90);

/// Runs the harness. The exit code is 1 when anything does not add up.
///
/// # Errors
/// When the harness itself cannot do its work.
pub async fn run(arguments: Arguments) -> Result<ExitCode> {
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let folder = tempfile::tempdir()?;
    let database = match &arguments.database_url {
        Some(url) => Some(OwnDatabase::create(url).await?),
        None => None,
    };
    let url = database.as_ref().map(OwnDatabase::url);
    let engine = if url.is_some() { "PostgreSQL" } else { "SQLite" };
    say(&format!("chat crash: {} kills, {} customers, {engine}, seed {seed}", arguments.kills, arguments.customers));
    let program = Program::new(&arguments.bin, folder.path(), url.as_deref())
        .with("BOOKWORM_CHAT__MAX_OPEN", 1000)
        // A killed program takes the agent along: the customers should not wait half a minute each time.
        .with("BOOKWORM_CHAT__AGENT_GRACE_SECONDS", 2)
        // The model takes a moment to load after each start, and the bot does without it.
        .with("BOOKWORM_AI__PROVIDER", "off");
    let result = harness(&arguments, &program, seed).await;
    if let Some(database) = database {
        database.remove().await?;
    }
    let violations = result?;
    for violation in &violations {
        say(&format!("VIOLATION {violation}"));
    }
    say(&format!("violations {}", violations.len()));
    if violations.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!("seed {seed}; the end of the log:\n{}", program.log_tail()));
    Ok(ExitCode::FAILURE)
}

/// What everybody needs to know of the shop.
#[derive(Clone)]
struct Entrance {
    address: watch::Receiver<Option<SocketAddr>>,
    stop: Arc<AtomicBool>,
}

impl Entrance {
    fn is_closing(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    async fn open(&mut self) -> Result<SocketAddr> {
        let open = tokio::time::timeout(SUCCESS_TIMEOUT, self.address.wait_for(Option::is_some)).await;
        (*open.context("the shop does not open again")??).context("it is open")
    }
}

async fn harness(arguments: &Arguments, program: &Program, seed: u64) -> Result<Vec<String>> {
    let mut server = program.start().await?;
    let agent = make_agent(server.address, 0).await?;
    let (publish_address, address) = watch::channel(Some(server.address));
    let entrance = Entrance { address, stop: Arc::default() };
    let customers: Vec<JoinHandle<Result<Account>>> = (0..arguments.customers)
        .map(|n| {
            let random = StdRng::seed_from_u64(seed.wrapping_add(u64::from(n) + 1));
            let customer =
                Customer { entrance: entrance.clone(), account: Account::default(), random, wants_person: n % 2 == 1 };
            tokio::spawn(customer.run())
        })
        .collect();
    let answering = tokio::spawn(answer_everybody(entrance.clone(), agent));

    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..arguments.kills {
        sleep(Duration::from_millis(random.random_range(100..=1500))).await;
        server.kill().await?;
        publish_address.send_replace(None);
        server = program.start().await.context("it does not start again after it was killed")?;
        publish_address.send_replace(Some(server.address));
    }
    sleep(Duration::from_secs(2)).await;
    entrance.stop.store(true, Ordering::SeqCst);
    let (mut violations, mut tally) = (Vec::new(), Tally::default());
    for customer in customers {
        let account = tokio::time::timeout(SUCCESS_TIMEOUT, customer)
            .await
            .context("a customer does not come to an end")???;
        account.check(server.address, &mut violations, &mut tally).await?;
    }
    let answers =
        tokio::time::timeout(SUCCESS_TIMEOUT, answering).await.context("the agent does not come to an end")???;
    for (conversation, acknowledged) in answers {
        tally.acknowledged += acknowledged.len();
        tally.missing(&conversation, &acknowledged, "agent", &mut violations);
    }
    server.stop().await?;
    say(&format!(
        "conversations {}, messages {}; acknowledged {}, shown {}, resent {}",
        tally.histories.len(),
        tally.histories.values().map(Vec::len).sum::<usize>(),
        tally.acknowledged,
        tally.shown,
        tally.resent
    ));
    Ok(violations)
}

/// Numbers and texts of messages that the shop acknowledged, by the sender's id.
type Acknowledged = BTreeMap<Uuid, (u64, String)>;

/// What one customer knows.
#[derive(Default)]
struct Account {
    conversation: Option<Conversation>,
    acknowledged: Acknowledged,
    /// What was shown, by its number.
    shown: BTreeMap<u64, Value>,
    resent: usize,
    violations: Vec<String>,
}

impl Account {
    fn show(&mut self, message: &Value) {
        let Some(seq) = message["seq"].as_u64() else { return };
        if let Some(before) = self.shown.insert(seq, message.clone())
            && before["text"] != message["text"]
        {
            self.violations.push(format!("message {seq} was shown as {before} and as {message}"));
        }
    }

    /// Compares what was acknowledged and shown with what is stored.
    async fn check(self, address: SocketAddr, violations: &mut Vec<String>, tally: &mut Tally) -> Result<()> {
        let conversation = self.conversation.context("a customer never had a conversation")?;
        let history = history(address, &conversation).await?;
        violations.extend(self.violations);
        for (place, message) in history.iter().enumerate() {
            if message["seq"].as_u64() != Some(place as u64 + 1) {
                violations.push(format!("{}: number {} follows {place}", conversation.id, message["seq"]));
            }
        }
        for (seq, shown) in &self.shown {
            match history.get(*seq as usize - 1) {
                Some(kept) if kept["text"] == shown["text"] => {}
                kept => violations.push(format!("{}: {shown} was shown, {kept:?} is kept", conversation.id)),
            }
        }
        tally.acknowledged += self.acknowledged.len();
        tally.shown += self.shown.len();
        tally.resent += self.resent;
        tally.histories.insert(conversation.id.clone(), history);
        tally.missing(&conversation.id, &self.acknowledged, "customer", violations);
        Ok(())
    }
}

/// What all of them know.
#[derive(Default)]
struct Tally {
    histories: BTreeMap<String, Vec<Value>>,
    acknowledged: usize,
    shown: usize,
    resent: usize,
}

impl Tally {
    /// Reports what was acknowledged and is not there, or is there more than once.
    fn missing(&self, conversation: &str, acknowledged: &Acknowledged, author: &str, violations: &mut Vec<String>) {
        let Some(history) = self.histories.get(conversation) else { return };
        for (seq, text) in acknowledged.values() {
            let same = |message: &&Value| message["author"] == author && message["text"] == text.as_str();
            let found: Vec<_> = history.iter().filter(same).filter_map(|message| message["seq"].as_u64()).collect();
            if found != [*seq] {
                violations.push(format!("{conversation}: `{text}` was acknowledged as {seq} and is kept as {found:?}"));
            }
        }
    }
}

/// The whole conversation, once no answer of the bot is pending.
pub(super) async fn history(address: SocketAddr, conversation: &Conversation) -> Result<Vec<Value>> {
    let began = Instant::now();
    loop {
        let mut client = HubClient::connect(address, HUB, None).await?;
        let resumed = conversation.resume(&mut client).await?;
        let mut messages = resumed["messages"].as_array().cloned().unwrap_or_default();
        let mut more = resumed["more"] == true;
        while more {
            let after = messages.last().map_or(0, |message| message["seq"].as_u64().unwrap_or(0));
            let question = json!({"conversation_id": conversation.id, "after": after, "limit": 200});
            let page = client.invoke("History", &[question]).await?;
            messages.extend(page["items"].as_array().cloned().unwrap_or_default());
            more = !page["next"].is_null();
        }
        client.close().await;
        let pending = resumed["conversation"]["status"] == "bot"
            && messages.last().is_some_and(|message| message["author"] == "customer");
        if !pending {
            return Ok(messages);
        }
        ensure!(began.elapsed() < SUCCESS_TIMEOUT, "the bot never answers the last message of {}", conversation.id);
        sleep(Duration::from_millis(200)).await;
    }
}

/// Somebody who chats until stopped, and resends until there is an answer.
struct Customer {
    entrance: Entrance,
    account: Account,
    random: StdRng,
    wants_person: bool,
}

impl Customer {
    async fn run(mut self) -> Result<Account> {
        let mut count = 0;
        // The message that is not acknowledged yet goes first after a crash.
        let mut unsent: Option<(Uuid, String)> = None;
        while !self.entrance.is_closing() || unsent.is_some() {
            let address = self.entrance.open().await?;
            match self.visit(address, &mut unsent, &mut count).await {
                Ok(()) => {}
                Err(HubClientError::Lost(_)) => sleep(Duration::from_millis(self.random.random_range(5..=80))).await,
                Err(refused) => bail!("a customer gets: {refused}"),
            }
        }
        Ok(self.account)
    }

    async fn visit(
        &mut self,
        address: SocketAddr,
        unsent: &mut Option<(Uuid, String)>,
        count: &mut u32,
    ) -> Result<(), HubClientError> {
        let mut client = HubClient::connect(address, HUB, None).await?;
        match &self.account.conversation {
            Some(conversation) => {
                let after = self.account.shown.keys().last().copied().unwrap_or(0);
                let question =
                    json!({"conversation_id": conversation.id, "secret": conversation.secret, "after": after});
                let resumed = client.invoke("Resume", &[question]).await?;
                for message in resumed["messages"].as_array().into_iter().flatten() {
                    self.account.show(message);
                }
            }
            None => self.account.conversation = Some(Conversation::start(&mut client).await?),
        }
        let Some(conversation) = self.account.conversation.clone() else { return Ok(()) };
        if self.wants_person {
            match conversation.ask_for_person(&mut client).await {
                // It is waiting or with a person already.
                Err(HubClientError::Refused(_)) | Ok(()) => {}
                Err(lost) => return Err(lost),
            }
        }
        while !self.entrance.is_closing() || unsent.is_some() {
            if unsent.is_some() {
                self.account.resent += 1;
            }
            let (key, text) = unsent.get_or_insert_with(|| {
                *count += 1;
                (Uuid::new_v4(), format!("Message {count}: hello, are you there? {}", Uuid::new_v4()))
            });
            match conversation.send(&mut client, *key, text).await {
                Ok(seq) => {
                    self.account.acknowledged.insert(*key, (seq, text.clone()));
                    *unsent = None;
                }
                Err(refused) if refused.code() == "too_many_requests" => sleep(Duration::from_secs(1)).await,
                Err(error) => return Err(error),
            }
            let think = Duration::from_millis(self.random.random_range(0..=300));
            let until = Instant::now() + think;
            while let Some(left) = until.checked_duration_since(Instant::now()) {
                match client.event(left).await? {
                    Some(event) if event.name == "message" => self.account.show(&event.argument),
                    Some(_) => {}
                    None => break,
                }
            }
        }
        client.close().await;
        Ok(())
    }
}

/// Takes whoever waits and answers, until stopped. Returns what the shop acknowledged, by conversation.
async fn answer_everybody(
    mut entrance: Entrance,
    (email, password): (String, String),
) -> Result<BTreeMap<String, Acknowledged>> {
    let mut acknowledged: BTreeMap<String, Acknowledged> = BTreeMap::new();
    while !entrance.is_closing() {
        let address = entrance.open().await?;
        // Whatever is lost here is lost with the connection, and the next round begins anew.
        let Ok(mut client) = connect_agent(address, &email, &password).await else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        match answer(&entrance, &mut client, &mut acknowledged).await {
            Ok(()) | Err(HubClientError::Lost(_)) => {}
            Err(refused) => bail!("the agent gets: {refused}"),
        }
    }
    Ok(acknowledged)
}

async fn answer(
    entrance: &Entrance,
    client: &mut HubClient,
    acknowledged: &mut BTreeMap<String, Acknowledged>,
) -> Result<(), HubClientError> {
    be_available(client).await?;
    let mine = client.invoke("MyConversations", &[]).await?;
    for conversation in mine.as_array().into_iter().flatten() {
        client.invoke("Open", &[json!({"conversation_id": conversation["id"]})]).await?;
    }
    while !entrance.is_closing() {
        let Some(event) = client.event(Duration::from_millis(100)).await? else { continue };
        if event.name == "assigned" {
            client.invoke("Open", &[json!({"conversation_id": event.argument["id"]})]).await?;
        }
        let conversation = event.argument["conversation_id"].as_str().unwrap_or_default().to_owned();
        if event.name == "message" && event.argument["author"] == "customer" {
            let (key, text) = (Uuid::new_v4(), format!("Yes, I am here. {}", Uuid::new_v4()));
            match send(client, &conversation, key, &text).await {
                Ok(seq) => drop(acknowledged.entry(conversation).or_default().insert(key, (seq, text))),
                Err(HubClientError::Lost(why)) => return Err(HubClientError::Lost(why)),
                // It went back to the queue meanwhile, or too many messages came at once.
                Err(HubClientError::Refused(_)) => {}
            }
        }
    }
    Ok(())
}
