//! Certificates of servers inside a test.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Makes a certificate that vouches for itself, for `localhost` and this machine, and its key. An authority is
/// not a server: two certificates in one would be refused.
pub(crate) fn make(certificate: &Path, key: &Path) -> Result<()> {
    let names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", names, "-addext", "basicConstraints=CA:FALSE"])
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(certificate)
        .stderr(Stdio::null())
        .status()
        .context("openssl is needed")?;
    ensure!(made.success(), "openssl made no certificate");
    ensure!(!fs::read(certificate)?.is_empty(), "the certificate is empty");
    Ok(())
}
