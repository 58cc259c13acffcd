//! What standard output and error are connected to, and whether they take colors.

use std::io::{self, IsTerminal};

use clap::ValueEnum;

/// When to color the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorWhen {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What the outputs can do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terminal {
    /// Standard output takes colors.
    pub color_out: bool,
    /// Standard error takes colors.
    pub color_error: bool,
    /// Standard error is a terminal: it takes progress bars.
    pub progress: bool,
}

impl Terminal {
    pub(super) fn new(when: ColorWhen) -> Terminal {
        let wanted = |is_terminal: bool| match when {
            ColorWhen::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            ColorWhen::Always => true,
            ColorWhen::Never => false,
        };
        let progress = io::stderr().is_terminal();
        Terminal { color_out: wanted(io::stdout().is_terminal()), color_error: wanted(progress), progress }
    }

    /// The word before an error.
    pub(super) fn error_label(&self) -> &'static str {
        if self.color_error { "\u{1b}[1;31merror:\u{1b}[0m" } else { "error:" }
    }
}
