//! What the ALTER text alone says: clauses that are refused, and renames that need a confirmation.

use super::{Reason, Refusal, Request, Verdict};
use crate::mysql::error::{Error, ErrorClass};
use crate::schema::alter::{Alter, AlterError};
use crate::schema::table::same_name;

/// The refusal of a text that cannot be taken.
pub fn alter_refused(error: &AlterError) -> Refusal {
    Refusal::new(reason(error), error.to_string(), error.remedy())
}

/// The refusal for an error of the server about the ALTER on the empty shadow table; `None` when the
/// error is not about the ALTER. The server's own words hold names only, because there are no rows.
pub fn alter_rejected(error: &Error) -> Option<Refusal> {
    let about_alter = match error.class() {
        ErrorClass::Other
        | ErrorClass::Missing
        | ErrorClass::AlreadyExists
        | ErrorClass::DuplicateKey { .. }
        | ErrorClass::DataDoesNotFit { .. }
        | ErrorClass::TooLarge => true,
        ErrorClass::Retryable
        | ErrorClass::ConnectionLost
        | ErrorClass::AuthFailed
        | ErrorClass::CredentialsUnavailable
        | ErrorClass::ReadOnly
        | ErrorClass::PermissionDenied
        | ErrorClass::DiskFull
        | ErrorClass::Interrupted
        | ErrorClass::TooManyConnections
        | ErrorClass::Unreachable
        | ErrorClass::TlsVerification
        | ErrorClass::WrongServer
        | ErrorClass::TimedOut => false,
    };
    let code = error.code().filter(|_| about_alter)?;
    let said = match (error, error.class()) {
        (_, ErrorClass::DataDoesNotFit { .. }) => "a literal or default does not fit",
        (Error::RunStatement(fault), _) => names_only(fault.server_text()),
        _ => "",
    };
    Some(Refusal::new(
        Reason::AlterRejected,
        format!("the server refuses the ALTER with error {code}: {said}"),
        "correct the ALTER for the table as it is now",
    ))
}

/// Cuts a message at the place where the server begins to repeat the statement.
fn names_only(said: &str) -> &str {
    let end = said.find(" near '").or_else(|| said.find('\n')).unwrap_or(said.len());
    said.get(..end).unwrap_or_default()
}

fn reason(error: &AlterError) -> Reason {
    let token = error.reason();
    let found = Reason::ALL.iter().find(|reason| reason.as_str() == token);
    found.copied().unwrap_or(Reason::AlterNotAllowed)
}

/// Renames and replaced columns look alike in a definition, and lose data when they are mistaken.
pub fn check(alter: &Alter, request: &Request, verdict: &mut Verdict) {
    let renames = alter.column_renames();
    for rename in &renames {
        let confirmed = |(old, new): &(String, String)| {
            same_name(old, &rename.old) && same_name(new, &rename.new)
        };
        if !request.renames.iter().any(confirmed) {
            verdict.refuse(
                Reason::NeedsConfirmation,
                format!("column {} is renamed to {}", rename.old, rename.new),
                format!("confirm it with {}: {} under renames", rename.old, rename.new),
            );
        }
    }
    for (old, new) in &request.renames {
        let occurs =
            renames.iter().any(|rename| same_name(old, &rename.old) && same_name(new, &rename.new));
        if !occurs {
            verdict.refuse(
                Reason::InvalidSpec,
                format!("the confirmed rename of {old} to {new} does not occur in the ALTER"),
                "remove it from renames, or rename the column with CHANGE or RENAME COLUMN",
            );
        }
    }
    check_replaced(alter, request, verdict);
}

fn check_replaced(alter: &Alter, request: &Request, verdict: &mut Verdict) {
    let added = alter.added_columns();
    for name in alter.dropped_columns() {
        if added.iter().any(|new| same_name(new, &name)) && !request.accept_lossy {
            verdict.refuse(
                Reason::NeedsConfirmation,
                format!(
                    "column {name} is dropped and added again, which is no way to keep its values"
                ),
                "use MODIFY COLUMN, or drop the column in one migration and add it in another",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::preflight::sample;

    fn found(alter: &str, renames: &[(&str, &str)]) -> Vec<Reason> {
        let mut request = sample::request();
        request.renames = renames.iter().map(|(o, n)| ((*o).to_owned(), (*n).to_owned())).collect();
        let alter = Alter::parse(alter, "shop", "orders").unwrap();
        let mut verdict = Verdict::default();
        check(&alter, &request, &mut verdict);
        verdict.refusals.iter().map(|refusal| refusal.reason).collect()
    }

    #[test]
    fn renames_need_a_confirmation_and_confirmations_a_rename() {
        let needs = [Reason::NeedsConfirmation];
        let rows: [(&str, &[(&str, &str)], &[Reason]); 7] = [
            ("ADD COLUMN a int", &[], &[]),
            ("RENAME COLUMN a TO b", &[], &needs),
            ("CHANGE a b int", &[], &needs),
            ("CHANGE a A int", &[], &[]),
            ("CHANGE a b int", &[("A", "b")], &[]),
            ("ADD COLUMN b int", &[("a", "b")], &[Reason::InvalidSpec]),
            ("CHANGE a b int", &[("a", "c")], &[Reason::NeedsConfirmation, Reason::InvalidSpec]),
        ];
        for (alter, renames, expected) in rows {
            assert_eq!(found(alter, renames), expected, "{alter} {renames:?}");
        }
    }

    #[test]
    fn replaced_columns_need_a_confirmation() {
        assert_eq!(found("DROP COLUMN a, ADD COLUMN A int", &[]), [Reason::NeedsConfirmation]);
        assert_eq!(found("DROP COLUMN a, ADD COLUMN b int", &[]), []);
    }

    #[test]
    fn texts_that_are_not_one_allowed_alter_have_their_reason() {
        let rows = [
            ("", Reason::InvalidSpec),
            ("ADD COLUMN", Reason::AlterSyntax),
            ("ADD COLUMN a int; DROP TABLE x", Reason::AlterNotAllowed),
            ("RENAME TO other", Reason::AlterNotAllowed),
            ("ADD COLUMN a int, ALGORITHM=INPLACE", Reason::AlterNotAllowed),
            ("ENGINE=MyISAM", Reason::AlterNotAllowed),
            ("DISCARD TABLESPACE", Reason::AlterNotAllowed),
            ("ADD FOREIGN KEY (a) REFERENCES b (c)", Reason::ForeignKeys),
        ];
        for (text, expected) in rows {
            let error = Alter::parse(text, "shop", "orders").unwrap_err();
            assert_eq!(alter_refused(&error).reason, expected, "{text}");
        }
    }

    #[test]
    fn repeated_statement_text_is_cut() {
        let said = "check the manual for the right syntax to use near ''secret' at line 1";
        assert_eq!(names_only(said), "check the manual for the right syntax to use");
        assert_eq!(
            names_only("Unknown column 'c' in 'orders_gho'"),
            "Unknown column 'c' in 'orders_gho'"
        );
    }
}
