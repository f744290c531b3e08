//! `ghostship controller` as a child process, outside the cluster: it works through a kubeconfig, can be
//! killed at any moment and started again under the same name. Its log is kept for failures.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::operator::{CONTROLLER, image};
use super::proxy::Proxy;
use super::shop::Shop;

/// A controller that works in one namespace; it is killed when the value is dropped.
pub(crate) struct Controller {
    directory: TempDir,
    name: &'static str,
    namespace: String,
    selector: String,
    more: Vec<String>,
    child: Option<Child>,
    starts: u32,
}

impl Controller {
    /// Starts one of this name that minds this shop through this proxy.
    pub(crate) fn start(shop: &Shop, proxy: &Proxy, name: &'static str) -> Result<Self> {
        Self::start_with(shop, proxy, name, &[])
    }

    /// The same with more arguments.
    pub(crate) fn start_with(
        shop: &Shop,
        proxy: &Proxy,
        name: &'static str,
        more: &[&str],
    ) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        fs::write(directory.path().join("kubeconfig"), proxy.kubeconfig())?;
        let selector = format!("{CONTROLLER}={}", shop.operator.namespace);
        let namespace = shop.namespace.clone();
        let more = more.iter().map(|one| (*one).to_owned()).collect();
        let mut controller =
            Self { directory, name, namespace, selector, more, child: None, starts: 0 };
        controller.begin()?;
        Ok(controller)
    }

    /// Kills it without a warning and starts it again.
    pub(crate) fn kill_and_restart(&mut self) -> Result<()> {
        self.kill();
        self.begin()
    }

    /// Kills it without a warning.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // One that has ended already cannot be killed.
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let pid = self.child.as_ref().context("it does not run")?.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status()?;
        ensure!(sent.success(), "the signal {name} could not be sent");
        Ok(())
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        let child = self.child.as_mut().context("it does not run")?;
        Ok(child.try_wait()?.is_some())
    }

    /// What all of its lives have logged.
    pub(crate) fn log(&self) -> String {
        let logs = (0..self.starts).map(|number| fs::read_to_string(self.log_file(number)));
        logs.map(Result::unwrap_or_default).collect::<Vec<_>>().join("=== killed\n")
    }

    fn begin(&mut self) -> Result<()> {
        let log = File::create(self.log_file(self.starts))?;
        self.starts += 1;
        let child = Command::new(env!("CARGO_BIN_EXE_ghostship"))
            .args(["controller", "--listen", "127.0.0.1:0", "--pod", self.name])
            .args(["--namespaces", &self.namespace, "--lease-namespace", &self.namespace])
            .args(["--selector", &self.selector, "--worker-image", image()?])
            .args(&self.more)
            .env("KUBECONFIG", self.directory.path().join("kubeconfig"))
            .env("GHOSTSHIP_LOG", "info,ghostship=debug")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("the controller does not start")?;
        self.child = Some(child);
        Ok(())
    }

    fn log_file(&self, number: u32) -> PathBuf {
        self.directory.path().join(format!("log-{number}"))
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.kill();
    }
}
