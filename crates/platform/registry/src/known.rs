//! What a directory knows, as a pure function of what it heard and when.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::{Change, Instance, Key, LIFETIME, Listing, Revised, Verdict};

/// Everything that a directory knows at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// Who is there, ordered by key.
    pub members: Vec<Member>,
    /// Whether the registry answered when it was last asked. While it does not, this is what it said last.
    pub current: bool,
}

/// An instance, and what the monitor says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// What it says of itself.
    pub instance: Instance,
    /// Why nobody should ask it; `None` when it is well.
    pub verdict: Option<Verdict>,
}

impl View {
    /// The instances of a role.
    pub fn of<'a>(&'a self, role: &'a str) -> impl Iterator<Item = &'a Member> {
        self.members.iter().filter(move |member| member.instance.role() == role)
    }
}

/// Entries, each with when a new revision of it was last heard.
#[derive(Debug, Default)]
pub(crate) struct Known {
    instances: BTreeMap<Key, Heard<Instance>>,
    verdicts: BTreeMap<Key, Heard<Verdict>>,
}

#[derive(Debug)]
struct Heard<T> {
    entry: Revised<T>,
    at: Instant,
}

impl Known {
    /// What an earlier follower knew, as if it were heard now.
    pub(crate) fn from_view(view: &View, now: Instant) -> Self {
        let mut known = Self::default();
        for Member { instance, verdict } in &view.members {
            hear(&mut known.instances, &instance.key, Revised { revision: 0, value: instance.clone() }, now);
            if let Some(verdict) = verdict {
                hear(&mut known.verdicts, &verdict.key, Revised { revision: 0, value: verdict.clone() }, now);
            }
        }
        known
    }

    pub(crate) fn change(&mut self, change: Change, now: Instant) {
        match change {
            Change::Announced(entry) => self.announced(entry, now),
            Change::Withdrawn(key) => drop(self.instances.remove(&key)),
            Change::Judged(entry) => {
                let key = entry.value.key.clone();
                hear(&mut self.verdicts, &key, entry, now);
            }
            Change::Acquitted(key) => drop(self.verdicts.remove(&key)),
        }
    }

    /// A list adds and renews. What it lacks goes when it expires: a registry that has just been restarted may be empty.
    pub(crate) fn listing(&mut self, listing: Listing, now: Instant) {
        listing.instances.into_iter().for_each(|entry| self.announced(entry, now));
        let judged: Vec<Key> = listing.verdicts.iter().map(|entry| entry.value.key.clone()).collect();
        self.verdicts.retain(|key, _| judged.contains(key));
        for entry in listing.verdicts {
            let key = entry.value.key.clone();
            hear(&mut self.verdicts, &key, entry, now);
        }
    }

    fn announced(&mut self, entry: Revised<Instance>, now: Instant) {
        let key = entry.value.key.clone();
        let earlier_process =
            self.instances.get(&key).is_some_and(|known| known.entry.value.generation > entry.value.generation);
        if !earlier_process {
            hear(&mut self.instances, &key, entry, now);
        }
    }

    /// The registry answers again: everybody gets time to announce themselves.
    pub(crate) fn allow_time(&mut self, now: Instant) {
        self.instances.values_mut().for_each(|heard| heard.at = now);
    }

    /// When the first instance expires.
    pub(crate) fn instance_expires(&self) -> Option<Instant> {
        self.instances.values().map(|heard| heard.at + LIFETIME).min()
    }

    /// When the first verdict expires.
    pub(crate) fn verdict_expires(&self) -> Option<Instant> {
        self.verdicts.values().map(|heard| heard.at + LIFETIME).min()
    }

    /// Drops the instances that expired. Only after a list: silence may be the registry's.
    pub(crate) fn expire_instances(&mut self, now: Instant) {
        self.instances.retain(|_, heard| heard.at + LIFETIME > now);
    }

    /// Drops the verdicts that expired. In doubt an instance is asked: callers notice by themselves when it fails.
    pub(crate) fn expire_verdicts(&mut self, now: Instant) {
        self.verdicts.retain(|_, heard| heard.at + LIFETIME > now);
    }

    pub(crate) fn view(&self, current: bool) -> View {
        let member = |(key, heard): (&Key, &Heard<Instance>)| {
            let instance = heard.entry.value.clone();
            let verdict = self.verdicts.get(key).map(|heard| &heard.entry.value);
            let verdict = verdict.filter(|verdict| verdict.generation == instance.generation).cloned();
            Member { instance, verdict }
        };
        View { members: self.instances.iter().map(member).collect(), current }
    }
}

/// Notes a revision, unless it is known already. An older one counts as well: a registry that lost its data counts
/// anew, and a watch ends with the newest in any case.
fn hear<T>(all: &mut BTreeMap<Key, Heard<T>>, key: &Key, entry: Revised<T>, now: Instant) {
    if all.get(key).is_none_or(|known| known.entry.revision != entry.revision) {
        all.insert(key.clone(), Heard { entry, at: now });
    }
}
