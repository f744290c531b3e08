//! Who changed what is told once, also over a restart of the controller, and finished migrations go when their
//! time is over, but for those that a tool would make anew.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::{End, SLOW, STEP, trial, trial_of};
use crate::support::operator::Operator;
use crate::support::shop::{Shop, TARGET};
use crate::support::wait::wait_for;

/// The field managers of two people.
const ALICE: &str = "alice-laptop";
const BOB: &str = "bob-laptop";
/// The label by which Flux knows what it applies.
const OF_FLUX: &str = "kustomize.toolkit.fluxcd.io/name";
/// An end that is long past.
const PAST: &str = "2026-01-01T00:00:00Z";

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial_of("changes_are_told_once_over_a_restart", || Operator::start("audit"), changes),
        trial("finished_migrations_go_by_age", expiry),
    ]
}

/// One change while the controller looks, and two while it is away.
async fn changes(shop: &mut Shop) -> Result<End> {
    let migration = shop.migration("one", SLOW).with("/postponeCutOver", json!(true));
    shop.apply(&migration.0)?;
    shop.wait_until_copying("one", STEP).await?;
    patch_as(shop, ALICE, &json!({"paused": true}))?;
    shop.wait_for_reason("one", "Paused", STEP).await?;
    expect_told(shop, &[("spec.paused", "none", "true", ALICE)]).await?;

    shop.operator.scale(0)?;
    patch_as(shop, BOB, &json!({"paused": false}))?;
    patch_as(shop, ALICE, &json!({"copy": {"maxRowsPerSecond": 0}}))?;
    shop.operator.scale(1)?;
    let slow = SLOW.to_string();
    let all = [
        ("spec.paused", "none", "true", ALICE),
        ("spec.paused", "true", "false", BOB),
        ("spec.copy.maxRowsPerSecond", slow.as_str(), "0", ALICE),
    ];
    expect_told(shop, &all).await?;
    shop.operator.scale(0)?;
    shop.operator.scale(1)?;
    shop.annotate("one", "ghostship.dev/cut-over=allow")?;
    shop.wait_for_phase("one", "Succeeded", STEP).await?;
    let permission = ("ghostship.dev/cut-over", "none", "allow", "kubectl-annotate");
    expect_told(shop, &[&all[..], &[permission]].concat()).await?;
    let ledger = "SELECT JSON_LENGTH(changes) FROM ghostship_history";
    let mut client = shop.scene.database.connect().await?;
    let recorded = client.texts(ledger).await?;
    client.close().await?;
    ensure!(recorded == ["4"], "the ledger has so many changes: {recorded:?}");
    Ok(End::Completed)
}

fn patch_as(shop: &Shop, manager: &str, spec: &Value) -> Result<()> {
    let (patch, manager) =
        (json!({ "spec": spec }).to_string(), format!("--field-manager={manager}"));
    shop.kubectl(&["patch", "smig", "one", "--type=merge", &manager, "-p", &patch]).map(drop)
}

/// Field, value before, value after, and who.
type Change<'a> = (&'a str, &'a str, &'a str, &'a str);

/// The status has exactly these changes, and of each there is exactly one event.
async fn expect_told(shop: &Shop, changes: &[Change<'_>]) -> Result<()> {
    let mut expected: Vec<String> = changes
        .iter()
        .map(|(field, from, to, by)| format!("{field}: {from} -> {to}, by {by}"))
        .collect();
    expected.sort();
    let probe = async || {
        let status = shop.read("one").await?.context("it is gone")?["status"].clone();
        let list = status["audit"]["changes"].as_array().cloned().unwrap_or_default();
        let text = |one: &Value, field: &str| one[field].as_str().unwrap_or_default().to_owned();
        let told = list.iter().map(|one| {
            let [field, from, to, by] = ["field", "from", "to", "by"].map(|part| text(one, part));
            format!("{field}: {from} -> {to}, by {by}")
        });
        let mut told: Vec<String> = told.collect();
        told.sort();
        let mut events = events(shop, &["ControlChanged", "TuningChanged"])?;
        events.sort();
        let once = events.iter().all(|(_, count)| *count == 1);
        let notes: Vec<String> = events.iter().map(|(note, _)| note.clone()).collect();
        let as_expected = told == expected && notes == expected && once;
        Ok(if as_expected { Ok(()) } else { Err(format!("status {told:?}, events {events:?}")) })
    };
    wait_for(&format!("the changes {expected:?}"), STEP, probe).await
}

/// Events of these reasons, and how often each was told.
fn events(shop: &Shop, reasons: &[&str]) -> Result<Vec<(String, u64)>> {
    let found: Value = serde_json::from_str(&shop.kubectl(&["get", "events", "-o", "json"])?)?;
    let all = found["items"].as_array().cloned().unwrap_or_default();
    let asked = |event: &&Value| reasons.iter().any(|reason| event["reason"] == **reason);
    let told = all.iter().filter(asked).map(|event| {
        let note = event["message"].as_str().unwrap_or_default().to_owned();
        (note, event["series"]["count"].as_u64().unwrap_or(1))
    });
    Ok(told.collect())
}

/// Of four that have ended: one goes at once, one stays as long as Flux has marked it, one as long as its old
/// table is kept, and one because it ended just now.
async fn expiry(shop: &mut Shop) -> Result<End> {
    for name in ["plain", "marked", "kept", "young"] {
        // Only a copy leaves an old table.
        let strategy = if name == "kept" { "Copy" } else { "Instant" };
        let mut migration = shop
            .migration(name, 0)
            .with("/alter", json!(format!("ADD COLUMN c_{name} INT NULL")))
            .with("/strategy", json!(strategy));
        if name == "marked" {
            migration.0["metadata"]["labels"][OF_FLUX] = json!("shop");
        }
        shop.apply(&migration.0)?;
        shop.wait_for_phase(name, "Succeeded", STEP).await?;
    }
    for name in ["marked", "kept", "plain"] {
        end_at(shop, name, PAST)?;
    }
    let history = json!({"spec": {"history": {"migrations": "24h"}}}).to_string();
    shop.kubectl(&["patch", "mtgt", TARGET, "--type=merge", "-p", &history])?;
    shop.wait_until_gone("plain", STEP).await?;
    let gone = events(shop, &["HistoryExpired"])?;
    let told = |(note, count): &(String, u64)| note.contains("24h") && *count == 1;
    ensure!(gone.len() == 1 && gone.iter().all(told), "the events are {gone:?}");
    for name in ["marked", "kept", "young"] {
        look_again(shop, name).await?;
        expect_kept(shop, name).await?;
    }
    let unmarked = format!("{OF_FLUX}-");
    shop.kubectl(&["label", "smig", "marked", &unmarked])?;
    shop.wait_until_gone("marked", STEP).await?;
    expect_kept(shop, "kept").await?;
    expect_kept(shop, "young").await?;
    Ok(End::Written)
}

/// Has the controller look at it: its status shows when somebody wrote last.
async fn look_again(shop: &Shop, name: &str) -> Result<()> {
    let wrote_at = |status: &Value| status["audit"]["wroteAt"].clone();
    let before =
        wrote_at(&shop.read(name).await?.with_context(|| format!("{name} is gone"))?["status"]);
    shop.annotate(name, "example.com/look=again")?;
    let is_later = |status: &Value| wrote_at(status) != before;
    shop.wait_for_status(name, ("another look", STEP), is_later).await.map(drop)
}

async fn expect_kept(shop: &Shop, name: &str) -> Result<()> {
    let found = shop.read(name).await?.with_context(|| format!("{name} is gone"))?;
    let deleted = &found["metadata"]["deletionTimestamp"];
    ensure!(deleted.is_null(), "{name} was deleted at {deleted}");
    Ok(())
}

/// Makes its end lie in the past.
fn end_at(shop: &Shop, name: &str, at: &str) -> Result<()> {
    let patch = json!({"status": {"completedAt": at}}).to_string();
    let merge = ["--subresource=status", "--type=merge", "-p", &patch];
    shop.kubectl(&[&["patch", "smig", name], &merge[..]].concat()).map(drop)
}
