//! Scores the classifier on judged sentences: `intents_quality FOLDER`, where `utterances.tsv` and `out_of_scope.tsv`
//! contain `sentence<TAB>intent` lines. Prints accuracy, the intents that are taken for others, and how many out-of-scope
//! sentences are recognised; by meaning when the model is there, and by words alone.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a command for people")]

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use bookworm_ai::{AiService, Dependencies};
use bookworm_chat::{
    domain::intent::Intent,
    triage::{
        Triage,
        embed::Models,
        examples::{self, Example},
    },
};
use bookworm_contracts::grpc::{Edge, methods};
use bookworm_kernel::Cause;
use tokio_util::sync::CancellationToken;

fn read(file: &Path) -> Vec<Example> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let (examples, bad) = examples::parse(&text);
    assert!(bad.is_empty(), "{}: {bad:?}", file.display());
    examples
}

async fn score(name: &str, triage: &Triage, known: &[Example], foreign: &[Example]) {
    let start = Instant::now();
    let mut of: BTreeMap<Intent, (usize, usize)> = BTreeMap::new();
    let mut confused: BTreeMap<(Intent, Intent), usize> = BTreeMap::new();
    let mut slowest = Duration::ZERO;
    for example in known {
        let start = Instant::now();
        let found = triage.classify(&example.text, &Cause::start()).await;
        slowest = slowest.max(start.elapsed());
        let (right, all) = of.entry(example.intent).or_default();
        *all += 1;
        if found.intent == example.intent {
            *right += 1;
        } else {
            *confused.entry((example.intent, found.intent)).or_default() += 1;
        }
    }
    let mut recognised = 0;
    for example in foreign {
        let found = triage.classify(&example.text, &Cause::start()).await;
        if found.intent == Intent::OutOfScope {
            recognised += 1;
        } else {
            println!("    taken for {:<24} {:.2}  {}", found.intent.name(), found.confidence, example.text);
        }
    }
    let took = start.elapsed() / u32::try_from(known.len() + foreign.len()).unwrap_or(1).max(1);
    for (intent, (right, all)) in &of {
        println!("  {:<26} {:.3}  ({right} of {all})", intent.name(), *right as f64 / *all as f64);
    }
    for ((wanted, found), count) in confused.iter().filter(|(_, count)| **count > 1) {
        println!("    {count:>3} x {} taken for {}", wanted.name(), found.name());
    }
    let (right, all) = of.values().fold((0, 0), |(right, all), (r, a)| (right + r, all + a));
    println!(
        "{name}: accuracy {:.4} on {all} sentences; out of scope {:.3} on {}; {took:?} each, at most {slowest:?}\n",
        right as f64 / all.max(1) as f64,
        f64::from(recognised) / foreign.len().max(1) as f64,
        foreign.len(),
    );
}

#[tokio::main]
async fn main() {
    let folder = std::env::args().nth(1).expect("a folder with utterances.tsv and out_of_scope.tsv");
    let (known, foreign) =
        (read(&Path::new(&folder).join("utterances.tsv")), read(&Path::new(&folder).join("out_of_scope.tsv")));
    let data = std::env::temp_dir().join("bookworm-intents-quality");
    score("words alone", &Triage::open(None, &data), &known, &foreign).await;

    let settings = bookworm_config::Ai::default();
    let service = AiService::open(Dependencies { settings }).expect("the model's settings");
    let server = service.grpc();
    let ai = Edge::local("quality.ai", server, methods::AI);
    let models = Models { messages: ai.clone(), background: ai };
    let triage = Triage::open(Some(models), &data);
    let start = Instant::now();
    let learning = tokio::spawn(triage.clone().learn(CancellationToken::new()));
    while !triage.knows_meaning() {
        assert!(start.elapsed() < Duration::from_secs(600), "no model: {}", service.status().problem);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("learnt in {:?}", start.elapsed());
    learning.abort();
    score("by meaning", &triage, &known, &foreign).await;
}
