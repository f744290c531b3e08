//! The life of a migration as a resource: applied, refused, queued, applied again, deleted.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::{End, ROWS, SLOW, STEP, trial};
use crate::support::operator::apply;
use crate::support::plain_alter;
use crate::support::scene::Scene;
use crate::support::shop::{Migration, Shop, TARGET};
use crate::support::wait::wait_for;

/// Pairs of migrations that are applied together, each pair to a table of its own.
const PAIRS: usize = 10;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("under_write_load", under_write_load),
        trial("equals_a_table_that_the_server_altered", twin),
        trial("instant_when_it_can_be", instant),
        trial("identity_is_fixed", identity),
        trial("queues", queues),
        trial("applied_again_is_done_already", applied_again),
        trial("deleted_while_it_copies", deleted),
    ]
}

pub(super) fn long_trials() -> Vec<Trial> {
    vec![trial("pairs_of_one_table", pairs)]
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

async fn twin(shop: &mut Shop) -> Result<End> {
    let alter = "MODIFY tag VARCHAR(60) COLLATE utf8mb4_bin NOT NULL, ADD KEY by_version (version), \
                 ADD COLUMN doubled BIGINT UNSIGNED AS (version * 2) STORED, ADD COLUMN note INT NULL";
    let before = shop.scene.registers.acknowledged();
    shop.apply(&shop.migration("one", 8000).with("/alter", json!(alter)).0)?;
    shop.wait_for_phase("one", "Succeeded", STEP).await?;
    let written = shop.scene.registers.acknowledged() - before;
    ensure!(written > 100, "void: only {written} operations were held meanwhile");
    shop.scene.registers.wait_for_more(50).await?;
    let Scene { database, registers, .. } = &shop.scene;
    plain_alter::expect_equal(database, registers, ("t_del", alter)).await?;
    Ok(End::Completed)
}

/// A change that the server makes in no time needs no copy, and leaves no other table.
async fn instant(shop: &mut Shop) -> Result<End> {
    let alter = json!("ADD COLUMN note INT NULL");
    let migration = shop.migration("one", 0).with("/strategy", json!("Auto")).with("/alter", alter);
    let id = shop.scene.id().await?;
    shop.apply(&migration.0)?;
    let status = shop.wait_for_phase("one", "Succeeded", STEP).await?;
    let strategy = &status["plan"]["strategy"];
    ensure!(strategy == "Instant", "the strategy is told as {strategy}: {}", status["plan"]);
    ensure!(status["attempt"] == 1, "it took {} attempts", status["attempt"]);
    ensure!(shop.scene.id().await? == id, "the table was copied");
    let mut client = shop.scene.database.connect().await?;
    client.rows("SELECT note FROM t LIMIT 1").await.context("the column is not there")?;
    client.close().await?;
    let helpers = shop.scene.helpers().await?;
    ensure!(helpers.is_empty(), "besides the table there are {helpers:?}");
    let ledger = shop.scene.ledger().await?;
    ensure!(ledger == ["Completed"], "the ledger has {ledger:?}");
    Ok(End::Written)
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

/// Both migrations of each table begin to exist at the same moment, and one works after the other.
async fn pairs(shop: &mut Shop) -> Result<End> {
    let limit = json!({"spec": {"maxConcurrentMigrations": PAIRS}}).to_string();
    shop.kubectl(&["patch", "mtgt", TARGET, "--type=merge", "-p", &limit])?;
    let mut client = shop.scene.database.connect().await?;
    let rows = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)";
    for pair in 0..PAIRS {
        client.exec(&format!("CREATE TABLE p{pair} (id INT PRIMARY KEY)")).await?;
        client.exec(&format!("INSERT INTO p{pair} {rows} SELECT i FROM n")).await?;
    }
    let own = |name: &str, pair| {
        shop.migration(&format!("{name}{pair}"), 100)
            .with("/table", json!(format!("p{pair}")))
            .with("/alter", json!(format!("ADD COLUMN {name} INT")))
            .with("/oldTable", json!({"retain": "0s"}))
    };
    for pair in 0..PAIRS {
        apply(&[own("a", pair).0, own("b", pair).0])?;
    }
    let overlaps = watch_pairs(shop).await?;
    eprintln!("of {PAIRS} pairs {} had two workers at a time: {overlaps:?}", overlaps.len());
    ensure!(overlaps.is_empty(), "two workers of one table at a time: {overlaps:?}");
    for pair in 0..PAIRS {
        client.rows(&format!("SELECT a, b FROM p{pair}")).await?;
        for name in ["a", "b"] {
            let found = shop.read(&format!("{name}{pair}")).await?.unwrap_or_default();
            let attempt = &found["status"]["attempt"];
            ensure!(*attempt == 1, "{name}{pair} took {attempt} attempts");
        }
    }
    client.close().await?;
    let ledger = shop.scene.ledger().await?;
    ensure!(ledger == ["Completed"; 2 * PAIRS], "the ledger has {ledger:?}");
    Ok(End::Written)
}

/// Looks at all migrations until each has succeeded; answers the tables that had two workers at a time.
async fn watch_pairs(shop: &Shop) -> Result<BTreeSet<String>> {
    let mut overlaps = BTreeSet::new();
    let probe = async || {
        let all: Value = serde_json::from_str(&shop.kubectl(&["get", "smig", "-o", "json"])?)?;
        let all = all["items"].as_array().cloned().unwrap_or_default();
        let mut working = BTreeSet::new();
        for one in all.iter().filter(|one| works(&one["status"])) {
            let table = one["spec"]["table"].as_str().unwrap_or_default().to_owned();
            if !working.insert(table.clone()) {
                overlaps.insert(table);
            }
        }
        let ended = all.iter().filter(|one| one["status"]["phase"] == "Succeeded").count();
        Ok(if ended == 2 * PAIRS { Ok(()) } else { Err(ended) })
    };
    wait_for("all pairs to succeed", STEP * 5, probe).await?;
    Ok(overlaps)
}

/// Whether a worker was made that has not told its end.
fn works(status: &Value) -> bool {
    let of_newest = status["report"]["attempt"] == status["attempt"];
    let ended = of_newest && !status["report"]["ending"].is_null();
    !status["attempt"].is_null() && !ended && status["completedAt"].is_null()
}
