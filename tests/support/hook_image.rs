//! The image of hooks in tests: the one program `e2e/cluster/hook.rs`, built without libraries and given to the
//! cluster on first use, once per process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Result, anyhow, ensure};

use super::cluster::{cluster, script};

static IMAGE: OnceLock<std::result::Result<String, String>> = OnceLock::new();

/// The image's name.
pub(crate) fn hook_image() -> Result<&'static str> {
    let image = IMAGE.get_or_init(|| load().map_err(|error| format!("{error:#}")));
    image.as_deref().map_err(|words| anyhow!("{words}"))
}

fn load() -> Result<String> {
    cluster()?;
    let source: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "e2e", "cluster", "hook.rs"].iter().collect();
    let folder = tempfile::tempdir()?;
    let (program, archive) = (folder.path().join("hook"), folder.path().join("image.tar"));
    let built = Command::new("rustc")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([
            "--edition=2024",
            "-Copt-level=s",
            "-Cstrip=symbols",
            "-Ctarget-feature=+crt-static",
        ])
        .args([&source, Path::new("-o"), &program])
        .output()?;
    ensure!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let name = format!("localhost/hook:{:08x}", crc32fast::hash(&std::fs::read(&program)?));
    let text = |path: &Path| path.to_string_lossy().into_owned();
    script("image", &[&text(&archive), &name, &text(&program)], None)?;
    script("cluster", &["load", &text(&archive)], None)?;
    Ok(name)
}
