//! The program under test as a child process: `ghostship run -f FILE -o json`. Its standard output is
//! read line by line as JSON; its end, exit code and standard error are known afterwards.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout_at};

use super::manifest::Manifest;
use super::wait::wait_for;

/// A running `ghostship run`; it is killed when the value is dropped.
pub(crate) struct Ghostship {
    pid: u32,
    heard: UnboundedReceiver<Heard>,
    lines: Vec<Value>,
    stderr: PathBuf,
    ended: Option<ExitStatus>,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; absent when a signal ended it.
    pub(crate) code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    /// All JSON lines of its standard output.
    pub(crate) lines: Vec<Value>,
    /// Its standard error.
    pub(crate) stderr: String,
}

enum Heard {
    Line(String),
    End(std::io::Result<ExitStatus>),
}

impl Ghostship {
    /// Starts a run of this manifest; `failpoints` go into GHOSTSHIP_FAILPOINTS.
    pub(crate) fn run(manifest: &Manifest, failpoints: Option<&str>) -> Result<Self> {
        Self::run_with(manifest, failpoints, &[])
    }

    /// Starts a run with more arguments.
    pub(crate) fn run_with(
        manifest: &Manifest,
        failpoints: Option<&str>,
        more: &[&str],
    ) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ghostship"));
        command.arg("run").arg("-f").arg(manifest.path()).args(["-o", "json"]).args(more);
        if let Some(failpoints) = failpoints {
            command.env("GHOSTSHIP_FAILPOINTS", failpoints);
        }
        let stderr =
            manifest.path().with_extension(format!("stderr-{:x}", crate::support::random::seed()));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&stderr)?);
        let mut child = command.spawn().context("ghostship does not start")?;
        let pid = child.id();
        let stdout = child.stdout.take().context("ghostship has no standard output")?;
        let (sender, heard) = unbounded_channel();
        std::thread::spawn(move || listen(child, stdout, &sender));
        Ok(Self { pid, heard, lines: Vec::new(), stderr, ended: None })
    }

    /// Waits until a progress line names this phase.
    pub(crate) async fn wait_for(&mut self, phase: &str, deadline: Duration) -> Result<()> {
        self.wait_for_any(&[phase], deadline).await
    }

    /// Waits until a progress line names one of these phases.
    pub(crate) async fn wait_for_any(&mut self, phases: &[&str], deadline: Duration) -> Result<()> {
        let seen = |line: &Value| {
            line.get("phase").and_then(Value::as_str).is_some_and(|phase| phases.contains(&phase))
        };
        self.wait_for_line(&format!("phase {phases:?}"), deadline, seen).await
    }

    /// Waits until a line fits.
    pub(crate) async fn wait_for_line(
        &mut self,
        what: &str,
        deadline: Duration,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<()> {
        let end = Instant::now() + deadline;
        while !self.lines.last().is_some_and(&fits) {
            if self.ended.is_some() {
                bail!("ghostship ended before {what}\n{}", self.words());
            }
            let next = timeout_at(end, self.hear()).await;
            next.map_err(|_| anyhow!("no {what} within {deadline:?}\n{}", self.words()))??;
        }
        Ok(())
    }

    /// The last line that was heard.
    pub(crate) fn last_line(&self) -> Option<&Value> {
        self.lines.last()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// What it has said to people so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// Waits for the end.
    pub(crate) async fn wait(mut self, deadline: Duration) -> Result<Ended> {
        let end = Instant::now() + deadline;
        while self.ended.is_none() {
            let next = timeout_at(end, self.hear()).await;
            next.map_err(|_| {
                anyhow!("ghostship still runs after {deadline:?}\n{}", self.words())
            })??;
        }
        Ok(Ended {
            code: self.ended.and_then(|status| status.code()),
            signal: self.ended.and_then(|status| status.signal()),
            lines: std::mem::take(&mut self.lines),
            stderr: fs::read_to_string(&self.stderr).unwrap_or_default(),
        })
    }

    /// Waits until a progress line satisfies `seen`, and answers that line.
    pub(crate) async fn wait_until(
        &mut self,
        what: &str,
        deadline: Duration,
        seen: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let end = Instant::now() + deadline;
        loop {
            if let Some(line) = self.lines.last().filter(|line| seen(line)) {
                return Ok(line.clone());
            }
            if self.ended.is_some() {
                bail!("ghostship ended before {what}\n{}", self.words());
            }
            let next = timeout_at(end, self.hear()).await;
            next.map_err(|_| anyhow!("not {what} within {deadline:?}\n{}", self.words()))??;
        }
    }

    /// Waits until the process is stopped, as by its own failpoint.
    pub(crate) async fn wait_until_stopped(&self, deadline: Duration) -> Result<()> {
        let stat = format!("/proc/{}/stat", self.pid);
        let probe = async || {
            let text = fs::read_to_string(&stat).context("ghostship ended and did not stop")?;
            let state = text.rsplit(") ").next().and_then(|rest| rest.chars().next());
            match state {
                Some('T') => Ok(Ok(())),
                Some('Z') => bail!("ghostship ended and did not stop\n{}", self.words()),
                state => Ok(Err(state)),
            }
        };
        wait_for("ghostship to be stopped", deadline, probe).await
    }

    /// Sends a signal by name, for example `TERM`, `KILL`, `STOP`.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        if self.ended.is_some() {
            bail!("ghostship has ended and takes no signal");
        }
        let status =
            Command::new("kill").arg(format!("-{name}")).arg(self.pid.to_string()).status()?;
        if status.success() { Ok(()) } else { bail!("SIG{name} was not delivered") }
    }

    /// The first progress line behind all that were said until now, heard or not.
    pub(crate) async fn next_line(&mut self, deadline: Duration) -> Result<Value> {
        while let Ok(heard) = self.heard.try_recv() {
            self.take(heard)?;
        }
        let said = self.lines.len();
        let end = Instant::now() + deadline;
        loop {
            let mut new = self.lines.iter().skip(said);
            if let Some(line) = new.find(|line| line["type"] == "progress") {
                return Ok(line.clone());
            }
            if self.ended.is_some() {
                bail!("ghostship ended before another line\n{}", self.words());
            }
            let next = timeout_at(end, self.hear()).await;
            next.map_err(|_| anyhow!("no line within {deadline:?}\n{}", self.words()))??;
        }
    }

    async fn hear(&mut self) -> Result<()> {
        match self.heard.recv().await {
            Some(heard) => self.take(heard),
            None => bail!("nothing more is heard of ghostship"),
        }
    }

    fn take(&mut self, heard: Heard) -> Result<()> {
        match heard {
            Heard::Line(line) => {
                let line = serde_json::from_str(&line);
                self.lines.push(line.context("a line of standard output is not JSON")?);
            }
            Heard::End(status) => self.ended = Some(status?),
        }
        Ok(())
    }

    fn words(&self) -> String {
        let stderr = fs::read_to_string(&self.stderr).unwrap_or_default();
        let last = self.lines.last().map(Value::to_string).unwrap_or_default();
        format!("last line: {last}\nstandard error:\n{stderr}")
    }
}

impl Drop for Ghostship {
    fn drop(&mut self) {
        if self.ended.is_none() {
            drop(self.signal("KILL"));
        }
    }
}

impl Ended {
    /// The report of a completed run; null when there is none.
    pub(crate) fn report(&self) -> &Value {
        self.lines.last().and_then(|line| line.get("report")).unwrap_or(&Value::Null)
    }

    /// Everything it said, for messages and for finding a reason in it.
    pub(crate) fn words(&self) -> String {
        let last = self.lines.last().map(Value::to_string).unwrap_or_default();
        format!("exit code {:?}, signal {:?}\n{last}\n{}", self.code, self.signal, self.stderr)
    }
}

fn listen(mut child: Child, stdout: ChildStdout, sender: &UnboundedSender<Heard>) {
    for line in BufReader::new(stdout).lines().map_while(std::io::Result::ok) {
        drop(sender.send(Heard::Line(line)));
    }
    drop(sender.send(Heard::End(child.wait())));
}
