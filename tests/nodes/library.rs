//! Checks that a [`Client`](forename::Client) and a [`Node`](forename::Node) have the same calls: one story is run with
//! each, and must have the same results.

use std::sync::Arc;
use std::time::Duration;

use forename::client::ClientError;
use forename::model::{
    Event, EventQuery, EventType, NameQuery, NameRef, NameStatus, NamespaceBody, ProblemType, RegistrationBody,
    ReplacesBody, Span, Status,
};
use forename::node::Stopped;
use forename::transport::Cuts;
use futures_util::stream;

use crate::support::local::{self, Local};
use crate::support::{DEADLINE, all_members, eventually, id, user, user_final, within};

/// Returns the problem of a call that must be refused.
fn refused<T: std::fmt::Debug>(outcome: Result<T, impl Into<ClientError>>) -> ProblemType {
    match outcome.map_err(Into::into) {
        Err(ClientError::Problem(problem)) => problem.problem_type,
        other => panic!("{other:?}"),
    }
}

/// Describes an event, without the parts that differ between two clusters.
fn told(event: &Event) -> String {
    format!("{} {:?} {:?}", event.id, event.event_type, event.data.reason)
}

/// Runs the story with two members of a cluster; `$asked` and `$other` are clients of them or the nodes themselves.
/// Returns descriptions of the events.
macro_rules! story {
    ($asked:expr, $other:expr) => {{
        let (asked, other) = ($asked, $other);

        // A sign-up that is found again under its id, and another one that comes too late.
        let alice = RegistrationBody { id: Some(id(1)), ..user_final("alice", "ann") };
        let alice = asked.register(&alice).await.unwrap();
        assert_eq!((alice.id, alice.status), (id(1), Status::Confirmed));
        let shown = other.wait_for(id(1), DEADLINE).await.unwrap();
        assert_eq!((shown.owner.as_str(), &shown.names, shown.stamp), ("ann", &alice.names, alice.stamp));
        assert_eq!(asked.registration(id(1)).await.unwrap().status, Status::Confirmed);
        let late = asked.register(&RegistrationBody { suggest: Some(2), ..user("Alice", "bob") }).await;
        let late = ClientError::from(late.unwrap_err());
        assert!(late.is_taken(), "{late}");
        assert_eq!(late.problem().unwrap().names[0].suggestions.len(), 2);
        assert_eq!(refused(asked.registration(id(9)).await), ProblemType::NoRegistration);
        assert_eq!(refused(asked.name("username", "a b").await), ProblemType::InvalidName);
        let held = asked.name_or_others("username", "ALICE", 1).await.unwrap();
        assert_eq!((held.status, held.registration, held.suggestions.len()), (NameStatus::Held, Some(id(1)), 1));

        // A reservation that is extended and activated; it cannot be extended after that.
        let ttl = Some(Span(Duration::from_secs(3600)));
        let bob = RegistrationBody { id: Some(id(2)), ttl, ..user_final("bob", "bob") };
        let expires = asked.register(&bob).await.unwrap().expires_at.unwrap();
        assert!(asked.extend(id(2), Duration::from_secs(7200)).await.unwrap().expires_at.unwrap() > expires);
        assert!(asked.activate(id(2)).await.unwrap().activated);
        assert_eq!(refused(asked.extend(id(2), Duration::from_secs(7200)).await), ProblemType::Permanent);

        // A rename, one name released, a registration released and another erased.
        let replaces = ReplacesBody { registration: id(1), namespace: "username".into(), name: "alice".into() };
        let renamed = RegistrationBody { id: Some(id(3)), replaces: Some(replaces), ..user_final("alina", "ann") };
        assert_eq!(asked.register(&renamed).await.unwrap().status, Status::Confirmed);
        assert_eq!(refused(asked.release_name("username", "alina", "eve").await), ProblemType::NotHeld);
        asked.release_name("username", "alina", "ann").await.unwrap();
        asked.release(id(2)).await.unwrap();
        let carol = RegistrationBody { id: Some(id(4)), ..user_final("carol", "carol") };
        asked.register(&carol).await.unwrap();
        asked.erase(id(4)).await.unwrap();
        eventually("it is erased", async || {
            let carol = asked.registration(id(4)).await.map_err(|error| error.to_string())?;
            if carol.erased { Ok(()) } else { Err(format!("{carol:?}")) }
        })
        .await;

        // Many registrations at once, each answered in its order.
        let bodies: Vec<_> =
            ["dora", "d d", "eddy"].map(|name| RegistrationBody { id: None, ..user_final(name, name) }).into();
        let mut answers = asked.register_all(stream::iter(bodies)).await.unwrap();
        let mut lines = Vec::new();
        while let Some(line) = answers.next().await.unwrap() {
            lines.push((line.line, line.status, line.problem.map(|problem| problem.problem_type)));
        }
        assert_eq!(lines, [(1, 201, None), (2, 422, Some(ProblemType::InvalidName)), (3, 201, None)]);

        // The calls that read: lists, pages, reports, rules.
        let users = NameQuery { namespace: Some("username".into()), limit: Some(1) };
        let page = asked.names(&users, "", None).await.unwrap();
        assert_eq!((page.names.len(), page.names[0].key.as_str()), (1, "dora"));
        let page = asked.names(&users, "e", page.next.as_ref()).await.unwrap();
        assert_eq!(page.names[0].key, "eddy");
        let owned = asked.owner("ann", None, Some(1)).await.unwrap();
        let next = asked.owner("ann", owned.next, None).await.unwrap();
        assert_eq!((owned.registrations[0].id, next.registrations[0].id), (id(1), id(3)));
        assert_eq!(refused(asked.owner("ann", None, Some(0)).await), ProblemType::InvalidRequest);
        let history = asked.history("username", "alice", None).await.unwrap();
        assert_eq!(history.tenures[0].holder.registration, id(1));
        assert!(asked.conflicts(&NameQuery::default(), None, None).await.unwrap().conflicts.is_empty());
        assert!(asked.explain_name("username", "dora").await.unwrap().summary.contains("dora"));
        assert!(asked.explain_registration(id(3)).await.unwrap().summary.contains("alina"));
        let free = NameRef { namespace: "username".into(), name: "zoe".into() };
        assert!(asked.check(&[free]).await.unwrap().names[0].available);
        let before = asked.namespace("username").await.unwrap();
        let rules = NamespaceBody { min_length: Some(3), ..NamespaceBody::from(&before) };
        let set = asked.set_namespace("username", &rules).await.unwrap();
        assert_eq!((before.min_length, set.min_length), (1, 3));
        assert_eq!(refused(asked.set_namespace("username", &rules).await), ProblemType::RulesChanged);
        let none = NamespaceBody { min_length: Some(0), ..NamespaceBody::default() };
        assert_eq!(refused(asked.set_namespace("username", &none).await), ProblemType::InvalidRequest);

        // The feed, page by page and as it grows.
        let query = EventQuery { owner: Some("ann".into()), limit: Some(3), ..EventQuery::default() };
        let mut events = asked.stream(None, query.clone());
        let mut seen = Vec::new();
        while seen.len() < 6 {
            seen.push(told(&within("an event", events.next()).await.unwrap()));
        }
        let (mut page, mut read) = (asked.events(None, &query).await.unwrap(), Vec::new());
        while !page.events.is_empty() {
            read.extend(page.events.iter().map(told));
            page = asked.events(Some(page.next), &query).await.unwrap();
        }
        assert_eq!(seen, read);
        let mut live = asked.stream(Some(page.next), EventQuery { types: vec![EventType::Confirmed], ..query });
        let again = RegistrationBody { id: Some(id(5)), ..user("alice", "ann") };
        let (event, registered) = tokio::join!(within("an event", live.next()), asked.register(&again));
        assert_eq!((event.unwrap().data.registration.id, registered.unwrap().id), (id(5), id(5)));

        // The calls for operators. At the end the other member leaves.
        let cluster = asked.cluster().await.unwrap();
        assert_eq!((cluster.members.len(), cluster.members.iter().all(|member| member.wire.is_some())), (2, true));
        let stranger = forename::clock::NodeId(7 << 16);
        assert_eq!(refused(asked.evict(stranger, false).await), ProblemType::NoMember);
        assert_eq!(refused(asked.mint_token(Some(Duration::ZERO)).await), ProblemType::InvalidRequest);
        assert!(!asked.mint_token(None).await.unwrap().is_empty());
        let mut backup = asked.backup().await.unwrap();
        let mut bytes = 0;
        while let Some(piece) = backup.next().await.unwrap() {
            bytes += piece.len();
        }
        assert!(bytes > 1000, "{bytes}");
        eventually("the backup is recorded", async || {
            let cluster = asked.cluster().await.map_err(|error| error.to_string())?;
            cluster.last_backup.ok_or_else(|| format!("{cluster:?}"))
        })
        .await;
        assert!(other.leave().await.unwrap().leaving_waits_for.is_some());
        seen
    }};
}

async fn two() -> [Local; 2] {
    let cuts = Arc::new(Cuts::new());
    let a = Local::start("a", cuts.clone(), None).await;
    let b = Local::start("b", cuts, Some(&a)).await;
    let nodes = vec![a, b];
    all_members(&local::clients(&nodes)).await;
    nodes.try_into().unwrap_or_else(|_| unreachable!("two were started"))
}

/// Checks that one node has left, and that the other one cannot leave.
async fn has_left([stays, goes]: [Local; 2]) {
    assert_eq!(within("it leaves", goes.node().stopped()).await.unwrap(), Stopped::Left);
    eventually("it is out", async || {
        let cluster = stays.node().cluster().await.map_err(|problem| problem.to_string())?;
        if cluster.members.len() == 1 { Ok(()) } else { Err(format!("{cluster:?}")) }
    })
    .await;
    assert_eq!(refused(stays.node().leave().await), ProblemType::LastMember);
    local::shutdown(vec![stays, goes]).await;
}

#[tokio::test]
async fn an_application_may_take_a_client_or_a_node() {
    let (over_http, inside) = tokio::join!(two(), two());
    let by_client = story!(&over_http[0].client, &over_http[1].client);
    let by_node = story!(inside[0].node(), inside[1].node());
    assert_eq!(by_client, by_node);
    // The client and the node give equal answers.
    let (client, node) = (&inside[0].client, inside[0].node());
    let everything = EventQuery::default();
    assert_eq!(client.registration(id(3)).await.unwrap(), node.registration(id(3)).await.unwrap());
    assert_eq!(client.events(None, &everything).await.unwrap(), node.events(None, &everything).await.unwrap());
    assert_eq!(client.namespace("username").await.unwrap(), node.namespace("username").await.unwrap());
    let refusals = (client.registration(id(9)).await.unwrap_err(), node.registration(id(9)).await.unwrap_err());
    assert_eq!(refusals.0.problem(), Some(&*refusals.1));
    tokio::join!(has_left(over_http), has_left(inside));
}

/// A page scans 5000 events at most, so the first page has none for this reader.
#[tokio::test]
async fn a_stream_from_the_beginning_finds_what_comes_after_much_that_is_not_wanted() {
    let cluster = Local::start("a", Arc::new(Cuts::new()), None).await;
    let client = &cluster.client;
    let others = (0..2600).map(|number| user(&format!("name{number}"), "ann")).collect::<Vec<_>>();
    let mut answers = client.register_all(stream::iter(others)).await.unwrap();
    while answers.next().await.unwrap().is_some() {}
    client.register(&user_final("wanted", "eve")).await.unwrap();

    let query = EventQuery { owner: Some("eve".to_owned()), ..EventQuery::default() };
    let (mut over_http, mut here) = (client.stream(None, query.clone()), cluster.node().stream(None, query));
    for event_type in [EventType::Accepted, EventType::Confirmed] {
        assert_eq!(within("an event over HTTP", over_http.next()).await.unwrap().event_type, event_type);
        assert_eq!(within("an event in this process", here.next()).await.unwrap().event_type, event_type);
    }
    local::shutdown(vec![cluster]).await;
}
