//! At the end of a run every registration, and every change of a namespace's rules, that a node acknowledged to a
//! client must exist at the nodes.

use forename::clock::NodeId;

use crate::checks::check::Check;
use crate::marks::Marks;
use crate::oracle::Verdicts;
use crate::violation::{Checked, broken};
use crate::world::World;
use crate::world::ids::host_of;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Answered;

impl Check for Answered {
    fn at_rest(&mut self, verdicts: &Verdicts, world: &World, _: &mut Marks) -> Checked {
        registrations(world, verdicts)?;
        rules(world, verdicts)
    }
}

/// Returns true where the node's machine was destroyed and does not come back in this run.
fn is_lost(world: &World, node: NodeId) -> bool {
    world.machines.get(host_of(node)).is_some_and(|machine| machine.stage.is_lost())
}

fn registrations(world: &World, verdicts: &Verdicts) -> Checked {
    let ledger = &world.books.ledger;
    for id in ledger.answered() {
        // The node cannot report the rejection: it was evicted for longer than it keeps events, or its machine is lost
        // for good.
        let gone = world.plan.keep_events.is_some() || ledger.origins_of(id).all(|node| is_lost(world, node));
        let untold = gone && ledger.is_in_the_void(id);
        if verdicts.of_id(id).is_none() && !world.books.rejected_in_the_void(id) && !untold {
            return broken("answered", format!("registration {id} was answered and does not exist"));
        }
    }
    Ok(())
}

fn rules(world: &World, verdicts: &Verdicts) -> Checked {
    for (namespace, told) in world.books.ledger.told_rules() {
        let stands = verdicts.rules.get(namespace).is_some_and(|(stamp, _)| stamp >= told);
        if !stands && !is_lost(world, told.node) && !world.books.ledger.set_again(namespace, *told) {
            return broken("answered", format!("the rules of {told} for {namespace} were answered, and are lost"));
        }
    }
    Ok(())
}
