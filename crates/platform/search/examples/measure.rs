//! Indexes documents from a file, one JSON object a line, and prints how long things take:
//!
//! ```text
//! cargo run --release -p bookworm-search --example measure -- FILE FIELD[,FIELD...] [QUERIES]
//! ```
//! The named fields are text (a string or a list of strings), the first of them the document's name. `QUERIES` is a file
//! with one query a line; without it, the documents' names are asked for. The index is made in a temporary folder, with
//! a made-up vector of 384 numbers for each document.
#![allow(clippy::print_stdout, reason = "it is for reading")]

use std::{
    error::Error,
    fs::File,
    io::{BufRead, BufReader},
    time::{Duration, Instant},
};

use bookworm_search::{Batch, Document, Index, Meaning, Options, Request, Schema, TextOptions, VectorModel, Words};
use serde_json::Value;
use uuid::Uuid;

const DIMENSIONS: usize = 384;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, fields, rest @ ..] = arguments.as_slice() else {
        return Err("usage: measure FILE FIELD[,FIELD...] [QUERIES]".into());
    };
    let fields: Vec<&str> = fields.split(',').collect();
    let mut builder = Schema::builder(1);
    for (at, field) in fields.iter().enumerate() {
        builder = builder.text(field, if at == 0 { TextOptions::name(6.0) } else { TextOptions::prose(1.0) });
    }
    let schema = builder.build()?;
    let folder = tempfile::tempdir()?;
    let model = VectorModel { name: "made up".to_owned(), dimensions: DIMENSIONS };
    let options = Options { model: Some(model), ..Options::default() };
    let index = Index::open(folder.path(), schema.clone(), options.clone())?;

    let mut names = Vec::new();
    let mut bulk = index.bulk()?;
    let begin = Instant::now();
    let mut batch = Batch::default();
    for (at, line) in (1..).zip(BufReader::new(File::open(file)?).lines()) {
        let value: Value = serde_json::from_str(&line?)?;
        let id = Uuid::from_u128(at);
        let mut document = Document::new(id);
        for (place, field) in fields.iter().enumerate() {
            let texts: Vec<&str> = match &value[field] {
                Value::String(text) => vec![text],
                Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
                _ => Vec::new(),
            };
            for text in texts {
                document = document.text(field, text);
                if place == 0 {
                    document = document.completion(1, text, id, 1.0);
                    names.push(text.to_owned());
                }
            }
        }
        batch.put.push(document);
        if batch.put.len() == 1_000 {
            bulk.add(std::mem::take(&mut batch))?;
        }
    }
    bulk.add(batch)?;
    bulk.finish(None)?;
    println!("indexed in {:?}: {:?}", begin.elapsed(), index.stats());

    let begin = Instant::now();
    let ids = index.ids();
    for ids in ids.chunks(1_000) {
        let vectors: Vec<_> = ids.iter().map(|id| (*id, 0, made_up(id.as_u128()))).collect();
        index.put_vectors(&vectors)?;
    }
    println!("vectors kept in {:?}", begin.elapsed());

    drop(index);
    let begin = Instant::now();
    let index = Index::open(folder.path(), schema, options)?;
    println!("opened again in {:?}: {:?}", begin.elapsed(), index.stats());

    let queries: Vec<String> = match rest {
        [queries, ..] => BufReader::new(File::open(queries)?).lines().collect::<Result<_, _>>()?,
        [] => names.into_iter().step_by(1 + ids.len() / 1_000).collect(),
    };
    let text = |query: &String| Request { text: Some(Words::new(query).into()), ..Request::default() };
    let seed = |query: &String| query.len() as u128;
    times("by text", &queries, |query| index.search(&text(query)).map(drop))?;
    times("by meaning", &queries, |query| {
        index.search(&Request { meaning: Some(Meaning::new(made_up(seed(query)))), ..Request::default() }).map(drop)
    })?;
    times("by both", &queries, |query| {
        index.search(&Request { meaning: Some(Meaning::new(made_up(seed(query)))), ..text(query) }).map(drop)
    })?;
    times("suggestions", &queries, |query| {
        let beginning: String = query.chars().take(1 + query.len() % 8).collect();
        let _ = index.suggest(&beginning, &[], 10);
        Ok(())
    })?;
    let begin = Instant::now();
    index.apply(
        Batch { put: vec![Document::new(Uuid::from_u128(1)).text(fields[0], "changed")], remove: vec![] },
        None,
    )?;
    println!("one document changed in {:?}", begin.elapsed());
    Ok(())
}

/// Numbers that look like a vector's.
fn made_up(seed: u128) -> Vec<f32> {
    let mut state = seed as u64 ^ 0x9e37_79b9_7f4a_7c15;
    (0..DIMENSIONS)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
        })
        .collect()
}

fn times(
    what: &str,
    queries: &[String],
    work: impl Fn(&String) -> bookworm_search::Result<()>,
) -> Result<(), Box<dyn Error>> {
    let mut times: Vec<Duration> = Vec::with_capacity(queries.len());
    for query in queries {
        let begin = Instant::now();
        work(query)?;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    if let (Some(half), Some(most)) = (times.get(times.len() / 2), times.get(times.len() * 99 / 100)) {
        let sum: Duration = times.iter().sum();
        println!("{what}: p50 {half:?}, p99 {most:?}, {:.0}/s on one thread", times.len() as f64 / sum.as_secs_f64());
    }
    Ok(())
}
