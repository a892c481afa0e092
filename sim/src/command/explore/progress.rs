//! Shows the progress: a bar on a terminal, and otherwise a line from time to time.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// The time between two lines.
const EVERY: Duration = Duration::from_secs(5);

/// The length of the bar. It shows the part that is done.
const WHOLE: u64 = 10_000;

pub(crate) enum Progress {
    Bar(ProgressBar),
    Lines(Instant),
}

impl Progress {
    pub(crate) fn start() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines(now());
        }
        let style = ProgressStyle::with_template("{elapsed_precise} {bar:20} {percent:>3}% {wide_msg}");
        Self::Bar(ProgressBar::new(WHOLE).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    pub(crate) fn show(&mut self, part: f64, text: impl FnOnce() -> String) {
        match self {
            Self::Bar(bar) => {
                bar.set_position((part * WHOLE as f64) as u64);
                bar.set_message(text());
            }
            Self::Lines(last) if last.elapsed() >= EVERY => {
                *last = now();
                eprintln!("{:3.0}% {}", part * 100.0, text());
            }
            Self::Lines(_) => {}
        }
    }

    /// Prints a text at once.
    pub(crate) fn say(&self, text: &str) {
        match self {
            Self::Bar(bar) => bar.suspend(|| eprintln!("{text}")),
            Self::Lines(_) => eprintln!("{text}"),
        }
    }

    pub(crate) fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

#[allow(clippy::disallowed_methods)] // progress is told in real time
fn now() -> Instant {
    Instant::now()
}
