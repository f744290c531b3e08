//! Failures as people and scripts read them: cause, reason, remedy, what is kept. No SQL, no values.

use serde_json::json;

use super::console::Console;
use crate::api::validate::Violation;
use crate::args::Output;
use crate::engine::Failure;
use crate::engine::reason::Refusal;

/// Shows why a run failed.
pub fn show(console: &Console, output: Output, failure: &Failure) {
    match output {
        Output::Text => console.note(&text(failure)),
        Output::Json => console.print(&object(failure)),
    }
}

/// Shows everything that is wrong with a manifest.
pub fn show_violations(console: &Console, output: Output, violations: &[Violation]) {
    for violation in violations {
        let Violation { reason, message, remedy } = violation;
        match output {
            Output::Text => {
                console.note(&format!("error: {message}\n  reason: {reason}\n  remedy: {remedy}"));
            }
            Output::Json => {
                let line = json!({"type": "failure", "reason": reason.as_str(), "message": message,
                    "remedy": remedy, "kept": "", "causes": []});
                console.print(&line.to_string());
            }
        }
    }
}

fn text(failure: &Failure) -> String {
    let mut lines = vec![format!("error: {}", failure.message)];
    lines.push(format!("  reason: {}", failure.reason));
    let rest = [("remedy", &failure.remedy), ("kept", &failure.kept)];
    let rest = rest.into_iter().filter(|(_, text)| !text.is_empty());
    lines.extend(rest.map(|(label, text)| format!("  {label}: {}", text.replace('\n', "\n    "))));
    for Refusal { reason, message, remedy } in &failure.others {
        lines.push(format!("also: {message}\n  reason: {reason}\n  remedy: {remedy}"));
    }
    lines.join("\n")
}

fn object(failure: &Failure) -> String {
    let Failure { reason, message, remedy, kept, refused: _, others } = failure;
    json!({"type": "failure", "reason": reason, "message": message, "remedy": remedy,
        "kept": kept, "others": others})
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::reason::Reason;

    fn failure() -> Failure {
        Failure {
            reason: Reason::ForeignKeys,
            message: "a foreign key points to the table".to_owned(),
            remedy: "drop it".to_owned(),
            kept: "nothing was changed".to_owned(),
            refused: true,
            others: vec![Refusal::new(Reason::Triggers, "the table has triggers", "drop them")],
        }
    }

    #[test]
    fn a_failure_is_told_with_reason_and_remedy() {
        let expected = "error: a foreign key points to the table\n  reason: ForeignKeys\n  \
            remedy: drop it\n  kept: nothing was changed\nalso: the table has triggers\n  \
            reason: Triggers\n  remedy: drop them";
        assert_eq!(text(&failure()), expected);
    }

    #[test]
    fn a_failure_is_one_json_object() {
        let value: serde_json::Value = serde_json::from_str(&object(&failure())).unwrap();
        assert_eq!(value["type"], "failure");
        assert_eq!(value["reason"], "ForeignKeys");
        assert_eq!(value["others"][0]["reason"], "Triggers");
    }
}
