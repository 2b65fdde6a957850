use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    mem::size_of,
    sync::Arc,
    time::Duration,
};

use crate::{
    exposition::name_of,
    labels::Labels,
    parse,
    query::{Query, QueryError, Selector},
};

/// Samples younger than this are all kept; of older ones one a minute.
const FINE: i64 = 10 * 60 * 1000;
/// The distance of older samples. A little less than a minute, since scrapes are not on the second.
const COARSE: i64 = 55 * 1000;
/// A sample counts for so long as the latest one.
pub(crate) const LOOKBACK: i64 = 5 * 60 * 1000;

/// What a store keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// How much memory it takes at most, in bytes, roughly. A series that there is no room for is left out and counted.
    pub bytes: usize,
    /// How long samples are kept at least; longer where a query looks back further.
    pub age: Duration,
}

/// Many series of a process as few: those that are selected, added up by the labels that are left.
#[derive(Debug, Clone)]
pub struct Fold {
    from: Selector,
    keep: Vec<String>,
    into: String,
}

impl Fold {
    /// Adds up what `from` selects, such as `http_requests_total{route!="/x"}`, by these labels, and calls it `into`.
    ///
    /// # Errors
    /// When `from` is no selector.
    pub fn new(from: &str, keep: &[&str], into: &str) -> Result<Self, QueryError> {
        let query = Query::parse(from)?;
        let selector = query.selectors().first().map(|(selector, _)| (*selector).clone());
        let none = || QueryError { query: from.to_owned(), why: "it selects nothing".to_owned() };
        let keep = keep.iter().map(|label| (*label).to_owned()).collect();
        Ok(Self { from: selector.ok_or_else(none)?, keep, into: into.to_owned() })
    }
}

/// Whom a scrape was asked.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Labels of all its series, such as its `instance`.
    pub labels: &'a [(&'a str, &'a str)],
    /// More labels of what is folded.
    pub folded: &'a [(&'a str, &'a str)],
}

/// A point of a series. `None` says that the series has ended.
pub type Point = (i64, Option<f64>);

#[derive(Debug, Default)]
pub(crate) struct Series {
    /// One a minute.
    coarse: VecDeque<Point>,
    fine: VecDeque<Point>,
}

impl Series {
    fn last(&self) -> Option<Point> {
        self.fine.back().or(self.coarse.back()).copied()
    }

    /// Points after `from`, up to `to`.
    pub(crate) fn between(&self, from: i64, to: i64) -> impl Iterator<Item = Point> {
        let start = self.coarse.partition_point(|(at, _)| *at <= from);
        let coarse = self.coarse.range(start..);
        let start = self.fine.partition_point(|(at, _)| *at <= from);
        coarse.chain(self.fine.range(start..)).copied().take_while(move |(at, _)| *at <= to)
    }

    /// The value that counts at a time.
    pub(crate) fn at(&self, time: i64) -> Option<f64> {
        let of = |points: &VecDeque<Point>| match points.partition_point(|(at, _)| *at <= time) {
            0 => None,
            after => points.get(after - 1).copied(),
        };
        let (at, value) = of(&self.fine).or_else(|| of(&self.coarse))?;
        value.filter(|_| time - at < LOOKBACK)
    }

    fn push(&mut self, point: Point, age: i64) {
        self.fine.push_back(point);
        while let Some(oldest) = self.fine.front().copied().filter(|(at, _)| *at <= point.0 - FINE) {
            self.fine.pop_front();
            // That a series ended is kept, whenever it was.
            let keep = self.coarse.back().is_none_or(|(at, _)| oldest.0 - at >= COARSE) || oldest.1.is_none();
            if keep {
                self.coarse.push_back(oldest);
            }
        }
        while self.coarse.front().is_some_and(|(at, _)| *at < point.0 - age) {
            self.coarse.pop_front();
        }
    }
}

/// What a series takes once it is full, roughly, in bytes: a new one is small, and grows.
fn full(labels: &Labels, age: i64) -> usize {
    let points = |age: i64, each: i64| usize::try_from(age / each).unwrap_or(0).next_power_of_two();
    (points(age, 60_000) + points(FINE, 15_000)) * size_of::<Point>() + size_of::<Series>() + labels.bytes()
}

/// Series in memory, within a bound.
#[derive(Debug)]
pub struct Store {
    bound: Bound,
    /// What is kept of a scrape, by name.
    wanted: HashMap<String, Vec<Selector>>,
    folds: Vec<Fold>,
    /// How far back queries look, by name, in milliseconds.
    reach: HashMap<String, i64>,
    series: HashMap<Arc<str>, HashMap<Labels, Series>>,
    bytes: usize,
    /// Samples that there was no room for: since [`tidy`](Self::tidy), and between the two before.
    left_out: (u64, u64),
}

impl Store {
    /// Without series yet. Of what is scraped it keeps what these queries ask for, and what is folded.
    pub fn new<'a>(bound: Bound, queries: impl IntoIterator<Item = &'a Query>, folds: Vec<Fold>) -> Self {
        let (mut wanted, mut reach) = (HashMap::<String, Vec<Selector>>::new(), HashMap::<String, i64>::new());
        for (selector, back) in queries.into_iter().flat_map(Query::selectors) {
            let name = selector.name.clone();
            let known = reach.entry(name.clone()).or_default();
            *known = (*known).max(back + LOOKBACK);
            let of_name = wanted.entry(name).or_default();
            if !of_name.contains(selector) {
                of_name.push(selector.clone());
            }
        }
        Self { bound, wanted, folds, reach, series: HashMap::new(), bytes: 0, left_out: (0, 0) }
    }

    /// Takes what a process answered to a scrape. A label of the target's that a sample brings too becomes `exported_` it, as
    /// Prometheus has it. Series of the target that it did not bring have ended. `None`: it did not answer, and all of
    /// them have.
    pub fn scrape(&mut self, target: Target<'_>, answer: Option<&str>, now: i64) {
        let own = target.labels;
        let mut folded: BTreeMap<(String, Labels), f64> = BTreeMap::new();
        for text in answer.unwrap_or_default().lines() {
            let name = name_of(text);
            if !self.wanted.contains_key(name) && self.folds.iter().all(|fold| fold.from.name != name) {
                continue;
            }
            for line in parse(text) {
                let is_own = |name: &str| own.iter().any(|(known, _)| *known == name);
                let labels = line.labels.into_iter().map(|(name, value)| match is_own(name) {
                    true => (format!("exported_{name}"), value),
                    false => (name.to_owned(), value),
                });
                let of_target = own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
                let labels: Labels = labels.chain(of_target).collect();
                for fold in self.folds.iter().filter(|fold| fold.from.name == name && fold.from.matches(&labels)) {
                    let kept = labels.only(|name| is_own(name) || fold.keep.iter().any(|keep| keep == name));
                    *folded.entry((fold.into.clone(), kept.with(target.folded.iter().copied()))).or_default() +=
                        line.value;
                }
                if self.wanted.get(name).is_some_and(|of| of.iter().any(|one| one.matches(&labels))) {
                    self.push(name, labels, line.value, now);
                }
            }
        }
        for ((name, labels), value) in folded {
            self.push(&name, labels, value, now);
        }
        let is_of = |labels: &Labels| own.iter().all(|(name, value)| labels.get(name) == *value);
        // What a query recorded of it ends with the query's result.
        self.end(now, |name, labels| name != "up" && !name.contains(':') && is_of(labels));
        self.push("up", own.iter().copied().collect(), f64::from(u8::from(answer.is_some())), now);
    }

    /// A sample of a series that was not scraped. Samples come in the order of time.
    pub fn push(&mut self, name: &str, labels: Labels, value: f64, now: i64) {
        let age = self.age(name);
        if !self.series.contains_key(name) {
            self.series.insert(name.into(), HashMap::new());
        }
        let Some(of_name) = self.series.get_mut(name) else { return };
        if let Some(series) = of_name.get_mut(&labels) {
            series.push((now, Some(value)), age);
            return;
        }
        let bytes = self.bytes.saturating_add(full(&labels, age));
        if bytes > self.bound.bytes {
            self.left_out.0 += 1;
            return;
        }
        self.bytes = bytes;
        of_name.entry(labels).or_default().push((now, Some(value)), age);
    }

    /// How long samples of a name are kept, in milliseconds.
    fn age(&self, name: &str) -> i64 {
        let age = i64::try_from(self.bound.age.as_millis()).unwrap_or(i64::MAX);
        age.max(self.reach.get(name).copied().unwrap_or(0))
    }

    /// Ends what a target had and has no more, at its last look: for a process that left.
    pub fn leave(&mut self, target: &[(&str, &str)], now: i64) {
        let is_of = |labels: &Labels| target.iter().all(|(name, value)| labels.get(name) == *value);
        self.end(now, |_, labels| is_of(labels));
    }

    fn end(&mut self, now: i64, which: impl Fn(&str, &Labels) -> bool) {
        for (name, of_name) in &mut self.series {
            for (labels, series) in of_name {
                let goes_on = series.last().is_some_and(|(at, value)| at < now && value.is_some());
                if goes_on && which(name, labels) {
                    series.push((now, None), i64::MAX);
                }
            }
        }
    }

    /// Forgets series whose last sample is too old.
    pub fn tidy(&mut self, now: i64) {
        let names: Vec<Arc<str>> = self.series.keys().cloned().collect();
        let mut bytes = 0;
        for name in names {
            let age = self.age(&name);
            let Some(of_name) = self.series.get_mut(&name) else { continue };
            of_name.retain(|_, series| series.last().is_some_and(|(at, _)| at >= now - age));
            bytes += of_name.keys().map(|labels| full(labels, age)).sum::<usize>();
        }
        self.series.retain(|_, of_name| !of_name.is_empty());
        self.bytes = bytes;
        self.left_out = (0, self.left_out.0);
    }

    /// What the series take, in bytes, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many samples were left out of late, because there was no room for their series.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out.0.max(self.left_out.1)
    }

    /// Every series of a name, with its points: `None` is where it ended. Oldest first.
    pub fn of<'a>(&'a self, name: &str) -> impl Iterator<Item = (&'a Labels, Vec<Point>)> + use<'a> {
        let of_name = self.series.get(name).into_iter().flatten();
        of_name.map(|(labels, series)| (labels, series.between(i64::MIN, i64::MAX).collect()))
    }

    pub(crate) fn select<'a>(&'a self, selector: &'a Selector) -> impl Iterator<Item = (&'a Labels, &'a Series)> {
        self.series.get(&*selector.name).into_iter().flatten().filter(|(labels, _)| selector.matches(labels))
    }

    /// Every series as text, to hand them over: `name{labels} time value time value`. Without a value, `-`, it ended there.
    #[must_use]
    pub fn write(&self) -> String {
        let mut text = String::new();
        for (name, of_name) in &self.series {
            for (labels, series) in of_name {
                text.push_str(name);
                text.push('{');
                for (label, value) in labels.iter() {
                    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                    text.push_str(&format!("{label}=\"{value}\","));
                }
                text.push('}');
                for (at, value) in series.between(i64::MIN, i64::MAX) {
                    match value {
                        Some(value) => text.push_str(&format!(" {at} {value}")),
                        None => text.push_str(&format!(" {at} -")),
                    }
                }
                text.push('\n');
            }
        }
        text
    }

    /// Takes over what another store wrote, where it is older than what this one has of a series. Lines that make no sense
    /// are left out.
    pub fn take_over(&mut self, text: &str, now: i64) {
        for line in text.lines() {
            let name = name_of(line);
            let Some((labels, rest)) =
                line.get(name.len()..).and_then(|rest| crate::exposition::labels(rest.strip_prefix('{')?))
            else {
                continue;
            };
            let labels: Labels = labels.into_iter().collect();
            let own: Vec<Point> = match self.series.get_mut(name).and_then(|of_name| of_name.remove(&labels)) {
                Some(series) => {
                    self.bytes = self.bytes.saturating_sub(full(&labels, self.age(name)));
                    series.between(i64::MIN, i64::MAX).collect()
                }
                None => Vec::new(),
            };
            let first = own.first().map_or(now, |(at, _)| *at);
            let mut parts = rest.split_whitespace();
            let mut older: Vec<Point> = Vec::new();
            while let (Some(at), Some(value)) = (parts.next(), parts.next()) {
                let value = if value == "-" { Ok(None) } else { value.parse().map(Some) };
                let (Ok(at), Ok(value)) = (at.parse::<i64>(), value) else { break };
                let follows = older.last().is_none_or(|(before, _)| *before < at);
                if at < first && follows {
                    older.push((at, value));
                }
            }
            for (at, value) in older.into_iter().chain(own) {
                match value {
                    Some(value) => self.push(name, labels.clone(), value, at),
                    None => self.end(at, |other, of| other == name && *of == labels),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;
    const A: Target<'_> = Target { labels: &[("job", "shop"), ("instance", "a")], folded: &[("public", "1")] };

    fn store(bytes: usize, queries: &[&str]) -> Store {
        let queries: Vec<Query> = queries.iter().map(|text| Query::parse(text).unwrap()).collect();
        Store::new(Bound { bytes, age: Duration::from_secs(7200) }, &queries, Vec::new())
    }

    fn at(store: &Store, query: &str, now: i64) -> Vec<f64> {
        Query::parse(query).unwrap().at(store, now).values().collect()
    }

    #[test]
    fn only_what_queries_ask_for_is_kept_and_it_ends_with_its_process() {
        let mut store = store(1 << 20, &["a", "b{x=\"1\"}"]);
        store.scrape(A, Some("a{instance=\"own\"} 1\nb{x=\"1\"} 2\nb{x=\"2\"} 3\nc 4\n"), 0);
        assert_eq!(at(&store, "a{exported_instance=\"own\",instance=\"a\"}", 0), [1.0]);
        assert_eq!((at(&store, "b", 0), at(&store, "c", 0), at(&store, "up", 0)), (vec![2.0], vec![], vec![1.0]));
        store.scrape(A, Some("a{instance=\"own\"} 1\n"), 15_000);
        assert_eq!(at(&store, "b", 15_000), [0.0; 0], "the process has it no more");
        store.scrape(A, None, 30_000);
        assert_eq!((at(&store, "a", 30_000), at(&store, "up", 30_000)), (vec![], vec![0.0]));
        store.leave(A.labels, 45_000);
        assert_eq!(at(&store, "up", 45_000), [0.0; 0]);
    }

    #[test]
    fn many_series_are_added_up_to_few() {
        let fold = Fold::new("a{route!=\"/x\"}", &["le"], "folded").unwrap();
        let query = Query::parse("a{route=\"/y\"}").unwrap();
        let mut store = Store::new(Bound { bytes: 1 << 20, age: Duration::from_secs(60) }, [&query], vec![fold]);
        let text = "a{route=\"/x\",le=\"1\"} 1\na{route=\"/y\",le=\"1\"} 2\na{route=\"/z\",le=\"1\"} 4\na{route=\"/z\",le=\"2\"} 8\n";
        store.scrape(A, Some(text), 0);
        assert_eq!(at(&store, "folded{public=\"1\",instance=\"a\"}", 0), [6.0, 8.0]);
        assert_eq!(at(&store, "a", 0), [2.0]);
        assert!(Fold::new("1 + 1", &[], "folded").is_err());
    }

    #[test]
    fn old_samples_are_thinned_and_then_forgotten_and_longer_ones_kept_where_a_query_looks_back() {
        let mut store = store(1 << 20, &["a", "rate(b[6h])"]);
        for tick in 0..4 * 60 * 8 {
            store.scrape(A, Some(&format!("a {tick}\nb {tick}\n")), tick * 15_000);
        }
        let now = (4 * 60 * 8 - 1) * 15_000;
        let points = |name| store.of(name).next().unwrap().1;
        let (a, b) = (points("a"), points("b"));
        assert!((145..=155).contains(&a.len()), "{}", a.len());
        assert!((380..=400).contains(&b.len()), "{}", b.len());
        assert!(a[0].0 >= now - 121 * MINUTE && b[0].0 <= now - 360 * MINUTE);
        assert!(a.is_sorted() && a.iter().rev().take(39).map(|(at, _)| *at).eq((0..39).map(|n| now - n * 15_000)));
        store.tidy(now + 3 * 60 * MINUTE);
        assert!(store.of("a").next().is_none() && store.of("b").next().is_some());
    }

    #[test]
    fn a_flood_of_series_stays_within_the_bound() {
        let mut store = store(100_000, &["a"]);
        for tick in 0..480 {
            for id in 0..1_000 {
                store.push("a", [("id", format!("{id}"))].into_iter().collect(), 1.0, tick * 15_000);
            }
            assert!(store.bytes() <= 100_000, "{}", store.bytes());
        }
        assert!(store.left_out() > 0 && at(&store, "count(a)", 479 * 15_000)[0] > 10.0);
        store.tidy(479 * 15_000);
        assert!(store.left_out() > 0, "the last round had no room");
        store.tidy(479 * 15_000);
        assert_eq!(store.left_out(), 0, "and now there is");
        let counted = store.bytes();
        store.tidy(479 * 15_000);
        assert_eq!(store.bytes(), counted, "what was counted on the way");
    }

    #[test]
    fn a_history_is_taken_over_where_ones_own_begins() {
        let (mut old, mut new) = (store(1 << 20, &["a"]), store(1 << 20, &["a"]));
        for tick in 0..20 {
            old.scrape(A, Some(&format!("a{{x=\"say \\\"hi\\\"\"}} {tick}")), tick * MINUTE);
        }
        old.scrape(A, None, 20 * MINUTE);
        new.scrape(A, Some("a{x=\"say \\\"hi\\\"\"} 100"), 18 * MINUTE);
        new.take_over(&old.write(), 18 * MINUTE);
        new.take_over("nonsense\na{ 1 2\na{x=\"1\"} x y\n", 18 * MINUTE);
        let (labels, points) = new.of("a").next().unwrap();
        assert_eq!((labels.get("x"), points.len(), points[18]), ("say \"hi\"", 19, (18 * MINUTE, Some(100.0))));
        assert_eq!(points[17], (17 * MINUTE, Some(17.0)));
        let counted = new.bytes();
        new.tidy(18 * MINUTE);
        assert_eq!(new.bytes(), counted);
    }
}
