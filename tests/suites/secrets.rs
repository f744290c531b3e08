//! Passwords and row values appear nowhere: both are planted, in success and in every failure that
//! values cause, and looked for in all output at the highest log level, in every format, and in the
//! process's arguments and environment.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

use crate::support::ghostship::Ghostship;
use crate::support::server::{Flavour, Server};
use crate::support::stage::{RUN, Shape, Stage};

/// The planted value: as key, as unique value and as a text that is too long.
const VALUE: &str = "canary-9f3c-value";
const WRONG_PASSWORD: &str = "canary-77aa-password";
const COLUMNS: &str = "k VARCHAR(60) PRIMARY KEY, u VARCHAR(60) NOT NULL, n INT NOT NULL";
const FILL: &str =
    "SELECT CONCAT('canary-9f3c-value ', i), CONCAT('canary-9f3c-value ', i DIV 2), i FROM n";

/// What is run: its name, the change, and the words that show that it ended as planned.
const RUNS: [(&str, &str, &str); 5] = [
    ("success", "ADD COLUMN added INT NOT NULL DEFAULT 7", "CleanUp"),
    ("duplicate", "ADD COLUMN added INT NOT NULL DEFAULT 7, ADD UNIQUE (u)", "DuplicateKey"),
    (
        "does_not_fit",
        "ADD COLUMN added INT NOT NULL DEFAULT 7, MODIFY u VARCHAR(5) NOT NULL",
        "DataDoesNotFit",
    ),
    ("divergent", "ADD COLUMN added INT NOT NULL DEFAULT 7", "ChecksumMismatch"),
    ("wrong_password", "ADD COLUMN added INT NOT NULL DEFAULT 7", "AuthFailed"),
];

/// One test per way to end, and one for the process itself.
pub(crate) fn trials() -> Vec<Trial> {
    let of_run = |(name, alter, words): (&'static str, &'static str, &'static str)| {
        super::trial(format!("secrets::{name}"), move || all_formats(name, alter, words))
    };
    let mut trials: Vec<Trial> = RUNS.into_iter().map(of_run).collect();
    trials.push(super::trial("secrets::process".to_owned(), process));
    trials
}

async fn open(name: &str, alter: &'static str) -> Result<Stage> {
    let shape = Shape { columns: COLUMNS, fill: FILL, rows: 300, alter, added: "added" };
    Stage::open(Server::shared(Flavour::Gtid)?, &format!("secrets_{name}"), shape).await
}

async fn all_formats(name: &'static str, alter: &'static str, words: &'static str) -> Result<()> {
    for output in ["text", "json"] {
        for log in ["text", "json"] {
            let mut stage = open(&format!("{name}_{output}_{log}"), alter).await?;
            stage.allow_cut_over()?;
            if name == "wrong_password" {
                stage.manifest.set_password(WRONG_PASSWORD)?;
            }
            let path = stage.manifest.path().to_owned();
            let points = if name == "divergent" { "state.Verify.before=stop" } else { "" };
            let arguments = ["-o", output, "--log-format", log, "--log-level", "trace"];
            let child = Command::new(env!("CARGO_BIN_EXE_ghostship"))
                .args(["run", "-f"])
                .arg(path)
                .args(arguments)
                .env("GHOSTSHIP_FAILPOINTS", points)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            let pid = child.id();
            let waiting = tokio::task::spawn_blocking(move || child.wait_with_output());
            if name == "divergent" {
                spoil(&stage, pid).await?;
            }
            let said = waiting.await??;
            let said = [said.stdout, said.stderr].concat();
            let said = String::from_utf8_lossy(&said).into_owned();
            ensure!(said.contains(words), "the run did not end with {words}:\n{said}");
            expect_silent(&said, &stage.database.password)?;
            stage.database.remove().await?;
        }
    }
    Ok(())
}

/// Makes a row of the shadow table differ while the process stands at the begin of verification.
async fn spoil(stage: &Stage, pid: u32) -> Result<()> {
    let stat = format!("/proc/{pid}/stat");
    let stopped = async || {
        let stat = fs::read_to_string(&stat)?;
        Ok(if stat.contains(") T ") { Ok(()) } else { Err(stat) })
    };
    crate::support::wait::wait_for("the process to stop", RUN, stopped).await?;
    let mut client = stage.database.connect().await?;
    client.exec("UPDATE t_gho SET n = n + 1 LIMIT 1").await?;
    client.close().await?;
    ensure!(Command::new("kill").args(["-CONT", &pid.to_string()]).status()?.success());
    Ok(())
}

/// Fails when a secret is there, as it is or in the encodings that literals and keys are written in.
fn expect_silent(said: &str, password: &str) -> Result<()> {
    let lower = said.to_lowercase();
    for secret in [password, WRONG_PASSWORD, VALUE] {
        for form in [secret.to_lowercase(), hex::encode(secret)] {
            let line = lower.lines().find(|line| line.contains(&form));
            let shown: String = line.unwrap_or_default().chars().take(600).collect();
            ensure!(line.is_none(), "a secret was said: {shown}");
        }
    }
    Ok(())
}

async fn process() -> Result<()> {
    let mut stage = open("process", RUNS[0].1).await?;
    for planted in [VALUE.to_uppercase(), hex::encode_upper(VALUE), stage.database.password.clone()]
    {
        let found = expect_silent(&format!("a line\nwith {planted}."), &stage.database.password);
        ensure!(found.is_err(), "the search is blind for {planted}");
    }
    let mut ghostship = Ghostship::run(&stage.manifest, None)?;
    ghostship.wait_for("AwaitCutOver", RUN).await?;
    for file in ["cmdline", "environ"] {
        let bytes = fs::read(format!("/proc/{}/{file}", ghostship.pid()))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        ensure!(text.len() > 20, "void: {file} is empty");
        expect_silent(&text, &stage.database.password)?;
    }
    stage.allow_cut_over()?;
    let ended = ghostship.wait(RUN).await?;
    stage.expect_equal(&ended).await?;
    stage.close().await
}
