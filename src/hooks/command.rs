//! Commands as hooks: executables in a folder, each named as its stage. The document goes to standard input;
//! the exit code is the answer. A command gets none of our environment, and nothing of it outlives its
//! time limit.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout, timeout_at};

use super::{said, shown};
use crate::engine::stage::{Answer, Document, Stage};

/// Exit code of a command that wants to be asked again, as in sysexits.h.
const WAIT: i32 = 75;
/// Of each output so many bytes are kept.
const KEPT: usize = 4096;
/// How long the outputs of a command that has ended are read.
const REST: Duration = Duration::from_millis(500);
/// Where a command finds others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why a folder is not used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be listed.
    #[error("the folder of hooks cannot be read")]
    Read {
        /// What the system says.
        source: io::Error,
    },
    /// A file that would never run.
    #[error("the folder of hooks has an executable {name:?}, which is the name of no stage")]
    Unknown {
        /// Its name.
        name: String,
    },
    /// A hook that cannot run.
    #[error("the hook {name:?} is not executable")]
    NotExecutable {
        /// Its name.
        name: String,
    },
}

/// A folder of hooks.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    limit: Duration,
}

impl Folder {
    /// Looks what is in a folder, so that a name with a slip does not go unnoticed.
    ///
    /// # Errors
    ///
    /// When it cannot be read or holds something that would not run.
    pub fn open(path: &Path, limit: Duration) -> Result<Self, FolderError> {
        let read = |source| FolderError::Read { source };
        for entry in path.read_dir().map_err(read)? {
            let file = entry.map_err(read)?.path();
            if file.is_dir() {
                continue;
            }
            let name = file
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            let is_stage = Stage::ALL.iter().any(|stage| stage.file_name() == name);
            match (is_stage, is_executable(&file)) {
                (true, false) => return Err(FolderError::NotExecutable { name }),
                (false, true) => return Err(FolderError::Unknown { name }),
                (true, true) | (false, false) => {}
            }
        }
        let path = path.canonicalize().map_err(read)?;
        Ok(Self { path, limit })
    }

    /// Runs the command of the document's stage, when there is one now.
    pub(super) async fn ask(&self, document: &Document) -> Answer {
        let name = document.stage.file_name();
        let who = format!("hook {name:?}");
        let file = self.path.join(&name);
        match tokio::fs::try_exists(&file).await {
            Ok(true) => {}
            Ok(false) if self.path.is_dir() => return Answer::Allow,
            Ok(false) => return Answer::Unanswered(format!("{who}: its folder is gone")),
            Err(error) => return Answer::Unanswered(format!("{who} cannot be found: {error}")),
        }
        match self.run(&file, document).await {
            Ok(Some((status, message))) => judge(&who, status, &message),
            Ok(None) => {
                Answer::Unanswered(format!("{who} took longer than {:?} and was ended", self.limit))
            }
            Err(error) => Answer::Unanswered(format!("{who} cannot be run: {error}")),
        }
    }

    /// How a command ended and what it said first; `None` when its time was over.
    async fn run(
        &self,
        file: &Path,
        document: &Document,
    ) -> io::Result<Option<(ExitStatus, String)>> {
        let body = serde_json::to_vec(document)?;
        let mut child = self.start(file, document)?;
        let group = Group::of(&child);
        let (input, output, errors) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (mut said, mut told) = (Vec::new(), Vec::new());
        let ended = {
            let feed = async {
                if let Some(mut input) = input {
                    // A command need not read what it gets.
                    drop(input.write_all(&body).await);
                }
            };
            let talk =
                async { tokio::join!(feed, drain(output, &mut said), drain(errors, &mut told)) };
            let mut talk = pin!(talk);
            let deadline = Instant::now() + self.limit;
            let mut is_silent = false;
            let ended = loop {
                tokio::select! {
                    ended = timeout_at(deadline, child.wait()) => break ended.ok(),
                    _ = &mut talk, if !is_silent => is_silent = true,
                }
            };
            drop(group);
            // Whoever has left the group may hold the outputs open.
            if !is_silent {
                drop(timeout(REST, talk).await);
            }
            ended.transpose()?
        };
        let stage = document.stage;
        for (output, text) in
            [("output", &said), ("errors", &told)].map(|(name, bytes)| (name, text(bytes)))
        {
            if !text.is_empty() {
                tracing::info!(%stage, output, text, "a hook said");
            }
        }
        Ok(ended.map(|status| (status, text(&said))))
    }

    fn start(&self, file: &Path, document: &Document) -> io::Result<Child> {
        Command::new(file)
            .current_dir(&self.path)
            .env_clear()
            .env("PATH", PATH)
            .env("LANG", "C.UTF-8")
            .env("GHOSTSHIP_STAGE", document.stage.as_str())
            .env("GHOSTSHIP_MIGRATION", &document.migration)
            .env("GHOSTSHIP_HOOK_ID", &document.id)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }
}

/// A process group; it is ended when the value is dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            // Nobody is left in the group of a command that ended well.
            let _nobody_left = kill_process_group(id, Signal::KILL);
        }
    }
}

/// Reads to the end, and keeps the beginning.
async fn drain(output: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut output) = output else { return };
    let mut part = [0; 1024];
    while let Ok(length @ 1..) = output.read(&mut part).await {
        let room = KEPT.saturating_sub(kept.len());
        kept.extend(part.iter().take(length.min(room)));
    }
}

fn judge(who: &str, status: ExitStatus, message: &str) -> Answer {
    match status.code() {
        Some(0) => Answer::Allow,
        Some(WAIT) => Answer::Wait(said(who, "asks to wait", message)),
        Some(code) => Answer::Deny(said(who, &format!("denies with exit code {code}"), message)),
        None => Answer::Unanswered(format!("{who} was ended by a signal")),
    }
}

fn text(bytes: &[u8]) -> String {
    shown(&String::from_utf8_lossy(bytes))
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn document(stage: Stage) -> Document {
        Document {
            id: "one/0/BeforeCopy".to_owned(),
            stage,
            migration: "shop/one".to_owned(),
            uid: None,
            attempt: None,
            table: "shop.orders".to_owned(),
            alter: "ENGINE=InnoDB".to_owned(),
            hint: String::new(),
            at: jiff::Timestamp::UNIX_EPOCH,
            progress: crate::engine::blank_progress(),
            error: None,
        }
    }

    fn folder(script: &str, limit: Duration) -> (TempDir, Folder) {
        let directory = tempfile::tempdir().unwrap();
        put(&directory, "before-copy", script, 0o755);
        let folder = Folder::open(directory.path(), limit).unwrap();
        (directory, folder)
    }

    fn put(directory: &TempDir, name: &str, script: &str, mode: u32) {
        let file = directory.path().join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[tokio::test]
    async fn the_exit_code_is_the_answer() {
        let deny = |text: &str| Answer::Deny(format!("hook \"before-copy\" denies{text}"));
        let rows = [
            ("exit 0", Answer::Allow),
            ("cat > /dev/null; echo fine", Answer::Allow),
            ("exit 75", Answer::Wait("hook \"before-copy\" asks to wait".into())),
            ("echo no backup; exit 1", deny(" with exit code 1: no backup")),
            ("kill -9 $$", Answer::Unanswered("hook \"before-copy\" was ended by a signal".into())),
        ];
        for (script, expected) in rows {
            let (_directory, folder) = folder(script, LIMIT);
            assert_eq!(folder.ask(&document(Stage::BeforeCopy)).await, expected, "{script}");
            assert_eq!(folder.ask(&document(Stage::Verified)).await, Answer::Allow, "{script}");
        }
    }

    #[tokio::test]
    async fn a_command_gets_the_document_and_nothing_of_our_environment() {
        let (directory, folder) = folder("cat > got; env > env", LIMIT);
        assert_eq!(folder.ask(&document(Stage::BeforeCopy)).await, Answer::Allow);
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        let got: serde_json::Value = serde_json::from_str(&read("got")).unwrap();
        assert_eq!((&got["stage"], &got["table"]), (&"BeforeCopy".into(), &"shop.orders".into()));
        assert_eq!(got["progress"]["phase"], "Preflight");
        let names: Vec<_> = read("env")
            .lines()
            .filter_map(|line| Some(line.split_once('=')?.0.to_owned()))
            .collect();
        let own = |name: &String| {
            ["PATH", "LANG", "PWD", "SHLVL", "_", "OLDPWD"].contains(&name.as_str())
                || name.starts_with("GHOSTSHIP_")
        };
        assert!(names.iter().all(own) && !names.is_empty(), "{names:?}");
        assert!(!names.contains(&"GHOSTSHIP_FAILPOINTS".to_owned()), "{names:?}");
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_ended_with_its_children() {
        let script = "sleep 1000 & echo $! > child; wait";
        let (directory, folder) = folder(script, Duration::from_millis(500));
        let answer = folder.ask(&document(Stage::BeforeCopy)).await;
        assert!(matches!(&answer, Answer::Unanswered(why) if why.contains("longer")), "{answer:?}");
        let child = fs::read_to_string(directory.path().join("child")).unwrap();
        let status = format!("/proc/{}/stat", child.trim());
        let began = std::time::Instant::now();
        // What is left of it is at most an entry that nobody has read.
        while fs::read_to_string(&status).is_ok_and(|text| !text.contains(") Z ")) {
            assert!(began.elapsed() < LIMIT, "the child lives on");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_child_that_has_left_does_not_hold_the_answer() {
        let (_directory, folder) = folder("setsid sleep 30 & exit 0", LIMIT);
        let began = std::time::Instant::now();
        assert_eq!(folder.ask(&document(Stage::BeforeCopy)).await, Answer::Allow);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn what_a_command_says_is_bounded() {
        let (_directory, folder) = folder("head -c 1000000 /dev/zero | tr '\\0' x; exit 3", LIMIT);
        let Answer::Deny(why) = folder.ask(&document(Stage::BeforeCopy)).await else {
            panic!("no denial")
        };
        assert!(why.len() < 400, "{} bytes", why.len());
    }

    #[tokio::test]
    async fn a_folder_that_goes_is_no_leave_to_go_on() {
        let (directory, folder) = folder("exit 0", LIMIT);
        fs::remove_file(directory.path().join("before-copy")).unwrap();
        assert_eq!(folder.ask(&document(Stage::BeforeCopy)).await, Answer::Allow);
        directory.close().unwrap();
        let answer = folder.ask(&document(Stage::BeforeCopy)).await;
        assert!(matches!(answer, Answer::Unanswered(_)), "{answer:?}");
    }

    #[test]
    fn a_slip_in_a_name_is_told() {
        let open = |name: &str, mode: u32| {
            let directory = tempfile::tempdir().unwrap();
            put(&directory, name, "exit 0", mode);
            Folder::open(directory.path(), LIMIT).map(drop).map_err(|error| error.to_string())
        };
        assert!(open("before-cut-over", 0o755).is_ok() && open("README", 0o644).is_ok());
        assert!(open("before-cutover", 0o755).unwrap_err().contains("no stage"));
        assert!(open("before-cut-over", 0o644).unwrap_err().contains("not executable"));
        assert!(Folder::open(Path::new("/nowhere/at/all"), LIMIT).is_err());
    }
}
