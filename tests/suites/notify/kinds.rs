//! Each kind of notice, from a snapshot that deserves it to the receiver; once, and once more when it is
//! over.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ghostship::notify::notice::Kind;
use ghostship::notify::snapshot::{Held, Snapshot, Stage};
use jiff::Timestamp;
use libtest_mimic::Trial;
use serde_json::json;

use super::{OK, Settings, beside, expect_signed, hear, webhook, working};
use crate::support::receiver::{Got, Receiver};
use crate::support::wait::let_time_pass;

/// A time that every rule of this file is shorter than.
const PAST: Duration = Duration::from_millis(60);

pub(super) fn trials() -> Vec<Trial> {
    let alerts = [
        Kind::Error,
        Kind::Lag,
        Kind::Load,
        Kind::Stuck,
        Kind::LongPause,
        Kind::CutOver,
        Kind::NotConverging,
        Kind::Retention,
    ];
    let mut trials: Vec<Trial> = alerts
        .into_iter()
        .map(|kind| {
            let name = format!("notify::alert::{}", kind.as_str());
            super::super::trial(name, move || alert(kind))
        })
        .collect();
    trials.push(super::super::trial("notify::each_turn_of_a_life".into(), turns));
    trials.push(super::super::trial("notify::another_process_tells_nothing_twice".into(), restart));
    trials
}

fn settings(receiver: &Receiver) -> Result<Settings> {
    Settings::new(&json!({
        "receivers": [webhook("one", receiver)],
        "rules": {"lag": "50ms", "load": "50ms", "stuck": "50ms", "longPause": "50ms",
            "notConverging": "50ms", "cutOverAttempts": 2, "retention": "1h", "settle": "50ms"},
    }))
}

/// What does not deserve the alert, and then does.
fn before_and_with(kind: Kind) -> (Snapshot, Snapshot) {
    let now = Timestamp::now();
    let calm = Snapshot { stage: Stage::Postponed, ..working() };
    let behind = |backlog| Snapshot { phase: "CatchUp".to_owned(), backlog, ..calm.clone() };
    let with = match kind {
        Kind::Error => Snapshot { stage: Stage::Retrying, ..calm.clone() },
        Kind::Lag => Snapshot { lag: Some(Duration::from_secs(1)), ..calm.clone() },
        Kind::Load => {
            let held = vec![Held { words: "replica one is 9s behind".to_owned(), since: now }];
            Snapshot { held, ..calm.clone() }
        }
        Kind::Stuck => return (working(), working()),
        Kind::LongPause => Snapshot { paused_since: Some(now), ..calm.clone() },
        Kind::CutOver => {
            let cut_over_error = "session 7 holds the table".to_owned();
            Snapshot { cut_over_attempts: 2, cut_over_error, ..calm.clone() }
        }
        Kind::NotConverging => return (behind(5000), behind(9000)),
        _ => Snapshot { retention: Some(Duration::from_secs(60)), ..calm.clone() },
    };
    (calm, with)
}

async fn alert(kind: Kind) -> Result<()> {
    let receiver = Receiver::start(OK).await?;
    let settings = settings(&receiver)?;
    let notifier = settings.notifier()?;
    let (calm, with) = before_and_with(kind);
    let over = Snapshot { stage: Stage::Postponed, backlog: 0, ..calm.clone() };
    let (begins, ends) = (format!("{} Begins", kind.as_str()), format!("{} Ends", kind.as_str()));
    beside(&notifier, async {
        hear(&notifier, &calm);
        hear(&notifier, &with);
        let_time_pass(PAST).await;
        for _ in 0..5 {
            hear(&notifier, &with);
        }
        receiver.wait_for(&begins).await?;
        hear(&notifier, &over);
        let_time_pass(PAST).await;
        for _ in 0..5 {
            hear(&notifier, &over);
        }
        receiver.wait_for(&ends).await
    })
    .await?;
    let mut told = receiver.told();
    told.retain(|one| !one.ends_with("Happened"));
    ensure!(told == [begins, ends], "{told:?}");
    receiver.got().iter().try_for_each(expect_signed)?;
    let told_of = |got: &&Got| got.json["notices"][0]["kind"] == kind.as_str();
    let document = receiver.got().iter().find(told_of).context("no such notice")?.json.clone();
    let notice = &document["notices"][0];
    ensure!(notice["migration"] == "shop/one" && notice["table"] == "shop.orders", "{document}");
    ensure!(notice["severity"] == kind.severity().as_str(), "{document}");
    ensure!(notice["message"].as_str().is_some_and(|text| text.len() > 9), "{document}");
    Ok(())
}

async fn turns() -> Result<()> {
    let receiver = Receiver::start(OK).await?;
    let settings = Settings::new(&json!({"receivers": [webhook("one", &receiver)]}))?;
    let notifier = settings.notifier()?;
    let ends = [Stage::Succeeded, Stage::Failed, Stage::Panicked, Stage::Aborted];
    let mut expected = Vec::new();
    beside(&notifier, async {
        for end in ends {
            let id = format!("{end:?}");
            for stage in
                [Stage::Pending, Stage::Working, Stage::Postponed, Stage::Working, end, end]
            {
                hear(&notifier, &Snapshot { id: id.clone(), stage, ..working() });
            }
            expected.push("Started Happened".to_owned());
            expected.push("Postponed Happened".to_owned());
            expected.push(format!("{end:?} Happened"));
        }
        for _ in ends {
            // Ten a minute come alone, the rest as a digest: twelve notices are more than that.
            receiver.wait_for("Succeeded Happened").await?;
        }
        notifier.finish(Duration::from_secs(10)).await;
        Ok(())
    })
    .await?;
    ensure!(receiver.told() == expected, "{:?}", receiver.told());
    let last = receiver.got().last().context("nothing arrived")?.json.clone();
    ensure!(last["notices"].as_array().map(Vec::len) == Some(2), "no digest at the end: {last}");
    ensure!(receiver.got().len() == 11, "{} messages", receiver.got().len());
    Ok(())
}

async fn restart() -> Result<()> {
    let receiver = Receiver::start(OK).await?;
    let settings = settings(&receiver)?;
    let behind = Snapshot { lag: Some(Duration::from_secs(1)), ..working() };
    let first = settings.notifier()?;
    let kept = first.hear(&behind, None, Timestamp::now()).context("nothing is to be kept")?;
    beside(&first, receiver.wait_for("Lag Begins")).await?;
    ensure!(kept.len() < 200, "what is kept is long: {kept}");
    let next = settings.notifier()?;
    let changed = next.hear(&behind, Some(&kept), Timestamp::now());
    ensure!(changed.is_none(), "the memory changed: {changed:?}");
    let end = Snapshot { stage: Stage::Failed, ..working() };
    next.hear(&end, Some(&kept), Timestamp::now());
    beside(&next, receiver.wait_for("Failed Happened")).await?;
    let expected = ["Started Happened", "Lag Begins", "Failed Happened"];
    ensure!(receiver.told() == expected, "{:?}", receiver.told());
    Ok(())
}
