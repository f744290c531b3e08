//! `ghostship run`: manifests in, a changed table out, with the file as control panel meanwhile.

use std::path::PathBuf;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::console::Console;
use super::control_file::{self, ControlFile};
use super::exit::Exit;
use super::live::{self, Listening};
use super::live_view::{Subject, Watched};
use super::manifest::{self, Manifest};
use super::notices::Teller;
use super::progress::Display;
use super::{failure, report};
use crate::api::duration;
use crate::api::effective::{Effective, Setting};
use crate::api::validate::{Reason, Violation};
use crate::args::{Output, RunArguments, Source};
use crate::engine::intent;
use crate::engine::outcome::Outcome;
use crate::engine::phase::PhaseKind;
use crate::engine::request::{Request, VerifyMode};
use crate::engine::stage::Questions;
use crate::engine::{self, Failure, stage};
use crate::hooks::{Folder, Hooks, Keys};
use crate::http::secret::Secret;
use crate::mysql::connect::CredentialSource;
use crate::resolve::{self, Origin, Settings};
use crate::shutdown::Signals;

/// A file that was read and accepted.
pub(super) struct Loaded {
    pub(super) request: Request,
    keys: Keys,
    manifest: Manifest,
    text: String,
}

impl Loaded {
    /// The settings as they hold now.
    pub(super) fn settings(&self) -> Vec<Setting> {
        self.manifest.effective(Timestamp::now()).settings
    }
}

/// What goes on beside a run: who is told, who looks on, and who is asked.
type Beside = (Teller, Option<Listening>, (Hooks, Questions));

/// Runs a migration to its end and shows it.
pub async fn execute(arguments: RunArguments, console: &Console) -> Exit {
    let mut loaded = match load(&arguments.source).await {
        Ok(loaded) => loaded,
        Err(violations) => {
            failure::show_violations(console, arguments.output, &violations);
            return Exit::Usage;
        }
    };
    if loaded.request.verify == VerifyMode::Off {
        console.note(
            "warning: spec.verify.mode is Off: nobody compares the tables before the cut-over",
        );
    }
    let teller = match Teller::open(arguments.notify.as_deref(), &loaded.request) {
        Ok(teller) => teller,
        Err(error) => {
            console.note(&format!("error: {}", failure::chain(&error)));
            return Exit::Usage;
        }
    };
    let asked = match hooks(&arguments, &mut loaded).await {
        Ok(asked) => asked,
        Err(violation) => {
            failure::show_violations(console, arguments.output, &[violation]);
            return Exit::Usage;
        }
    };
    let listening = match listen(&arguments, console).await {
        Ok(listening) => listening,
        Err(error) => {
            console.note(&format!("error: {}", failure::chain(&error)));
            return Exit::Usage;
        }
    };
    match Signals::take() {
        Ok(signals) => {
            let beside = (teller, listening, asked);
            Box::pin(run((arguments, beside), console, loaded, signals)).await
        }
        Err(error) => {
            console.note(&format!("error: cannot listen for signals: {error}"));
            Exit::Failed
        }
    }
}

async fn listen(
    arguments: &RunArguments,
    console: &Console,
) -> Result<Option<Listening>, live::Error> {
    let Some(address) = arguments.listen else { return Ok(None) };
    Listening::open(address, arguments.token_file.clone(), console).await.map(Some)
}

/// Reads the file and checks that the account can be read.
pub(super) async fn load(source: &Source) -> Result<Loaded, Vec<Violation>> {
    let text = control_file::read(&source.file).await.map_err(|error| {
        let message = format!("the file {} cannot be read: {error}", source.file.display());
        vec![Violation::new(Reason::InvalidSpec, message, "name a file of YAML documents")]
    })?;
    let manifest = manifest::parse(&text)?;
    let credentials = account(source, &manifest).map_err(|violation| vec![violation])?;
    let origin =
        Origin { credentials, requested_by: source.account.requested_by.clone(), attempt: None };
    let (target, migration) = (manifest.target.clone(), manifest.migration.clone());
    let request = resolve::request(target, migration, origin);
    check_account(&request.connect.credentials).await.map_err(|violation| vec![violation])?;
    let keys = keys(source, &manifest);
    Ok(Loaded { request, keys, manifest, text })
}

fn account(source: &Source, manifest: &Manifest) -> Result<CredentialSource, Violation> {
    let inline = manifest.credentials.clone().map(CredentialSource::Inline);
    let directory = source.account.credentials.clone().map(CredentialSource::Directory);
    directory.or(inline).ok_or_else(|| {
        let secret = &manifest.target.secret;
        let message =
            format!("Secret {secret:?}, which the MigrationTarget names, is not in the file");
        let remedy = "add it to the file, or name a directory with the files username and \
                      password by --credentials";
        Violation::new(Reason::CredentialsUnavailable, message, remedy)
    })
}

fn keys(source: &Source, manifest: &Manifest) -> Keys {
    match &source.account.credentials {
        Some(directory) => Keys::Directory(directory.clone()),
        None => {
            let found = manifest.hook_keys.clone();
            let (key, authorities) = found.map_or((None, None), |it| (it.key, it.authorities));
            Keys::Inline { key: key.map(Secret::new), authorities }
        }
    }
}

/// Those who are asked at the stages; the request gets the other end of the channel.
async fn hooks(
    arguments: &RunArguments,
    loaded: &mut Loaded,
) -> Result<(Hooks, Questions), Violation> {
    let limit = duration::parse(&arguments.hook_timeout).filter(|limit| !limit.is_zero());
    let limit = limit.ok_or_else(|| {
        let message = format!("--hook-timeout {} is not a duration", arguments.hook_timeout);
        Violation::new(Reason::InvalidSpec, message, "write a number with ms, s, m or h, as 30s")
    })?;
    let open = |path: &PathBuf| Folder::open(path, limit);
    let folder = arguments.hooks.as_ref().map(open).transpose().map_err(|error| {
        let message = failure::chain(&error);
        let remedy = "name a folder whose executables are named as stages, see docs/hooks.md";
        Violation::new(Reason::InvalidSpec, message, remedy)
    })?;
    if !loaded.manifest.target.stages.jobs.is_empty() {
        let message =
            "MigrationTarget spec.hooks.jobs needs a cluster, and this run has none".to_owned();
        let remedy = "remove it and run the same checks as commands by --hooks";
        return Err(Violation::new(Reason::InvalidSpec, message, remedy));
    }
    let http = loaded.manifest.target.stages.http.clone();
    let hooks = Hooks::new(http, loaded.keys.clone(), folder);
    if !hooks.has_key().await {
        let message = "MigrationTarget spec.hooks.http needs a key to sign with".to_owned();
        let remedy = "add the key hooks.key to the Secret";
        return Err(Violation::new(Reason::CredentialsUnavailable, message, remedy));
    }
    let (asker, questions) = stage::channel(hooks.stages());
    loaded.request.stages.asker = asker;
    Ok((hooks, questions))
}

async fn check_account(credentials: &CredentialSource) -> Result<(), Violation> {
    let Err(error) = credentials.read().await else {
        return Ok(());
    };
    let remedy = "mount the Secret there: the files username and password are needed";
    Err(Violation::new(Reason::CredentialsUnavailable, error.to_string(), remedy))
}

async fn run(
    (arguments, (teller, listening, (hooks, questions))): (RunArguments, Beside),
    console: &Console,
    loaded: Loaded,
    mut signals: Signals,
) -> Exit {
    let Loaded { request, manifest, text, .. } = loaded;
    let (table, verify) = (request.table.to_string(), request.verify);
    let Effective { wishes, settings } = manifest.effective(Timestamp::now());
    let (publisher, wishes) = intent::channel(resolve::intent(&wishes));
    let (settings, shown) = Settings::channel(settings);
    let (sender, progress) = watch::channel(engine::blank_progress());
    let stop = CancellationToken::new();
    let (mouth, ears) = live::channel();
    let watched = Watched {
        progress: progress.clone(),
        intent: wishes.intent.clone(),
        settings: shown.clone(),
        laid: mouth.laid.clone(),
    };
    let serving = live::follow(listening, (Subject::from(&manifest), watched), mouth, console);
    let control = ControlFile::new(arguments.source.file, text, manifest, request.record.clone());
    let following = teller.follow(progress.clone(), wishes.intent.clone());
    let display = Display::choose(console, arguments.output, arguments.quiet);
    let ended = tokio::select! {
        ended = engine::run(request, wishes, sender, stop.clone()) => Some(ended),
        () = signals.watch(&stop) => None,
        _ = control.follow(console, publisher, (settings, Timestamp::now, ears)) => None,
        _ = display.follow(console, progress.clone(), shown) => None,
        never = following => match never {},
        never = serving => match never {},
        never = hooks.serve(questions) => match never {},
    };
    display.finish();
    let Some(ended) = ended else { return Exit::Interrupted };
    let last = progress.borrow().clone();
    let exit = match &ended {
        Ok(outcome) => show(console, arguments.output, outcome, (&table, verify)),
        Err(failed) => show_failure(console, arguments.output, failed, last.phase),
    };
    tokio::select! {
        () = teller.finish(&ended, &last) => {}
        () = signals.watch(&stop) => {}
    }
    exit
}

fn show(
    console: &Console,
    output: Output,
    outcome: &Outcome,
    (table, verify): (&str, VerifyMode),
) -> Exit {
    match output {
        Output::Text => console.print(&report::text(outcome, table, verify)),
        Output::Json => console.print(&report::object(outcome).to_string()),
    }
    Exit::of_outcome(outcome)
}

fn show_failure(console: &Console, output: Output, failed: &Failure, phase: PhaseKind) -> Exit {
    failure::show(console, output, failed);
    Exit::of_failure(failed, phase)
}
