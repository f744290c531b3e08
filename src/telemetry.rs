//! Logging: where lines go and how they look. The writer is given, so that lines and a progress bar
//! do not tear each other. It must not know what is logged.

use std::io::Write;

use tracing_subscriber::EnvFilter;

use crate::args::{LogFormat, Logging};

/// The level cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("--log-level is not a level or a list of them, such as info or warn,ghostship=debug")]
pub struct UnknownLevel {
    source: tracing_subscriber::filter::ParseError,
}

/// Sends log lines to `writer` from now on; the first call in a process wins.
///
/// # Errors
///
/// [`UnknownLevel`] when `--log-level` cannot be understood.
pub fn start<W: Write + 'static>(
    logging: &Logging,
    writer: impl Fn() -> W + Send + Sync + 'static,
) -> Result<(), UnknownLevel> {
    let filter =
        EnvFilter::try_new(&logging.log_level).map_err(|source| UnknownLevel { source })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    // A logger that is already set stays: only tests start two.
    let _started = match logging.log_format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    Ok(())
}
