//! Requests that the simulator itself sends to nodes for its checks. Each request lets the simulated time pass until
//! the node has answered.

use forename::model::{Cluster, NameRef, OwnerPlace, Registration, limits};
use forename::replica::any::{Answer, Answered as Reply, Request};
use forename::replica::{ClusterCommand, NamesOf, Refusal, RegistrationsOf};

use crate::plan::Host;
use crate::violation::Violation;
use crate::world::World;

/// Asks a node, and waits up to a second for its answer.
pub(crate) fn ask(
    world: &mut World,
    host: Host,
    request: impl Into<Request>,
) -> Result<Option<Result<Answer, Refusal>>, Violation> {
    Ok(ask_all(world, host, vec![request.into()])?.pop())
}

/// Asks a node as [`ask`] does, but waits up to seven seconds. A node that has just started answers some requests only
/// after it has compared logs with a majority, or has tried to for five seconds.
pub(crate) fn ask_patiently(
    world: &mut World,
    host: Host,
    request: impl Into<Request>,
) -> Result<Option<Result<Answer, Refusal>>, Violation> {
    let (number, token) = world.clients.check(host);
    world.request(host, token, request.into());
    for _ in 0..700 {
        let later = world.now + 10_000;
        world.run_until(later)?;
        if world.clients.answered(&[number]) {
            break;
        }
    }
    Ok(world.clients.answer(number))
}

/// Asks a node several requests at once, and waits up to a second for the answers. Answers that do not come are
/// missing.
pub(crate) fn ask_all(
    world: &mut World,
    host: Host,
    requests: Vec<Request>,
) -> Result<Vec<Result<Answer, Refusal>>, Violation> {
    let mut numbers = Vec::with_capacity(requests.len());
    for request in requests {
        let (number, token) = world.clients.check(host);
        world.request(host, token, request);
        numbers.push(number);
    }
    for _ in 0..500 {
        let later = world.now + 2000;
        world.run_until(later)?;
        if world.clients.answered(&numbers) {
            break;
        }
    }
    Ok(numbers.iter().map_while(|number| world.clients.answer(*number)).collect())
}

pub(crate) fn cluster(world: &mut World, host: Host) -> Result<Option<Cluster>, Violation> {
    match ask(world, host, ClusterCommand::Show)? {
        Some(Ok(Answer::Cluster(view))) => Ok(Some(view)),
        _ => Ok(None),
    }
}

/// Returns all registrations of an owner, as a node sees them.
pub(crate) fn owner_views(world: &mut World, host: Host, owner: &str) -> Result<Vec<Registration>, Violation> {
    let (mut all, mut after, mut ended) = (Vec::new(), None, false);
    loop {
        let query = RegistrationsOf::new(owner.to_owned(), after, 1000);
        let Some(Ok(Answer::Registrations(page))) = ask(world, host, query)? else {
            let text = format!("host {host} does not answer about {owner}");
            return Err(Violation { check: "oracle", text });
        };
        // The list is read on also where the page says that it is the last one, to check that nothing follows.
        let last = page.registrations.last().map(|last| OwnerPlace(last.stamp));
        if last.is_some() && (ended || last <= after) || page.next.is_some() && page.next <= after {
            let text = format!("the list of {owner} at host {host} does not go on, or ends, after {after:?}");
            return Err(Violation { check: "oracle", text });
        }
        all.extend(page.registrations);
        if ended || page.next.is_none() && last.is_none() {
            return Ok(all);
        }
        (after, ended) = (page.next.or(last), page.next.is_none());
    }
}

/// Asks about many names in few requests, and returns the answers as if each name had been asked for alone.
pub(crate) fn ask_at_once(world: &mut World, host: Host, names: &[NameRef]) -> Result<Vec<Reply>, Violation> {
    let requests = names.chunks(limits::MAX_CHECKED).map(|names| NamesOf(names.to_vec()).into()).collect();
    let mut views = Vec::new();
    for answer in ask_all(world, host, requests)? {
        match answer {
            Ok(Answer::Names(some)) => views.extend(some.into_iter().map(|view| view.map(Answer::Name))),
            other => views.push(other),
        }
    }
    Ok(views)
}
