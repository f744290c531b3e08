//! The server is killed while a worker stands at a named point of each stage. The same process has to go
//! on when the server is back, and everything that the server acknowledged must be there.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use crate::support::scene::{RUN, Scene, Shape, expect_code};
use crate::support::server::Server;
use crate::support::settings::runs;

/// One point of each stage, and around the swap one of each step.
const POINTS: [(&str, u64); 10] = [
    ("prepare.control.after", 0),
    ("prepare.shadow.after", 0),
    ("chunk.inserted", 1),
    ("apply.positioned", 1),
    ("state.CatchUp.after", 0),
    ("verify.range", 0),
    ("state.AwaitCutOver.after", 0),
    ("cutover.drained", 0),
    ("cutover.renamed", 0),
    ("cleanup.ledger", 0),
];

/// One test per point, in a long run so many times each; every other time the worker dies with the
/// server.
pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for round in 0..runs(1) {
        for (point, skip) in POINTS {
            let name = format!("server_crash::{point}@{skip}#{round}");
            trials.push(super::trial(name.clone(), move || kill(name, (point, skip), round)));
        }
    }
    trials
}

async fn kill(name: String, (point, skip): (&str, u64), round: u64) -> Result<()> {
    let label: String =
        point.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let private = Server::private(&format!("{label}{round}"), &[])?;
    let shape = Shape { unique: round % 4 > 1, ..Shape::default() };
    let mut scene = Scene::on(private.server(), &name, shape).await?;
    let run = scene.run(Some(&format!("{point}=stop@{skip}")))?;
    run.wait_until_stopped(RUN).await?;
    // The writers whose answers get lost look for them when the server is back.
    private.kill()?;
    let ended = if round.is_multiple_of(2) {
        run.signal("CONT")?;
        private.restart()?;
        run.wait(RUN).await.context("the run that goes on by itself")?
    } else {
        run.signal("KILL")?;
        let ended = run.wait(RUN).await?;
        ensure!(ended.signal == Some(9), "the worker was not killed\n{}", ended.words());
        private.restart()?;
        scene.run(None)?.wait(RUN).await.context("the run that continues")?
    };
    expect_code(&ended, 0)?;
    scene.registers.wait_for_more(20).await?;
    scene.expect_completed().await
}
