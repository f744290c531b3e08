//! Who is in the way of the cut-over. In: a session or a transaction as the server tells of it; out: the
//! words for the sentence that is waited in, and the same as values. No row value, no statement's literals.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};

use crate::mysql::locks;

/// The age that the server tells is in whole seconds: so far two readings of one beginning may differ.
const GRANULARITY: SignedDuration = SignedDuration::from_secs(2);

/// Who is in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blocker {
    /// The server's number for the connection, which `KILL` takes; of a transaction that was prepared by
    /// XA, its xid.
    pub id: String,
    /// `user@host`; empty for a transaction that was prepared by XA.
    pub user: String,
    /// Since when its transaction is open, or its command runs when it has none; absent when unknown.
    #[serde(serialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// What it holds: a table, or a lock by its name.
    pub holds: String,
    /// Its statement, the last one when it idles, without values and cut to 120 characters; its command
    /// when that is not known.
    pub statement: String,
}

/// What stands against a cut-over, in words, and who it is if it is somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The words.
    pub words: String,
    /// The session or transaction.
    pub blocker: Option<Blocker>,
}

impl Blocker {
    /// A session, seen at this time.
    pub fn session(found: &locks::Blocker, holds: String, now: Timestamp) -> Self {
        let age = i64::try_from(found.age_seconds).ok().map(SignedDuration::from_secs);
        Self {
            id: found.connection_id.to_string(),
            user: found.user.clone(),
            since: age.and_then(|age| now.checked_sub(age).ok()),
            holds,
            statement: found.digest.clone(),
        }
    }

    /// A transaction that was prepared by XA: nobody may be connected to it.
    pub fn prepared(xid: &str) -> Self {
        Self {
            id: xid.to_owned(),
            user: String::new(),
            since: None,
            holds: "a prepared XA transaction".to_owned(),
            statement: String::new(),
        }
    }

    /// The same with the beginning that was read before, unless it is about another one.
    #[must_use]
    pub fn after(self, before: Option<&Self>) -> Self {
        let known = before.filter(|before| before.id == self.id).and_then(|before| before.since);
        let is_same =
            |(one, other): (Timestamp, Timestamp)| one.duration_since(other).abs() <= GRANULARITY;
        match known.zip(self.since).is_some_and(is_same) {
            true => Self { since: known, ..self },
            false => self,
        }
    }
}

impl Obstacle {
    /// The same in other words.
    #[must_use]
    pub fn said(self, words: impl FnOnce(&str) -> String) -> Self {
        Self { words: words(&self.words), ..self }
    }
}

impl<T: Into<String>> From<T> for Obstacle {
    fn from(words: T) -> Self {
        Self { words: words.into(), blocker: None }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn text<S: Serializer>(since: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match since {
        Some(since) => serializer.collect_str(since),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + second).unwrap()
    }

    fn found(connection_id: u64, age_seconds: u64) -> locks::Blocker {
        locks::Blocker {
            connection_id,
            user: "app@10.0.0.7".to_owned(),
            age_seconds,
            state: "GRANTED".to_owned(),
            digest: "SELECT * FROM `orders` WHERE `id` = ?".to_owned(),
        }
    }

    #[test]
    fn a_session_is_told_by_values() {
        let blocker = Blocker::session(&found(81, 40), "shop.orders".to_owned(), at(60));
        let expected = serde_json::json!({"id": "81", "user": "app@10.0.0.7",
            "since": "2026-01-01T00:00:20Z", "holds": "shop.orders",
            "statement": "SELECT * FROM `orders` WHERE `id` = ?"});
        assert_eq!(serde_json::to_value(blocker).unwrap(), expected);
        let told = serde_json::to_value(Blocker::prepared("0x61")).unwrap();
        assert_eq!(
            told,
            serde_json::json!({"id": "0x61", "user": "", "holds": "a prepared XA transaction",
                "statement": ""})
        );
    }

    #[test]
    fn a_beginning_stays_as_it_was_first_read() {
        let seen = |id, age, now| Blocker::session(&found(id, age), "t".to_owned(), at(now));
        let rows = [
            ("nothing before", None, seen(81, 5, 60), 55),
            ("the same", Some(seen(81, 5, 60)), seen(81, 6, 62), 55),
            ("another transaction of it", Some(seen(81, 5, 60)), seen(81, 1, 62), 61),
            ("another session", Some(seen(82, 5, 60)), seen(81, 6, 62), 56),
        ];
        for (name, before, now, since) in rows {
            assert_eq!(now.after(before.as_ref()).since, Some(at(since)), "{name}");
        }
        let xa = Blocker::prepared("0x61");
        assert_eq!(xa.clone().after(Some(&xa)), xa);
    }
}
