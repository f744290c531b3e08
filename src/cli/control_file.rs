//! The file as the control panel of a running migration: read again and again, it becomes the intent
//! of the run. A wrong file changes nothing, except that `panic: true` is always honoured.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::console::Console;
use super::manifest::{self, Manifest, SIZE_LIMIT};
use crate::api::validate::{Identity, ValidMigration};
use crate::engine::intent::{Command, Intent, Publisher};
use crate::resolve::intent;

/// How often the file is read.
const POLL: Duration = Duration::from_millis(250);

/// The file of a running migration.
pub struct ControlFile {
    path: PathBuf,
    last: Result<String, io::ErrorKind>,
    /// Whether the file, as it was last read, says what is wanted.
    is_clear: bool,
    accepted: Manifest,
}

/// What a version of the file means for the run.
#[derive(Debug, Default, PartialEq)]
pub struct Seen {
    /// The intent from now on, when it can be told.
    pub intent: Option<Intent>,
    /// What the user has to know, one sentence each.
    pub notes: Vec<String>,
}

impl ControlFile {
    /// A file that was read as `text` and accepted as `manifest`.
    pub fn new(path: PathBuf, text: String, manifest: Manifest) -> Self {
        Self { path, last: Ok(text), is_clear: true, accepted: manifest }
    }

    /// Publishes the intent whenever the file asks for another one, and notes to the console; reads at
    /// once when the engine asks. Never ends.
    pub async fn follow(mut self, console: &Console, mut publisher: Publisher) -> ! {
        loop {
            let question = publisher.question(POLL).await;
            if let Some(seen) = self.look().await {
                seen.notes.iter().for_each(|note| console.note(&format!("note: {note}")));
                if let Some(wanted) = seen.intent {
                    publisher.publish(wanted);
                }
            }
            if let Some(question) = question {
                question.answer(self.is_clear);
            }
        }
    }

    /// The meaning of the file, when it is another one than before.
    async fn look(&mut self) -> Option<Seen> {
        let now = read(&self.path).await.map_err(|error| error.kind());
        if now == self.last {
            return None;
        }
        let seen = match &now {
            Ok(text) => meaning(text, &self.accepted),
            Err(_) => Seen { intent: None, notes: vec![unreadable(&self.path)] },
        };
        self.last = now;
        self.is_clear = seen.intent.is_some();
        Some(seen)
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
            Seen { intent: Some(intent(&manifest.migration.wishes)), notes }
        }
        Err(_) if manifest::asks_for_panic(text) => {
            let wishes = &accepted.migration.wishes;
            let intent = Intent { command: Command::Panic, ..intent(wishes) };
            let note = "the file is invalid, but it asks for panic, which is honoured".to_owned();
            Seen { intent: Some(intent), notes: vec![note] }
        }
        Err(violations) => {
            let cause = violations.first().map_or("", |violation| violation.message.as_str());
            let note = format!("the file is invalid and the last valid one holds: {cause}");
            Seen { intent: None, notes: vec![note] }
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
    if now.migration.start != accepted.migration.start || now.target != accepted.target {
        notes.push(
            "the MigrationTarget and spec.verify.mode, oldTable, acceptLossy and renames are read \
             when a run starts; their change waits for the next one"
                .to_owned(),
        );
    }
    notes
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
    use crate::cli::manifest::parse;

    const SAMPLE: &str = include_str!("../../config/samples/migration.yaml");

    fn accepted() -> Manifest {
        parse(SAMPLE).map_err(|found| format!("{found:?}")).unwrap()
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
            assert_eq!(seen.intent.map(|intent| intent.command), Some(command), "{fields}");
            assert_eq!(seen.notes, Vec::<String>::new(), "{fields}");
        }
    }

    #[test]
    fn tuning_and_postponement_are_taken_over() {
        let text = with("postponeCutOver: true").replace("threads: 2", "threads: 5");
        let intent = meaning(&text, &accepted()).intent.unwrap();
        assert!(intent.postpone_cut_over);
        assert_eq!(intent.tuning.copy_threads, 5);
    }

    #[test]
    fn an_identity_does_not_change() {
        let text = SAMPLE.replace("  table: orders", "  table: invoices\n  paused: true");
        let seen = meaning(&text, &accepted());
        assert!(seen.notes[0].starts_with("spec.table cannot change"), "{:?}", seen.notes);
        assert_eq!(seen.intent.unwrap().command, Command::Pause);
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
            assert_eq!(seen.intent, None, "{text}");
            assert_eq!(seen.notes.len(), 1, "{text}");
        }
        let panicking = wrong.replace("  copy:\n", "  panic: true\n  copy:\n");
        for text in [panicking.clone(), format!("{panicking}\n---\n\"torn")] {
            assert_eq!(meaning(&text, &accepted()).intent.unwrap().command, Command::Panic);
        }
    }

    #[tokio::test]
    async fn a_file_is_looked_at_once_per_version() {
        let name = format!("ghostship-control-{}.yaml", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, SAMPLE).unwrap();
        let mut file = ControlFile::new(path.clone(), SAMPLE.to_owned(), accepted());
        assert_eq!(file.look().await, None);
        std::fs::write(&path, with("paused: true")).unwrap();
        let command = file.look().await.unwrap().intent.unwrap().command;
        assert_eq!(command, Command::Pause);
        assert_eq!((file.look().await, file.is_clear), (None, true));
        std::fs::remove_file(&path).unwrap();
        let gone = file.look().await.unwrap();
        assert_eq!((gone.intent, gone.notes.len()), (None, 1));
        assert_eq!((file.look().await, file.is_clear), (None, false));
    }
}
