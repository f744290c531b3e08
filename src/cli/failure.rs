//! Failures as people and scripts read them: cause, reason, remedy, what is kept. No SQL, no values.

use serde_json::{Value, json};

use super::console::Console;
use crate::api::validate::Violation;
use crate::args::Output;
use crate::engine::Failure;
use crate::engine::reason::Refusal;

/// Shows why a run failed.
pub fn show(console: &Console, output: Output, failure: &Failure) {
    match output {
        Output::Text => console.note(&text(failure)),
        Output::Json => console.print(&object(failure).to_string()),
    }
}

/// Shows everything that is wrong with a manifest.
pub fn show_violations(console: &Console, output: Output, violations: &[Violation]) {
    for Violation { reason, message, remedy } in violations {
        match output {
            Output::Text => console.note(&paragraph("error", message, reason.as_str(), remedy)),
            Output::Json => {
                let line = json!({"type": "failure", "reason": reason.as_str(),
                    "message": message, "remedy": remedy, "kept": "", "others": []});
                console.print(&line.to_string());
            }
        }
    }
}

/// A cause with its reason and its remedy, in three lines.
pub(super) fn paragraph(label: &str, message: &str, reason: &str, remedy: &str) -> String {
    let indented = |text: &str| text.replace('\n', "\n    ");
    let (message, remedy) = (indented(message), indented(remedy));
    format!("{label}: {message}\n  reason: {reason}\n  remedy: {remedy}")
}

/// An error with all that caused it.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {}", chain(source)));
    format!("{error}{}", source.unwrap_or_default())
}

fn text(failure: &Failure) -> String {
    let first = paragraph("error", &failure.message, failure.reason.as_str(), &failure.remedy);
    let others = failure.others.iter().map(|refusal| {
        let Refusal { reason, message, remedy } = refusal;
        paragraph("error", message, reason.as_str(), remedy)
    });
    let paragraphs: Vec<String> = [first].into_iter().chain(others).collect();
    format!("{}\nkept: {}", paragraphs.join("\n"), failure.kept)
}

fn object(failure: &Failure) -> Value {
    let Failure { reason, message, remedy, kept, others, refused } = failure;
    json!({"type": "failure", "reason": reason, "message": message, "remedy": remedy,
        "kept": kept, "refused": refused, "others": others})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::validate;
    use crate::engine::reason::Reason;

    fn failure() -> Failure {
        Failure {
            reason: Reason::Triggers,
            message: "the table has a trigger".to_owned(),
            remedy: "drop it".to_owned(),
            kept: "nothing was changed".to_owned(),
            refused: true,
            others: vec![Refusal::new(Reason::BinlogOff, "the binlog is off", "turn it on")],
        }
    }

    #[test]
    fn a_failure_is_told_with_reason_and_remedy() {
        let expected = "error: the table has a trigger\n  reason: Triggers\n  remedy: drop it\n\
            error: the binlog is off\n  reason: BinlogOff\n  remedy: turn it on\n\
            kept: nothing was changed";
        assert_eq!(text(&failure()), expected);
    }

    #[test]
    fn a_failure_is_one_json_object() {
        let object = object(&failure());
        assert_eq!(object["type"], "failure");
        assert_eq!(object["reason"], "Triggers");
        assert_eq!(object["others"][0]["reason"], "BinlogOff");
    }

    #[test]
    fn manifests_are_refused_with_the_same_words_as_runs() {
        for reason in validate::Reason::ALL {
            let known = Reason::ALL.iter().any(|known| known.as_str() == reason.as_str());
            assert!(known, "{reason}");
        }
    }
}
