//! Every id gets a small number, which it keeps as long as the process lives: vectors and documents meet there.

use std::{collections::HashMap, sync::RwLock};

use uuid::Uuid;

use crate::lock::{read, write};

/// No number.
pub(crate) const NONE: u32 = u32::MAX;

#[derive(Default)]
pub(crate) struct Ids(RwLock<Table>);

#[derive(Default)]
struct Table {
    numbers: HashMap<Uuid, u32>,
    ids: Vec<Uuid>,
}

impl Ids {
    pub(crate) fn get(&self, id: Uuid) -> Option<u32> {
        read(&self.0).numbers.get(&id).copied()
    }

    /// The ids' numbers; new ids get new ones.
    pub(crate) fn intern(&self, ids: impl IntoIterator<Item = Uuid>) -> Vec<u32> {
        let mut table = write(&self.0);
        let Table { numbers, ids: all } = &mut *table;
        ids.into_iter()
            .map(|id| {
                *numbers.entry(id).or_insert_with(|| {
                    all.push(id);
                    u32::try_from(all.len() - 1).expect("memory holds fewer ids than a u32 counts")
                })
            })
            .collect()
    }

    pub(crate) fn id(&self, number: u32) -> Uuid {
        read(&self.0).ids[number as usize]
    }

    /// Calls with a look-up that holds the lock once for many.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&[Uuid]) -> T) -> T {
        work(&read(&self.0).ids)
    }
}
