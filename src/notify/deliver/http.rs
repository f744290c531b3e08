//! One message by HTTP: a webhook, Slack or DingTalk. No redirect is followed; of an answer no more than
//! its status is told, and of an error nothing that would show the URL.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Client, RequestBuilder, Response, Url};
use serde_json::{Value, json};

use super::Failure;
use super::queue::Letter;
use crate::http::secret::Secret;
use crate::http::{self, sign};
use crate::notify::file::{Receiver, Way};
use crate::notify::notice::Notice;
use crate::notify::template;

/// Time for the whole exchange.
const WHOLE: Duration = Duration::from_secs(10);
/// Of DingTalk's answer so much is read; it is a short document.
const ANSWER: usize = 4096;

/// A client for one receiver.
///
/// # Errors
///
/// When its certificates cannot be read.
pub fn client(receiver: &Receiver) -> Result<Client, Failure> {
    http::client(receiver.authorities.as_deref(), WHOLE).map_err(|error| match error {
        http::Error::ReadCertificates => {
            Failure::Settings("the certificates in caFile cannot be read")
        }
        _ => Failure::Settings("the HTTP client cannot be made"),
    })
}

/// Sends a letter once.
///
/// # Errors
///
/// When the receiver does not confirm it.
pub async fn send(client: &Client, receiver: &Receiver, letter: &Letter) -> Result<(), Failure> {
    let message = &letter.message;
    let text = template::text(receiver.template.as_ref(), &message.notices, message.more);
    let now = Timestamp::now();
    let request = match &receiver.way {
        Way::Webhook { url, key } => {
            let body = document(letter, &text, now).to_string();
            let second = now.as_second();
            post(client, address(url)?, body.clone())
                .header("webhook-id", &letter.id)
                .header("webhook-timestamp", second.to_string())
                .header("webhook-signature", sign::webhook(key, &letter.id, second, &body))
        }
        Way::Slack { url } => post(client, address(url)?, json!({"text": text}).to_string()),
        Way::DingTalk { url, key } => {
            let mut url = address(url)?;
            if let Some(key) = key {
                sign::ding_talk(&mut url, key, now.as_millisecond());
            }
            let body = json!({"msgtype": "text", "text": {"content": text}});
            post(client, url, body.to_string())
        }
        Way::Email(_) => return Err(Failure::Settings("a mail is no HTTP request")),
    };
    let answer = request.send().await.map_err(|error| failure(&error))?;
    judge(receiver, answer).await
}

fn post(client: &Client, url: Url, body: String) -> RequestBuilder {
    client.post(url).header("content-type", "application/json").body(body)
}

fn address(url: &Secret) -> Result<Url, Failure> {
    Url::parse(url.expose()).map_err(|_| Failure::Settings("the URL cannot be read"))
}

async fn judge(receiver: &Receiver, answer: Response) -> Result<(), Failure> {
    let status = answer.status();
    if status.is_redirection() {
        return Err(Failure::Redirected(status.as_u16()));
    }
    if !status.is_success() {
        return Err(Failure::Answered(status.as_u16()));
    }
    match receiver.way {
        Way::DingTalk { .. } => robot(answer).await,
        _ => Ok(()),
    }
}

/// DingTalk refuses with status 200 and a code in the document.
async fn robot(mut answer: Response) -> Result<(), Failure> {
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(|error| failure(&error))? {
        body.extend_from_slice(&part);
        if body.len() > ANSWER {
            break;
        }
    }
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    match said["errcode"].as_i64() {
        Some(0) => Ok(()),
        Some(code) => Err(Failure::Refused(code)),
        None => Err(Failure::Refused(-1)),
    }
}

fn failure(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        Failure::TimedOut
    } else if error.is_connect() {
        Failure::Connect
    } else {
        Failure::Broken
    }
}

/// What a webhook gets.
fn document(letter: &Letter, text: &str, now: Timestamp) -> Value {
    let message = &letter.message;
    let notices: Vec<Value> = message.notices.iter().map(notice).collect();
    json!({
        "type": "ghostship.notification",
        "id": letter.id,
        "timestamp": now.to_string(),
        "severity": message.severity().as_str(),
        "text": text,
        "notices": notices,
        "more": message.more,
    })
}

fn notice(notice: &Notice) -> Value {
    json!({
        "kind": notice.kind.as_str(),
        "moment": notice.moment.as_str(),
        "severity": notice.severity().as_str(),
        "migration": notice.migration,
        "table": notice.table,
        "phase": notice.phase,
        "reason": notice.reason,
        "message": notice.message,
        "since": notice.since.to_string(),
        "at": notice.at.to_string(),
    })
}
