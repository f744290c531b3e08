//! Verification against itself: differences are planted in the shadow table before it begins, and each
//! must be found; alone it fails the run when no repair is allowed, and all together are repaired and
//! counted one by one.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;

use crate::support::ghostship::Ghostship;
use crate::support::server::{Flavour, Server};
use crate::support::stage::{RUN, Shape, Stage};

const SHAPE: Shape = Shape {
    columns: "id INT PRIMARY KEY, a VARCHAR(40) NULL, b VARCHAR(40) NOT NULL, bin BINARY(8) NOT NULL, \
        at DATETIME(6) NOT NULL, f DOUBLE NOT NULL, j JSON NOT NULL, d DECIMAL(20,6) NOT NULL, \
        e ENUM('one', 'two') NOT NULL, big BIGINT NOT NULL",
    fill: "SELECT i, IF(i % 16 = 4, NULL, IF(i % 16 = 5, '', CONCAT('left ', i))), CONCAT('cote ', i), \
        UNHEX(LPAD(HEX(i), 16, '0')), '2024-02-29 23:59:59.999998', 1.5 + i, JSON_OBJECT('n', i), \
        i / 7, 'one', i FROM n",
    rows: ROWS,
    alter: "ADD COLUMN added INT NOT NULL DEFAULT 7, MODIFY d DECIMAL(24,6) NOT NULL, \
        MODIFY a VARCHAR(80) NULL, MODIFY e ENUM('one', 'two', 'three') NOT NULL",
    added: "added",
};
const ROWS: u64 = 3200;
/// Rows of each kind when all are planted.
const OF_A_KIND: u64 = ROWS / 16;

/// A kind of difference: its name, the statement on the rows that `{rows}` selects of one sixteenth of
/// the table, that sixteenth, and how many keys differ then for each row.
const KINDS: [(&str, &str, u64, u64); 16] = [
    ("enum", "UPDATE t_gho SET e = 'three' WHERE {rows}", 0, 1),
    ("missing_row", "DELETE FROM t_gho WHERE {rows}", 1, 1),
    (
        "extra_row",
        "INSERT INTO t_gho SELECT id + 100000, a, b, bin, at, f, j, d, e, big, 7 FROM t WHERE {rows}",
        2,
        1,
    ),
    ("one_bit", "UPDATE t_gho SET bin = bin ^ X'0000000000000100' WHERE {rows}", 3, 1),
    ("empty_for_null", "UPDATE t_gho SET a = '' WHERE {rows}", 4, 1),
    ("null_for_empty", "UPDATE t_gho SET a = NULL WHERE {rows}", 5, 1),
    ("trailing_space", "UPDATE t_gho SET b = CONCAT(b, ' ') WHERE {rows}", 6, 1),
    (
        "moved_character",
        "UPDATE t_gho SET a = CONCAT(a, LEFT(b, 1)), b = SUBSTRING(b, 2) WHERE {rows}",
        7,
        1,
    ),
    (
        "swapped_rows",
        "UPDATE t_gho AS s JOIN t ON t.id = s.id + IF(s.id % 32 = 8, 16, -16) SET s.b = t.b \
         WHERE s.{rows} OR s.{partner}",
        8,
        1,
    ),
    ("one_microsecond", "UPDATE t_gho SET at = at + INTERVAL 1 MICROSECOND WHERE {rows}", 9, 1),
    ("letter_case", "UPDATE t_gho SET b = UPPER(b) WHERE {rows}", 10, 1),
    ("last_place_of_a_float", "UPDATE t_gho SET f = f + f * 2.3e-16 WHERE {rows}", 11, 1),
    ("inside_json", "UPDATE t_gho SET j = JSON_SET(j, '$.n', id + 1) WHERE {rows}", 12, 1),
    ("last_digit", "UPDATE t_gho SET d = d - 0.000001 WHERE {rows}", 13, 1),
    ("moved_key", "UPDATE t_gho SET id = id + 200000 WHERE {rows}", 14, 2),
    ("accent", "UPDATE t_gho SET b = REPLACE(b, 'cote', 'coté') WHERE {rows}", 15, 1),
];

/// One test per kind, and one with all of them for each server.
pub(crate) fn trials() -> Vec<Trial> {
    let one = |kind: usize| {
        let name = format!("checksum::finds_{}", KINDS[kind].0);
        super::trial(name, move || one_difference(kind))
    };
    let all = |flavour: Flavour| {
        let name = format!("checksum::finds_and_repairs_all_{}", flavour.as_str());
        super::trial(name, move || all_differences(flavour))
    };
    (0..KINDS.len()).map(one).chain(Flavour::ALL.map(all)).collect()
}

/// Runs up to the begin of verification, plants, and lets it go on.
async fn plant(stage: &Stage, statements: Vec<(String, u64)>) -> Result<Ghostship> {
    let mut ghostship = Ghostship::run(&stage.manifest, Some("state.Verify.before=stop"))?;
    ghostship.wait_for("CatchUp", RUN).await?;
    ghostship.wait_until_stopped(RUN).await?;
    let mut client = stage.database.connect().await?;
    for (statement, rows) in statements {
        let planted = client.exec(&statement).await?;
        ensure!(planted == rows, "void: {planted} differences were planted by {statement}");
    }
    client.close().await?;
    ghostship.signal("CONT")?;
    Ok(ghostship)
}

async fn one_difference(kind: usize) -> Result<()> {
    let (name, statement, part, _) = KINDS[kind];
    let server = Server::shared(Flavour::Gtid)?;
    let stage = Stage::open(server, &format!("checksum_{name}"), SHAPE).await?;
    let id = 1600 + part;
    let partner = format!("id = {}", id + 16);
    let planted = statement.replace("{rows}", &format!("id = {id}")).replace("{partner}", &partner);
    let rows = if name == "swapped_rows" { 2 } else { 1 };
    let ghostship = plant(&stage, vec![(planted, rows)]).await?;
    let ended = ghostship.wait(RUN).await?;
    let reason = ended.lines.last().map(|line| line["reason"].clone());
    ensure!(reason == Some(json!("ChecksumMismatch")), "it was not found\n{}", ended.words());
    ensure!(ended.code == Some(1), "the run did not fail\n{}", ended.words());
    stage.close().await
}

async fn all_differences(flavour: Flavour) -> Result<()> {
    let label = format!("checksum_all_{}", flavour.as_str());
    let mut stage = Stage::open(Server::shared(flavour)?, &label, SHAPE).await?;
    stage.manifest.set(&[("/verify", json!({"repairLimit": 1_000_000}))])?;
    let of_kind = |(_, statement, part, _): (&str, &str, u64, u64)| {
        let rows = format!("id % 16 = {part}");
        (statement.replace("{rows}", &rows).replace("{partner}", &rows), OF_A_KIND)
    };
    let mut ghostship = plant(&stage, KINDS.map(of_kind).to_vec()).await?;
    ghostship.wait_for("AwaitCutOver", RUN).await?;
    stage.allow_cut_over()?;
    let ended = ghostship.wait(RUN).await?;
    let report = stage.expect_equal(&ended).await.context("after the repair")?;
    let planted: u64 = KINDS.iter().map(|(_, _, _, keys)| keys * OF_A_KIND).sum();
    eprintln!("{label}: planted {planted}, found and repaired {}", report["rowsRepaired"]);
    ensure!(report["rowsRepaired"] == planted, "planted {planted}: {report}");
    stage.close().await
}
