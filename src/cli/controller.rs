//! `ghostship controller`: runs until a signal asks for the end.

use super::console::Console;
use super::exit::Exit;
use crate::args::{ControllerArguments, Logging};
use crate::controller::build::Common;
use crate::controller::election::Candidacy;
use crate::controller::{self, Front, Settings};
use crate::shutdown::Signals;

/// Runs the controller.
pub async fn execute(arguments: ControllerArguments, logging: Logging, console: &Console) -> Exit {
    let signals = match Signals::take() {
        Ok(signals) => signals,
        Err(error) => {
            console.note(&format!("error: cannot listen for signals: {error}"));
            return Exit::Failed;
        }
    };
    let settings = settings(arguments, logging);
    match Box::pin(controller::run(settings, signals)).await {
        Ok(()) => Exit::Done,
        Err(error) => {
            console.note(&format!("error: {}", super::failure::chain(&error)));
            Exit::Failed
        }
    }
}

fn settings(arguments: ControllerArguments, logging: Logging) -> Settings {
    let given = |names: Vec<String>| names.into_iter().filter(|name| !name.is_empty()).collect();
    Settings {
        namespaces: given(arguments.namespaces),
        selector: arguments.selector,
        worker_image: arguments.worker_image,
        workers: Common {
            log_format: logging.log_format.as_str().to_owned(),
            log_level: logging.log_level,
            pull_policy: arguments.worker_pull_policy,
            pull_secrets: given(arguments.worker_pull_secrets),
        },
        max_active: arguments.max_active,
        listen: arguments.listen,
        candidacy: Candidacy {
            lease: arguments.lease,
            namespace: arguments.lease_namespace,
            identity: arguments.pod,
        },
        notify: arguments.notify,
        front: arguments.listen_api.map(|listen| Front {
            listen,
            tls: arguments.api_tls,
            audience: arguments.api_audience,
        }),
    }
}
