//! What kubectl is told when somebody presses the tabulator behind `kubectl ghostship`: by each program under the
//! name that kubectl looks for, and by kubectl itself.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{Ended, GHOSTSHIP, PLUGIN, Place};

/// The name that kubectl looks for.
const COMPLETE: &str = "kubectl_complete-ghostship";

pub(super) async fn completion() -> Result<()> {
    let place = Place::open("completion").await?;
    place.create("orders-one", &json!({}))?;
    place.create("orders-two", &json!({}))?;
    place.create("customers", &json!({}))?;
    for program in [PLUGIN, GHOSTSHIP] {
        let folder = tempfile::tempdir()?;
        symlink(program, folder.path().join(COMPLETE))?;
        let complete = folder.path().join(COMPLETE).to_string_lossy().into_owned();
        let asked = |words: &[&str]| place.anywhere(&complete, words);
        let names = asked(&["pause", "-n", &place.namespace, "orders-"])?;
        names.expect(0)?;
        ensure!(names.stdout == "orders-one\norders-two\n:4\n", "{}", names.stdout);
        let verbs = asked(&["cut"])?;
        verbs.expect(0)?;
        ensure!(verbs.stdout == "cut-over\tAllow the cut-over\n:4\n", "{}", verbs.stdout);
        let unreachable = asked(&["pause", "--kubeconfig", "/nowhere", ""])?;
        unreachable.expect(0)?;
        ensure!(unreachable.stdout.ends_with(":4\n"), "{}", unreachable.stdout);
        by_kubectl(&place, folder.path(), program)?;
    }
    Ok(())
}

/// kubectl finds both programs on the path.
fn by_kubectl(place: &Place, folder: &Path, program: &str) -> Result<()> {
    symlink(program, folder.join("kubectl-ghostship"))?;
    let others = std::env::var_os("PATH").context("there is a PATH")?;
    let whole = [folder.to_path_buf()].into_iter().chain(std::env::split_paths(&others));
    let script: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "e2e", "cluster", "cluster"].iter().collect();
    let output = std::process::Command::new(script)
        .args(["kubectl", "__complete", "ghostship", "status", "-n", &place.namespace, "cust"])
        .env("PATH", std::env::join_paths(whole)?)
        .output()?;
    let ended = Ended::of(output);
    ended.expect(0)?;
    ensure!(ended.stdout == "customers\n:4\n", "kubectl: {}\n{}", ended.stdout, ended.stderr);
    Ok(())
}
