//! Hooks, approvals and checks on a real server: a receiver of HTTP in the test and real commands allow,
//! deny, ask to wait, hang and lie at every stage. Until they agree nothing is swapped, wishes are heard
//! at once and the binlog is followed; after the swap they change nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::decider::{Answer, Decider, KEY};
use crate::support::ghostship::Ghostship;
use crate::support::scene::{RUN, Scene, Shape, expect_code, last_line};
use crate::support::server::Flavour;

/// The stages that hold a run, in the order in which it comes to them.
const GATES: [&str; 5] =
    ["Validated", "BeforeCopy", "RowCopyComplete", "Verified", "BeforeCutOver"];
/// How long a run may take to stop after panic was saved.
const PANIC: Duration = Duration::from_millis(1500);

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for gate in GATES {
        trials.push(super::trial(format!("hooks::waits::{gate}"), move || waits(gate)));
        trials.push(super::trial(format!("hooks::denied::{gate}"), move || denied(gate)));
        for wish in ["panic", "abort"] {
            let name = format!("hooks::{wish}_while_it_hangs::{gate}");
            trials.push(super::trial(name, move || asked_while_it_hangs(gate, wish)));
        }
    }
    trials.extend([
        super::trial("hooks::every_stage_is_told".into(), every_stage),
        super::trial("hooks::who_lies_holds_the_cut_over".into(), lies),
        super::trial("hooks::a_wrong_signature_holds_until_the_key_is_right".into(), wrong_key),
        super::trial("hooks::after_the_swap_nothing_is_held".into(), after_the_swap),
        super::trial("hooks::a_failure_is_told".into(), failure),
        super::trial("hooks::a_postponed_run_waits_for_both".into(), postponed),
        super::trial("hooks::a_killed_run_asks_again".into(), killed),
        super::trial("hooks::an_instant_change_is_asked_for".into(), instant),
        super::trial("hooks::commands_answer".into(), commands),
        super::trial("hooks::a_command_that_hangs_holds".into(), hanging_command),
        super::trial("hooks::a_slip_in_a_name_is_refused".into(), slip),
        super::trial("hooks::a_person_approves".into(), approval),
        super::trial("hooks::an_approval_can_be_taken_back".into(), approval_taken_back),
        super::trial("hooks::an_approval_takes_no_change_at_once".into(), approved_instant),
        super::trial("hooks::a_check_holds_the_cut_over".into(), check),
        super::trial("hooks::the_migration_has_no_checks_and_no_receivers".into(), tenants),
    ]);
    trials
}

/// A scene whose target asks the decider at these stages.
async fn scene(label: &str, decider: &Decider, stages: &[&str]) -> Result<Scene> {
    let shape = Shape { rows: 1000, ..Shape::default() };
    let mut scene = Scene::shared(&format!("hooks_{label}"), Flavour::Gtid, shape).await?;
    scene.manifest.set_secret("hooks.key", KEY)?;
    if !stages.is_empty() {
        scene.manifest.set_target(&[("/hooks", decider.hooks(stages, "2m"))])?;
    }
    Ok(scene)
}

/// Waits until the run is held at this stage for this reason, and answers that line.
async fn held(run: &mut Ghostship, stage: &str, reason: &str) -> Result<Value> {
    let fits =
        |line: &Value| line["stageHold"]["stage"] == stage && line["stageHold"]["reason"] == reason;
    let line = run.wait_until(&format!("held at {stage} by {reason}"), RUN, fits).await?;
    let waits_for = line["waitingFor"].as_str().unwrap_or_default();
    ensure!(waits_for.contains(reason), "the reason is not shown: {line}");
    ensure!(line["stageHold"]["since"].is_string(), "nobody knows since when: {line}");
    Ok(line)
}

/// Asks anew at once instead of after the pause.
fn nudge(scene: &mut Scene, number: u64) -> Result<()> {
    scene.manifest.set(&[("/copy/maxRowsPerSecond", json!(100_000 + number))])
}

async fn waits(gate: &'static str) -> Result<()> {
    let decider = Decider::start().await?;
    decider.set(gate, Answer::Say("wait"));
    let mut scene = scene(&format!("waits_{gate}"), &decider, &[gate]).await?;
    let mut run = scene.run(None)?;
    let line = held(&mut run, gate, "HookWaits").await?;
    decider.wait_for(gate, 2).await?;
    // Who writes goes on, and so does the following of the binlog, once there is something to follow.
    scene.registers.wait_for_more(100).await?;
    if !["Validated", "BeforeCopy"].contains(&gate) {
        let applied = |line: &Value| line["keysApplied"].as_u64().unwrap_or_default();
        let known = applied(&line);
        run.wait_until("keys are applied", RUN, |line| applied(line) > known).await?;
    } else {
        ensure!(scene.helpers().await?.is_empty(), "something was created");
    }
    ensure!(!scene.is_swapped().await?, "swapped while a hook asks to wait");
    decider.set(gate, Answer::Say("allow"));
    nudge(&mut scene, 1)?;
    expect_code(&run.wait(RUN).await?, 0)?;
    let ids: Vec<Value> = decider.told().iter().map(|one| one["id"].clone()).collect();
    ensure!(ids.iter().all(|id| *id == ids[0]), "one stage has several ids: {ids:?}");
    scene.expect_completed().await
}

async fn denied(gate: &'static str) -> Result<()> {
    let decider = Decider::start().await?;
    decider.set(gate, Answer::Say("deny"));
    let scene = scene(&format!("denied_{gate}"), &decider, &[gate]).await?;
    let is_early = ["Validated", "BeforeCopy"].contains(&gate);
    let ended = scene.run(None)?.wait(RUN).await?;
    expect_code(&ended, if is_early { 3 } else { 1 })?;
    ensure!(ended.words().contains("HookDenied"), "{}", ended.words());
    ensure!(ended.words().contains("as the test says"), "{}", ended.words());
    ensure!(!scene.is_swapped().await?, "swapped against a denial");
    ensure!(scene.helpers().await?.is_empty() == is_early, "{:?}", scene.helpers().await?);
    decider.set(gate, Answer::Say("allow"));
    scene.completes().await?;
    scene.expect_completed().await
}

async fn asked_while_it_hangs(gate: &'static str, wish: &'static str) -> Result<()> {
    let decider = Decider::start().await?;
    decider.set(gate, Answer::Silence);
    let mut scene = scene(&format!("{wish}_{gate}"), &decider, &[gate]).await?;
    let mut run = scene.run(None)?;
    decider.wait_for(gate, 1).await?;
    held(&mut run, gate, "HookWaits").await?;
    scene.manifest.set(&[(&format!("/{wish}"), json!(true))])?;
    let began = Instant::now();
    let ended = run.wait(RUN).await?;
    let took = began.elapsed();
    ensure!(!scene.is_swapped().await?, "swapped, and yet\n{}", ended.words());
    if wish == "abort" {
        expect_code(&ended, 5)?;
        ensure!(took < Duration::from_secs(8), "it took {took:?} to abort");
        return scene.expect_untouched().await;
    }
    expect_code(&ended, 6)?;
    ensure!(took < PANIC, "it took {took:?} to stop");
    decider.set(gate, Answer::Say("allow"));
    scene.manifest.set(&[("/panic", json!(false))])?;
    scene.completes().await?;
    scene.expect_completed().await
}

async fn every_stage() -> Result<()> {
    let decider = Decider::start().await?;
    let stages = [
        "Validated",
        "BeforeCopy",
        "RowCopyComplete",
        "Verified",
        "Postponed",
        "BeforeCutOver",
        "AfterCutOver",
        "Success",
    ];
    let mut scene = scene("every", &decider, &stages).await?;
    let also = [&stages[..], &["Failure", "Status", "ThrottledLong"]].concat();
    let mut hooks = decider.hooks(&also, "10s");
    hooks["statusInterval"] = json!("1s");
    hooks["throttledAfter"] = json!("1s");
    scene.manifest.set_target(&[("/hooks", hooks)])?;
    scene.manifest.set(&[
        ("/postponeCutOver", json!(true)),
        ("/hooks", json!({"hint": "ticket 42"})),
        ("/throttle", json!({"maxLoad": {"Threads_connected": 0}})),
    ])?;
    let mut run = scene.run(None)?;
    decider.wait_for("ThrottledLong", 1).await?;
    decider.wait_for("Status", 2).await?;
    scene.manifest.set(&[("/throttle", json!({}))])?;
    decider.wait_for("Postponed", 1).await?;
    run.wait_for("AwaitCutOver", RUN).await?;
    ensure!(!decider.stages().contains(&"BeforeCutOver".to_owned()), "{:?}", decider.stages());
    scene.manifest.set(&[("/postponeCutOver", json!(false))])?;
    expect_code(&run.wait(RUN).await?, 0)?;
    let mut told = decider.stages();
    told.retain(|stage| stages.contains(&stage.as_str()));
    ensure!(told == stages, "{told:?}");
    ensure!(!decider.stages().contains(&"Failure".to_owned()), "{:?}", decider.stages());
    expect_documents(&decider, &scene)?;
    scene.expect_completed().await
}

fn expect_documents(decider: &Decider, scene: &Scene) -> Result<()> {
    let told = decider.told();
    for document in &told {
        ensure!(document["migration"] == "test/migration", "{document}");
        ensure!(document["hint"] == "ticket 42", "{document}");
        ensure!(document["alter"].as_str().is_some_and(|it| it.contains("note")), "{document}");
        ensure!(document["progress"]["phase"].is_string(), "{document}");
        for secret in [KEY, &scene.database.password] {
            ensure!(!document.to_string().contains(secret), "a secret is told: {document}");
        }
    }
    let of = |stage: &str| told.iter().find(|one| one["stage"] == stage).cloned();
    let long = of("ThrottledLong").context("nothing was told of the hold")?;
    ensure!(long["progress"]["throttled"][0]["signal"] == "maxLoad", "{long}");
    let verified = of("Verified").context("nothing was told of the verification")?;
    ensure!(verified["progress"]["rowsCopied"].as_u64() > Some(0), "{verified}");
    let mut ids: Vec<String> = told.iter().map(|one| one["id"].to_string()).collect();
    ids.sort();
    ids.dedup();
    ensure!(ids.len() == told.len(), "{} ids of {} documents", ids.len(), told.len());
    Ok(())
}

async fn lies() -> Result<()> {
    let decider = Decider::start().await?;
    let aim = Decider::start().await?;
    let huge = format!("{{\"decision\": \"allow\", \"message\": \"{}\"}}", "x".repeat(70_000));
    let rows = [
        (Answer::Raw(200, "allow".to_owned()), "something else"),
        (Answer::Raw(200, "{\"decision\": \"Allow\"}".to_owned()), "something else"),
        (Answer::Raw(200, String::new()), "something else"),
        (Answer::Raw(200, huge), "more than 65536 bytes"),
        (Answer::Raw(500, "{\"decision\": \"allow\"}".to_owned()), "answered 500"),
        (Answer::Redirect(aim.url()), "redirect"),
        (Answer::Redirect("http://169.254.169.254/latest".to_owned()), "redirect"),
        (Answer::Break, "broke off"),
        (Answer::Silence, "no answer in time"),
    ];
    let mut scene = scene("lies", &decider, &["BeforeCutOver"]).await?;
    let hooks = decider.hooks(&["BeforeCutOver"], "1s");
    scene.manifest.set_target(&[("/hooks", hooks)])?;
    decider.set("BeforeCutOver", rows[0].0.clone());
    let mut run = scene.run(None)?;
    for (number, (answer, words)) in (0..).zip(&rows) {
        decider.set("BeforeCutOver", answer.clone());
        let before = decider.told().len();
        nudge(&mut scene, number)?;
        decider.wait_for("BeforeCutOver", before + 1).await?;
        let told = |line: &Value| {
            let hold = &line["stageHold"];
            let message = hold["message"].as_str().unwrap_or_default();
            hold["reason"] == "HookUnanswered" && message.contains(words)
        };
        let line = run.wait_until(words, RUN, told).await?;
        ensure!(!line.to_string().contains("127.0.0.1"), "the URL is shown: {line}");
        ensure!(!scene.is_swapped().await?, "swapped after {answer:?}");
    }
    ensure!(aim.told().is_empty() && aim.refused() == 0, "a redirect was followed");
    decider.set("BeforeCutOver", Answer::Say("allow"));
    nudge(&mut scene, 99)?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}

async fn wrong_key() -> Result<()> {
    let decider = Decider::start().await?;
    let mut scene = scene("wrong_key", &decider, &["BeforeCopy"]).await?;
    let directory = tempfile::tempdir()?;
    let put = |name: &str, text: &str| fs::write(directory.path().join(name), text);
    put("username", &scene.database.account)?;
    put("password", &scene.database.password)?;
    let folder = directory.path().display().to_string();
    // Without any key nobody is asked, and nothing begins.
    let arguments = ["--credentials", folder.as_str()];
    let ended = Ghostship::run_with(&scene.manifest, None, &arguments)?.wait(RUN).await?;
    expect_code(&ended, 2)?;
    ensure!(ended.words().contains("hooks.key"), "{}", ended.words());
    put("hooks.key", "another key")?;
    let mut run = Ghostship::run_with(&scene.manifest, None, &arguments)?;
    let line = held(&mut run, "BeforeCopy", "HookUnanswered").await?;
    ensure!(line["stageHold"]["message"].to_string().contains("answered 401"), "{line}");
    ensure!(decider.refused() > 0 && decider.told().is_empty(), "the signature was taken");
    ensure!(scene.helpers().await?.is_empty(), "something was created");
    put("hooks.key", KEY)?;
    nudge(&mut scene, 1)?;
    expect_code(&run.wait(RUN).await?, 0)?;
    ensure!(decider.told().len() == 1, "{:?}", decider.told());
    scene.expect_completed().await
}

async fn after_the_swap() -> Result<()> {
    for (label, answer) in [
        ("deny", Answer::Say("deny")),
        ("wait", Answer::Say("wait")),
        ("error", Answer::Raw(500, "no".to_owned())),
        ("silence", Answer::Silence),
    ] {
        let decider = Decider::start().await?;
        let told = ["AfterCutOver", "Success", "Status"];
        told.iter().for_each(|stage| decider.set(stage, answer.clone()));
        let mut scene = scene(&format!("after_{label}"), &decider, &told).await?;
        scene.manifest.set_target(&[("/hooks", decider.hooks(&told, "1s"))])?;
        expect_code(&scene.run(None)?.wait(RUN).await?, 0).context(label)?;
        decider.wait_for("AfterCutOver", 1).await?;
        decider.wait_for("Success", 1).await?;
        scene.expect_completed().await.context(label)?;
    }
    Ok(())
}

async fn failure() -> Result<()> {
    let decider = Decider::start().await?;
    let mut scene = scene("failure", &decider, &["Failure", "Success"]).await?;
    scene.manifest.set(&[("/alter", json!("DROP COLUMN there_is_none"))])?;
    let ended = scene.run(None)?.wait(RUN).await?;
    expect_code(&ended, 3)?;
    ensure!(decider.stages() == ["Failure"], "{:?}", decider.stages());
    let error = &decider.told()[0]["error"];
    ensure!(error["reason"] == "AlterRejected", "{error}");
    ensure!(error["message"].is_string() && error["remedy"].is_string(), "{error}");
    scene.expect_untouched().await
}

async fn postponed() -> Result<()> {
    let decider = Decider::start().await?;
    decider.set("BeforeCutOver", Answer::Say("wait"));
    let mut scene = scene("postponed", &decider, &["BeforeCutOver"]).await?;
    let mut run = scene.run(None)?;
    held(&mut run, "BeforeCutOver", "HookWaits").await?;
    // The permission is taken back while the hook is waited for: its consent alone swaps nothing.
    scene.manifest.set(&[("/postponeCutOver", json!(true))])?;
    decider.set("BeforeCutOver", Answer::Say("allow"));
    nudge(&mut scene, 1)?;
    let postponed = |line: &Value| line["waitingFor"].to_string().contains("postponeCutOver");
    run.wait_until("it is postponed", RUN, postponed).await?;
    scene.registers.wait_for_more(100).await?;
    ensure!(!scene.is_swapped().await?, "swapped without permission");
    // What the hook said before does not count for the new permission.
    let asked = decider.told().len();
    decider.set("BeforeCutOver", Answer::Say("wait"));
    scene.manifest.set(&[("/postponeCutOver", json!(false))])?;
    decider.wait_for("BeforeCutOver", asked + 1).await?;
    held(&mut run, "BeforeCutOver", "HookWaits").await?;
    ensure!(!scene.is_swapped().await?, "swapped by an old consent");
    decider.set("BeforeCutOver", Answer::Say("allow"));
    nudge(&mut scene, 2)?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}

async fn killed() -> Result<()> {
    let decider = Decider::start().await?;
    decider.set("BeforeCutOver", Answer::Silence);
    let scene = scene("killed", &decider, &["BeforeCopy", "BeforeCutOver"]).await?;
    let run = scene.run(None)?;
    decider.wait_for("BeforeCutOver", 1).await?;
    run.signal("KILL")?;
    run.wait(RUN).await?;
    ensure!(!scene.is_swapped().await?, "swapped while a hook hangs");
    decider.set("BeforeCutOver", Answer::Say("allow"));
    scene.completes().await?;
    let told = decider.stages();
    ensure!(told == ["BeforeCopy", "BeforeCutOver", "BeforeCutOver"], "{told:?}");
    scene.expect_completed().await
}

async fn instant() -> Result<()> {
    let decider = Decider::start().await?;
    decider.set("BeforeCutOver", Answer::Say("deny"));
    let mut scene = scene("instant", &decider, &["BeforeCutOver", "AfterCutOver"]).await?;
    let change = [("/strategy", json!("Auto")), ("/alter", json!("ADD COLUMN at_once INT NULL"))];
    scene.manifest.set(&change)?;
    expect_code(&scene.run(None)?.wait(RUN).await?, 3)?;
    ensure!(!has_column(&scene).await?, "changed against a denial");
    decider.set("BeforeCutOver", Answer::Say("allow"));
    let ended = scene.completes().await?;
    ensure!(ended.report()["strategy"] == "Instant", "void: {}", ended.report());
    ensure!(has_column(&scene).await?, "not changed");
    let told = decider.stages();
    ensure!(told == ["BeforeCutOver", "BeforeCutOver", "AfterCutOver"], "{told:?}");
    scene.registers.wait_for_more(20).await?;
    scene.end().await
}

async fn has_column(scene: &Scene) -> Result<bool> {
    let mut client = scene.database.connect().await?;
    let found = client.texts("SHOW COLUMNS FROM t LIKE 'at_once'").await?;
    client.close().await?;
    Ok(!found.is_empty())
}

/// A folder of commands.
struct Commands(TempDir);

impl Commands {
    fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    /// Replaced as a whole: a file that is being written cannot be run.
    fn put(&self, name: &str, script: &str) -> Result<()> {
        let next = self.0.path().join(".next");
        fs::write(&next, format!("#!/bin/sh\n{script}\n"))?;
        fs::set_permissions(&next, fs::Permissions::from_mode(0o755))?;
        Ok(fs::rename(next, self.0.path().join(name))?)
    }

    fn run(&self, scene: &Scene, limit: &str) -> Result<Ghostship> {
        let folder = self.0.path().display().to_string();
        let arguments = ["--hooks", &folder, "--hook-timeout", limit, "--log-level", "info"];
        Ghostship::run_with(&scene.manifest, None, &arguments)
    }

    fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.0.path().join("log")).unwrap_or_default())
    }
}

async fn commands() -> Result<()> {
    let decider = Decider::start().await?;
    let mut scene = scene("commands", &decider, &[]).await?;
    let commands = Commands::new()?;
    for name in ["validated", "row-copy-complete", "after-cut-over", "success", "failure"] {
        commands.put(name, &format!("echo {name} >> log; exit 0"))?;
    }
    commands.put("before-copy", "echo no backup yet; exit 75")?;
    let mut run = commands.run(&scene, "10s")?;
    let line = held(&mut run, "BeforeCopy", "HookWaits").await?;
    ensure!(line["stageHold"]["message"].to_string().contains("no backup yet"), "{line}");
    commands.put("before-cut-over", "echo not today >&2; exit 9")?;
    commands.put("before-copy", "cat > document; env > environment; echo before-copy >> log")?;
    nudge(&mut scene, 1)?;
    let ended = run.wait(RUN).await?;
    expect_code(&ended, 1)?;
    ensure!(ended.words().contains("denies with exit code 9"), "{}", ended.words());
    ensure!(
        ended.stderr.contains("not today"),
        "the log lacks what a hook said:\n{}",
        ended.stderr
    );
    ensure!(!scene.is_swapped().await?, "swapped against a denial");
    let environment = fs::read_to_string(commands.0.path().join("environment"))?;
    ensure!(!environment.contains(&scene.database.password), "{environment}");
    ensure!(!environment.contains("USER="), "our environment is handed on: {environment}");
    let document = fs::read_to_string(commands.0.path().join("document"))?;
    let document: Value = serde_json::from_str(&document)?;
    ensure!(document["stage"] == "BeforeCopy", "{document}");
    commands.put("before-cut-over", "exit 0")?;
    expect_code(&commands.run(&scene, "10s")?.wait(RUN).await?, 0)?;
    let log = commands.log()?;
    let log: Vec<&str> = log.lines().collect();
    let expected =
        ["validated", "before-copy", "row-copy-complete", "failure", "after-cut-over", "success"];
    ensure!(log == expected, "{log:?}");
    scene.expect_completed().await
}

async fn hanging_command() -> Result<()> {
    let decider = Decider::start().await?;
    let mut scene = scene("hanging", &decider, &[]).await?;
    let commands = Commands::new()?;
    commands.put("before-cut-over", "sleep 1000 & echo $! >> log; wait")?;
    let mut run = commands.run(&scene, "1s")?;
    let line = held(&mut run, "BeforeCutOver", "HookUnanswered").await?;
    ensure!(line["stageHold"]["message"].to_string().contains("longer than 1s"), "{line}");
    ensure!(!scene.is_swapped().await?, "swapped while a hook hangs");
    let log = commands.log()?;
    let child = log.lines().next().context("the command did not run")?;
    let state = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
    ensure!(state.is_empty() || state.contains(") Z "), "the child lives on: {state}");
    commands.put("before-cut-over", "exit 0")?;
    nudge(&mut scene, 1)?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}

async fn slip() -> Result<()> {
    let decider = Decider::start().await?;
    let scene = scene("slip", &decider, &[]).await?;
    let commands = Commands::new()?;
    commands.put("before-cutover", "exit 1")?;
    let ended = commands.run(&scene, "1s")?.wait(RUN).await?;
    expect_code(&ended, 2)?;
    ensure!(ended.words().contains("before-cutover"), "{}", ended.words());
    scene.expect_untouched().await
}

async fn approval() -> Result<()> {
    let decider = Decider::start().await?;
    let mut scene = scene("approval", &decider, &["BeforeCopy"]).await?;
    let both = json!({"before": ["BeforeCopy", "BeforeCutOver"]});
    scene.manifest.set_target(&[("/approval", both)])?;
    // What the target demands is not weakened by the migration.
    scene.manifest.set(&[("/approval", json!({"before": []}))])?;
    let mut run = scene.run(None)?;
    held(&mut run, "BeforeCopy", "AwaitingApproval").await?;
    ensure!(scene.helpers().await?.is_empty(), "something was created");
    ensure!(decider.told().is_empty(), "a hook is asked before the person");
    scene.manifest.annotate("ghostship.dev/approve", "yes")?;
    scene.registers.wait_for_more(100).await?;
    held(&mut run, "BeforeCopy", "AwaitingApproval").await?;
    scene.manifest.annotate("ghostship.dev/approve", "BeforeCopy")?;
    held(&mut run, "BeforeCutOver", "AwaitingApproval").await?;
    scene.registers.wait_for_more(100).await?;
    ensure!(!scene.is_swapped().await?, "swapped without approval");
    scene.manifest.annotate("ghostship.dev/approve", "BeforeCutOver")?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}

async fn approval_taken_back() -> Result<()> {
    let decider = Decider::start().await?;
    decider.set("BeforeCutOver", Answer::Say("wait"));
    let mut scene = scene("taken_back", &decider, &["BeforeCutOver"]).await?;
    scene.manifest.set(&[("/approval", json!({"before": ["BeforeCutOver"]}))])?;
    scene.manifest.annotate("ghostship.dev/approve", "BeforeCutOver")?;
    let mut run = scene.run(None)?;
    held(&mut run, "BeforeCutOver", "HookWaits").await?;
    scene.manifest.annotate("ghostship.dev/approve", "")?;
    decider.set("BeforeCutOver", Answer::Say("allow"));
    held(&mut run, "BeforeCutOver", "AwaitingApproval").await?;
    ensure!(!scene.is_swapped().await?, "swapped without approval");
    scene.manifest.annotate("ghostship.dev/approve", "BeforeCutOver")?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}

async fn approved_instant() -> Result<()> {
    let decider = Decider::start().await?;
    let mut scene = scene("approved_instant", &decider, &[]).await?;
    scene.manifest.set_target(&[("/approval", json!({"before": ["BeforeCutOver"]}))])?;
    let change =
        [("/strategy", json!("Instant")), ("/alter", json!("ADD COLUMN at_once INT NULL"))];
    scene.manifest.set(&change)?;
    let mut run = scene.run(None)?;
    held(&mut run, "BeforeCutOver", "AwaitingApproval").await?;
    ensure!(!has_column(&scene).await?, "changed without approval");
    scene.manifest.set(&[("/abort", json!(true))])?;
    expect_code(&run.wait(RUN).await?, 5)?;
    // Where the server may choose, there has to be something to approve: the copy.
    scene.manifest.set(&[("/abort", json!(false)), ("/strategy", json!("Auto"))])?;
    scene.manifest.annotate("ghostship.dev/approve", "BeforeCutOver")?;
    let ended = scene.completes().await?;
    ensure!(ended.report()["strategy"] == "Copy", "{}", ended.report());
    scene.expect_completed().await
}

async fn check() -> Result<()> {
    let decider = Decider::start().await?;
    let mut scene = scene("check", &decider, &[]).await?;
    let mut client = scene.database.connect().await?;
    client.exec("CREATE TABLE doubts (value VARCHAR(40))").await?;
    client.exec("INSERT INTO doubts VALUES ('canary-3da1-value')").await?;
    let count = "SELECT COUNT(*) FROM";
    let query = format!("{count} `{}`.doubts WHERE value LIKE 'canary%'", scene.database.name);
    let value = format!("SELECT MAX(value) FROM `{}`.doubts", scene.database.name);
    let checks = json!([
        {"name": "no doubts", "query": query, "expect": "0"},
        {"name": "a value", "query": value, "expect": "settled"},
    ]);
    scene.manifest.set_target(&[("/checks", checks)])?;
    let mut run = scene.run(None)?;
    let line = held(&mut run, "BeforeCutOver", "CheckNotMet").await?;
    ensure!(line["stageHold"]["message"].to_string().contains("no doubts"), "{line}");
    scene.registers.wait_for_more(100).await?;
    ensure!(!scene.is_swapped().await?, "swapped against a check");
    client.exec("DROP TABLE doubts").await?;
    let gone = |line: &Value| line["stageHold"]["message"].to_string().contains("cannot be asked");
    run.wait_until("the check cannot be asked", RUN, gone).await?;
    client.exec("CREATE TABLE doubts (value VARCHAR(40))").await?;
    client.exec("INSERT INTO doubts VALUES ('another canary')").await?;
    let other = |line: &Value| line["stageHold"]["message"].to_string().contains("a value");
    let line = run.wait_until("the other check does not hold", RUN, other).await?;
    ensure!(!line.to_string().contains("canary"), "a value is shown: {line}");
    client.exec("INSERT INTO doubts VALUES ('settled')").await?;
    nudge(&mut scene, 1)?;
    expect_code(&run.wait(RUN).await?, 0)?;
    client.exec("DROP TABLE doubts").await?;
    client.close().await?;
    scene.expect_completed().await
}

async fn tenants() -> Result<()> {
    let decider = Decider::start().await?;
    let mut scene = scene("tenants", &decider, &[]).await?;
    let hostile = [
        ("/checks", json!([{"name": "x", "query": "SELECT 1", "expect": "0"}])),
        ("/hooks", decider.hooks(&["BeforeCopy"], "1s")),
    ];
    for (field, value) in hostile {
        scene.manifest.set(&[(field, value)])?;
        let ended = scene.run(None)?.wait(RUN).await?;
        expect_code(&ended, 2).with_context(|| format!("{field}: {}", last_line(&ended)))?;
        scene.manifest.set(&[(field, Value::Null)])?;
    }
    ensure!(decider.told().is_empty() && decider.refused() == 0, "a tenant's receiver was asked");
    scene.expect_untouched().await
}
