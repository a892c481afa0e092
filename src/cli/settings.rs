//! Which value of each setting counts, and which source it is from.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::api::auth::DEFAULT_RATE;
use crate::config::{Connections, DATA_DIR, HTTP_PORT, PEER_PORT, Partial};
use crate::model::limits::MAX_OPEN_OF_OWNER;
use crate::node::MIN_FREE;

/// Where a value is from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub(super) enum Source {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File,
    /// A variable of the environment.
    Environment,
    /// The command line.
    Flag,
}

/// A setting as it counts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Effective {
    /// Its name, as in the file.
    pub(super) setting: String,
    /// Its value; empty where it has none. Of secrets it is only said that they are there.
    pub(super) value: String,
    /// Where it is from.
    pub(super) source: Source,
}

/// All settings, by name.
pub(super) fn effective(flags: &Partial, variables: &Partial, file: &Partial) -> Vec<Effective> {
    let sources = [(flags, Source::Flag), (variables, Source::Environment), (file, Source::File)];
    let sources = sources.map(|(partial, source)| (members(partial), source));
    let of = |setting: &String| {
        let set = sources.iter().find_map(|(members, source)| Some((shown(setting, members.get(setting)?)?, *source)));
        let (value, source) = set.unwrap_or_else(|| (default(setting), Source::Default));
        Effective { setting: setting.clone(), value, source }
    };
    members(&Partial::default()).keys().map(of).collect()
}

/// The fields of settings by their names.
fn members(settings: &Partial) -> Map<String, Value> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(members)) => members,
        // A path that is no text cannot be shown, and with it nothing of its source.
        _ => Map::new(),
    }
}

/// A value for people; none where it is not set.
fn shown(setting: &str, value: &Value) -> Option<String> {
    match (setting, value) {
        (_, Value::Null) => None,
        ("token", _) => Some("(hidden)".to_owned()),
        (_, Value::Array(all)) if all.is_empty() => None,
        ("api_token", Value::Array(all)) => Some(joined(all.iter().filter_map(|token| token["name"].as_str()))),
        (_, Value::Array(all)) => Some(joined(all.iter().filter_map(Value::as_str))),
        (_, Value::String(text)) => Some(text.clone()),
        (_, other) => Some(other.to_string()),
    }
}

fn joined<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    parts.collect::<Vec<_>>().join(",")
}

/// What a setting is where nobody sets it.
fn default(setting: &str) -> String {
    let connections = Connections::default();
    match setting {
        "data_dir" => DATA_DIR.to_owned(),
        "http" => format!("127.0.0.1:{HTTP_PORT}"),
        "peer" => format!("127.0.0.1:{PEER_PORT}"),
        "max_open" => MAX_OPEN_OF_OWNER.to_string(),
        "max_total" => "0".to_owned(),
        "rate" => DEFAULT_RATE.to_string(),
        "min_free" => MIN_FREE.to_string(),
        "max_connections" => connections.most.to_string(),
        "max_connections_of_address" => connections.most_of_address.to_string(),
        "fix_permissions" | "insecure" | "reader" | "webhook_private_targets" => "false".to_owned(),
        "log" => "info".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(effective: &[Effective], setting: &str) -> (String, Source) {
        let found = effective.iter().find(|effective| effective.setting == setting);
        found.map(|found| (found.value.clone(), found.source)).unwrap_or_else(|| panic!("no {setting}"))
    }

    #[test]
    fn the_source_that_counts_is_named_and_secrets_are_not_shown() {
        let hash = "0".repeat(64);
        let text = format!(
            "name = 'file'\nrate = 7\nhttp = '127.0.0.1:1'\ntls = {{ cert = 'c.pem', key = 'k.pem' }}\n\
             [[api_token]]\nname = 'shop'\nhash = '{hash}'\nscopes = ['claim']\n"
        );
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("forename.toml");
        std::fs::write(&path, text).unwrap();
        let file = Partial::from_file(&path).unwrap();
        let variables = Partial { name: Some("variable".to_owned()), rate: Some(8), ..Partial::default() };
        let flags =
            Partial { name: Some("flag".to_owned()), token: Some("fn1.secret".to_owned()), ..Partial::default() };
        let all = effective(&flags, &variables, &file);
        assert_eq!(of(&all, "name"), ("flag".to_owned(), Source::Flag));
        assert_eq!(of(&all, "rate"), ("8".to_owned(), Source::Environment));
        assert_eq!(of(&all, "http"), ("127.0.0.1:1".to_owned(), Source::File));
        assert_eq!(of(&all, "peer"), ("127.0.0.1:7401".to_owned(), Source::Default));
        assert_eq!(of(&all, "tls_cert"), ("c.pem".to_owned(), Source::File));
        assert_eq!(of(&all, "api_token"), ("shop".to_owned(), Source::File));
        assert_eq!(of(&all, "hosts"), (String::new(), Source::Default));
        let shown = format!("{all:?}");
        assert!(!shown.contains("secret") && !shown.contains(&hash), "{shown}");
        assert!(all.iter().all(|effective| effective.setting != "tls"), "its parts are shown");
    }

    #[test]
    fn the_defaults_are_those_that_count() {
        let (all, settings) = (
            effective(&Partial::default(), &Partial::default(), &Partial::default()),
            Partial::default().finish().unwrap(),
        );
        let default = |setting| of(&all, setting).0;
        assert_eq!(default("http"), settings.http.to_string());
        assert_eq!(default("peer"), settings.node.peer_listen.to_string());
        assert_eq!(default("data_dir"), settings.node.data_dir.display().to_string());
        assert_eq!(default("max_open"), settings.node.max_open.unwrap().to_string());
        assert_eq!(default("min_free"), settings.node.min_free.to_string());
        assert_eq!(default("max_connections"), settings.connections.most.to_string());
        assert_eq!(default("max_connections_of_address"), settings.connections.most_of_address.to_string());
        for (setting, counts) in [
            ("insecure", false),
            ("fix_permissions", settings.fix_permissions),
            ("reader", settings.node.reader),
            ("webhook_private_targets", settings.node.webhooks.private_targets),
        ] {
            assert_eq!(default(setting), counts.to_string(), "{setting}");
        }
    }
}
