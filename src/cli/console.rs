//! The two output streams, shared by results, notes, log lines and the progress bar, so that none
//! tears another. A closed pipe is not an error.

use std::io::{self, IsTerminal, Write};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::args;

/// Whether a text bears colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// It does not.
    Plain,
    /// It does.
    Ansi,
}

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

    /// What fits standard output: colours on a terminal, unless the user wants none.
    pub fn colour(&self) -> Colour {
        let colourful = self.prints_on_terminal() && !args::no_colour();
        if colourful { Colour::Ansi } else { Colour::Plain }
    }

    /// Asks a person; `None` when nobody sits there, else whether the answer is this word.
    pub fn confirm(&self, question: &str, word: &str) -> Option<bool> {
        if !io::stdin().is_terminal() || !self.notes_on_terminal() {
            return None;
        }
        self.note(question);
        let mut answer = String::new();
        let read = io::stdin().read_line(&mut answer).is_ok();
        Some(read && answer.trim() == word)
    }

    /// Lines at the foot of standard error that are drawn anew in place.
    pub fn panel(&self) -> ProgressBar {
        let style = ProgressStyle::with_template("{msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        self.bars.add(ProgressBar::new_spinner().with_style(style))
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
