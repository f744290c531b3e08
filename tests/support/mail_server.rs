//! A real SMTP server as a child process: `e2e/tools/smtpd`, with STARTTLS, AUTH and a certificate of its own.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use super::certificate;

/// Time for a first start, which may fetch packages.
const START: Duration = Duration::from_secs(100);

/// A running server; it ends when the value is dropped.
pub(crate) struct MailServer {
    child: Child,
    lines: Receiver<String>,
    directory: TempDir,
    /// Its port.
    pub(crate) port: u16,
}

impl MailServer {
    /// Starts one that takes mails of `user` with this password.
    pub(crate) fn start(password: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let pem = directory.path().join("certificate.pem");
        let key = directory.path().join("key.pem");
        certificate::make(&pem, &key)?;
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/tools/smtpd");
        let mut child = Command::new(program)
            .args([&pem, &key])
            .env("SMTPD_PASSWORD", password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the mail server does not start")?;
        let stdout = child.stdout.take().context("it has no output")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(std::io::Result::ok) {
                drop(sender.send(line));
            }
        });
        let port = lines.recv_timeout(START).context("the mail server names no port")?;
        Ok(Self { child, lines, directory, port: port.trim().parse()? })
    }

    /// The certificate of its authority, which is its own.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.directory.path().join("certificate.pem")
    }

    /// The next mail.
    pub(crate) fn next(&self, limit: Duration) -> Result<Value> {
        let line = self.lines.recv_timeout(limit).context("no mail arrived")?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
