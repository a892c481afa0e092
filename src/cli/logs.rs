//! What is logged, and how.

use std::fmt;
use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::audit;

/// The format of logs.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum, Debug)]
pub(super) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object on each line, for programs
    Json,
}

/// The log of this process, whose filter may be changed.
pub(super) struct Logs(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Logs(…)")
    }
}

/// What a text says that is to be logged. What administrators do always is.
pub(super) fn filter(text: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(format!("{text},{}=info", audit::TARGET)).map_err(|error| error.to_string())
}

impl Logs {
    /// Writes lines of log to stderr from now on: those that `FORENAME_LOG` asks for, or else those of `default`.
    pub(super) fn start(default: &str, format: LogFormat) -> Self {
        let asked = std::env::var("FORENAME_LOG").ok().filter(|asked| !asked.is_empty());
        let filter = asked.and_then(|asked| filter(&asked).ok()).unwrap_or_else(|| EnvFilter::new(default));
        // Colours are for people: not in a file or a pipe, nor where they said so (no-color.org).
        let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
        // Where a filter cannot be changed the log is gone, and nobody misses it. In a process that has a log already, as tests of
        // commands have, that one stays.
        match format {
            LogFormat::Text => {
                let logs = logs.with_ansi(colours).with_filter_reloading();
                let handle = logs.reload_handle();
                let _ = logs.try_init();
                Self(Box::new(move |filter| {
                    let _ = handle.reload(filter);
                }))
            }
            LogFormat::Json => {
                let logs = logs.json().flatten_event(true).with_filter_reloading();
                let handle = logs.reload_handle();
                let _ = logs.try_init();
                Self(Box::new(move |filter| {
                    let _ = handle.reload(filter);
                }))
            }
        }
    }

    /// Logs what this filter lets through, from now on.
    pub(super) fn set(&self, filter: EnvFilter) {
        (self.0)(filter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_administrators_do_is_logged_whatever_else_is() {
        for text in ["error", "off", "forename=debug", "warn,forename=info"] {
            let filter = filter(text).unwrap().to_string();
            assert!(filter.contains("audit=info"), "{filter}");
        }
        assert!(filter("forename=loud").is_err());
    }
}
