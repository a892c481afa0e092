//! Clusters larger than those of seeds end in the same way, and the cost stays within bounds.

use forename_sim::scale::{Measured, Setting, measure};

fn measured(nodes: usize, dials: Option<usize>) -> Measured {
    let setting = Setting { nodes, dials, ops: 20, seed: 1 };
    measure(setting).unwrap_or_else(|failure| panic!("{nodes} nodes: {failure:?}"))
}

#[test]
fn thirty_nodes_come_to_one_result() {
    let thirty = measured(30, None);
    assert_eq!(thirty.rejected, 2, "two ask for a name that was asked for elsewhere");
    assert!(thirty.spread <= thirty.decided && thirty.decided < 2000, "{thirty:?}");
}

#[test]
fn fifty_nodes_with_few_connections_do_too() {
    let fifty = measured(50, Some(4));
    assert_eq!(fifty.rejected, 2);
    assert!(fifty.decided < 4000, "{fifty:?}");
}

#[test]
fn an_idle_node_sends_as_many_messages_in_a_large_cluster_as_in_a_small_one() {
    let each = |nodes: usize| measured(nodes, None).idle_messages / nodes as u64;
    assert!(each(30) <= each(10) + 1, "{} and {}", each(30), each(10));
}
