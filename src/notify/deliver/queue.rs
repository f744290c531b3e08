//! What one receiver still has to get, bounded: of too much the oldest Info is dropped first. Survives a
//! change of the settings.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::notify::inbox::Message;
use crate::notify::notice::Severity;

/// Messages that wait for one receiver.
const ROOM: usize = 100;

/// A message on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    /// The same in all tries, so that a receiver may recognise one that it has.
    pub id: String,
    /// What it says.
    pub message: Message,
}

/// What one receiver still has to get.
#[derive(Debug, Default)]
pub struct Queue {
    letters: Mutex<VecDeque<Letter>>,
    changed: Notify,
}

impl Queue {
    /// Adds one. How many were dropped for it.
    pub fn push(&self, letter: Letter) -> usize {
        let mut letters = self.lock();
        letters.push_back(letter);
        let mut dropped = 0;
        // The first one may be on its way at this moment.
        while letters.len() > ROOM {
            let info = |one: &Letter| one.message.severity() == Severity::Info;
            let oldest = letters.iter().skip(1).position(info).map_or(1, |at| at + 1);
            letters.remove(oldest);
            dropped += 1;
        }
        drop(letters);
        self.changed.notify_waiters();
        dropped
    }

    /// The first one; waits until there is one.
    pub async fn first(&self) -> Letter {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(letter) = self.lock().front() {
                return letter.clone();
            }
            changed.await;
        }
    }

    /// Takes one out.
    pub fn remove(&self, id: &str) {
        self.lock().retain(|letter| letter.id != id);
        self.changed.notify_waiters();
    }

    /// Waits until nothing is left.
    pub async fn until_empty(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.lock().is_empty() {
                return;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Letter>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::notify::notice::{Kind, Notice};

    fn letter(number: usize, kind: Kind) -> Letter {
        let notice = Notice { kind, ..Notice::test(Timestamp::UNIX_EPOCH) };
        Letter { id: number.to_string(), message: Message { notices: vec![notice], more: 0 } }
    }

    #[tokio::test]
    async fn of_too_much_the_oldest_info_goes_first() {
        let queue = Queue::default();
        let kind = |number| if number % 2 == 0 { Kind::Lag } else { Kind::Started };
        let dropped: usize = (0..103).map(|number| queue.push(letter(number, kind(number)))).sum();
        assert_eq!(dropped, 3);
        let left: Vec<String> = queue.lock().iter().map(|letter| letter.id.clone()).collect();
        assert_eq!((&left[..4], left.len()), (&["0", "2", "4", "6"].map(String::from)[..], 100));
        assert_eq!(queue.first().await.id, "0");
    }

    #[tokio::test]
    async fn grave_ones_go_when_there_are_no_others_but_not_the_first() {
        let queue = Queue::default();
        let dropped: usize = (0..101).map(|number| queue.push(letter(number, Kind::Failed))).sum();
        assert_eq!(dropped, 1);
        assert_eq!(queue.first().await.id, "0");
        queue.remove("0");
        assert_eq!(queue.first().await.id, "2");
    }
}
