//! Checks that every node has each webhook as the latest op about it sets it.

use forename::replica::WebhooksKnown;
use forename::replica::any::Answer;

use crate::ask::ask_all;
use crate::oracle::Verdicts;
use crate::plan::Host;
use crate::violation::{Checked, broken};
use crate::world::World;

/// Compares a node's webhooks with the oracle's.
pub(crate) fn check(world: &mut World, host: Host, verdicts: &Verdicts) -> Checked {
    let answers = ask_all(world, host, vec![WebhooksKnown.into()])?;
    let shown = answers.into_iter().flat_map(|answer| match answer {
        Ok(Answer::Webhooks(known)) => known,
        _ => Vec::new(),
    });
    let shown: Vec<_> = shown.map(|known| (known.id, known.stamp, known.hook)).collect();
    let there = verdicts.webhooks.iter().filter_map(|(id, (stamp, hook))| Some((*id, *stamp, hook.clone()?)));
    let wanted: Vec<_> = there.collect();
    if shown == wanted {
        return Ok(());
    }
    broken("oracle", format!("host {host} has the webhooks {shown:?}, not {wanted:?}"))
}
