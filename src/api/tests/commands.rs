//! The command line against the interface: the requests that it makes, and its exit codes.

use std::process::ExitCode;

use clap::Parser;

use super::*;
use crate::cli::Cli;
use crate::replica::Refusal;

impl Fake {
    /// Runs a command against this node.
    async fn run(&self, arguments: &str) -> ExitCode {
        let line = format!("forename {arguments} --output json --node {}", self.base);
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        tokio::task::spawn_blocking(move || cli.run()).await.unwrap()
    }
}

fn is(exit: ExitCode, code: u8) -> bool {
    format!("{exit:?}") == format!("{:?}", ExitCode::from(code))
}

#[tokio::test]
async fn a_claim_exits_by_its_outcome() {
    for (status, code, waited) in
        [(Status::Confirmed, 0, 0), (Status::Pending, 0, 4), (Status::Contested, 0, 4), (Status::Rejected, 3, 3)]
    {
        let fake = Fake::start(move |_| answered(status)).await;
        assert!(is(fake.run("claim username/Alice --owner user-1").await, code), "{status:?}");
        assert!(is(fake.run("claim username/Alice --owner user-1 --wait --timeout 1s").await, waited), "{status:?}");
    }
    let fake = Fake::start(|_| Err(Refusal::NameTaken { names: vec![name_view(NameStatus::Held)] })).await;
    assert!(is(fake.run("claim username/Alice --owner user-1").await, 3));
    let fake = Fake::start(|_| Err(Refusal::NotMember)).await;
    assert!(is(fake.run("claim username/Alice --owner user-1").await, 1));
}

#[tokio::test]
async fn a_long_wait_takes_several_requests() {
    let fake = Fake::start(|request| match request {
        Request::Name(Command::Register(_), _) => answered(Status::Pending),
        _ => answered(Status::Rejected),
    })
    .await;
    assert!(is(fake.run("claim username/Alice --owner user-1 --wait --timeout 2m").await, 3));
    assert!(matches!(fake.last(), Request::Outcome { wait: Some(_), .. }));
}

#[tokio::test]
async fn a_rename_replaces_the_old_claim() {
    let fake = Fake::start(|request| match request {
        Request::NameOf(_) => Ok(Answer::Name(name_view(NameStatus::Held))),
        _ => answered(Status::Confirmed),
    })
    .await;
    assert!(is(fake.run("rename username/Alice alicia --owner user-1 --wait").await, 0));
    let Request::Name(Command::Register(request), _) = fake.last() else { panic!("asked something else") };
    assert_eq!(request.names[0].name, "alicia");
    let replaces = request.replaces.unwrap();
    assert_eq!((replaces.registration, replaces.name.as_str()), (Uuid::from_u128(6), "Alice"));
    // A name of another owner is left alone.
    assert!(is(fake.run("rename username/Alice email/alicia --owner user-1").await, 2));
    assert!(is(fake.run("rename username/Alice alicia --owner user-2").await, 1));
    assert!(matches!(fake.last(), Request::Outcome { .. }));
}

#[tokio::test]
async fn the_other_commands_ask_what_they_say() {
    let fake = Fake::start(|request| match request {
        Request::NameOf(_) => Ok(Answer::Name(name_view(NameStatus::Held))),
        Request::RegistrationsOf(_) => {
            let registrations = vec![registration(Status::Confirmed)];
            Ok(Answer::Registrations(Registrations { registrations, next: None }))
        }
        Request::Cluster(_) => Ok(Answer::Cluster(cluster_view(true))),
        _ => answered(Status::Confirmed),
    })
    .await;
    let id = Uuid::from_u128(7);
    let name = NameRef { namespace: "org/42".to_owned(), name: "Alice".to_owned() };
    let owner = "user-1".to_owned();
    for (arguments, asked) in [
        // The name's answer gives the registration, and its owner is asked for.
        ("show org/42/Alice".to_owned(), Request::outcome(Uuid::from_u128(6), None)),
        (format!("show {id}"), Request::outcome(id, None)),
        ("show --owner user-1".to_owned(), RegistrationsOf::new(owner.clone(), None, 100).into()),
        ("release org/42/Alice --owner user-1".to_owned(), Command::ReleaseName { owner, name }.into()),
        (format!("release {id}"), Command::Release { id }.into()),
        (format!("release {id} --erase"), Command::Erase { id }.into()),
        (format!("activate {id}"), Command::Activate { id }.into()),
        (format!("extend {id} --ttl 15m"), Command::Extend { id, ttl: 900_000 }.into()),
        ("status".to_owned(), ClusterCommand::Show.into()),
        ("member list".to_owned(), ClusterCommand::Show.into()),
    ] {
        assert!(is(fake.run(&arguments).await, 0), "{arguments}");
        assert_eq!(fake.last(), asked, "{arguments}");
    }
    assert!(is(fake.run("member token --ttl 1h").await, 0));
    assert!(is(fake.run("release org/42/Alice").await, 2));
    assert!(is(fake.run("release org/42/Alice --owner user-1 --erase").await, 2));
    // The owner is sent along, and the node compares it with the registration's.
    assert!(is(fake.run(&format!("release {id} --owner user-2")).await, 0));
    let bearer = replica::Bearer { owner: Some("user-2".to_owned()), ..Default::default() };
    let caller = Caller { bearer: Some(bearer), ..Caller::ANYBODY };
    assert_eq!(fake.last(), Request::Name(Command::Release { id }, caller));
}
