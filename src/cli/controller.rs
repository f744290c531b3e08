//! `ghostship controller`: runs until a signal asks for the end.

use super::console::Console;
use super::exit::Exit;
use crate::args::{ControllerArguments, Logging};
use crate::controller::{self, Settings};
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
    let settings = Settings {
        namespaces: arguments.namespaces.into_iter().filter(|name| !name.is_empty()).collect(),
        selector: arguments.selector,
        worker_image: arguments.worker_image,
        log_format: logging.log_format.as_str().to_owned(),
        log_level: logging.log_level,
    };
    match Box::pin(controller::run(settings, signals)).await {
        Ok(()) => Exit::Done,
        Err(error) => {
            console.note(&format!("error: {}", super::failure::chain(&error)));
            Exit::Failed
        }
    }
}
