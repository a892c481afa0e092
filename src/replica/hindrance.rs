//! The reasons why a newcomer is not admitted, in words for people.

use crate::clock::NodeId;
use crate::log::Obstacle;
use crate::model::Hindrance;

impl From<Obstacle> for Hindrance {
    fn from(obstacle: Obstacle) -> Self {
        let list = |nodes: &[NodeId]| nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let (reason, nodes): (_, Vec<NodeId>) = match &obstacle {
            Obstacle::Clock { .. } => ("clock", Vec::new()),
            Obstacle::Eviction(nodes) => ("eviction", nodes.iter().copied().collect()),
            Obstacle::Silent(nodes) => ("silent", nodes.iter().copied().collect()),
            Obstacle::Unsettled(nodes) => ("unsettled", nodes.iter().copied().collect()),
            Obstacle::FirstOutOfReach(node) => ("first-out-of-reach", vec![*node]),
            Obstacle::TokenUsed => ("token-used", Vec::new()),
            Obstacle::Banned => ("banned", Vec::new()),
        };
        let why = match obstacle {
            Obstacle::Clock { ahead } => {
                let which = if ahead > 0 { "ahead of" } else { "behind" };
                format!("its clock is {} ms {which} the cluster's time; set it right", ahead.unsigned_abs())
            }
            Obstacle::Eviction(_) => {
                format!(
                    "the eviction of {} is not finished; 'forename member list' shows what it waits for",
                    list(&nodes)
                )
            }
            Obstacle::Silent(_) => format!(
                "all members must have been heard of just now, and {} was not; bring it back or evict it",
                list(&nodes)
            ),
            Obstacle::Unsettled(_) => {
                format!("a majority must hold the admissions before, and {} is not known to", list(&nodes))
            }
            Obstacle::FirstOutOfReach(_) => format!(
                "{}, the longest member, lets newcomers in and is out of reach; bring it back or evict it",
                list(&nodes)
            ),
            Obstacle::TokenUsed => {
                "its join token has let in as many nodes as it was made for; start it with a new one of 'forename \
                                    member token'"
                    .to_owned()
            }
            Obstacle::Banned => "its key is banned; 'forename member unban' lets it in".to_owned(),
        };
        Self { reason: reason.to_owned(), nodes, why }
    }
}
