//! Every node has the rules of namespaces that were set last.

use forename::model::{NamespaceBody, RulesVersion};
use forename::replica::RulesOf;
use forename::replica::any::Answer;

use crate::ask::ask_all;
use crate::oracle::Verdicts;
use crate::plan::Host;
use crate::violation::{Checked, broken};
use crate::world::World;

/// Compares a node's rules of all namespaces with the oracle's.
pub(crate) fn check(world: &mut World, host: Host, verdicts: &Verdicts) -> Checked {
    let requests = verdicts.rules.keys().cloned().map(|namespace| RulesOf(namespace).into()).collect();
    let answers = ask_all(world, host, requests)?;
    let shown = answers.into_iter().filter_map(|answer| match answer {
        Ok(Answer::Namespace(view)) => Some((view.version, NamespaceBody::from(&view).rules(&view.namespace))),
        _ => None,
    });
    let shown: Vec<_> = shown.collect();
    let wanted: Vec<_> =
        verdicts.rules.values().map(|(stamp, rules)| (RulesVersion::Set(*stamp), Ok(rules.clone()))).collect();
    if shown == wanted {
        return Ok(());
    }
    broken("oracle", format!("host {host} has the rules {shown:?}, not {wanted:?}"))
}
