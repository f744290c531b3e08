//! What makes the migration wait later: prepared XA transactions and a running backup.

use super::{Facts, Reason, Request, Verdict};

pub(super) fn check(facts: &Facts, _: &Request, verdict: &mut Verdict) {
    if facts.prepared_xa > 0 {
        verdict.warn(
            Reason::XaPending,
            format!("{} prepared XA transactions have not ended", facts.prepared_xa),
            "commit or roll them back (XA RECOVER lists them); the copy begins only then",
        );
    }
    if facts.backup_running {
        verdict.warn(
            Reason::BackupRunning,
            "a backup holds its lock, which makes every change of a definition wait",
            "let the backup end first",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::preflight::sample;

    #[test]
    fn prepared_transactions_and_backups_are_told() {
        let mut facts = sample::facts();
        (facts.prepared_xa, facts.backup_running) = (2, true);
        let found = sample::warnings(check, &facts, &sample::request());
        assert_eq!(found, [Reason::XaPending, Reason::BackupRunning]);
    }
}
