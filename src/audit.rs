//! The audit log: the acts and attempts of administrators, with the token, the act, the time and the outcome.
//!
//! Each act is a line of the log under the target `audit`, and, where the operator wants it, a line of JSON in a file
//! of its own.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::files;
use crate::model::Time;

/// The target of the lines in the log.
pub(crate) const TARGET: &str = "audit";

/// The place where acts are written. Clones share it, also after another file has replaced the first one.
#[derive(Clone, Debug, Default)]
pub struct Audit(Arc<Mutex<Option<File>>>);

/// One act.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Act<'a> {
    /// The time at which the outcome was known.
    pub(crate) time: Time,
    /// The name of the API token that was used; none at a node without tokens, and for acts of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<&'a str>,
    /// The address that the call came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<IpAddr>,
    /// The call: its method and the pattern of its path.
    pub(crate) act: &'a str,
    /// The subject of the act: the variable parts of the path, and the parameters.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) about: BTreeMap<&'a str, &'a str>,
    /// The requested change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) change: Option<&'a serde_json::Value>,
    /// `done`, or the type of the problem.
    pub(crate) outcome: &'a str,
    /// The id of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<&'a str>,
}

impl Audit {
    /// Writes to this file too. The file is made for its owner only where it does not exist. None means that acts are
    /// written to the log only.
    ///
    /// # Errors
    /// The file cannot be opened. The earlier file stays in use.
    pub fn write_to(&self, path: Option<&Path>) -> io::Result<()> {
        let open = |path: &Path| files::private(OpenOptions::new().create(true).append(true)).open(path);
        let file = path.map(open).transpose()?;
        *self.file() = file;
        Ok(())
    }

    /// Checks that the file can be opened, and does not make it where it is not there yet.
    ///
    /// # Errors
    /// The error of the system.
    pub fn can_write_to(path: &Path) -> io::Result<()> {
        match OpenOptions::new().append(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
                if dir.is_dir() { Ok(()) } else { Err(error) }
            }
            opened => opened.map(drop),
        }
    }

    /// Records an act.
    pub(crate) fn record(&self, act: &Act<'_>) {
        let about = act.about.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ");
        let address = act.address.map(|address| address.to_string());
        let change = act.change.map(ToString::to_string);
        tracing::info!(
            target: TARGET,
            token = act.token,
            address,
            act = act.act,
            about,
            change,
            outcome = act.outcome,
            request = act.request,
            "an administrator's act"
        );
        let mut file = self.file();
        let Some(file) = file.as_mut() else { return };
        let written = serde_json::to_vec(act).map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            // The line is written in one call, so that lines of several writers do not mix.
            file.write_all(&line)
        });
        if let Err(error) = written {
            tracing::error!(
                "an administrator's act is in the log alone, as the audit log cannot be written: {error}. Make room or move \
                 the file, and send the signal HUP"
            );
        }
    }

    fn file(&self) -> MutexGuard<'_, Option<File>> {
        // After a panic the value is still a whole one: an open file or none.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Millis;

    #[test]
    fn an_act_is_a_line_of_json_in_a_file_of_its_owners() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let (audit, change) = (Audit::default(), serde_json::json!({ "evict_after": "10m" }));
        let act = |act| Act {
            time: Time(Millis(0)),
            token: Some("ops"),
            address: None,
            act,
            about: [("node", "0b83")].into(),
            change: Some(&change),
            outcome: "done",
            request: Some("7"),
        };
        audit.record(&act("into the log alone"));
        audit.write_to(Some(&path)).unwrap();
        let clone = audit.clone();
        clone.record(&act("first"));
        // This is how logs are rotated.
        std::fs::rename(&path, dir.path().join("audit.log.1")).unwrap();
        audit.write_to(Some(&path)).unwrap();
        clone.record(&act("second"));
        assert!(audit.write_to(Some(&dir.path().join("none/audit.log"))).is_err());
        assert!(Audit::can_write_to(&dir.path().join("none/audit.log")).is_err());
        assert!(Audit::can_write_to(dir.path()).is_err(), "a directory");
        let new = dir.path().join("new.log");
        assert!(Audit::can_write_to(&new).is_ok() && !new.exists(), "it is not made");
        clone.record(&act("third"));
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        let acts = |name: &str| -> Vec<serde_json::Value> {
            read(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        assert_eq!(acts("audit.log.1").len(), 1);
        let now = acts("audit.log");
        assert_eq!((&now[0]["act"], &now[1]["act"]), (&"second".into(), &"third".into()));
        assert_eq!(now[0]["about"]["node"], "0b83");
        assert_eq!(now[0]["change"]["evict_after"], "10m");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
