//! The account has every privilege that a migration needs, each named exactly.

use super::{Facts, Reason, Request, Verdict};

pub(super) fn check(facts: &Facts, request: &Request, verdict: &mut Verdict) {
    for missing in facts.grants.missing(&request.table.database) {
        verdict.refuse(
            Reason::MissingPrivileges,
            format!("the account lacks {}", missing.privileges.join(", ")),
            format!("run: {}", missing.remedy),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::preflight::sample;
    use crate::mysql::grants::Grants;

    #[test]
    fn missing_privileges_are_named_with_the_statement_that_grants_them() {
        let lines = [
            "GRANT REPLICATION SLAVE, REPLICATION CLIENT, PROCESS ON *.* TO `g`@`%`",
            "GRANT XA_RECOVER_ADMIN ON *.* TO `g`@`%`",
            "GRANT SELECT ON `performance_schema`.* TO `g`@`%`",
            "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, TRIGGER ON `shop`.* TO `g`@`%`",
        ];
        let mut facts = sample::facts();
        facts.grants = Grants::parse(lines, "`g`@`%`", false);
        let mut verdict = Verdict::default();
        check(&facts, &sample::request(), &mut verdict);
        let found: Vec<_> =
            verdict.refusals.iter().map(|r| (r.reason, r.remedy.as_str())).collect();
        let remedy = "run: GRANT LOCK TABLES ON `shop`.* TO `g`@`%`";
        assert_eq!(found, [(Reason::MissingPrivileges, remedy)]);
    }
}
