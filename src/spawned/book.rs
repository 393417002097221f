//! What is kept of tasks beside their headers, in a runtime that was asked to keep it: their names,
//! how often they were polled, and for how long. It is an entry in a table, and not a part of each
//! task, because nobody else is to pay for it.

use std::collections::HashMap;
use std::time::Duration;

use super::header::Id;
use crate::primitive::{Mutex, Padded};

/// In so many parts, so that threads seldom meet.
const PARTS: usize = 16;

/// What is kept of one task.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    /// Nothing: it has none.
    pub(crate) name: Box<str>,
    pub(crate) polls: u64,
    /// All its polls together.
    pub(crate) busy: Duration,
}

/// The table. Tasks that are alive are in it.
#[derive(Debug, Default)]
pub(crate) struct Book {
    parts: [Padded<Mutex<HashMap<u64, Kept>>>; PARTS],
}

impl Book {
    fn part(&self, id: u64) -> &Mutex<HashMap<u64, Kept>> {
        // Those that one thread spawns have numbers in a row.
        &self.parts[id as usize % PARTS]
    }

    /// A task is being spawned.
    pub(crate) fn born(&self, id: Id, name: &str) {
        let kept = Kept { name: name.into(), ..Kept::default() };
        self.part(id.number()).lock().insert(id.number(), kept);
    }

    /// Its future is gone.
    pub(crate) fn ended(&self, id: Id) {
        self.part(id.number()).lock().remove(&id.number());
    }

    /// It was polled, for so long.
    pub(crate) fn polled(&self, id: u64, time: Duration) {
        if let Some(kept) = self.part(id).lock().get_mut(&id) {
            kept.polls += 1;
            kept.busy += time;
        }
    }

    /// What is kept of it.
    pub(crate) fn get(&self, id: u64) -> Option<Kept> {
        self.part(id).lock().get(&id).cloned()
    }

    /// How many tasks are in it.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.lock().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_in_it_while_it_lives() {
        let book = Book::default();
        let ids: Vec<Id> = (0..100).map(|_| Id::next()).collect();
        ids.iter().for_each(|id| book.born(*id, "name"));
        assert_eq!(book.len(), 100);
        let id = ids[7].number();
        book.polled(id, Duration::from_millis(2));
        book.polled(id, Duration::from_millis(3));
        let kept = book.get(id).expect("it lives");
        assert_eq!((&*kept.name, kept.polls, kept.busy.as_millis()), ("name", 2, 5));
        ids.iter().for_each(|id| book.ended(*id));
        book.polled(id, Duration::from_millis(3));
        assert!(book.get(id).is_none() && book.len() == 0);
    }
}
