//! One question to one receiver by HTTP: a signed POST, whose answer is a decision in a short document. What
//! is anything else is no answer. Nothing that is told of it shows the URL.

use jiff::Timestamp;
use reqwest::{Client, Response};
use serde::Deserialize;
use tokio::time::timeout;

use super::{Loaded, said};
use crate::api::hooks::Hook;
use crate::engine::stage::{Answer, Document};
use crate::http::{self, sign};

/// The largest answer, in bytes.
const LARGEST: usize = 64 * 1024;

/// The document of an answer.
#[derive(Deserialize)]
struct Said {
    decision: Decision,
    #[serde(default)]
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Decision {
    Allow,
    Deny,
    Wait,
}

/// Asks once.
pub(super) async fn ask(hook: &Hook, keys: &Loaded, document: &Document) -> Answer {
    let who = format!("hook {:?}", hook.name);
    let exchange = exchange(hook, keys, document);
    match timeout(hook.timeout, Box::pin(exchange)).await {
        Ok(Ok(body)) => judge(&who, document.stage.is_gate(), &body),
        Ok(Err(why)) => Answer::Unanswered(format!("{who} {why}")),
        Err(_) => Answer::Unanswered(format!("{who} gave no answer in time")),
    }
}

async fn exchange(hook: &Hook, keys: &Loaded, document: &Document) -> Result<Vec<u8>, String> {
    let unusable = |error: http::Error| format!("cannot be asked: {error}");
    let client: Client =
        http::client(keys.authorities.as_deref(), hook.timeout).map_err(unusable)?;
    let url = http::url(&hook.url).map_err(unusable)?;
    let body = serde_json::to_string(document).map_err(|_| "cannot be told".to_owned())?;
    let second = Timestamp::now().as_second();
    let request = client
        .post(url)
        .header("content-type", "application/json")
        .header("webhook-id", &document.id)
        .header("webhook-timestamp", second.to_string())
        .header("webhook-signature", sign::webhook(&keys.key, &document.id, second, &body))
        .body(body);
    let answer = request.send().await.map_err(|error| http::failure(&error).to_owned())?;
    let status = answer.status();
    if status.is_redirection() {
        return Err(format!("answered {}, a redirect, which is not followed", status.as_u16()));
    }
    if !status.is_success() {
        return Err(format!("answered {}", status.as_u16()));
    }
    read(answer).await
}

async fn read(mut answer: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(|error| http::failure(&error).to_owned())? {
        if body.len() + part.len() > LARGEST {
            return Err(format!("answered more than {LARGEST} bytes"));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

/// Who is only told need not say anything.
fn judge(who: &str, is_gate: bool, body: &[u8]) -> Answer {
    let Ok(Said { decision, message }) = serde_json::from_slice(body) else {
        let wrong = "answered something else than {\"decision\": \"allow\"|\"deny\"|\"wait\"}";
        return if is_gate { Answer::Unanswered(said(who, wrong, "")) } else { Answer::Allow };
    };
    match decision {
        Decision::Allow => Answer::Allow,
        Decision::Deny => Answer::Deny(said(who, "denies", &message)),
        Decision::Wait => Answer::Wait(said(who, "asks to wait", &message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_decision_is_an_answer() {
        let rows = [
            (r#"{"decision": "allow"}"#, Answer::Allow),
            (r#"{"decision": "allow", "more": [1]}"#, Answer::Allow),
            (r#"{"decision": "deny", "message": "old"}"#, Answer::Deny("h denies: old".into())),
            (r#"{"decision": "wait"}"#, Answer::Wait("h asks to wait".into())),
        ];
        for (body, expected) in rows {
            assert_eq!(judge("h", true, body.as_bytes()), expected, "{body}");
        }
        for body in [
            "",
            "allow",
            "null",
            "[]",
            r#"{"decision": "Allow"}"#,
            r#"{"decision": true}"#,
            r#"{"message": "allow"}"#,
            r#"{"decision": "allow"} {"decision": "deny"}"#,
            r#"{"decision": "allow", "message": 1}"#,
        ] {
            let answer = judge("h", true, body.as_bytes());
            assert!(matches!(answer, Answer::Unanswered(_)), "{body}: {answer:?}");
            assert_eq!(judge("h", false, body.as_bytes()), Answer::Allow, "{body}");
        }
    }
}
