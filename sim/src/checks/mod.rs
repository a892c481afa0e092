//! What must hold. A check is a file here and a line in one of two lists.
//!
//! Most checks look on ([`Check`]): they see all that happens, and are shown the cluster once more when it has come to rest
//! and at the very end. Some ask ([`Question`]): they make requests to each node of a cluster that has come to rest. The
//! world does not know any of them.

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

use check::{Check, Question};

/// The checks that look on, in the order in which they see what happens.
pub(crate) fn all() -> Vec<Box<dyn Check>> {
    vec![
        // Logs grow op by op, and are those of their origins.
        Box::new(log::Log),
        // Watermarks rise, and pass nothing that has not arrived.
        Box::new(watermark::Watermark),
        // What is said is on the disk.
        Box::new(durable::Durable),
        // A request that is refused is refused for a reason.
        Box::new(availability::Availability::default()),
        // Who lets in, evicts or leaves may do so.
        Box::new(issued::Issued::default()),
        // What is final is so everywhere, and a tenure has one winner.
        Box::new(outcomes::Outcomes::default()),
        // A name has at most one holder at any time.
        Box::new(exclusive::Exclusive::default()),
        // What is confirmed is durable on a majority of the members.
        Box::new(held::Held::default()),
        // A feed tells each event once and leaves none out.
        Box::new(feed::Feed),
        // A node stops where it has to, and only there.
        Box::new(halt::Halt),
        // Liars are not believed.
        Box::new(liars::Liars),
        // What only members may be told.
        Box::new(confidential::Confidential),
        // Private names.
        Box::new(secrets::Secrets::default()),
        // No more goes out at once than a peer has use for.
        Box::new(burst::Burst),
        // At rest: a failure on purpose.
        Box::new(canary::Canary),
        // At rest: what a client was told of exists.
        Box::new(answered::Answered),
        // At rest: all agree about who is out, and from where on.
        Box::new(cuts::Cuts),
        // At rest: the limits of callers.
        Box::new(charges::Charges::default()),
    ]
}

/// The checks that ask, in the order in which each node is asked.
pub(crate) const QUESTIONS: &[Question] = &[
    // What became of each registration.
    registrations::check,
    // Who holds each name.
    names::check,
    // The rules of namespaces.
    rules::check,
    // What was erased.
    erasure::check,
];

/// The checks that ask one node only, which the seed picks: they take as long as all the rest.
pub(crate) const QUESTIONS_TO_ONE: &[Question] = &[
    // Histories, the exception report, explanations, lists, suggestions.
    reports::check,
];
