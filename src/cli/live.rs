//! The API of one run: shows the engine's progress, and carries what is asked for to whoever reads the file. Its
//! token is made for the run; whoever bears it may do everything.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{interval, timeout};

use super::console::Console;
use super::live_view::{self, Subject, Watched};
use super::token;
use crate::api::legal::{self, Command, Stage};
use crate::api::validate::Violation;
use crate::engine::intent;
use crate::serve::samples::{Rings, Series};
use crate::serve::view::{Laid, Migration};
use crate::serve::{self, Action, Backend, Caller, Done, Hosts, Problem, Selection};

/// Samples are taken so often, and so many are kept: an hour.
const SAMPLE: Duration = Duration::from_secs(1);
const SAMPLES: usize = 3600;
/// How long whoever reads the file may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// Who asks, for the record: everybody has the same token.
const CALLER: &str = "the bearer of the token";

/// What somebody asks for through the API.
#[derive(Debug)]
pub struct Ask {
    /// A patch of the spec.
    pub patch: Value,
    /// What it does, in words.
    pub what: String,
    /// Who asks.
    pub by: String,
    answer: oneshot::Sender<Result<(), Vec<Violation>>>,
}

impl Ask {
    /// Tells whether it holds from now on.
    pub fn answer(self, laid: Result<(), Vec<Violation>>) {
        // Whoever asked no longer waits when the time for this was over.
        let _gone = self.answer.send(laid);
    }
}

/// Where whoever reads the file hears what is asked for, and tells what holds.
#[derive(Debug)]
pub struct Ears {
    asks: mpsc::Receiver<Ask>,
    laid: watch::Sender<Vec<Laid>>,
}

impl Ears {
    /// The next thing that is asked for.
    pub async fn hear(&mut self) -> Ask {
        match self.asks.recv().await {
            Some(ask) => ask,
            None => pending().await,
        }
    }

    /// Tells what is laid over the file.
    pub fn tell(&self, laid: Vec<Laid>) {
        self.laid.send_if_modified(|known| {
            let differs = *known != laid;
            *known = laid;
            differs
        });
    }
}

/// The other end of [`Ears`].
#[derive(Debug)]
pub struct Mouth {
    asks: mpsc::Sender<Ask>,
    pub(super) laid: watch::Receiver<Vec<Laid>>,
}

/// Both ends.
pub fn channel() -> (Mouth, Ears) {
    let (asks, heard) = mpsc::channel(8);
    let (told, laid) = watch::channel(Vec::new());
    (Mouth { asks, laid }, Ears { asks: heard, laid: told })
}

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Others than this machine could call it.
    #[error("{address} can be called from other machines; `run` serves its API to this one alone")]
    Expose {
        /// The address.
        address: SocketAddr,
    },
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// There is no token.
    #[error("cannot have a token for the API")]
    Token {
        /// What is wrong.
        source: token::Error,
    },
}

/// What is served and not yet connected with a run.
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
    token: [u8; 32],
}

impl Listening {
    /// Listens, and tells the user where. The token is shown on a terminal alone.
    ///
    /// # Errors
    ///
    /// When the address is not of this machine alone or cannot be had, or there is no token.
    pub async fn open(
        address: SocketAddr,
        file: Option<PathBuf>,
        console: &Console,
    ) -> Result<Self, Error> {
        if !address.ip().is_loopback() {
            return Err(Error::Expose { address });
        }
        let shown = console.notes_on_terminal();
        let token =
            token::of_run(file.as_deref(), shown).map_err(|source| Error::Token { source })?;
        let listen = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        match (shown, &file) {
            (true, _) => console.note(&format!("live page: http://{address}/#token={token}")),
            (false, Some(file)) => console.note(&format!(
                "live page: http://{address}/ (the token is in {})",
                file.display()
            )),
            (false, None) => {}
        }
        Ok(Self { listener, address, token: digest(&token) })
    }
}

/// The API of a run.
pub struct Live {
    token: [u8; 32],
    subject: Subject,
    watched: Watched,
    asks: mpsc::Sender<Ask>,
    rings: Mutex<Rings>,
}

/// Serves the API as long as the run goes on; nothing when nobody listens. The run goes on without it.
pub async fn follow(
    listening: Option<Listening>,
    (subject, watched): (Subject, Watched),
    mouth: Mouth,
    console: &Console,
) -> Infallible {
    let Some(Listening { listener, address, token }) = listening else { return pending().await };
    let (asks, rings) = (mouth.asks, Mutex::new(Rings::new(SAMPLES)));
    let live = Arc::new(Live { token, subject, watched, asks, rings });
    tokio::select! {
        ended = serve::serve(listener, Hosts::Loopback(address), Arc::clone(&live)) => match ended {
            Err(error) => {
                console.note(&format!("error: the API is not served any more: {error}"));
                pending().await
            }
            Ok(never) => never,
        },
        never = live.sample() => never,
    }
}

impl Live {
    async fn sample(&self) -> Infallible {
        let mut ticks = interval(SAMPLE);
        loop {
            ticks.tick().await;
            let now = self.migration();
            self.rings().take(&[now], Timestamp::now());
        }
    }

    fn migration(&self) -> Migration {
        live_view::migration(&self.subject, &self.watched)
    }

    fn rings(&self) -> MutexGuard<'_, Rings> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_meant(&self, selection: &Selection) -> Result<(), Problem> {
        let Subject { namespace, name, .. } = &self.subject;
        if selection.fits(namespace, name) {
            return Ok(());
        }
        let cause = format!("this run is of {namespace}/{name}, and of no other migration");
        Err(Problem::missing(cause, "leave namespace and name out"))
    }

    async fn ask(&self, patch: Value, what: &str, by: &str) -> Result<(), Problem> {
        let silent = || Problem::unavailable("the run does not answer; it may just end");
        let (answer, answered) = oneshot::channel();
        let ask = Ask { patch, what: what.to_owned(), by: by.to_owned(), answer };
        let asked = async {
            self.asks.send(ask).await.map_err(|_| silent())?;
            answered.await.map_err(|_| silent())
        };
        let laid = timeout(ANSWER, asked).await.map_err(|_| silent())??;
        laid.map_err(|violations| Problem::invalid(&violations))?;
        tracing::info!(by, what, "done through the API");
        Ok(())
    }

    /// Why a command changes nothing, or has no effect.
    fn answer_at_once(&self, command: Command) -> Result<Option<&'static str>, Problem> {
        let stage = live_view::stage(&self.watched.progress.borrow());
        legal::check(command, stage).map_err(Problem::no_effect)?;
        let intent = self.watched.intent.borrow();
        already(command, &intent)
    }
}

impl Backend for Live {
    async fn identify(&self, token: &str) -> Result<Caller, Problem> {
        if digest(token) == self.token {
            return Ok(Caller { name: CALLER.to_owned(), ..Caller::default() });
        }
        let remedy = "send the token that the run was started with, as Authorization: Bearer TOKEN";
        Err(Problem::unknown_caller(remedy))
    }

    async fn show(&self, _: &Caller, selection: &Selection) -> Result<Vec<Migration>, Problem> {
        self.is_meant(selection)?;
        Ok(vec![self.migration()])
    }

    async fn samples(&self, _: &Caller, selection: &Selection) -> Result<Vec<Series>, Problem> {
        self.is_meant(selection)?;
        Ok(self.rings().series(selection))
    }

    async fn act(
        &self,
        caller: &Caller,
        selection: &Selection,
        action: Action,
    ) -> Result<Done, Problem> {
        self.is_meant(selection)?;
        let unchanged =
            |why: &str| Done { changed: false, message: why.to_owned(), notes: Vec::new() };
        let (patch, message) = match action {
            Action::Tune(patch) => {
                let stage = live_view::stage(&self.watched.progress.borrow());
                legal::check(Command::Pause, stage).map_err(Problem::no_effect)?;
                (patch, "tuned")
            }
            Action::Command(command) => match self.answer_at_once(command)? {
                Some(why) => return Ok(unchanged(why)),
                None => order(command)?,
            },
        };
        self.ask(patch, message, &caller.name).await?;
        let notes = vec!["it holds until the file says something else about it".to_owned()];
        Ok(Done { changed: true, message: message.to_owned(), notes })
    }
}

/// The patch of a command, and what it does in words.
fn order(command: Command) -> Result<(Value, &'static str), Problem> {
    Ok(match command {
        Command::Pause => (json!({"paused": true}), "paused"),
        Command::Resume => (json!({"paused": false}), "resumed"),
        Command::Postpone => (json!({"postponeCutOver": true}), "cut-over postponed"),
        Command::CutOver => (json!({"postponeCutOver": false}), "cut-over allowed"),
        Command::Panic => (json!({"panic": true}), "panic"),
        Command::Abort | Command::Retry | Command::Approve => {
            let why = "a run is aborted and approved by its file, and tried again by hand";
            return Err(Problem::no_effect(why));
        }
    })
}

fn already(command: Command, intent: &intent::Intent) -> Result<Option<&'static str>, Problem> {
    let is_paused = intent.command == intent::Command::Pause;
    if intent.command != intent::Command::Run && !is_paused {
        return Err(Problem::no_effect("it is asked to end already"));
    }
    Ok(match command {
        Command::Pause if is_paused && intent.paused_by.is_none() => Some("it is paused already"),
        Command::Resume if !is_paused => Some("it is not paused"),
        Command::Resume => match &intent.paused_by {
            Some(window) => return Err(Problem::no_effect(window.clone())),
            None => None,
        },
        Command::Postpone if intent.postpone_cut_over => Some("its cut-over is postponed already"),
        Command::CutOver if !intent.postpone_cut_over => {
            Some("its cut-over is not postponed: it comes by itself when everything is ready")
        }
        _ => None,
    })
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The commands that would change something now.
pub(super) fn possible(stage: Stage, intent: &intent::Intent) -> Vec<&'static str> {
    let offered =
        [Command::Pause, Command::Resume, Command::Postpone, Command::CutOver, Command::Panic];
    let changes = |command: &Command| {
        legal::check(*command, stage).is_ok() && matches!(already(*command, intent), Ok(None))
    };
    offered.into_iter().filter(changes).map(Command::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::intent::Intent;

    fn intent(command: intent::Command) -> Intent {
        Intent { postpone_cut_over: false, ..Intent::only(command) }
    }

    #[test]
    fn what_would_change_nothing_is_not_offered() {
        let running = intent(intent::Command::Run);
        let paused = intent(intent::Command::Pause);
        let by_window = Intent { paused_by: Some("a window".to_owned()), ..paused.clone() };
        let waiting = Intent { postpone_cut_over: true, ..running.clone() };
        let rows: [(Stage, &Intent, &[&str]); 6] = [
            (Stage::Working, &running, &["pause", "postpone", "panic"]),
            (Stage::Working, &paused, &["resume", "postpone", "panic"]),
            (Stage::Working, &by_window, &["pause", "postpone", "panic"]),
            (Stage::Working, &waiting, &["pause", "cut-over", "panic"]),
            (Stage::Swapped, &running, &["panic"]),
            (Stage::Working, &intent(intent::Command::Panic), &[]),
        ];
        for (stage, intent, expected) in rows {
            assert_eq!(possible(stage, intent), expected, "{stage:?} {intent:?}");
        }
    }
}
