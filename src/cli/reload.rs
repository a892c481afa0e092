//! The signal HUP: settings are read anew, and those that can be changed while a node runs are.

use std::path::PathBuf;

use super::logs::{self, Logs};
use super::settings::Effective;
use crate::api::auth::{ApiTokens, Rate};
use crate::audit::{Act, Audit};
use crate::config::{ConfigError, Connections, Doors, Gate, Settings, Shared, Tls};
use crate::model::Time;
use crate::node::{Node, NodeLimits};

/// The settings that a running node takes.
const LIVE: [&str; 15] = [
    "api_token",
    "api_tokens",
    "audit_log",
    "hosts",
    "log",
    "max_connections",
    "max_connections_of_address",
    "max_open",
    "max_total",
    "min_free",
    "origins",
    "rate",
    "tls_cert",
    "tls_client_ca",
    "tls_key",
];

/// Settings, and which of them are from where.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    pub(super) settings: Settings,
    pub(super) effective: Vec<Effective>,
}

/// The parts of a running node that take new settings.
pub(super) struct Live<'a> {
    node: &'a Node,
    logs: &'a Logs,
    tokens: ApiTokens,
    tls: Option<Tls>,
    gate: Shared<Gate>,
    rate: Shared<Rate>,
    connections: Shared<Connections>,
    audit: Audit,
    /// The settings that it runs with.
    pub(super) effective: Vec<Effective>,
}

impl<'a> Live<'a> {
    /// Collects these parts of a node. `effective` are the settings that the node was started with.
    pub(super) fn new(node: &'a Node, logs: &'a Logs, doors: &Doors, effective: Vec<Effective>) -> Self {
        Self {
            node,
            logs,
            tokens: doors.tokens.clone(),
            tls: doors.tls.clone(),
            gate: doors.gate.clone(),
            rate: doors.rate.clone(),
            connections: doors.connections.clone(),
            audit: doors.audit.clone(),
            effective,
        }
    }

    /// Takes what was read, or says why not: then nothing has changed. `fit` makes as many connections of those wanted as the
    /// system allows.
    pub(super) fn take(&mut self, read: Result<Loaded, ConfigError>, fit: impl Fn(Connections) -> Connections) {
        let outcome = match read.and_then(|loaded| self.apply(loaded, fit)) {
            Ok(()) => "done",
            // The line at fault may have a secret in it that was put in the wrong place.
            Err(ConfigError::File { path, error }) => {
                tracing::error!("settings stay as they were: {}: {}", path.display(), error.message());
                "invalid"
            }
            Err(error) => {
                tracing::error!("settings stay as they were: {error}");
                "invalid"
            }
        };
        let act = Act {
            time: Time(crate::api::now()),
            token: None,
            address: None,
            act: "signal HUP",
            about: [].into(),
            change: None,
            outcome,
            request: None,
        };
        self.audit.record(&act);
    }

    fn apply(&mut self, loaded: Loaded, fit: impl Fn(Connections) -> Connections) -> Result<(), ConfigError> {
        let Loaded { settings, effective } = loaded;
        let filter = filter(settings.log.as_deref())?;
        open(&self.audit, settings.audit_log)?;
        // From here on nothing fails.
        let (mut changed, mut restart) = differences(&self.effective, &effective);
        self.logs.set(filter);
        self.gate.set(settings.gate);
        self.rate.set(settings.rate);
        self.connections.set(fit(settings.connections));
        self.node.set_limits(NodeLimits::from(&settings.node));
        if settings.tokens.is_empty() == self.tokens.is_empty() {
            self.tokens.replace(&settings.tokens);
        } else {
            changed.retain(|change| !change.starts_with("api_token"));
            restart.push("api_tokens, as a node with none lets everybody in".to_owned());
        }
        match (&self.tls, &settings.tls) {
            (Some(tls), Some(new)) => tls.replace(new),
            (None, None) => {}
            _ => {
                changed.retain(|change| !change.starts_with("tls_"));
                restart.push("tls, as it begins or ends with the node".to_owned());
            }
        }
        // What takes a restart is told again at the next signal.
        for old in &mut self.effective {
            if let Some(new) = effective.iter().find(|new| new.setting == old.setting && is_live(&new.setting)) {
                *old = new.clone();
            }
        }
        let said = |parts: &[String]| if parts.is_empty() { "nothing".to_owned() } else { parts.join("; ") };
        let (changed, restarts) = (said(&changed), said(&restart));
        let text = "settings were read anew, with the files of API tokens and certificates";
        if restart.is_empty() {
            tracing::info!(changed, "{text}");
        } else {
            tracing::warn!(changed, takes_a_restart = restarts, "{text}");
        }
        Ok(())
    }
}

/// What is to be logged by a node.
pub(super) fn filter(log: Option<&str>) -> Result<tracing_subscriber::EnvFilter, ConfigError> {
    let text = log.unwrap_or("info");
    logs::filter(text).map_err(|why| ConfigError::Log { filter: text.to_owned(), why })
}

/// Opens the file of the audit log, where there is to be one.
pub(super) fn open(audit: &Audit, path: Option<PathBuf>) -> Result<(), ConfigError> {
    let opened = audit.write_to(path.as_deref());
    opened.map_err(|error| ConfigError::AuditLog { path: path.unwrap_or_default(), error })
}

fn is_live(setting: &str) -> bool {
    LIVE.contains(&setting)
}

/// What has changed that a running node takes, and what takes a restart.
fn differences(old: &[Effective], new: &[Effective]) -> (Vec<String>, Vec<String>) {
    let pairs = old.iter().filter_map(|old| Some((old, new.iter().find(|new| new.setting == old.setting)?)));
    let shown = |value: &str| if value.is_empty() { "none".to_owned() } else { value.to_owned() };
    let differ = pairs.filter(|(old, new)| old.value != new.value);
    let (live, restart): (Vec<_>, Vec<_>) = differ.partition(|(_, new)| is_live(&new.setting));
    let say = |differ: Vec<(&Effective, &Effective)>| -> Vec<String> {
        let say = |(old, new): (&Effective, &Effective)| {
            format!("{} from {} to {}", new.setting, shown(&old.value), shown(&new.value))
        };
        differ.into_iter().map(say).collect()
    };
    (say(live), say(restart))
}

#[cfg(test)]
mod tests {
    use super::super::settings::effective;
    use super::*;
    use crate::config::Partial;

    #[test]
    fn what_takes_a_restart_is_told_apart() {
        let of = |file: Partial| effective(&Partial::default(), &Partial::default(), &file);
        let old = of(Partial { rate: Some(7), name: Some("a".to_owned()), ..Partial::default() });
        let new = of(Partial {
            name: Some("b".to_owned()),
            log: Some("debug".to_owned()),
            token: Some("fn1.secret".to_owned()),
            ..Partial::default()
        });
        let (changed, restart) = differences(&old, &new);
        assert_eq!(changed, ["log from info to debug", "rate from 7 to 5000"]);
        assert_eq!(restart, ["name from a to b", "token from none to (hidden)"]);
        assert_eq!(differences(&old, &old), (Vec::new(), Vec::new()));
    }

    #[test]
    fn what_a_node_takes_are_settings() {
        let all = effective(&Partial::default(), &Partial::default(), &Partial::default());
        for setting in LIVE {
            assert!(all.iter().any(|known| known.setting == setting), "{setting} is no setting");
        }
    }
}
