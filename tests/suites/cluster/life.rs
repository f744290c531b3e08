//! The life of a migration as a resource: applied, refused, queued, applied again, deleted.

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::{End, ROWS, SLOW, STEP, trial};
use crate::support::shop::{Migration, Shop};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("under_write_load", under_write_load),
        trial("identity_is_fixed", identity),
        trial("queues", queues),
        trial("applied_again_is_done_already", applied_again),
        trial("deleted_while_it_copies", deleted),
    ]
}

async fn under_write_load(shop: &mut Shop) -> Result<End> {
    shop.apply(&shop.migration("one", 4000).0)?;
    let status = shop.wait_for_phase("one", "Succeeded", STEP).await?;
    let conditions = status["conditions"].as_array().context("no conditions")?;
    let state = |name: &str| {
        let found = conditions.iter().find(|condition| condition["type"] == name);
        found.map(|condition| condition["status"].clone()).unwrap_or_default()
    };
    for (name, wanted) in
        [("Ready", "True"), ("Reconciling", "False"), ("Stalled", "False"), ("Succeeded", "True")]
    {
        ensure!(state(name) == wanted, "{name} is {}, not {wanted}", state(name));
    }
    let ending = &status["report"]["ending"];
    ensure!(ending["rowsVerified"].as_u64() > Some(ROWS / 2), "the end tells {ending}");
    ensure!(ending["oldTable"] == "t_del", "the end tells {ending}");
    let words = shop.kubectl(&["wait", "smig/one", "--for=condition=Succeeded", "--timeout=5s"])?;
    ensure!(words.contains("condition met"), "kubectl wait says {words}");
    Ok(End::Completed)
}

async fn identity(shop: &mut Shop) -> Result<End> {
    shop.apply(&shop.migration("one", 0).with("/postponeCutOver", json!(true)).0)?;
    for field in ["target", "database", "table", "alter", "strategy"] {
        let value = if field == "strategy" { "Auto" } else { "another" };
        let Err(refused) = shop.patch("one", &json!({ field: value })) else {
            bail!("spec.{field} could be changed");
        };
        let words = format!("{refused:#}");
        ensure!(words.contains(&format!("{field} is fixed")), "spec.{field}: {words}");
    }
    let fields = ["target", "database", "table", "alter"];
    for field in fields {
        let patch = json!([{"op": "remove", "path": format!("/spec/{field}")}]).to_string();
        let removed = shop.kubectl(&["patch", "smig", "one", "--type=json", "-p", &patch]);
        ensure!(removed.is_err(), "spec.{field} could be removed");
    }
    shop.patch("one", &json!({"postponeCutOver": null}))?;
    shop.wait_for_phase("one", "Succeeded", STEP).await?;
    Ok(End::Completed)
}

/// Of one table, and of one target, one at a time and in the order of their creation.
async fn queues(shop: &mut Shop) -> Result<End> {
    let mut client = shop.scene.database.connect().await?;
    client.exec("CREATE TABLE other (id INT PRIMARY KEY, tag INT)").await?;
    client.close().await?;
    let at_once = |migration: Migration| migration.with("/oldTable", json!({"retain": "0s"}));
    let first = at_once(shop.migration("first", SLOW));
    shop.apply(&first.0)?;
    shop.wait_until_copying("first", STEP).await?;
    let second =
        at_once(shop.migration("second", 0)).with("/alter", json!("ADD COLUMN second INT"));
    shop.apply(&second.0)?;
    let status = shop.wait_for_phase("second", "Queued", STEP).await?;
    expect_words(&status, "first to end: it changes")?;
    // Creation times have whole seconds; within one, the name decides.
    let third = at_once(shop.migration("third", 0))
        .with("/table", json!("other"))
        .with("/alter", json!("ADD COLUMN third INT"));
    shop.apply(&third.0)?;
    let status = shop.wait_for_phase("third", "Queued", STEP).await?;
    expect_words(&status, "runs 1 at a time")?;
    shop.patch("first", &json!({"copy": {"maxRowsPerSecond": 0}}))?;
    for (name, next) in [("first", "second"), ("second", "third")] {
        shop.wait_for_phase(name, "Succeeded", STEP).await?;
        let next = shop.read(next).await?.unwrap_or_default();
        ensure!(next["status"]["phase"] != "Succeeded", "void: {name} and the next ended together");
    }
    shop.wait_for_phase("third", "Succeeded", STEP).await?;
    for (before, after) in [("first", "second"), ("second", "third")] {
        let (ended, began) =
            (shop.time(before, "completedAt").await?, shop.time(after, "startedAt").await?);
        ensure!(ended <= began, "{after} began at {began}, {before} ended at {ended}");
    }
    let ledger = shop.scene.ledger().await?;
    ensure!(ledger == ["Completed"; 3], "the ledger has {ledger:?}");
    let helpers = shop.scene.helpers().await?;
    ensure!(helpers == ["other"], "besides the table there are {helpers:?}");
    Ok(End::Written)
}

fn expect_words(status: &Value, words: &str) -> Result<()> {
    let message = status["message"].as_str().unwrap_or_default();
    ensure!(message.contains(words), "the message is {message:?}, without {words:?}");
    Ok(())
}

async fn applied_again(shop: &mut Shop) -> Result<End> {
    let migration = shop.migration("one", 0);
    shop.apply(&migration.0)?;
    shop.wait_for_phase("one", "Succeeded", STEP).await?;
    let (id, tables) = (shop.scene.id().await?, shop.scene.database.tables().await?);
    shop.delete("one")?;
    shop.wait_until_gone("one", STEP).await?;
    shop.apply(&migration.0)?;
    shop.wait_for_phase("one", "Succeeded", STEP).await?;
    shop.wait_for_reason("one", "AlreadyApplied", STEP).await?;
    ensure!(shop.scene.id().await? == id, "the table was changed again");
    ensure!(shop.scene.database.tables().await? == tables, "tables were made or dropped");
    Ok(End::Completed)
}

async fn deleted(shop: &mut Shop) -> Result<End> {
    shop.apply(&shop.migration("one", SLOW).0)?;
    shop.wait_until_copying("one", STEP).await?;
    ensure!(shop.scene.helpers().await?.len() > 1, "void: there is nothing to clean up");
    shop.delete("one")?;
    shop.wait_until_gone("one", STEP).await?;
    let helpers = shop.scene.helpers().await?;
    ensure!(helpers.is_empty(), "the migration is gone and left {helpers:?}");
    Ok(End::Untouched)
}
