//! Every node has the rules of namespaces that were set last.

use forename::replica::RulesVersion;
use forename::replica::any::{Answer, Request};

use crate::ask::ask_all;
use crate::oracle::Verdicts;
use crate::plan::Host;
use crate::violation::{Checked, broken};
use crate::world::World;

/// Every node has the rules that were set last.
pub(crate) fn check(world: &mut World, host: Host, verdicts: &Verdicts) -> Checked {
    let requests = verdicts.rules.keys().cloned().map(Request::Namespace).collect();
    let answers = ask_all(world, host, requests)?;
    let shown = answers.into_iter().filter_map(|answer| match answer {
        Ok(Answer::Namespace(view)) => Some((view.version, view.rules)),
        _ => None,
    });
    let shown: Vec<_> = shown.collect();
    let wanted: Vec<_> =
        verdicts.rules.values().map(|(stamp, rules)| (RulesVersion::Set(*stamp), rules.clone())).collect();
    if shown == wanted {
        return Ok(());
    }
    broken("oracle", format!("host {host} has the rules {shown:?}, not {wanted:?}"))
}
