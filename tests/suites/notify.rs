//! Notifications at real receivers: HTTP servers in the test and an SMTP server beside it. Every kind of
//! alert arrives once and signed; a receiver that is down, silent or leads elsewhere harms nobody; a run
//! on a real server tells its life once; and no secret is in any output.

mod kinds;
mod life;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ghostship::notify::Notifier;
use ghostship::notify::counts::Outcome;
use ghostship::notify::snapshot::{Advance, Snapshot, Stage};
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use sha2::Sha256;
use tempfile::TempDir;

use crate::support::mail_server::MailServer;
use crate::support::receiver::{ARRIVAL, Got, Manner, Receiver, free_port};
use crate::support::wait::wait_for;

const OK: Manner = Manner::Answer(200, "ok");
/// What is planted where a secret stands.
const TOKEN: &str = "canary-41d8-token";
const KEY: &str = "canary-52e9-key";
const PASSWORD: &str = "canary-63fa-password";

/// The tests of this file and its parts.
pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = kinds::trials();
    trials.extend(life::trials());
    trials.extend([
        super::trial("notify::down_and_back".into(), down_and_back),
        super::trial("notify::a_silent_one_holds_up_nobody".into(), silent),
        super::trial("notify::a_redirect_is_refused".into(), redirected),
        super::trial("notify::what_is_refused_is_not_repeated".into(), refused),
        super::trial("notify::the_file_is_read_again".into(), read_again),
        super::trial("notify::chats_get_their_own_form".into(), chats),
        super::trial("notify::a_mail_arrives_over_starttls".into(), mail),
        super::trial("notify::the_verb_tells_who_was_told".into(), verb),
    ]);
    trials
}

/// A notifications file in a folder of its own.
struct Settings {
    directory: TempDir,
}

impl Settings {
    fn new(document: &Value) -> Result<Self> {
        let settings = Self { directory: tempfile::tempdir()? };
        settings.write(document)?;
        Ok(settings)
    }

    /// Replaced as a whole, as a mounted Secret is.
    fn write(&self, document: &Value) -> Result<()> {
        let next = self.directory.path().join("next");
        std::fs::write(&next, serde_yaml::to_string(document)?)?;
        Ok(std::fs::rename(next, self.path())?)
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("notifications.yaml")
    }

    fn notifier(&self) -> Result<Notifier> {
        let notifier = Notifier::new(&self.path());
        notifier.load()?;
        Ok(notifier)
    }
}

fn webhook(name: &str, receiver: &Receiver) -> Value {
    let url = receiver.url(&format!("/{TOKEN}"));
    json!({"name": name, "kind": "Webhook", "url": url, "signingKey": KEY})
}

/// A migration at work.
fn working() -> Snapshot {
    let now = Timestamp::now();
    Snapshot {
        id: "1".to_owned(),
        migration: "shop/one".to_owned(),
        table: "shop.orders".to_owned(),
        stage: Stage::Working,
        since: now,
        phase: "RowCopy".to_owned(),
        reason: "Running".to_owned(),
        message: "so it stands".to_owned(),
        advance: Advance::default(),
        lag: None,
        held: Vec::new(),
        rests: false,
        paused_since: None,
        waits_for: String::new(),
        cut_over_attempts: 0,
        cut_over_error: String::new(),
        backlog: 0,
        retention: None,
    }
}

fn hear(notifier: &Notifier, snapshot: &Snapshot) {
    notifier.hear(snapshot, None, Timestamp::now());
}

/// Does something while the notifier delivers.
async fn beside<T>(notifier: &Notifier, doing: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        never = notifier.run() => match never {},
        done = doing => done,
    }
}

/// Waits until so many messages to a receiver ended so.
async fn count(notifier: &Notifier, name: &str, outcome: Outcome, count: u64) -> Result<()> {
    let probe = async || {
        let counts = notifier.counts();
        let found = counts.contains(&(name.to_owned(), outcome, count));
        Ok(if found { Ok(()) } else { Err(counts) })
    };
    wait_for("the count", ARRIVAL, probe).await
}

/// As a receiver checks it, by Standard Webhooks.
fn expect_signed(got: &Got) -> Result<()> {
    let [id, timestamp, signature] = &got.headers;
    let mut hmac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes())?;
    hmac.update(format!("{id}.{timestamp}.{}", got.body).as_bytes());
    let expected = format!("v1,{}", STANDARD.encode(hmac.finalize().into_bytes()));
    ensure!(*signature == expected, "the signature {signature} is not {expected}");
    let age = Timestamp::now().as_second() - timestamp.parse::<i64>()?;
    ensure!((0..120).contains(&age), "it was signed {age} s ago");
    Ok(())
}

async fn down_and_back() -> Result<()> {
    let port = free_port()?;
    let url = format!("http://127.0.0.1:{port}/x");
    let other = Receiver::start(OK).await?;
    let settings = Settings::new(&json!({"receivers": [
        {"name": "down", "kind": "Webhook", "url": url, "signingKey": KEY},
        webhook("other", &other),
    ]}))?;
    let notifier = settings.notifier()?;
    hear(&notifier, &working());
    beside(&notifier, async {
        count(&notifier, "other", Outcome::Delivered, 1).await?;
        ensure!(notifier.counts().len() == 1, "{:?}", notifier.counts());
        let broken = Receiver::on(port, Manner::Answer(503, "busy")).await?;
        broken.wait_for_requests(1).await?;
        let first = broken.got();
        drop(broken);
        let back = wait_for("the port to be free", ARRIVAL, async || {
            Ok(Receiver::on(port, OK).await.map_err(|error| format!("{error:#}")))
        })
        .await?;
        count(&notifier, "down", Outcome::Delivered, 1).await?;
        notifier.finish(Duration::from_secs(5)).await;
        ensure!(back.told() == ["Started Happened"], "{:?}", back.told());
        // By its id a receiver knows the one that it had.
        ensure!(back.got()[0].headers[0] == first[0].headers[0], "each try has its own id");
        ensure!(other.told() == ["Started Happened"], "{:?}", other.told());
        Ok(())
    })
    .await
}

async fn silent() -> Result<()> {
    let (mute, other) = (Receiver::start(Manner::Silence).await?, Receiver::start(OK).await?);
    let receivers = json!([webhook("mute", &mute), webhook("other", &other)]);
    let settings = Settings::new(&json!({"receivers": receivers}))?;
    let notifier = settings.notifier()?;
    hear(&notifier, &working());
    beside(&notifier, async {
        mute.wait_for_requests(1).await?;
        hear(&notifier, &Snapshot { stage: Stage::Failed, ..working() });
        other.wait_for("Failed Happened").await?;
        count(&notifier, "other", Outcome::Delivered, 2).await?;
        ensure!(mute.got().len() == 1, "the silent one was asked again: {:?}", mute.got());
        // It is given up after ten seconds, and tried again.
        mute.wait_for_requests(2).await
    })
    .await
}

async fn redirected() -> Result<()> {
    let aim = Receiver::start(OK).await?;
    let lure = Receiver::start(Manner::Redirect(aim.url("/internal"))).await?;
    let settings = Settings::new(&json!({"receivers": [webhook("lure", &lure)]}))?;
    let notifier = settings.notifier()?;
    hear(&notifier, &working());
    beside(&notifier, count(&notifier, "lure", Outcome::Failed, 1)).await?;
    ensure!(lure.got().len() == 1, "it was tried again: {:?}", lure.got());
    ensure!(aim.got().is_empty(), "the redirect was followed: {:?}", aim.got());
    Ok(())
}

async fn refused() -> Result<()> {
    let rude = Receiver::start(Manner::Answer(404, "no such hook")).await?;
    let settings = Settings::new(&json!({"receivers": [webhook("rude", &rude)]}))?;
    let notifier = settings.notifier()?;
    hear(&notifier, &working());
    beside(&notifier, count(&notifier, "rude", Outcome::Failed, 1)).await?;
    ensure!(rude.got().len() == 1, "it was tried again: {:?}", rude.got());
    Ok(())
}

async fn read_again() -> Result<()> {
    let (first, second) = (Receiver::start(OK).await?, Receiver::start(OK).await?);
    let settings = Settings::new(&json!({"receivers": [webhook("one", &first)]}))?;
    let notifier = settings.notifier()?;
    hear(&notifier, &working());
    beside(&notifier, async {
        first.wait_for("Started Happened").await?;
        // What is wrong changes nothing.
        settings.write(&json!({"receivers": "nobody"}))?;
        hear(&notifier, &Snapshot { stage: Stage::Postponed, ..working() });
        first.wait_for("Postponed Happened").await?;
        settings.write(&json!({"receivers": [webhook("two", &second)]}))?;
        // Until the file is read the first one may still be told.
        let mut number = 0;
        wait_for("the second one to be told", ARRIVAL, async || {
            number += 1;
            hear(&notifier, &Snapshot { id: number.to_string(), ..working() });
            Ok(if second.told().is_empty() { Err(first.told()) } else { Ok(()) })
        })
        .await
    })
    .await
}

async fn chats() -> Result<()> {
    let slack = Receiver::start(OK).await?;
    let robot = Receiver::start(Manner::Answer(200, "{\"errcode\":0,\"errmsg\":\"ok\"}")).await?;
    let strict = Receiver::start(Manner::Answer(200, "{\"errcode\":310000}")).await?;
    let ding = |name: &str, receiver: &Receiver| {
        let url = receiver.url(&format!("/robot/send?access_token={TOKEN}"));
        json!({"name": name, "kind": "DingTalk", "url": url, "signingKey": KEY})
    };
    let template = "{severity} {migration} {table} {phase}: {message}";
    let settings = Settings::new(&json!({"receivers": [
        {"name": "slack", "kind": "Slack", "url": slack.url("/services/x"), "template": template},
        ding("robot", &robot),
        ding("strict", &strict),
    ]}))?;
    let notifier = settings.notifier()?;
    hear(&notifier, &Snapshot { stage: Stage::Failed, ..working() });
    beside(&notifier, async {
        count(&notifier, "slack", Outcome::Delivered, 1).await?;
        count(&notifier, "robot", Outcome::Delivered, 1).await?;
        count(&notifier, "strict", Outcome::Failed, 1).await
    })
    .await?;
    let text = "Critical shop/one shop.orders RowCopy: so it stands";
    ensure!(slack.got()[0].json == json!({"text": text}), "{:?}", slack.got());
    let got = &robot.got()[0];
    let said = got.json["text"]["content"].as_str().unwrap_or_default();
    ensure!(got.json["msgtype"] == "text" && said.contains("shop/one Failed"), "{got:?}");
    expect_robot_signature(&got.path)
}

fn expect_robot_signature(path: &str) -> Result<()> {
    let url = reqwest::Url::parse(&format!("http://host{path}"))?;
    let parameter = |name: &str| {
        let found = url.query_pairs().find(|(known, _)| known == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    ensure!(parameter("access_token") == TOKEN, "{path}");
    let mut hmac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes())?;
    hmac.update(format!("{}\n{KEY}", parameter("timestamp")).as_bytes());
    let expected = STANDARD.encode(hmac.finalize().into_bytes());
    ensure!(parameter("sign") == expected, "{path} is not signed with {expected}");
    let age = Timestamp::now().as_millisecond() - parameter("timestamp").parse::<i64>()?;
    ensure!((0..60_000).contains(&age), "it was signed {age} ms ago");
    Ok(())
}

fn mailing(name: &str, port: u16, password: &str, authority: Option<&Path>) -> Value {
    json!({"name": name, "kind": "Email", "caFile": authority, "smtp": {
        "host": "localhost", "port": port, "tls": "StartTls", "username": "user",
        "password": password, "from": "Ghostship <ghost@example.com>",
        "to": ["dba@example.com", "oncall@example.com"],
    }})
}

async fn mail() -> Result<()> {
    let server = MailServer::start(PASSWORD)?;
    let (port, authority) = (server.port, server.certificate());
    let settings = Settings::new(&json!({"receivers": [
        mailing("right", port, PASSWORD, Some(&authority)),
        mailing("wrong-password", port, "another", Some(&authority)),
        mailing("wrong-authority", port, PASSWORD, None),
    ]}))?;
    let notifier = settings.notifier()?;
    hear(&notifier, &Snapshot { stage: Stage::Failed, ..working() });
    beside(&notifier, async {
        count(&notifier, "right", Outcome::Delivered, 1).await?;
        count(&notifier, "wrong-password", Outcome::Failed, 1).await
    })
    .await?;
    let mail = server.next(ARRIVAL)?;
    ensure!(mail["tls"] == true && mail["user"] == "user", "{mail}");
    ensure!(mail["from"] == "ghost@example.com", "{mail}");
    ensure!(mail["to"] == json!(["dba@example.com", "oncall@example.com"]), "{mail}");
    ensure!(mail["subject"] == "[ghostship] Critical: shop/one Failed", "{mail}");
    let text = mail["text"].as_str().unwrap_or_default();
    ensure!(text.contains("so it stands") && text.contains("shop.orders"), "{mail}");
    ensure!(server.next(Duration::ZERO).is_err(), "somebody else got a mail through");
    // Nobody who is not trusted gets the password.
    let tried = notifier.test().await;
    let of = |name: &str| tried.iter().find(|(known, _)| known == name).map(|(_, sent)| *sent);
    ensure!(of("right") == Some(Ok(())), "{tried:?}");
    ensure!(matches!(of("wrong-authority"), Some(Err(_))), "{tried:?}");
    Ok(())
}

async fn verb() -> Result<()> {
    let (good, bad) =
        (Receiver::start(OK).await?, Receiver::start(Manner::Answer(403, KEY)).await?);
    let both = json!({"receivers": [webhook("good", &good), webhook("bad", &bad)]});
    let settings = Settings::new(&both)?;
    let test = async || {
        let path = settings.path();
        let run = move || {
            Command::new(env!("CARGO_BIN_EXE_ghostship"))
                .args(["notify", "test", "--log-level", "trace", "-f"])
                .arg(path)
                .output()
        };
        let output = tokio::task::spawn_blocking(run).await??;
        let said = String::from_utf8([output.stdout, output.stderr].concat())?;
        for secret in [TOKEN, KEY] {
            ensure!(!said.contains(secret), "a secret was said:\n{said}");
        }
        anyhow::Ok((output.status.code(), said))
    };
    let (code, said) = test().await?;
    ensure!(code == Some(1) && said.contains("good: told\n"), "{code:?}\n{said}");
    ensure!(said.contains("bad: not told: it answered 403"), "{said}");
    ensure!(said.contains("TRACE"), "void: the log is not at its highest level\n{said}");
    ensure!(good.told() == ["Test Happened"], "{:?}", good.told());
    expect_signed(&good.got()[0])?;
    settings.write(&json!({"receivers": [webhook("good", &good)]}))?;
    let (code, said) = test().await?;
    ensure!(code == Some(0), "{code:?}\n{said}");
    settings.write(&json!({"receivers": [{"name": "one", "kind": "Slack", "url": [TOKEN]}]}))?;
    let (code, said) = test().await?;
    ensure!(code == Some(2) && said.contains("receivers[0].url is not a text"), "{code:?}\n{said}");
    Ok(())
}
