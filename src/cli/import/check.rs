//! Lookups before rows are registered: which namespaces are private, and for a dry run which names are available.

use std::collections::BTreeMap;

use backon::Retryable;

use super::super::failure::Failure;
use super::super::output;
use super::Summary;
use super::progress::Refused;
use super::rows::Row;
use super::send::{PAUSES, passes};
use crate::client::Client;
use crate::model::limits::MAX_CHECKED;
use crate::model::{CheckedName, NameRef};

/// Looks up the names of a piece, and registers nothing.
pub(super) async fn try_out(
    client: &Client,
    piece: &[Row],
    refused: &mut Refused,
    summary: &mut Summary,
) -> Result<(), Failure> {
    let names: Vec<NameRef> =
        piece.iter().filter_map(|row| row.body.as_ref().ok()).flat_map(|body| body.names.clone()).collect();
    let mut found = Vec::with_capacity(names.len());
    for some in names.chunks(MAX_CHECKED) {
        found.extend((|| client.check(some)).retry(PAUSES).when(passes).await?.names);
    }
    let mut found = found.into_iter();
    for row in piece {
        let why = match &row.body {
            Ok(body) => {
                let all: Vec<_> = found.by_ref().take(body.names.len()).collect();
                summary.taken += u64::from(all.iter().any(|name| !name.available && name.reason.is_none()));
                all.iter().find(|name| !name.available).map(why_not)
            }
            Err(why) => Some(why.clone()),
        };
        match why {
            Some(why) => {
                summary.refused += 1;
                refused.add(row, &why)?;
            }
            None => summary.possible += 1,
        }
    }
    Ok(())
}

fn why_not(name: &CheckedName) -> String {
    let shown = output::shown_name(&name.namespace, &name.name);
    match &name.why {
        Some(why) => format!("{shown} cannot be a name: {why}"),
        None => format!("{shown} is taken, it may be by this very row"),
    }
}

/// Which namespaces are private, for those that were looked up.
#[derive(Default)]
pub(super) struct Secrets(BTreeMap<String, bool>);

impl Secrets {
    /// Refuses rows of private names whose ids would let somebody confirm a guess of the row's content, and rows of
    /// namespaces of which this cannot be known.
    pub(super) async fn check(&mut self, client: &Client, piece: &[Row]) -> Result<(), Failure> {
        let bodies =
            piece.iter().filter(|row| row.made).filter_map(|row| row.body.as_ref().ok().map(|body| (row, body)));
        for (row, name) in bodies.flat_map(|(row, body)| body.names.iter().map(move |name| (row, name))) {
            let namespace = &name.namespace;
            if !self.0.contains_key(namespace) {
                let private = is_private(client, namespace).await?;
                self.0.insert(namespace.clone(), private);
            }
            if self.0[namespace] {
                return Err(Failure::usage(format!(
                    "names of {namespace} are private, or this API token may not read whether they are, and line {} has no \
                     id: one that is made of what the row says would tell a private name to whoever guesses it; nothing was \
                     registered from there on. Give the rows ids of their own, or --ids-under with a random UUID that you \
                     keep secret, the same each time",
                    row.line
                )));
            }
        }
        Ok(())
    }
}

/// Looks up whether a namespace is private, and tries again while the node is away or busy.
async fn is_private(client: &Client, namespace: &str) -> Result<bool, Failure> {
    match (|| client.namespace(namespace)).retry(PAUSES).when(passes).await {
        Ok(rules) => Ok(rules.private),
        Err(error) => match error.problem().map(|problem| problem.status) {
            Some(403) => Ok(true),
            // A namespace with an invalid name is refused with its rows.
            Some(400 | 422) => Ok(false),
            _ => Err(error.into()),
        },
    }
}
