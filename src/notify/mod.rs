//! Tells people about migrations: once, not a hundred times. In: snapshots of migrations and a file of
//! receivers; out: messages. Pure in the middle: `rules.rs` says which alerts hold, `desk.rs` what is worth
//! a notice, `inbox.rs` what each receiver gets when. `deliver` is the I/O. Who makes snapshots, and keeps
//! what was told, is the caller; neither the engine nor Kubernetes is known here.

pub mod counts;
pub mod deliver;
pub mod desk;
mod fields;
pub mod file;
pub mod inbox;
pub mod notice;
pub mod rules;
pub mod snapshot;
pub mod template;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::{sleep, timeout};

use self::counts::{Counts, Outcome};
use self::deliver::Failure;
use self::deliver::queue::{Letter, Queue};
use self::desk::Memory;
use self::file::{Config, FileError, Receiver};
use self::inbox::{Inbox, Message};
use self::notice::Notice;
use self::rules::Watch;
use self::snapshot::Snapshot;

/// The file is looked at so often.
const LOOK: Duration = Duration::from_secs(5);
/// What is held back is looked at so often.
const TICK: Duration = Duration::from_millis(500);

/// Tells people about migrations.
pub struct Notifier {
    path: PathBuf,
    state: Mutex<State>,
    counts: Counts,
    /// Beginning of the messages' ids: no other process has it.
    series: String,
}

#[derive(Default)]
struct State {
    config: Option<Arc<Config>>,
    cases: BTreeMap<String, Case>,
    boxes: BTreeMap<String, (Inbox, Arc<Queue>)>,
    messages: u64,
}

/// What is known of one migration.
struct Case {
    watch: Watch,
    memory: Memory,
    /// The memory as the caller keeps it.
    kept: String,
}

impl Notifier {
    /// For a file, which is not read yet.
    pub fn new(path: &Path) -> Self {
        let series = format!("{:x}-{:x}", Timestamp::now().as_microsecond(), std::process::id());
        Self { path: path.to_owned(), state: Mutex::default(), counts: Counts::default(), series }
    }

    /// Reads the file; what was read before stays when that fails. Whether it says something else now.
    ///
    /// # Errors
    ///
    /// When it cannot be read or something in it is wrong.
    pub fn load(&self) -> Result<bool, FileError> {
        let config = file::load(&self.path)?;
        let mut state = self.lock();
        if state.config.as_deref() == Some(&config) {
            return Ok(false);
        }
        let names: BTreeSet<&str> = config.receivers.iter().map(|one| one.name.as_str()).collect();
        state.boxes.retain(|name, _| names.contains(name.as_str()));
        for name in names {
            state.boxes.entry(name.to_owned()).or_default();
        }
        state.config = Some(Arc::new(config));
        Ok(true)
    }

    /// Hears how a migration stands. `kept` is what [`Self::hear`] answered for it before, in this process or
    /// in another one; the answer is what has to be kept from now on when that changed.
    pub fn hear(&self, snapshot: &Snapshot, kept: Option<&str>, now: Timestamp) -> Option<String> {
        let mut state = self.lock();
        let config = state.config.clone()?;
        let case = state.cases.entry(snapshot.id.clone()).or_insert_with(|| {
            let memory = kept.and_then(Memory::read);
            let memory = memory.unwrap_or_else(|| Memory::first(snapshot, now));
            Case { watch: memory.watch(), memory, kept: kept.unwrap_or_default().to_owned() }
        });
        let holding = rules::judge(&mut case.watch, snapshot, now, &config.rules);
        let notices = desk::tell(&mut case.memory, snapshot, &holding, now, &config.rules);
        let text = case.memory.text();
        let changed = (text != case.kept && text != "{}").then_some(text);
        for notice in notices {
            self.hand_out(&mut state, &config, &notice);
        }
        changed
    }

    /// The caller keeps this of a migration now.
    pub fn is_kept(&self, id: &str, text: String) {
        if let Some(case) = self.lock().cases.get_mut(id) {
            case.kept = text;
        }
    }

    /// Forgets all migrations but these.
    pub fn keep_only(&self, ids: &BTreeSet<String>) {
        self.lock().cases.retain(|id, _| ids.contains(id));
    }

    /// What became of the messages: receiver, outcome, number.
    pub fn counts(&self) -> Vec<(String, Outcome, u64)> {
        self.counts.all()
    }

    /// Delivers for ever, and reads the file again when it changes.
    pub async fn run(&self) -> Infallible {
        loop {
            let receivers = self.receivers();
            let delivering =
                receivers.iter().map(|(one, queue)| deliver::serve(one, queue, &self.counts));
            let delivering = join_all(delivering.collect::<Vec<_>>());
            tokio::select! {
                () = self.until_changed() => {}
                _ = self.release() => {}
                _ = async { delivering.await; pending::<()>().await } => {}
            }
        }
    }

    /// Hands everything over that is held back, and waits until all is delivered or given up, at most `limit`.
    /// [`Self::run`] has to go on meanwhile.
    pub async fn finish(&self, limit: Duration) {
        let queues: Vec<Arc<Queue>> = {
            let mut state = self.lock();
            let names: Vec<String> = state.boxes.keys().cloned().collect();
            for name in names {
                let message = state.boxes.get_mut(&name).and_then(|(inbox, _)| inbox.empty());
                self.post(&mut state, &name, message.into_iter().collect());
            }
            state.boxes.values().map(|(_, queue)| Arc::clone(queue)).collect()
        };
        let all = join_all(queues.iter().map(|queue| queue.until_empty()));
        if timeout(limit, all).await.is_err() {
            tracing::warn!("some notifications could not be delivered before the end");
        }
    }

    /// Sends a test to each receiver, once.
    pub async fn test(&self) -> Vec<(String, Result<(), Failure>)> {
        let receivers = self.receivers();
        let notice = Notice::test(Timestamp::now());
        let sending = receivers.iter().enumerate().map(async |(number, (receiver, _))| {
            let message = Message { notices: vec![notice.clone()], more: 0 };
            let letter = Letter { id: format!("{}-test{number}", self.series), message };
            (receiver.name.clone(), deliver::once(receiver, &letter).await)
        });
        join_all(sending).await
    }

    fn receivers(&self) -> Vec<(Receiver, Arc<Queue>)> {
        let state = self.lock();
        let receivers = state.config.iter().flat_map(|config| &config.receivers);
        receivers
            .filter_map(|one| {
                let (_, queue) = state.boxes.get(&one.name)?;
                Some((one.clone(), Arc::clone(queue)))
            })
            .collect()
    }

    fn hand_out(&self, state: &mut State, config: &Config, notice: &Notice) {
        for receiver in &config.receivers {
            if let Some((inbox, _)) = state.boxes.get_mut(&receiver.name) {
                inbox.put(notice.clone(), &receiver.policy);
            }
        }
    }

    /// Looks again and again what is due.
    async fn release(&self) -> Infallible {
        loop {
            {
                let mut state = self.lock();
                let now = Timestamp::now();
                let config = state.config.clone();
                for receiver in config.iter().flat_map(|config| &config.receivers) {
                    let inbox = state.boxes.get_mut(&receiver.name);
                    let due = inbox.map(|(inbox, _)| inbox.release(&receiver.policy, now));
                    self.post(&mut state, &receiver.name, due.unwrap_or_default());
                }
            }
            sleep(TICK).await;
        }
    }

    fn post(&self, state: &mut State, name: &str, messages: Vec<Message>) {
        for message in messages {
            state.messages += 1;
            let id = format!("{}-{}", self.series, state.messages);
            if let Some((_, queue)) = state.boxes.get(name) {
                let dropped = queue.push(Letter { id, message });
                if dropped > 0 {
                    self.counts.add(name, Outcome::Dropped, dropped);
                }
            }
        }
    }

    /// Waits until the file says something else. What is wrong with it is logged once.
    async fn until_changed(&self) {
        let mut complaint = String::new();
        loop {
            match self.load() {
                Ok(true) => {
                    tracing::info!("the notifications file is read");
                    return;
                }
                Ok(false) => complaint.clear(),
                Err(error) => {
                    let words = error.to_string();
                    if words != complaint {
                        tracing::warn!(error = words, "the last notifications file holds");
                    }
                    complaint = words;
                }
            }
            sleep(LOOK).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
