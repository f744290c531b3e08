//! The file as the control panel of a running migration: read again and again, it becomes the intent
//! of the run. A wrong file changes nothing, except that `panic: true` is always honoured. What is asked for
//! through the API lies over it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::io::AsyncReadExt;

use super::changes::Changes;
use super::console::Console;
use super::live::{Ask, Ears};
use super::manifest::{self, Manifest, SIZE_LIMIT};
use super::overlay::Overlay;
use crate::api::validate::{Identity, ValidMigration, ValidTarget};
use crate::engine::intent::{Command, Publisher};
use crate::engine::record::Record;
use crate::resolve::{Settings, intent};

/// How often the file is read.
const POLL: Duration = Duration::from_millis(250);

/// The file of a running migration.
pub struct ControlFile {
    path: PathBuf,
    last: Result<String, io::ErrorKind>,
    /// Whether the file, as it was last read, says what is wanted.
    is_clear: bool,
    /// As the run was started.
    accepted: Manifest,
    /// As it is wanted now.
    wanted: Manifest,
    /// What lies over that, and both together.
    overlay: Overlay,
    holding: Manifest,
    /// Whether panic was asked for by a file that says nothing else.
    panics: bool,
    /// Who changed what.
    changes: Changes,
}

/// What a version of the file means for the run.
#[derive(Default)]
pub struct Seen {
    /// What is wanted from now on, when it can be told.
    pub wanted: Option<Manifest>,
    /// Whether it asks for panic, and is invalid otherwise.
    pub panics: bool,
    /// What the user has to know, one sentence each.
    pub notes: Vec<String>,
}

impl ControlFile {
    /// A file that was read as `text` and accepted as `manifest`; what is changed from then on is written
    /// down in `record`.
    pub fn new(path: PathBuf, text: String, manifest: Manifest, record: Record) -> Self {
        let (wanted, holding) = (manifest.clone(), manifest.clone());
        let changes = Changes::since(&manifest.document, record);
        Self {
            path,
            last: Ok(text),
            is_clear: true,
            accepted: manifest,
            wanted,
            overlay: Overlay::default(),
            holding,
            panics: false,
            changes,
        }
    }

    /// Publishes the intent whenever the file, the API or the hour asks for another one, and notes to the
    /// console; reads at once when the engine asks. Never ends.
    pub async fn follow(
        mut self,
        console: &Console,
        mut publisher: Publisher,
        (settings, clock, mut ears): (Settings, impl Fn() -> Timestamp, Ears),
    ) -> ! {
        loop {
            let (question, ask) = tokio::select! {
                question = publisher.question(POLL) => (question, None),
                ask = ears.hear() => (None, Some(ask)),
            };
            let mut notes = self.look().await;
            self.tell_changes("the file", clock());
            let by = ask.as_ref().map(|ask| format!("the API, by {}", ask.by));
            let answer = ask.map(|ask| self.take(ask, &mut notes));
            by.iter().for_each(|by| self.tell_changes(by, clock()));
            notes.iter().for_each(|note| console.note(&format!("note: {note}")));
            let holds = self.holding.effective(clock());
            let mut wanted = intent(&holds.wishes);
            if self.panics {
                wanted.command = Command::Panic;
            }
            publisher.publish(wanted);
            ears.tell(self.overlay.told());
            for change in settings.tell(holds.settings) {
                console.note(&format!("note: {change}"));
            }
            if let Some(question) = question {
                question.answer(self.is_clear);
            }
            if let Some(answer) = answer {
                answer();
            }
        }
    }

    fn tell_changes(&mut self, by: &str, now: Timestamp) {
        let mut document = self.overlay.over(&self.wanted.document);
        if self.panics {
            document["spec"]["panic"] = Value::Bool(true);
        }
        self.changes.tell(&document, by, now);
    }

    /// Takes what is asked through the API; what answers it, once the intent is published.
    fn take(&mut self, ask: Ask, notes: &mut Vec<String>) -> impl FnOnce() + use<> {
        let laid = self.overlay.lay(&ask.patch, &self.wanted.document);
        if laid.is_ok() {
            notes.push(format!("{} through the API by {}", ask.what, ask.by));
            notes.extend(self.hold());
        }
        || ask.answer(laid)
    }

    /// Lays what was asked for through the API over what the file wants.
    fn hold(&mut self) -> Option<String> {
        self.holding = self.wanted.clone();
        match self.overlay.migration(&self.wanted.document) {
            Ok(migration) => {
                self.holding.migration.asked = migration.asked;
                self.holding.migration.layer = migration.layer;
                None
            }
            Err(violations) => {
                self.overlay.clear();
                let cause = violations.first().map_or("", |violation| violation.message.as_str());
                Some(format!("what was set through the API holds no longer: {cause}"))
            }
        }
    }

    /// Takes the file as it is now; what the user has to know about that.
    async fn look(&mut self) -> Vec<String> {
        let now = read(&self.path).await.map_err(|error| error.kind());
        if now == self.last {
            return Vec::new();
        }
        let seen = match &now {
            Ok(text) => meaning(text, &self.accepted),
            Err(_) => Seen { notes: vec![unreadable(&self.path)], ..Seen::default() },
        };
        self.last = now;
        self.is_clear = seen.wanted.is_some() || seen.panics;
        self.panics = seen.panics;
        let mut notes = seen.notes;
        if let Some(wanted) = seen.wanted {
            self.wanted = wanted;
            let changed = self.overlay.give_way(&self.wanted.document);
            notes.extend(changed.iter().map(|field| {
                format!(
                    "the file changes spec.{field}, which was set through the API: the file holds"
                )
            }));
            notes.extend(self.hold());
        }
        notes
    }
}

/// Reads a file of manifests.
///
/// # Errors
///
/// When it cannot be read, is no regular file, no text, or larger than a megabyte.
pub async fn read(path: &Path) -> io::Result<String> {
    if !tokio::fs::metadata(path).await?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let file = tokio::fs::File::open(path).await?;
    let mut text = String::new();
    let limit = SIZE_LIMIT + 1;
    file.take(limit).read_to_string(&mut text).await?;
    if u64::try_from(text.len()).is_ok_and(|length| length >= limit) {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

/// What a version of the file means for a run that was started with `accepted`.
pub fn meaning(text: &str, accepted: &Manifest) -> Seen {
    match manifest::parse(text) {
        Ok(manifest) => {
            let notes = differences(&manifest, accepted);
            Seen { wanted: Some(manifest), notes, ..Seen::default() }
        }
        Err(_) if manifest::asks_for_panic(text) => {
            let note = "the file is invalid, but it asks for panic, which is honoured".to_owned();
            Seen { panics: true, notes: vec![note], ..Seen::default() }
        }
        Err(violations) => {
            let cause = violations.first().map_or("", |violation| violation.message.as_str());
            let note = format!("the file is invalid and the last valid one holds: {cause}");
            Seen { notes: vec![note], ..Seen::default() }
        }
    }
}

fn differences(now: &Manifest, accepted: &Manifest) -> Vec<String> {
    let mut notes = Vec::new();
    let fixed = changed_identity(&now.migration, &accepted.migration);
    if !fixed.is_empty() {
        notes.push(format!(
            "{} cannot change while the migration runs; it goes on as it was started",
            fixed.join(", ")
        ));
    }
    if now.migration.start != accepted.migration.start
        || is_elsewhere(&now.target, &accepted.target)
    {
        notes.push(
            "the server of the MigrationTarget and spec.verify.mode, oldTable, acceptLossy and renames are read \
             when a run starts; their change waits for the next one"
                .to_owned(),
        );
    }
    notes
}

/// Whether the targets differ in more than what may change while the run goes on.
fn is_elsewhere(now: &ValidTarget, accepted: &ValidTarget) -> bool {
    let settings = accepted.settings.clone();
    ValidTarget { settings, ..now.clone() } != *accepted
}

fn changed_identity(now: &ValidMigration, accepted: &ValidMigration) -> Vec<&'static str> {
    let Identity { target, database, table, alter, strategy } = &now.identity;
    let was = &accepted.identity;
    let fields = [
        ("metadata.name", now.name != accepted.name),
        ("metadata.namespace", now.namespace != accepted.namespace),
        ("spec.target", *target != was.target),
        ("spec.database", *database != was.database),
        ("spec.table", *table != was.table),
        ("spec.alter", *alter != was.alter),
        ("spec.strategy", *strategy != was.strategy),
    ];
    fields.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect()
}

fn unreadable(path: &Path) -> String {
    format!("{} cannot be read and its last content holds", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::validate::Control;
    use crate::cli::manifest::parse;
    use crate::engine::intent::Intent;

    const SAMPLE: &str = include_str!("../../config/samples/migration.yaml");

    fn accepted() -> Manifest {
        parse(SAMPLE).map_err(|found| format!("{found:?}")).unwrap()
    }

    fn asked(seen: &Seen) -> Option<Intent> {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        seen.wanted.as_ref().map(|wanted| intent(&wanted.effective(now).wishes))
    }

    fn with(field: &str) -> String {
        SAMPLE.replace("  copy:\n", &format!("  {field}\n  copy:\n"))
    }

    #[test]
    fn control_fields_become_commands_and_the_strongest_wins() {
        let cases = [
            ("paused: true", Command::Pause),
            ("abort: true", Command::Abort),
            ("panic: true", Command::Panic),
            ("paused: false", Command::Run),
            ("{paused: true, abort: true}", Command::Abort),
            ("{abort: true, panic: true, paused: true}", Command::Panic),
            ("{panic: true, postponeCutOver: true}", Command::Panic),
        ];
        for (fields, command) in cases {
            let fields = fields.trim_matches(['{', '}']).replace(", ", "\n  ");
            let seen = meaning(&with(&fields), &accepted());
            assert_eq!(asked(&seen).map(|intent| intent.command), Some(command), "{fields}");
            assert_eq!(seen.notes, Vec::<String>::new(), "{fields}");
        }
    }

    #[test]
    fn tuning_and_postponement_are_taken_over() {
        let text = with("postponeCutOver: true").replace("threads: 2", "threads: 5");
        let intent = asked(&meaning(&text, &accepted())).unwrap();
        assert!(intent.postpone_cut_over);
        assert_eq!(intent.tuning.copy_threads, 5);
    }

    #[test]
    fn an_identity_does_not_change() {
        let text = SAMPLE.replace("  table: orders", "  table: invoices\n  paused: true");
        let seen = meaning(&text, &accepted());
        assert!(seen.notes[0].starts_with("spec.table cannot change"), "{:?}", seen.notes);
        assert_eq!(asked(&seen).unwrap().command, Command::Pause);
    }

    #[test]
    fn a_setting_that_is_read_at_the_start_is_announced() {
        let seen = meaning(&SAMPLE.replace("retain: 48h", "retain: 1h"), &accepted());
        assert!(seen.notes[0].contains("next one"), "{:?}", seen.notes);
    }

    #[test]
    fn a_wrong_file_changes_nothing_but_panic_is_heard() {
        let torn = &SAMPLE[..SAMPLE.find("alter:").unwrap() + 4];
        let wrong = SAMPLE.replace("threads: 2", "threads: 99");
        for text in ["", "%", torn, &wrong] {
            let seen = meaning(text, &accepted());
            assert_eq!((asked(&seen), seen.panics), (None, false), "{text}");
            assert_eq!(seen.notes.len(), 1, "{text}");
        }
        let panicking = wrong.replace("  copy:\n", "  panic: true\n  copy:\n");
        for text in [panicking.clone(), format!("{panicking}\n---\n\"torn")] {
            assert!(meaning(&text, &accepted()).panics, "{text}");
        }
    }

    #[tokio::test]
    async fn a_file_is_looked_at_once_per_version() {
        let name = format!("ghostship-control-{}.yaml", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, SAMPLE).unwrap();
        let mut file =
            ControlFile::new(path.clone(), SAMPLE.to_owned(), accepted(), Record::default());
        assert_eq!(file.look().await, Vec::<String>::new());
        std::fs::write(&path, with("paused: true")).unwrap();
        assert_eq!(file.look().await, Vec::<String>::new());
        assert_eq!((file.wanted.migration.asked.control, file.is_clear), (Control::Pause, true));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(file.look().await.len(), 1);
        assert_eq!((file.look().await, file.is_clear), (Vec::new(), false));
        assert_eq!(file.wanted.migration.asked.control, Control::Pause, "the last one holds");
    }
}
