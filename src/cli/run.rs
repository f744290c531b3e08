//! `ghostship run`: manifests in, a changed table out, with the file as control panel meanwhile.

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
use crate::api::effective::{Effective, Setting};
use crate::api::validate::{Reason, Violation};
use crate::args::{Output, RunArguments, Source};
use crate::engine::intent;
use crate::engine::outcome::Outcome;
use crate::engine::phase::PhaseKind;
use crate::engine::request::{Request, VerifyMode};
use crate::engine::{self, Failure};
use crate::mysql::connect::CredentialSource;
use crate::resolve::{self, Origin, Settings};
use crate::shutdown::Signals;

/// A file that was read and accepted.
pub(super) struct Loaded {
    pub(super) request: Request,
    manifest: Manifest,
    text: String,
}

impl Loaded {
    /// The settings as they hold now.
    pub(super) fn settings(&self) -> Vec<Setting> {
        self.manifest.effective(Timestamp::now()).settings
    }
}

/// Runs a migration to its end and shows it.
pub async fn execute(arguments: RunArguments, console: &Console) -> Exit {
    let loaded = match load(&arguments.source).await {
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
    let listening = match listen(&arguments, console).await {
        Ok(listening) => listening,
        Err(error) => {
            console.note(&format!("error: {}", failure::chain(&error)));
            return Exit::Usage;
        }
    };
    match Signals::take() {
        Ok(signals) => {
            Box::pin(run((arguments, teller, listening), console, loaded, signals)).await
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
    Ok(Loaded { request, manifest, text })
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

async fn check_account(credentials: &CredentialSource) -> Result<(), Violation> {
    let Err(error) = credentials.read().await else {
        return Ok(());
    };
    let remedy = "mount the Secret there: the files username and password are needed";
    Err(Violation::new(Reason::CredentialsUnavailable, error.to_string(), remedy))
}

async fn run(
    (arguments, teller, listening): (RunArguments, Teller, Option<Listening>),
    console: &Console,
    loaded: Loaded,
    mut signals: Signals,
) -> Exit {
    let Loaded { request, manifest, text } = loaded;
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
    let control = ControlFile::new(arguments.source.file, text, manifest);
    let following = teller.follow(progress.clone(), wishes.intent.clone());
    let display = Display::choose(console, arguments.output, arguments.quiet);
    let ended = tokio::select! {
        ended = engine::run(request, wishes, sender, stop.clone()) => Some(ended),
        () = signals.watch(&stop) => None,
        _ = control.follow(console, publisher, (settings, Timestamp::now, ears)) => None,
        _ = display.follow(console, progress.clone(), shown) => None,
        never = following => match never {},
        never = serving => match never {},
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
