//! The free disk of the server, as the target's query tells it: no server of MySQL tells it by itself. A disk
//! that gets full stops the application before it stops us.

use std::time::Duration;

use super::Limits;
use super::probe::Probe;
use super::signal::Signal;
use crate::engine::context::Context;
use crate::mysql::error::Error;
use crate::mysql::health;
use crate::mysql::session::Session;

/// An answer that takes longer is none.
const LIMIT: Duration = Duration::from_secs(2);
/// What to do when nobody tells.
const UNTOLD: &str =
    "minFreeDisk is set, and the target has no probes.freeDisk that tells the free disk";

/// `throttle.minFreeDisk`.
#[derive(Default)]
pub(super) struct FreeDisk;

impl Probe for FreeDisk {
    const SIGNAL: Signal = Signal::MinFreeDisk;

    async fn look(
        &mut self,
        context: &Context,
        session: &mut Session,
        limits: &Limits,
    ) -> Result<Option<String>, Error> {
        let Some(limit) = limits.min_free_disk else { return Ok(None) };
        let Some(query) = &context.plan.request.probes.free_disk else {
            return Ok(Some(UNTOLD.to_owned()));
        };
        let free = health::ask_text(session, query, LIMIT).await?.as_deref().and_then(bytes);
        let free = free.ok_or(Error::ReadAnswer("the target's query for the free disk"))?;
        Ok(judged(free, limit))
    }
}

/// Whole bytes of a number; a fraction is left out.
fn bytes(text: &str) -> Option<u64> {
    text.trim().split('.').next()?.parse().ok()
}

fn judged(free: u64, limit: u64) -> Option<String> {
    let [free_mib, least_mib] = [free, limit].map(|bytes| bytes >> 20);
    (free < limit)
        .then(|| format!("the disk has {free_mib} MiB free, below minFreeDisk of {least_mib} MiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_bytes_is_read() {
        let rows = [
            ("1048576", Some(1 << 20)),
            ("1048576.75", Some(1 << 20)),
            ("0", Some(0)),
            ("-1", None),
            ("", None),
            ("plenty", None),
        ];
        for (text, expected) in rows {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn less_than_the_limit_is_too_little() {
        assert_eq!(judged(10 << 20, 10 << 20), None);
        let words = "the disk has 9 MiB free, below minFreeDisk of 10 MiB";
        assert_eq!(judged((10 << 20) - 1, 10 << 20).as_deref(), Some(words));
    }
}
