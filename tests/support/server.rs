//! Servers for tests, from `e2e/servers/server`: two shared ones that live as long as this process, and
//! private ones for tests that kill or reconfigure theirs. A start that fails is the test's failure, in
//! the script's own words.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail, ensure};

static GTID: OnceLock<std::result::Result<Server, String>> = OnceLock::new();
static PLAIN: OnceLock<std::result::Result<Server, String>> = OnceLock::new();

const PREFIX: &str = "test-";

/// How the shared servers differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// GTIDs are on: the executed set tells what is visible.
    Gtid,
    /// GTIDs are off: a commit of our own tells what is visible.
    Plain,
}

impl Flavour {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::Gtid, Self::Plain];

    /// Its name in test names and case files.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Gtid => "gtid",
            Self::Plain => "plain",
        }
    }

    /// The options of mysqld that make it so.
    pub(crate) fn options(self) -> &'static [&'static str] {
        match self {
            Self::Gtid => &[],
            Self::Plain => &["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"],
        }
    }

    fn slot(self) -> &'static OnceLock<std::result::Result<Server, String>> {
        match self {
            Self::Gtid => &GTID,
            Self::Plain => &PLAIN,
        }
    }
}

/// Removes the shared servers when it is dropped.
pub(crate) struct SharedServers(());

impl SharedServers {
    /// Removes what processes left that are no more, and answers the guard of this process.
    pub(crate) fn guard() -> Self {
        remove_orphans();
        Self(())
    }
}

impl Drop for SharedServers {
    fn drop(&mut self) {
        let started = Flavour::ALL.into_iter().filter_map(|flavour| flavour.slot().get());
        for server in started.flatten() {
            server.destroy();
        }
    }
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    name: String,
    url: String,
}

impl Server {
    /// The shared server of this flavour, started at most once.
    pub(crate) fn shared(flavour: Flavour) -> Result<&'static Self> {
        let started = flavour.slot().get_or_init(|| {
            Self::start(flavour.as_str(), flavour.options()).map_err(|error| format!("{error:#}"))
        });
        started.as_ref().map_err(|words| anyhow!("{words}"))
    }

    /// A server of the test's own; it is removed when the value is dropped.
    pub(crate) fn private(label: &str, options: &[&str]) -> Result<PrivateServer> {
        Self::start(label, options).map(PrivateServer)
    }

    /// The server that another script has started under this name.
    pub(crate) fn started(name: &str) -> Result<PrivateServer> {
        Ok(PrivateServer(Self { name: name.to_owned(), url: script(&["url", name])? }))
    }

    /// Its address, with the password of root.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Host and port.
    pub(crate) fn address(&self) -> Result<(String, u16)> {
        let options = mysql_async::Opts::from_url(&self.url)?;
        Ok((options.ip_or_hostname().to_owned(), options.tcp_port()))
    }

    fn start(label: &str, options: &[&str]) -> Result<Self> {
        let name = format!("{PREFIX}{label}-{}", std::process::id());
        let mut arguments = vec!["start", &name];
        if !options.is_empty() {
            arguments.push("--");
            arguments.extend(options);
        }
        let url = script(&arguments)?;
        Ok(Self { name, url })
    }

    /// Ends it and removes its files.
    #[expect(clippy::print_stderr, reason = "dropping cannot fail, and a person has to know")]
    pub(crate) fn destroy(&self) {
        if let Err(error) = script(&["destroy", &self.name]) {
            eprintln!("server {} is left over: {error:#}", self.name);
        }
    }
}

/// A server that belongs to one test.
#[derive(Debug)]
pub(crate) struct PrivateServer(Server);

impl PrivateServer {
    /// The server itself.
    pub(crate) fn server(&self) -> &Server {
        &self.0
    }

    /// Ends mysqld with SIGKILL; its files stay.
    pub(crate) fn kill(&self) -> Result<()> {
        script(&["kill", &self.0.name]).map(drop)
    }

    /// Ends mysqld when it runs and starts it on the same files, port and options.
    pub(crate) fn restart(&self) -> Result<()> {
        script(&["restart", &self.0.name]).map(drop)
    }

    /// A replica of it, which follows and serves reads.
    pub(crate) fn replica(&self, label: &str) -> Result<Self> {
        let name = format!("{PREFIX}{label}-{}", std::process::id());
        let url = script(&["replica", &name, &self.0.name])?;
        Ok(Self(Server { name, url }))
    }

    /// The process id of mysqld.
    pub(crate) fn pid(&self) -> Result<u32> {
        Ok(script(&["pid", &self.0.name])?.parse()?)
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        self.0.destroy();
    }
}

fn script(arguments: &[&str]) -> Result<String> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "e2e", "servers", "server"].iter().collect();
    ensure!(path.exists(), "{} is missing: it starts the servers of the tests", path.display());
    let output = Command::new(&path).args(arguments).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("{} does not run", path.display()))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("server {} failed: {}", arguments.join(" "), words.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn remove_orphans() {
    let Ok(list) = script(&["list"]) else { return };
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    for name in names.filter(|name| is_orphan(name)) {
        drop(script(&["destroy", name]));
    }
}

fn is_orphan(name: &str) -> bool {
    let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.rsplit_once('-'));
    owner.is_some_and(|(_, pid)| {
        pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists()
    })
}
