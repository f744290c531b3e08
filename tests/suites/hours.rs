//! What depends on the hour: windows that open and close while rows are copied, before the cut-over and
//! for a pause, profiles, and settings of the target, all on a run that goes on.

use std::time::Duration;

use anyhow::{Result, ensure};
use jiff::{SignedDuration, Timestamp};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::ghostship::Ghostship;
use crate::support::scene::{RUN, Scene, Shape, expect_code};
use crate::support::server::Flavour;

/// A change that the server makes by INSTANT.
const INSTANT: &str = "ADD COLUMN later INT NULL";
/// How soon a window that opens is seen.
const SOON: Duration = Duration::from_millis(2500);

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        super::trial("hours::the_copy_stands_still_outside_its_window".to_owned(), copy),
        super::trial("hours::a_chunk_in_flight_ends_when_the_window_closes".to_owned(), in_flight),
        super::trial("hours::the_comparison_stands_still_outside_the_window".to_owned(), verify),
        super::trial("hours::the_cut_over_waits_for_its_window".to_owned(), cut_over),
        super::trial("hours::the_window_closes_while_the_cut_over_waits".to_owned(), closes),
        super::trial("hours::a_window_shorter_than_the_budget_is_not_used".to_owned(), too_short),
        super::trial("hours::the_windows_of_the_target_hold_as_well".to_owned(), target_windows),
        super::trial("hours::instant_waits_for_the_cut_over_window".to_owned(), instant),
        super::trial(
            "hours::an_instant_change_that_waits_can_be_aborted".to_owned(),
            instant_aborted,
        ),
        super::trial("hours::a_pause_window_pauses_and_ends".to_owned(), pause),
        super::trial("hours::a_profile_holds_while_its_window_is_open".to_owned(), profile),
        super::trial("hours::settings_tell_where_they_come_from".to_owned(), origins),
    ]
}

/// A window from so many seconds from now on, for so many seconds.
fn window(from: i64, length: i64) -> Value {
    let begin = Timestamp::now() + SignedDuration::from_secs(from);
    let end = begin + SignedDuration::from_secs(length);
    json!([{"from": begin.to_string(), "until": end.to_string()}])
}

/// One that never opens again.
fn past() -> Value {
    window(-20, 10)
}

fn number(line: &Value, field: &str) -> u64 {
    line[field].as_u64().unwrap_or_default()
}

fn waits_for(line: &Value, words: &str) -> bool {
    line["waitingFor"].as_str().is_some_and(|text| text.contains(words))
}

fn is_outside(line: &Value) -> bool {
    line["throttled"].as_array().into_iter().flatten().any(|one| {
        let reason = one["reason"].as_str().unwrap_or_default();
        one["signal"] == "window" && reason.starts_with("outside the copy window")
    })
}

/// Sees changes being applied, and answers the line that was heard then.
async fn applied_beyond(run: &mut Ghostship, scene: &mut Scene, line: &Value) -> Result<Value> {
    scene.registers.wait_for_more(200).await?;
    let known = number(line, "keysApplied");
    let more = |line: &Value| number(line, "keysApplied") > known;
    run.wait_until("changes are applied meanwhile", RUN, more).await
}

/// Sees that this field stands still while changes are applied.
async fn expect_still(
    run: &mut Ghostship,
    scene: &mut Scene,
    (held, field): (&Value, &str),
) -> Result<()> {
    // Counters of the first line may be of before, and chunks that were under way end.
    let settled = applied_beyond(run, scene, held).await?;
    let settled = applied_beyond(run, scene, &settled).await?;
    let later = applied_beyond(run, scene, &settled).await?;
    ensure!(settled[field] == later[field], "{field} moved: {settled} {later}");
    ensure!(settled["phase"] == later["phase"], "it went on: {settled} {later}");
    Ok(())
}

async fn slow_scene(label: &str) -> Result<Scene> {
    let shape = Shape { rows: 8000, ..Shape::default() };
    let mut scene = Scene::shared(label, Flavour::Gtid, shape).await?;
    scene
        .manifest
        .set(&[("/copy", json!({"threads": 2, "chunkTime": "10ms", "maxRowsPerSecond": 500}))])?;
    Ok(scene)
}

async fn copy() -> Result<()> {
    let mut scene = slow_scene("hours_copy").await?;
    scene.manifest.set(&[("/windows", json!({"copy": window(-1, 8)}))])?;
    let mut run = scene.run(None)?;
    let begun = |line: &Value| number(line, "rowsCopied") > 0 && !is_outside(line);
    run.wait_until("rows are copied in the window", RUN, begun).await?;
    let held = run.wait_until("the window closes by itself", RUN, is_outside).await?;
    ensure!(held["phase"] == "RowCopy", "void: the window met {held}");
    ensure!(held["throttled"].to_string().contains("it does not open again"), "{held}");
    // At the full speed the copy would be over at once.
    scene.manifest.set(&[("/copy/maxRowsPerSecond", json!(0))])?;
    expect_still(&mut run, &mut scene, (&held, "rowsCopied")).await?;
    scene.manifest.set(&[("/windows", json!({"copy": window(4, 60)}))])?;
    let told = |line: &Value| line["throttled"].to_string().contains("it opens at 20");
    run.wait_until("the next window is told", RUN, told).await?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}

/// The window closes between the rows of a chunk and its COMMIT: the chunk ends, and none begins.
async fn in_flight() -> Result<()> {
    let mut scene = slow_scene("hours_in_flight").await?;
    scene.manifest.set(&[("/copy/threads", json!(1)), ("/copy/chunkTime", json!("200ms"))])?;
    let mut run = scene.run(Some("chunk.recorded=stop@1"))?;
    run.wait_until_stopped(RUN).await?;
    let before = scene.recorded().await?;
    scene.manifest.set(&[("/windows", json!({"copy": past()}))])?;
    run.signal("CONT")?;
    let held = run.wait_until("the window is closed", RUN, is_outside).await?;
    ensure!(held["phase"] == "RowCopy", "void: the window met {held}");
    scene.manifest.set(&[("/copy/maxRowsPerSecond", json!(0))])?;
    expect_still(&mut run, &mut scene, (&held, "rowsCopied")).await?;
    let after = scene.recorded().await?;
    ensure!(after > before, "the chunk in flight was given up: {before} rows, {after} rows");
    let line =
        run.wait_until("it is told", RUN, |line| number(line, "rowsCopied") == after).await?;
    ensure!(is_outside(&line), "void: the window is open: {line}");
    scene.manifest.set(&[("/windows", json!({"copy": window(2, 60)}))])?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}

async fn verify() -> Result<()> {
    let mut scene = slow_scene("hours_verify").await?;
    scene.manifest.set(&[("/copy/maxRowsPerSecond", json!(0))])?;
    let mut run = scene.run(Some("verify.range=stop"))?;
    run.wait_until_stopped(RUN).await?;
    scene.manifest.set(&[("/windows", json!({"copy": past()}))])?;
    run.signal("CONT")?;
    let held = run.wait_until("it is held", RUN, is_outside).await?;
    ensure!(held["phase"] == "Verify", "void: the window met {held}");
    let waits = |line: &Value| waits_for(line, "the copy window: outside the copy window");
    run.wait_until("it says what it waits for", RUN, waits).await?;
    expect_still(&mut run, &mut scene, (&held, "verifiedPercent")).await?;
    scene.manifest.set(&[("/windows", Value::Null)])?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}

/// A copy window that is closed does not hold the cut-over, and a cut-over window that is closed does.
async fn cut_over() -> Result<()> {
    let mut scene = Scene::shared("hours_cut_over", Flavour::Gtid, Shape::default()).await?;
    scene.manifest.set(&[("/windows", json!({"cutOver": past()}))])?;
    let mut run = scene.run(None)?;
    let closed =
        |line: &Value| waits_for(line, "outside the cut-over window; it does not open again");
    let held = run.wait_until("it waits for the window", RUN, closed).await?;
    ensure!(held["phase"] == "AwaitCutOver", "void: it waits in {held}");
    expect_still(&mut run, &mut scene, (&held, "cutOverAttempts")).await?;
    ensure!(number(&held, "cutOverAttempts") == 0, "an attempt began: {held}");
    ensure!(!scene.is_swapped().await?, "swapped outside the window");
    let windows = json!({"cutOver": window(5, 60), "copy": past()});
    scene.manifest.set(&[("/windows", windows)])?;
    let told = |line: &Value| waits_for(line, "outside the cut-over window; it opens at 20");
    run.wait_until("the opening is told", RUN, told).await?;
    let opens = Timestamp::now();
    let ended = run.wait(RUN).await?;
    expect_code(&ended, 0)?;
    let took = Timestamp::now().duration_since(opens);
    ensure!(took >= SignedDuration::from_secs(2), "it did not wait: {took:?}");
    ensure!(took < SignedDuration::from_secs(20), "it was not seen for {took:?}");
    scene.expect_completed().await
}

/// The window was open, and the swap waited for a transaction; when that ends the window is closed.
async fn closes() -> Result<()> {
    let mut scene = Scene::shared("hours_closes", Flavour::Gtid, Shape::default()).await?;
    let mut blocker = scene.database.connect().await?;
    blocker.exec("BEGIN").await?;
    blocker.texts("SELECT COUNT(*) FROM t WHERE id < 3").await?;
    let long = json!({"cutOver": window(-10, 600)});
    scene.manifest.set(&[("/windows", long), ("/copy/chunkTime", json!("200ms"))])?;
    let mut run = scene.run(None)?;
    let blocked = |line: &Value| line["phase"] == "CutOver" && waits_for(line, "CutOverBlocked");
    run.wait_until("the transaction is in the way", RUN, blocked).await?;
    scene.manifest.set(&[("/windows", json!({"cutOver": window(-10, 13)}))])?;
    let closed =
        |line: &Value| waits_for(line, "outside the cut-over window; it does not open again");
    let held = run.wait_until("the window closes by itself", RUN, closed).await?;
    blocker.exec("COMMIT").await?;
    blocker.close().await?;
    expect_still(&mut run, &mut scene, (&held, "cutOverAttempts")).await?;
    ensure!(!scene.is_swapped().await?, "swapped outside the window");
    scene.manifest.set(&[("/windows", json!({"cutOver": window(2, 60)}))])?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}

async fn too_short() -> Result<()> {
    let mut scene = Scene::shared("hours_too_short", Flavour::Gtid, Shape::default()).await?;
    scene.manifest.set(&[
        ("/windows", json!({"cutOver": window(-1, 30)})),
        ("/cutOver", json!({"lockBudget": "60s"})),
    ])?;
    let mut run = scene.run(None)?;
    let too_short =
        |line: &Value| waits_for(line, "too short for an attempt with a lock budget of 60s");
    let held = run.wait_until("it says that the window is too short", RUN, too_short).await?;
    expect_still(&mut run, &mut scene, (&held, "cutOverAttempts")).await?;
    ensure!(number(&held, "cutOverAttempts") == 0, "an attempt began: {held}");
    ensure!(!scene.is_swapped().await?, "swapped although the window is too short");
    // A smaller budget fits into what is left of the window.
    scene.manifest.set(&[("/cutOver", json!({"lockBudget": "1s"}))])?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}

async fn target_windows() -> Result<()> {
    let mut scene = Scene::shared("hours_target", Flavour::Gtid, Shape::default()).await?;
    scene.manifest.set(&[("/windows", json!({"cutOver": window(-10, 600)}))])?;
    scene.manifest.set_target(&[("/windows", json!({"cutOver": past()}))])?;
    let mut run = scene.run(None)?;
    let closed = |line: &Value| waits_for(line, "outside the cut-over window of the target");
    let held = run.wait_until("it waits for the target's window", RUN, closed).await?;
    expect_still(&mut run, &mut scene, (&held, "cutOverAttempts")).await?;
    ensure!(!scene.is_swapped().await?, "swapped outside the target's window");
    scene.manifest.set_target(&[("/windows", json!({"cutOver": []}))])?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}

async fn columns(scene: &Scene) -> Result<Vec<String>> {
    let mut client = scene.database.connect().await?;
    let query = "SELECT column_name FROM information_schema.columns \
        WHERE table_schema = DATABASE() AND column_name = 'later'";
    let found = client.texts(query).await?;
    client.close().await?;
    Ok(found)
}

/// A change that needs no copy, outside its window.
async fn instant_that_waits(label: &str) -> Result<(Scene, Ghostship)> {
    let mut scene = Scene::shared(label, Flavour::Gtid, Shape::default()).await?;
    scene.manifest.rename("later", INSTANT)?;
    scene
        .manifest
        .set(&[("/strategy", json!("Auto")), ("/windows", json!({"cutOver": past()}))])?;
    let mut run = scene.run(None)?;
    let closed =
        |line: &Value| waits_for(line, "outside the cut-over window; it does not open again");
    run.wait_until("it waits for the window", RUN, closed).await?;
    scene.registers.wait_for_more(200).await?;
    ensure!(columns(&scene).await?.is_empty(), "changed outside the window");
    ensure!(scene.helpers().await?.is_empty(), "tables are left while it waits");
    Ok((scene, run))
}

async fn instant() -> Result<()> {
    let (mut scene, run) = instant_that_waits("hours_instant").await?;
    scene.manifest.set(&[("/windows", json!({"cutOver": window(2, 60)}))])?;
    let ended = run.wait(RUN).await?;
    expect_code(&ended, 0)?;
    ensure!(ended.report()["strategy"] == "Instant", "{}", ended.words());
    ensure!(columns(&scene).await? == ["later"], "the column is not there");
    ensure!(scene.ledger().await? == ["Completed"], "the ledger has {:?}", scene.ledger().await?);
    scene.registers.wait_for_more(20).await
}

async fn instant_aborted() -> Result<()> {
    let (mut scene, run) = instant_that_waits("hours_instant_aborted").await?;
    scene.manifest.set(&[("/abort", json!(true))])?;
    expect_code(&run.wait(RUN).await?, 5)?;
    scene.expect_untouched().await
}

async fn pause() -> Result<()> {
    let mut scene = slow_scene("hours_pause").await?;
    scene.manifest.set(&[("/windows", json!({"pause": window(5, 8)}))])?;
    let mut run = scene.run(None)?;
    let begun = |line: &Value| number(line, "rowsCopied") > 0;
    run.wait_until("rows are copied", RUN, begun).await?;
    let paused = |line: &Value| waits_for(line, "paused by a pause window until 20");
    let held = run.wait_until("the pause begins by itself", RUN, paused).await?;
    ensure!(held["phase"] == "RowCopy", "void: the pause met {held}");
    let settled = applied_beyond(&mut run, &mut scene, &held).await?;
    let later = applied_beyond(&mut run, &mut scene, &settled).await?;
    ensure!(settled["rowsCopied"] == later["rowsCopied"], "rows were copied: {settled} {later}");
    ensure!(paused(&later), "void: the pause was over: {later}");
    run.wait_until("the pause ends by itself", RUN, |line| !waits_for(line, "paused")).await?;
    scene.manifest.set(&[("/copy/maxRowsPerSecond", json!(0))])?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}

/// Value and origin of a setting, in a line that tells settings.
fn setting<'a>(line: &'a Value, field: &str) -> Option<(&'a str, &'a str)> {
    let all = line["effective"].as_array()?;
    let found = all.iter().find(|one| one["field"] == field)?;
    Some((found["value"].as_str()?, found["origin"].as_str()?))
}

/// A note is told exactly once.
fn expect_noted(stderr: &str, note: &str) -> Result<()> {
    let count = stderr.lines().filter(|line| *line == note).count();
    ensure!(count == 1, "{note:?} is told {count} times:\n{stderr}");
    Ok(())
}

async fn profile() -> Result<()> {
    let mut scene = slow_scene("hours_profile").await?;
    let fast =
        json!([{"name": "rush", "window": window(5, 60)[0], "copy": {"maxRowsPerSecond": 0}}]);
    scene.manifest.set(&[("/copy/maxRowsPerSecond", json!(50)), ("/profiles", fast)])?;
    let mut run = scene.run(None)?;
    let slow = |line: &Value| setting(line, "copy.maxRowsPerSecond") == Some(("50", "Migration"));
    run.wait_until("the migration's own speed is told", SOON * 2, slow).await?;
    let rush =
        |line: &Value| setting(line, "copy.maxRowsPerSecond") == Some(("0", "Profile(rush)"));
    run.wait_until("the profile is told", RUN, rush).await?;
    // At the migration's own speed it would take more than two minutes.
    let ended = run.wait(RUN).await?;
    expect_code(&ended, 0)?;
    let note = "note: copy.maxRowsPerSecond is 0 (Profile(rush)) now; it was 50 (Migration)";
    expect_noted(&ended.stderr, note)?;
    scene.expect_completed().await
}

async fn origins() -> Result<()> {
    let mut scene = slow_scene("hours_origins").await?;
    let defaults = json!({"cutOver": {"lockBudget": "2s"}});
    scene.manifest.set_target(&[("/preset", json!("Production")), ("/defaults", defaults)])?;
    scene.manifest.set(&[("/copy", json!({"maxRowsPerSecond": 500}))])?;
    let mut run = scene.run(None)?;
    let told = |line: &Value| line["type"] == "effective";
    let first = run.wait_until("the settings are told", RUN, told).await?;
    let expected = [
        ("copy.threads", "1", "Preset"),
        ("copy.chunkTime", "250ms", "Preset"),
        ("copy.maxRowsPerSecond", "500", "Migration"),
        ("throttle.maxLag", "none", "Default"),
        ("throttle.maxLoad", "Threads_running: 50", "Preset"),
        ("throttle.maxSlowdown", "1.3", "Preset"),
        ("cutOver.lockBudget", "2s", "Target"),
        ("cutOver.maxAttempts", "0", "Default"),
    ];
    for (field, value, origin) in expected {
        ensure!(setting(&first, field) == Some((value, origin)), "{field}: {first}");
    }
    let begun = |line: &Value| number(line, "rowsCopied") > 0;
    run.wait_until("rows are copied", RUN, begun).await?;
    scene.manifest.set(&[("/copy/maxRowsPerSecond", json!(0))])?;
    scene.manifest.set_target(&[("/defaults", json!({"copy": {"threads": 3}}))])?;
    let ended = run.wait(RUN).await?;
    expect_code(&ended, 0)?;
    for note in [
        "note: copy.threads is 3 (Target) now; it was 1 (Preset)",
        "note: copy.maxRowsPerSecond is 0 (Migration) now; it was 500 (Migration)",
        "note: cutOver.lockBudget is 500ms (Preset) now; it was 2s (Target)",
    ] {
        expect_noted(&ended.stderr, note)?;
    }
    ensure!(!ended.stderr.contains("waits for the next one"), "{}", ended.stderr);
    scene.expect_completed().await
}
