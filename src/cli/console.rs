//! The two output streams, shared by results, notes, log lines and the progress bar, so that none
//! tears another. A closed pipe is not an error.

use std::io::{self, IsTerminal, Write};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Standard output and standard error of the process.
#[derive(Clone, Default)]
pub struct Console {
    bars: MultiProgress,
}

impl Console {
    /// The console of this process.
    pub fn new() -> Self {
        Self::default()
    }

    /// Prints a result to standard output.
    pub fn print(&self, text: &str) {
        self.bars.suspend(|| {
            let _closed = writeln!(io::stdout().lock(), "{text}");
        });
    }

    /// Prints a note to standard error.
    pub fn note(&self, text: &str) {
        self.bars.suspend(|| {
            let _closed = writeln!(io::stderr().lock(), "{text}");
        });
    }

    /// Whether a person sees standard error.
    pub fn notes_on_terminal(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Whether a person sees standard output.
    pub fn prints_on_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// A bar of a thousand steps at the foot of standard error.
    pub fn bar(&self) -> ProgressBar {
        let style = ProgressStyle::with_template("{prefix:12} {bar:24} {wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bars.add(ProgressBar::new(1000).with_style(style))
    }

    /// Where log lines go.
    pub fn log_writer(&self) -> LogWriter {
        LogWriter { bars: self.bars.clone() }
    }
}

/// Writes log lines to standard error, around a bar.
pub struct LogWriter {
    bars: MultiProgress,
}

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.bars.suspend(|| io::stderr().lock().write_all(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
