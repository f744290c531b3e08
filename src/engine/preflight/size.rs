//! The room that the shadow table needs. The server does not tell how much is free.

use super::{Facts, Reason, Request, Verdict};

const GIB: u64 = 1 << 30;

pub(super) fn check(facts: &Facts, _: &Request, verdict: &mut Verdict) {
    let Some(table) = facts.source.as_ref().filter(|table| table.size_bytes >= GIB) else { return };
    let size = table.size_bytes.div_ceil(GIB);
    verdict.warn(
        Reason::DiskSpace,
        format!(
            "the copy of {} needs about {size} GiB, and as much again passes the binlog",
            table.name
        ),
        "check that the server has that much room",
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::preflight::sample;

    #[test]
    fn only_big_tables_are_worth_a_word() {
        for (bytes, expected) in [(GIB - 1, vec![]), (5 * GIB, vec![Reason::DiskSpace])] {
            let mut facts = sample::facts();
            facts.source.as_mut().unwrap().size_bytes = bytes;
            assert_eq!(sample::warnings(check, &facts, &sample::request()), expected);
        }
    }
}
