//! Failures as people and scripts read them: cause, reason, remedy, what is kept. No SQL, no values.

use std::error::Error;

use serde_json::json;

use super::console::Console;
use crate::api::validate::Violation;
use crate::args::Output;
use crate::engine::Failure;

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
        let Violation {
            reason,
            message,
            remedy,
        } = violation;
        match output {
            Output::Text => {
                console.note(&format!(
                    "error: {message}\n  reason: {reason}\n  remedy: {remedy}"
                ));
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
    lines.extend(
        causes(failure)
            .iter()
            .map(|cause| format!("  because: {cause}")),
    );
    lines.push(format!("  reason: {}", failure.reason));
    let rest = [("remedy", &failure.remedy), ("kept", &failure.kept)];
    let rest = rest.into_iter().filter(|(_, text)| !text.is_empty());
    lines.extend(rest.map(|(label, text)| format!("  {label}: {}", text.replace('\n', "\n    "))));
    lines.join("\n")
}

fn object(failure: &Failure) -> String {
    let Failure {
        reason,
        message,
        remedy,
        kept,
        ..
    } = failure;
    json!({"type": "failure", "reason": reason, "message": message, "remedy": remedy,
        "kept": kept, "causes": causes(failure)})
    .to_string()
}

fn causes(failure: &Failure) -> Vec<String> {
    let chain = std::iter::successors(failure.source(), |&error| error.source());
    let mut causes: Vec<String> = chain.map(ToString::to_string).collect();
    causes.retain(|cause| !failure.message.contains(cause.as_str()));
    causes.dedup();
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> Failure {
        Failure {
            reason: "DuplicateKey",
            message: "two rows claim one value of index u".to_owned(),
            remedy: "remove one of them".to_owned(),
            kept: "the shadow table a.t_gho".to_owned(),
            source: Some("low level".into()),
        }
    }

    #[test]
    fn a_failure_is_told_with_reason_and_remedy() {
        let expected = "error: two rows claim one value of index u\n  because: low level\n  \
            reason: DuplicateKey\n  remedy: remove one of them\n  kept: the shadow table a.t_gho";
        assert_eq!(text(&failure()), expected);
    }

    #[test]
    fn a_failure_is_one_json_object() {
        let value: serde_json::Value = serde_json::from_str(&object(&failure())).unwrap();
        assert_eq!(value["type"], "failure");
        assert_eq!(value["reason"], "DuplicateKey");
        assert_eq!(value["causes"], serde_json::json!(["low level"]));
    }
}
