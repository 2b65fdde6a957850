//! Which instances are out, as a function of what was heard of them and when:
//!
//! 1. An instance that did not answer well three times in a row is judged out, one that is out and answered well twice in
//!    a row is acquitted. Only what says of itself that it is ready is judged: the others are not asked anyway.
//! 2. At most half of the ready instances of a role are out, but one may be in any case. Who is out for longest stays out.
//! 3. A monitor that hears less than half of the other processes is more likely cut off than right: what it does not hear
//!    then counts for nothing, and it judges nobody.
//! 4. A verdict is written anew in each round, and lapses when it is not. Who is out is what the registry says, so that
//!    the next monitor goes on where this one ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bookworm_kernel::Timestamp;
use bookworm_registry::{Key, Member, State, Verdict};

/// After so many bad answers in a row an instance is out.
const MISSES: u32 = 3;
/// After so many good answers in a row it is back.
const HITS: u32 = 2;
/// After so long a pause between two rounds, as when this process was stopped, streaks begin anew.
const STALE: Duration = Duration::from_secs(6);

/// What came of asking an instance how it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is well.
    Well,
    /// It answers that it is not ready, although it was announced as ready.
    NotReady,
    /// It answers, but refuses the question.
    Refused,
    /// It was not reached.
    Unreachable,
    /// No answer came in time.
    Late,
}

impl Answer {
    /// For metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Well => "ok",
            Self::NotReady => "not_ready",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Late => "timeout",
        }
    }

    /// What is wrong, for people.
    const fn wrong(self) -> &'static str {
        match self {
            Self::Well => "it answers",
            Self::NotReady => "it answers that it is not ready",
            Self::Refused => "it refuses health checks",
            Self::Unreachable => "it cannot be reached",
            Self::Late => "it does not answer in time",
        }
    }

    /// Whether something came back.
    const fn was_heard(self) -> bool {
        !matches!(self, Self::Unreachable | Self::Late)
    }
}

/// An instance in one round.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// Who it is, with the verdict that is out on it.
    pub member: Member,
    /// What it answered; `None` when it was not asked: an instance of this process, or one without an address.
    pub answer: Option<Answer>,
}

/// What follows from a round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rulings {
    /// To be written, some of them again.
    pub judged: Vec<Verdict>,
    /// To be deleted.
    pub acquitted: Vec<Key>,
    /// Whether the monitor heard too few to judge anybody.
    pub blind: bool,
}

/// What is remembered from round to round.
#[derive(Debug, Default)]
pub struct Judgment {
    streaks: BTreeMap<Key, Streak>,
    last: Option<Timestamp>,
}

/// Answers of the same kind in a row.
#[derive(Debug)]
struct Streak {
    generation: i64,
    good: u32,
    bad: u32,
    /// When the first of the bad ones was.
    bad_since: Timestamp,
}

impl Streak {
    fn new(generation: i64, at: Timestamp) -> Self {
        Self { generation, good: 0, bad: 0, bad_since: at }
    }

    fn hear(&mut self, answer: Answer, blind: bool, at: Timestamp) {
        if answer == Answer::Well {
            self.good += 1;
            self.bad = 0;
        } else if blind {
            self.bad = 0;
        } else {
            if self.bad == 0 {
                self.bad_since = at;
            }
            self.good = 0;
            self.bad += 1;
        }
    }
}

impl Judgment {
    /// Takes in a round, and says what follows.
    pub fn hear(&mut self, round: &[Heard], at: Timestamp) -> Rulings {
        let stale = self.last.replace(at).is_some_and(|last| at.since(last) > STALE);
        let blind = is_blind(round);
        self.forget(round, stale);
        let mut rulings = Rulings { blind, ..Rulings::default() };
        let mut roles: BTreeMap<&str, Role> = BTreeMap::new();
        for Heard { member, answer } in round.iter().filter(|heard| heard.member.instance.state == State::Ready) {
            let instance = &member.instance;
            let role = roles.entry(instance.role()).or_default();
            role.ready += 1;
            let Some(answer) = *answer else { continue };
            let generation = instance.generation;
            let streak = self.streaks.entry(instance.key.clone()).or_insert_with(|| Streak::new(generation, at));
            streak.hear(answer, blind, at);
            match &member.verdict {
                Some(_) if streak.good >= HITS => rulings.acquitted.push(instance.key.clone()),
                Some(verdict) => role.out.push(verdict.clone()),
                None if streak.bad >= MISSES => role.failing.push(Verdict {
                    key: instance.key.clone(),
                    generation,
                    reason: answer.wrong().to_owned(),
                    since: streak.bad_since,
                }),
                None => {}
            }
        }
        if !blind {
            roles.into_values().for_each(|role| role.rule(&mut rulings));
        }
        rulings
    }

    /// Forgets who is gone, what an earlier process with the same name did, and, after a long pause, everything.
    fn forget(&mut self, round: &[Heard], stale: bool) {
        let judged: BTreeMap<&Key, i64> = round
            .iter()
            .filter(|heard| heard.member.instance.state == State::Ready && heard.answer.is_some())
            .map(|heard| (&heard.member.instance.key, heard.member.instance.generation))
            .collect();
        self.streaks.retain(|key, streak| !stale && judged.get(key) == Some(&streak.generation));
    }
}

/// The ready instances of one role.
#[derive(Default)]
struct Role {
    ready: usize,
    /// Verdicts that are out.
    out: Vec<Verdict>,
    /// Those that there is reason for.
    failing: Vec<Verdict>,
}

impl Role {
    /// As many as may be out, those first that have been for longest.
    fn rule(mut self, rulings: &mut Rulings) {
        let limit = (self.ready / 2).max(1);
        let by_age = |verdicts: &mut Vec<Verdict>| {
            verdicts.sort_by(|one, other| (one.since, &one.key).cmp(&(other.since, &other.key)));
        };
        by_age(&mut self.out);
        by_age(&mut self.failing);
        let kept = self.out.len().min(limit);
        rulings.acquitted.extend(self.out.drain(kept..).map(|verdict| verdict.key));
        rulings.judged.append(&mut self.out);
        rulings.judged.extend(self.failing.into_iter().take(limit - kept));
    }
}

/// Whether less than half of the other processes were heard.
fn is_blind(round: &[Heard]) -> bool {
    let asked = |met: fn(Answer) -> bool| -> BTreeSet<&str> {
        let met = round.iter().filter(|heard| heard.answer.is_some_and(met));
        met.map(|heard| heard.member.instance.id()).collect()
    };
    let (all, heard) = (asked(|_| true), asked(Answer::was_heard));
    heard.len() * 2 < all.len()
}
