//! `ghostship worker`: one attempt in a pod. Its end goes into the status, the exit code and the pod's
//! termination message.

use std::time::Duration;

use super::console::Console;
use super::exit::Exit;
use super::failure::chain;
use crate::api::status::Ending;
use crate::args::WorkerArguments;
use crate::engine::phase::PhaseKind;
use crate::shutdown::Signals;
use crate::worker::{self, Assignment, Ended, LoadError, ending};

/// Where the kubelet reads a container's last words.
const TERMINATION_LOG: &str = "/dev/termination-log";
const WRITE_LIMIT: Duration = Duration::from_secs(1);

/// Runs an attempt to its end.
pub async fn execute(arguments: WorkerArguments, console: &Console) -> Exit {
    let signals = match Signals::take() {
        Ok(signals) => signals,
        Err(error) => {
            console.note(&format!("error: cannot listen for signals: {error}"));
            return Exit::Failed;
        }
    };
    match Box::pin(worker::run(assignment(arguments), signals)).await {
        Ok(ended) => {
            let Ending { reason, message, .. } = ending(&ended);
            last_words(console, &format!("{reason}: {message}")).await;
            exit(&ended)
        }
        Err(error) => {
            last_words(console, &chain(&error)).await;
            of_load_error(&error)
        }
    }
}

fn assignment(arguments: WorkerArguments) -> Assignment {
    let WorkerArguments { namespace, name, uid, attempt, credentials, pod, listen, clean_up } =
        arguments;
    Assignment { namespace, name, uid, attempt, credentials, pod, listen, clean_up }
}

fn exit(ended: &Ended) -> Exit {
    match ended {
        Ended::Outcome(outcome) => Exit::of_outcome(outcome),
        Ended::Failure(failure) if failure.refused => Exit::Refused,
        Ended::Failure(failure) => Exit::of_failure(failure, PhaseKind::RowCopy),
        Ended::Interrupted => Exit::Interrupted,
    }
}

fn of_load_error(error: &LoadError) -> Exit {
    if error.may_pass() { Exit::Left } else { Exit::Usage }
}

async fn last_words(console: &Console, text: &str) {
    console.note(text);
    let written =
        tokio::time::timeout(WRITE_LIMIT, tokio::fs::write(TERMINATION_LOG, text.as_bytes())).await;
    if !matches!(written, Ok(Ok(()))) {
        tracing::debug!("there is no termination log here");
    }
}
