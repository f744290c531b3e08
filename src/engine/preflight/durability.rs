//! Settings that make a restart or a long migration fail later; they stop nothing now.

use std::time::Duration;

use super::{Facts, Reason, Request, Verdict};

/// Below this, a migration that is left over a night may find its place in the binlog gone.
const SHORT_RETENTION: Duration = Duration::from_secs(24 * 3600);

pub(super) fn check(facts: &Facts, _: &Request, verdict: &mut Verdict) {
    let server = &facts.server;
    if server.log_bin && !server.syncs_binlog() {
        verdict.warn(
            Reason::DurabilityWarning,
            "sync_binlog is not 1, so that a crash of the server may lose changes from the binlog",
            "set sync_binlog to 1, or start the migration anew after a crash of the server",
        );
    }
    if let Some(kept) = server.binlog_retention().filter(|kept| *kept < SHORT_RETENTION) {
        let minutes = kept.as_secs() / 60;
        verdict.warn(
            Reason::RetentionShort,
            format!("binlog files are kept for {minutes} minutes only"),
            "raise binlog_expire_logs_seconds, and do not leave the migration stopped for longer",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::preflight::sample;

    #[test]
    fn warns_of_what_may_be_lost_and_of_short_retention() {
        let rows: [(&[(&str, &str)], &[Reason]); 4] = [
            (&[], &[]),
            (&[("sync_binlog", "0")], &[Reason::DurabilityWarning]),
            (&[("binlog_expire_logs_seconds", "3600")], &[Reason::RetentionShort]),
            (&[("binlog_expire_logs_seconds", "0")], &[]),
        ];
        for (variables, expected) in rows {
            let facts = sample::with_variables(variables);
            assert_eq!(sample::warnings(check, &facts, &sample::request()), expected);
            assert!(sample::reasons(check, &facts, &sample::request()).is_empty());
        }
    }
}
