//! The database may be changed: not one of the server's own, and one that the target allows.

use super::{Facts, Reason, Request, Verdict};
use crate::schema::pattern::is_allowed;

const OWN: [&str; 5] = ["mysql", "information_schema", "performance_schema", "sys", "ndbinfo"];

pub(super) fn check(_: &Facts, request: &Request, verdict: &mut Verdict) {
    let database = &request.table.database;
    if OWN.iter().any(|own| own.eq_ignore_ascii_case(database)) {
        verdict.refuse(
            Reason::NotAllowedSchema,
            format!("database {database} belongs to the server and is not changed"),
            "name a database of the application",
        );
    } else if !is_allowed(database, &request.allowed_databases) {
        verdict.refuse(
            Reason::NotAllowedSchema,
            format!(
                "database {database} is not among those that the target allows: {}",
                request.allowed_databases.join(", ")
            ),
            "name another database, or let an administrator add it to allowedDatabases",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::preflight::sample;

    #[test]
    fn only_databases_of_the_application_that_the_target_allows() {
        let rows: [(&str, &[&str], bool); 9] = [
            ("shop", &[], true),
            ("mysql", &[], false),
            ("SYS", &["*"], false),
            ("information_schema", &[], false),
            ("shop", &["shop"], true),
            ("shop2", &["shop"], false),
            ("shop_eu", &["crm", "shop_*"], true),
            ("eshop", &["shop*"], false),
            ("a_shop_b", &["a*shop*b"], true),
        ];
        for (database, patterns, allowed) in rows {
            let mut request = sample::request();
            request.table.database = database.to_owned();
            request.allowed_databases = patterns.iter().map(|p| (*p).to_owned()).collect();
            let found = sample::reasons(check, &sample::facts(), &request);
            assert_eq!(found.is_empty(), allowed, "{database} {patterns:?}");
            assert!(found.iter().all(|reason| *reason == Reason::NotAllowedSchema));
        }
    }
}
