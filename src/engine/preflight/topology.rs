//! The server is the one place where the table is written, and takes writes.

use super::{Facts, Reason, Request, Verdict};

pub(super) fn check(facts: &Facts, _: &Request, verdict: &mut Verdict) {
    let server = &facts.server;
    if server.has_several_writers() {
        let kind = if server.is_on("wsrep_on") {
            "Galera cluster"
        } else {
            "Group Replication with several primaries"
        };
        verdict.refuse(
            Reason::UnsupportedTopology,
            format!("the server belongs to a {kind}, where other servers write the table as well"),
            "change the table there with the cluster's own means",
        );
    }
    if let Some(host) = &server.replica_of {
        let source = if host.is_empty() { "another server" } else { host };
        verdict.refuse(
            Reason::NotPrimary,
            format!("the server is a replica of {source}"),
            "point the target at the source server of the replication",
        );
    }
    if server.is_read_only() {
        verdict.refuse(
            Reason::ServerReadOnly,
            "the server is read-only",
            "wait until it takes writes, or point the target at the server that does",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::preflight::sample;

    #[test]
    fn clusters_replicas_and_read_only_servers_are_refused() {
        let group = ("group_replication_group_name", "3E11FA47");
        let single = ("group_replication_single_primary_mode", "ON");
        let rows: [(&[(&str, &str)], Option<&str>, &[Reason]); 7] = [
            (&[], None, &[]),
            (&[("wsrep_on", "ON")], None, &[Reason::UnsupportedTopology]),
            (&[group], None, &[Reason::UnsupportedTopology]),
            (&[group, single], None, &[]),
            (&[], Some("db-0"), &[Reason::NotPrimary]),
            (&[("read_only", "ON")], None, &[Reason::ServerReadOnly]),
            (&[("super_read_only", "1")], Some(""), &[Reason::NotPrimary, Reason::ServerReadOnly]),
        ];
        for (variables, replica_of, expected) in rows {
            let mut facts = sample::with_variables(variables);
            facts.server.replica_of = replica_of.map(str::to_owned);
            assert_eq!(sample::reasons(check, &facts, &sample::request()), expected);
        }
    }
}
