//! The Kubernetes of the tests, from `e2e/cluster`: started on first use, once per process, and left
//! running, for the next process finds it so. A start that fails is the test's failure, in the script's
//! own words. Must not know: ghostship.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail};

static STARTED: OnceLock<std::result::Result<String, String>> = OnceLock::new();

/// Makes sure that a cluster runs; answers the path of its kubeconfig.
pub(crate) fn cluster() -> Result<&'static str> {
    let started = STARTED
        .get_or_init(|| script("cluster", &["up"], None).map_err(|error| format!("{error:#}")));
    started.as_deref().map_err(|words| anyhow!("{words}"))
}

/// Runs kubectl against it; answers what it printed.
pub(crate) fn kubectl(arguments: &[&str]) -> Result<String> {
    cluster()?;
    script("cluster", &[&["kubectl"], arguments].concat(), None)
}

/// The same with a text on its standard input.
pub(crate) fn kubectl_with_input(arguments: &[&str], text: &str) -> Result<String> {
    cluster()?;
    script("cluster", &[&["kubectl"], arguments].concat(), Some(text))
}

/// Runs helm against it, started if need be; answers what it printed.
pub(crate) fn helm(arguments: &[&str]) -> Result<String> {
    cluster()?;
    script("cluster", &[&["helm"], arguments].concat(), None)
}

/// Runs one of the scripts of `e2e/cluster`; answers what it printed.
pub(crate) fn script(name: &str, arguments: &[&str], input: Option<&str>) -> Result<String> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "e2e", "cluster", name].iter().collect();
    let mut child = Command::new(&path)
        .args(arguments)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} does not run", path.display()))?;
    if let (Some(text), Some(mut pipe)) = (input, child.stdin.take()) {
        pipe.write_all(text.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("{name} {} failed: {}", arguments.join(" "), words.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
