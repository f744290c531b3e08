//! The server's family and version.

use super::{Facts, Reason, Request, Verdict};
use crate::mysql::server::Flavour;

pub(super) fn check(facts: &Facts, _: &Request, verdict: &mut Verdict) {
    let server = &facts.server;
    if server.flavour == Flavour::MariaDb {
        verdict.refuse(
            Reason::UnsupportedVersion,
            "the server is a MariaDB, which this version cannot migrate",
            "run the migration on MySQL 8.0.13 or newer",
        );
    } else if !server.renames_locked_tables() {
        verdict.refuse(
            Reason::UnsupportedVersion,
            format!("MySQL {} cannot rename a locked table", server.version_text),
            "upgrade the server to MySQL 8.0.13 or newer",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::preflight::sample;
    use crate::mysql::server::Server;

    #[test]
    fn mysql_from_8_0_13() {
        let rows = [
            (Flavour::MySql, "8.0.12", false),
            (Flavour::MySql, "8.0.13", true),
            (Flavour::MySql, "9.7.4", true),
            (Flavour::MariaDb, "11.8.3-MariaDB", false),
        ];
        for (flavour, version, passes) in rows {
            let facts = sample::with_server(Server::sample(flavour, version, &[]));
            let found = sample::reasons(check, &facts, &sample::request());
            assert_eq!(found, if passes { vec![] } else { vec![Reason::UnsupportedVersion] });
        }
    }
}
