//! The binlog holds every change of the table in row format and in the order of commits. The row image
//! does not matter: every image has the key columns, and only keys are read from it.

use super::{Facts, Reason, Request, Verdict};

pub(super) fn check(facts: &Facts, request: &Request, verdict: &mut Verdict) {
    let server = &facts.server;
    if !server.log_bin {
        return verdict.refuse(
            Reason::BinlogOff,
            "the server writes no binlog, from which changes are followed",
            "start the server with log_bin",
        );
    }
    if !server.binlog_format().eq_ignore_ascii_case("ROW") {
        verdict.refuse(
            Reason::BinlogFormat,
            format!(
                "binlog_format is {}, which does not tell the changed rows",
                server.binlog_format()
            ),
            "set binlog_format to ROW and let the application connect anew",
        );
    }
    if is_filtered(&request.table.database, &server.binlog_filters) {
        verdict.refuse(
            Reason::BinlogFiltered,
            format!("database {} is left out of the binlog", request.table.database),
            "remove binlog_do_db and binlog_ignore_db from the server's configuration",
        );
    }
    if !server.has_gtids() && !server.commits_in_binlog_order() {
        verdict.refuse(
            Reason::CommitOrder,
            "binlog_order_commits is OFF, so that a change may be in the binlog long before it is visible",
            "set binlog_order_commits to ON, or gtid_mode to ON",
        );
    }
}

/// Any filter on a list of databases goes by the session's default database when statements are
/// logged, and by the table's own when rows are: only the latter counts here.
fn is_filtered(database: &str, (only, without): &(String, String)) -> bool {
    let lists = |list: &str| list.split(',').any(|name| name.trim().eq_ignore_ascii_case(database));
    (!only.is_empty() && !lists(only)) || lists(without)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::preflight::sample;

    #[test]
    fn settings_that_hide_changes_are_refused() {
        let no_gtids = ("gtid_mode", "OFF");
        let loose = ("binlog_order_commits", "OFF");
        let rows: [(&[(&str, &str)], &[Reason]); 8] = [
            (&[("binlog_format", "STATEMENT")], &[Reason::BinlogFormat]),
            (&[("binlog_format", "MIXED")], &[Reason::BinlogFormat]),
            (&[("binlog_row_image", "MINIMAL")], &[]),
            (&[("binlog_row_image", "NOBLOB")], &[]),
            (&[("binlog_row_value_options", "PARTIAL_JSON")], &[]),
            (&[no_gtids], &[]),
            (&[loose], &[]),
            (&[no_gtids, loose], &[Reason::CommitOrder]),
        ];
        for (variables, expected) in rows {
            let facts = sample::with_variables(variables);
            assert_eq!(sample::reasons(check, &facts, &sample::request()), expected);
        }
    }

    #[test]
    fn missing_binlog_is_the_one_thing_said() {
        let mut facts = sample::with_variables(&[("binlog_format", "STATEMENT")]);
        facts.server.log_bin = false;
        assert_eq!(sample::reasons(check, &facts, &sample::request()), [Reason::BinlogOff]);
    }

    #[test]
    fn filters_go_by_the_table_s_database() {
        let rows = [
            ("", "", false),
            ("shop", "", false),
            ("crm,shop", "", false),
            ("crm", "", true),
            ("", "shop", true),
            ("", "crm", false),
        ];
        for (only, without, filtered) in rows {
            let filters = (only.to_owned(), without.to_owned());
            assert_eq!(is_filtered("shop", &filters), filtered, "{only} {without}");
        }
    }
}
