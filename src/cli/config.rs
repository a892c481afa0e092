//! `forename config`

use clap::{Args, Subcommand};
use serde::Serialize;

use super::args::Format;
use super::failure::{Exit, Failure, Outcome};
use super::output;
use super::reload::Loaded;
use super::serve::ServeArgs;
use super::settings::Effective;
use crate::config::{Audit, ConfigError, Traces};

#[derive(Args, Debug)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Subcommand, Debug)]
enum ConfigCommand {
    /// Read all that 'forename serve' would read with these settings, and say what is wrong with it
    ///
    /// The configuration file, the environment, the flags, the API tokens, the certificates, the join token, and whether the
    /// data directory and the audit log are where they can be. Nothing is started or changed. What the data directory holds is
    /// not looked at: 'forename verify' does that.
    Check(SettingsArgs),
    /// Show the settings that 'forename serve' would run with, and where each is from
    Show(SettingsArgs),
}

#[derive(Args, Debug)]
struct SettingsArgs {
    #[command(flatten)]
    serve: ServeArgs,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

impl ConfigArgs {
    pub(super) fn format(&self) -> Format {
        let (ConfigCommand::Check(args) | ConfigCommand::Show(args)) = &self.command;
        args.output
    }
}

#[derive(Serialize)]
struct Checked {
    valid: bool,
}

#[derive(Serialize)]
struct Shown {
    settings: Vec<Effective>,
}

pub(super) fn run(args: ConfigArgs) -> Outcome {
    let (shows, SettingsArgs { serve, output }) = match args.command {
        ConfigCommand::Check(args) => (false, args),
        ConfigCommand::Show(args) => (true, args),
    };
    let loaded = serve.load(|key| std::env::var(key).ok()).map_err(|error| Failure::usage(error.to_string()))?;
    if shows {
        output::print_as(output, &Shown { settings: loaded.effective }, |shown| table(&shown.settings))?;
    } else {
        check(&loaded)?;
        output::print_as(output, &Checked { valid: true }, |_| "ok".to_owned())?;
    }
    Ok(Exit::Done)
}

/// Checks what 'forename serve' would refuse besides, as far as that can be told without a start.
fn check(loaded: &Loaded) -> Result<(), Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure::usage(error.to_string());
    loaded.settings.node.check().map_err(|error| usage(&error))?;
    if let Some(path) = &loaded.settings.audit_log {
        Audit::can_write_to(path).map_err(|error| usage(&ConfigError::AuditLog { path: path.clone(), error }))?;
    }
    Traces::from_environment().map_err(|error| usage(&error))?.stop();
    Ok(())
}

fn table(settings: &[Effective]) -> String {
    let header = ["SETTING", "VALUE", "SOURCE"].map(str::to_owned).to_vec();
    let row = |effective: &Effective| {
        let value = if effective.value.is_empty() { "-".to_owned() } else { effective.value.clone() };
        vec![effective.setting.clone(), value, <&str>::from(effective.source).to_owned()]
    };
    output::table(&[vec![header], settings.iter().map(row).collect()].concat())
}
