//! The checks: properties that must hold. Each check is a file here and a line in one of two lists.
//!
//! Most checks observe ([`Check`]): they see every event, and are called again when the cluster has come to rest and at
//! the very end. Some ask ([`Question`]): they make requests to each node of a cluster at rest. The world knows none of
//! them.

pub(crate) mod answered;
pub(crate) mod availability;
pub(crate) mod bounds;
pub(crate) mod burst;
pub(crate) mod canary;
pub(crate) mod charges;
pub(crate) mod check;
mod clocks;
pub(crate) mod confidential;
pub(crate) mod cuts;
pub(crate) mod durable;
pub(crate) mod erasure;
pub(crate) mod exclusive;
pub(crate) mod feed;
pub(crate) mod halt;
pub(crate) mod held;
pub(crate) mod issued;
pub(crate) mod liars;
pub(crate) mod log;
pub(crate) mod names;
pub(crate) mod outcomes;
pub(crate) mod registrations;
pub(crate) mod reports;
pub(crate) mod rules;
pub(crate) mod secrets;
pub(crate) mod watermark;
pub(crate) mod webhooks;

use check::{Check, Question};

/// The checks that observe, in the order in which they see events.
pub(crate) fn all() -> Vec<Box<dyn Check>> {
    vec![
        // Logs grow op by op, and no node has ops that their origins did not issue.
        Box::new(log::Log),
        // Watermarks rise, and pass no op that has not arrived.
        Box::new(watermark::Watermark),
        // Whatever is sent is on the disk.
        Box::new(durable::Durable),
        // A refusal has a reason.
        Box::new(availability::Availability::default()),
        // Admissions, evictions and departures are allowed when they are issued.
        Box::new(issued::Issued::default()),
        // A final outcome is the same everywhere, and a tenure has one winner.
        Box::new(outcomes::Outcomes::default()),
        // A name has at most one holder at any time.
        Box::new(exclusive::Exclusive::default()),
        // A confirmed registration is durable on a majority of the members.
        Box::new(held::Held::default()),
        // A feed has each event once and leaves none out.
        Box::new(feed::Feed),
        // A node stops where it must, and only there.
        Box::new(halt::Halt),
        // Liars are not believed.
        Box::new(liars::Liars),
        // Secrets go to members only.
        Box::new(confidential::Confidential),
        // Private names do not leave their node.
        Box::new(secrets::Secrets::default()),
        // No more messages go out at once than a peer can use.
        Box::new(burst::Burst),
        // At rest: a deliberate failure.
        Box::new(canary::Canary),
        // At rest: whatever a client was told of exists.
        Box::new(answered::Answered),
        // At rest: all members agree on evicted nodes and their cuts.
        Box::new(cuts::Cuts),
        // At rest: the limits of API tokens.
        Box::new(charges::Charges::default()),
    ]
}

/// The checks that ask, in the order in which they ask each node.
pub(crate) const QUESTIONS: &[Question] = &[
    // The outcome of each registration.
    registrations::check,
    // The holder of each name.
    names::check,
    // The rules of namespaces.
    rules::check,
    // Webhooks.
    webhooks::check,
    // Erased registrations.
    erasure::check,
];

/// The checks that ask one node only, which the seed picks, because they take as long as all others together.
pub(crate) const QUESTIONS_TO_ONE: &[Question] = &[
    // Histories, the exception report, explanations, lists, suggestions.
    reports::check,
];
