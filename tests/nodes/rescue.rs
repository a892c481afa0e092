//! Tests of data directories that are lost, that are old, or that are the only ones left.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use forename::Client;
use forename::client::ClientError;
use forename::model::{Registration, Status};
use serde_json::Value;

use crate::support::facts::{agreed, agreed_but_for, settled};
use crate::support::process::{Home, LABELS, Process, Serve, Three, command, run};
use crate::support::{all_members, claim, eventually, is_back, same, user, user_final};

/// Copies a whole directory as an operator does, with `cp -a`.
fn cp(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().expect("a directory for it")).unwrap();
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp can be run");
    assert!(copied.success(), "{from:?} cannot be copied to {to:?}");
}

/// Runs a command on a directory.
fn on(dir: &Path, words: &str) -> Output {
    run(command(&[]).args(words.split(' ')).arg("--data-dir").arg(dir))
}

/// Runs a command on a directory, which must end with this exit code. Returns the JSON that it prints.
fn reads(dir: &Path, exit: i32, words: &str) -> Value {
    let output = on(dir, &format!("{words} --output json"));
    assert_eq!(output.status.code(), Some(exit), "forename {words}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("forename {words}: {error}: {output:?}"))
}

fn complains(output: &Output, of: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains(of), "{output:?}");
}

/// Checks that `verify` finds no defect in the directory.
fn is_well(dir: &Path) {
    let found = reads(dir, 0, "verify");
    assert_eq!((&found["ok"], &found["findings"]), (&true.into(), &Value::Array(Vec::new())));
}

async fn confirmed(client: &Client, registration: &Registration) -> Registration {
    eventually(&format!("{} is confirmed", registration.names[0].name), async || {
        let now = client.registration(registration.id).await.map_err(|error| error.to_string())?;
        same(&now.status, &Status::Confirmed).map(|()| now)
    })
    .await
}

#[tokio::test]
async fn a_directory_that_was_put_back_from_a_copy_rejoins_and_nothing_is_lost() {
    let mut three = Three::start().await;
    let clients = three.clients();
    let was = clients[2].cluster().await.unwrap().node;
    let before = claim(&clients[2], &user_final("before", "cid")).await;
    let dir = three.homes[2].data();
    complains(&on(&dir, "rejoin"), "is in use by another process");
    assert_eq!(three.nodes[2].terminate().await.code(), Some(0));
    let old = Home::new();
    cp(&dir, &old.data());
    three.run_again(2).await;
    let after = claim(&clients[2], &user_final("after", "cid")).await;
    assert_eq!((before.status, after.status), (Status::Confirmed, Status::Confirmed));
    assert_eq!(three.nodes[2].terminate().await.code(), Some(0));

    std::fs::remove_dir_all(&dir).unwrap();
    cp(&old.data(), &dir);
    three.run_again(2).await;
    assert_eq!(three.nodes[2].ended().await.code(), Some(1));
    let log = three.homes[2].read_log();
    assert!(log.contains("is older than what peers have seen") && log.contains("forename rejoin --data-dir"), "{log}");

    is_well(&dir);
    let rejoined = reads(&dir, 0, "rejoin");
    is_well(&dir);
    assert_eq!(rejoined["was"], was.to_string());
    assert_eq!(reads(&dir, 0, "rejoin"), rejoined, "once more it is the same");
    three.run_again(2).await;
    let back = is_back(&clients[2], was).await;
    assert_eq!(rejoined["node"], back.to_string());
    all_members(&clients).await;
    let new = claim(&clients[2], &user_final("new", "cid")).await;
    let all = agreed_but_for(&clients, 2).await;
    for registration in [&before, &after, &new] {
        let now = &all[&registration.id];
        assert_eq!((now.status, now.stamp), (Status::Confirmed, registration.stamp));
    }
}

/// A copy of c's directory has become that of its next incarnation and runs. Then somebody starts the first directory.
#[tokio::test]
async fn a_directory_whose_node_goes_on_elsewhere_stops_and_names_the_command_that_brings_it_in() {
    let mut three = Three::start().await;
    let clients = three.clients();
    let was = clients[2].cluster().await.unwrap().node;
    settled(&clients).await;
    assert_eq!(three.nodes[2].terminate().await.code(), Some(0));
    let (dir, copy) = (three.homes[2].data(), Home::new());
    cp(&dir, &copy.data());
    reads(&copy.data(), 0, "rejoin");
    let mut other = Process::start(&copy, &Serve::new("copy")).await;
    let next = is_back(&other.client, was).await;
    all_members(&[clients[0].clone(), clients[1].clone(), other.client.clone()]).await;
    let taken = claim(&other.client, &user_final("taken", "cid")).await;

    let is_stopped = |log: String| {
        assert!(log.contains("a later incarnation of this node") && log.contains("forename rejoin"), "{log}");
    };
    three.run_again(2).await;
    // It takes nothing before it has noticed.
    let late = three.nodes[2].client.register(&user("late", "bob")).await;
    assert!(late.is_err(), "{late:?}");
    assert_eq!(three.nodes[2].ended().await.code(), Some(1));
    is_stopped(three.homes[2].read_log());
    is_well(&dir);
    other.assert_lives();

    // The first directory is to be the right one after all. The copy, started once more, stops.
    assert_eq!(other.terminate().await.code(), Some(0));
    reads(&dir, 0, "rejoin");
    three.run_again(2).await;
    is_back(&clients[2], next).await;
    all_members(&clients).await;
    let mut other = Process::start(&copy, &Serve::new("copy")).await;
    assert_eq!(other.ended().await.code(), Some(1));
    is_stopped(copy.read_log());
    three.nodes[2].assert_lives();
    for client in &clients {
        assert_eq!(confirmed(client, &taken).await.stamp, taken.stamp);
    }
    assert_eq!(claim(&clients[2], &user_final("next", "cid")).await.status, Status::Confirmed);
    agreed_but_for(&clients, 2).await;
}

#[tokio::test]
async fn a_cluster_is_made_of_the_one_directory_that_is_left() {
    let mut three = Three::start().await;
    let clients = three.clients();
    let early = claim(&clients[0], &user_final("early", "ann")).await;
    settled(&clients).await;
    // An outcome of another node's registration is stored before the node tells it.
    confirmed(&clients[2], &early).await;
    // Each of the next two registrations is known to one node only. That of b is lost with b for a time, and that of c
    // is the one that is left to be decided.
    three.nodes[0].kill();
    three.nodes[2].kill();
    let theirs = claim(&clients[1], &user("theirs", "bob")).await;
    three.nodes[1].kill();
    three.run_again(2).await;
    let pending = claim(&clients[2], &user("pending", "cid")).await;
    assert_eq!((theirs.status, pending.status), (Status::Pending, Status::Pending));
    three.nodes[2].kill();

    let dir = three.homes[2].data();
    let shown = reads(&dir, 2, "recover");
    assert_eq!((&shown["registrations"], &shown["pending"], &shown["members"]), (&2.into(), &1.into(), &3.into()));
    assert_eq!(shown["recovered"], false);
    complains(&on(&dir, "recover"), "must not both go on");
    let recovered = reads(&dir, 0, "recover --yes");
    is_well(&dir);
    assert_eq!((&recovered["recovered"], &recovered["was"]), (&true.into(), &shown["node"]));

    three.run_again(2).await;
    let other = clients[2].cluster().await.unwrap_err();
    assert!(matches!(other, ClientError::OtherCluster { .. }), "who knows the old cluster is told: {other}");
    let clients = three.clients();
    let node = clients[2].cluster().await.unwrap();
    assert_eq!((node.node.to_string(), node.members.len()), (recovered["node"].as_str().unwrap().to_owned(), 1));
    assert_eq!(confirmed(&clients[2], &pending).await.stamp, pending.stamp);
    assert_eq!(confirmed(&clients[2], &early).await.stamp, early.stamp);
    let taken = claim(&clients[2], &user_final("later", "cid")).await;
    assert_eq!(taken.status, Status::Confirmed);

    // The directory of b turns up again.
    let dir = three.homes[1].data();
    let token = clients[2].mint_token(None).await.unwrap();
    let serve = Serve::new(LABELS[1]).join(three.nodes[2].peer, &token);
    // It would serve the old cluster.
    let Err((status, log)) = Process::try_start(&three.homes[1], &serve).await else {
        panic!("it goes on in another cluster than its token's");
    };
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("the join token is one of cluster") && log.contains("forename rejoin --data-dir"), "{log}");
    is_well(&dir);
    reads(&dir, 0, "rejoin");
    let b = Process::start(&three.homes[1], &serve).await;
    let both = [clients[2].clone(), b.client.clone()];
    all_members(&both).await;
    for client in &both {
        let again = confirmed(client, &theirs).await;
        assert_eq!(again.node, b.client.cluster().await.unwrap().node);
    }
    let all = agreed_but_for(&both, 1).await;
    assert_eq!(all.len(), 4);
    assert_eq!(agreed(&both[..1]).await.len(), 4);
    let mut b = b;
    assert_eq!(b.terminate().await.code(), Some(0));
    is_well(&dir);
}

#[tokio::test]
async fn what_is_no_stopped_nodes_directory_is_refused() {
    let home = Home::new();
    for words in ["rejoin", "recover", "recover --yes", "verify"] {
        complains(&on(&home.data(), words), "is not the data directory of a node");
    }
    assert!(!home.data().exists(), "nothing is made");
    let mut node = Process::start(&home, &Serve::new("a")).await;
    for words in ["rejoin", "recover", "recover --yes", "verify"] {
        complains(&on(&home.data(), words), "is in use by another process");
    }
    assert_eq!(node.terminate().await.code(), Some(0));
    complains(&on(&home.data(), "rejoin"), "knows of no other node");
    let node = Process::start(&home, &Serve::new("a")).await;
    assert_eq!(claim(&node.client, &user_final("alice", "ann")).await.status, Status::Confirmed);
}

#[tokio::test]
async fn a_node_whose_directory_is_lost_comes_back_from_a_backup_that_was_taken_under_load() {
    let mut three = Three::start().await;
    let clients = three.clients();
    let was = clients[2].cluster().await.unwrap().node;
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("backup");
    let before = claim(&clients[2], &user_final("before", "cid")).await;

    let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let load = {
        let (client, stop, answered) = (clients[2].clone(), Arc::clone(&stop), Arc::clone(&answered));
        tokio::spawn(async move {
            let mut taken = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                taken.push(claim(&client, &user(&format!("load{}", taken.len()), "cid")).await);
                answered.fetch_add(1, Ordering::Relaxed);
            }
            taken
        })
    };
    let goes_on = async |count| {
        eventually("the load goes on", async || {
            let answered = answered.load(Ordering::Relaxed);
            if answered >= count { Ok(()) } else { Err(format!("{answered} are answered")) }
        })
        .await;
    };
    goes_on(20).await;
    let backup = || {
        let mut backup = command(&[]);
        backup.args(["backup", "--output", "json"]).arg(&file).env("FORENAME_NODE", clients[2].address());
        backup
    };
    let mut first = backup();
    let output = tokio::task::spawn_blocking(move || run(&mut first)).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let taken: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(taken["node"], was.to_string());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let mut again = backup();
    complains(&tokio::task::spawn_blocking(move || run(&mut again)).await.unwrap(), "is there already");
    goes_on(answered.load(Ordering::Relaxed) + 20).await;
    stop.store(true, Ordering::Relaxed);
    let load = load.await.unwrap();
    settled(&clients).await;
    three.nodes[2].kill();
    std::fs::remove_dir_all(three.homes[2].data()).unwrap();

    // A file that is not whole is not restored, and a directory with contents is not overwritten.
    let bytes = std::fs::read(&file).unwrap();
    let (cut, dir) = (place.path().join("cut"), three.homes[2].data());
    std::fs::write(&cut, &bytes[..bytes.len() - 1]).unwrap();
    complains(&on(&dir, &format!("restore {}", cut.display())), "is cut short");
    complains(&on(place.path(), &format!("restore {}", file.display())), "is not empty");
    assert!(!dir.exists());

    let restored = reads(&dir, 0, &format!("restore {}", file.display()));
    assert_eq!((&restored["was"], &restored["rows"]), (&taken["node"], &taken["rows"]));
    assert_eq!(restored["alone"], false);
    is_well(&dir);
    three.run_again(2).await;
    let back = is_back(&clients[2], was).await;
    assert_eq!(restored["node"], back.to_string());
    all_members(&clients).await;
    let all = agreed_but_for(&clients, 2).await;
    assert_eq!(all.len(), load.len() + 1);
    for registration in load.iter().chain([&before]) {
        assert_eq!(all[&registration.id].stamp, registration.stamp, "what its peers knew stays as it was");
    }
}

#[tokio::test]
async fn a_backup_of_a_node_that_was_alone_is_recovered_from_and_does_not_just_go_on() {
    let home = Home::new();
    let node = Process::start(&home, &Serve::new("a")).await;
    let was = node.client.cluster().await.unwrap().node;
    let alice = claim(&node.client, &user_final("alice", "ann")).await;
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("backup");
    let mut backup = command(&[]);
    let output = run(backup.arg("backup").arg(&file).env("FORENAME_NODE", node.url()));
    assert!(output.status.success(), "{output:?}");
    let last = eventually("the backup is recorded", async || {
        node.client.cluster().await.unwrap().last_backup.ok_or_else(|| "there is none".to_owned())
    })
    .await;
    drop(node);
    let node = Process::start(&home, &Serve::new("a")).await;
    let cluster = node.client.cluster().await.unwrap();
    assert_eq!(cluster.last_backup, Some(last), "a restart does not forget it");
    assert!(last.0 <= cluster.time.0);
    let status = run(command(&[]).arg("status").env("FORENAME_NODE", node.url()));
    let status = String::from_utf8(status.stdout).unwrap();
    assert!(status.contains(&format!("last backup of this node at {last}, ")), "{status}");
    drop(node);

    // The directory is that of a volume, and a restoration broke off there.
    let home = Home::new();
    std::fs::create_dir_all(home.data().join("lost+found")).unwrap();
    let making = home.data().join(".forename-restoring");
    std::fs::create_dir_all(making.join("db")).unwrap();
    std::fs::write(home.data().join("identity.key"), "another").unwrap();
    std::fs::write(home.data().join("notes"), "mine").unwrap();
    complains(&on(&home.data(), &format!("restore {}", file.display())), "is not empty");
    std::fs::remove_file(home.data().join("notes")).unwrap();
    let restored = reads(&home.data(), 0, &format!("restore {}", file.display()));
    assert!(!making.exists());
    assert_eq!(restored["alone"], true);
    let Err((status, log)) = Process::try_start(&home, &Serve::new("a")).await else {
        panic!("it just goes on");
    };
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("had been alone in its cluster") && log.contains("forename recover"), "{log}");
    assert_eq!(reads(&home.data(), 2, "recover")["registrations"], 1);
    let recovered = reads(&home.data(), 0, "recover --yes");
    assert_eq!(recovered["was"], was.to_string());
    let node = Process::start(&home, &Serve::new("a")).await;
    let next = was.next_incarnation().unwrap();
    let cluster = node.client.cluster().await.unwrap();
    assert_eq!((cluster.node, cluster.last_backup), (next, None));
    assert_eq!(confirmed(&node.client, &alice).await.stamp, alice.stamp);
    assert_eq!(claim(&node.client, &user_final("bob", "ann")).await.node, next);
}

/// Two directories of one node are used: that of c, and a copy of it. Each registers something else under the same
/// number, and the others learn of one of them.
#[tokio::test]
async fn of_a_directory_that_was_used_twice_what_both_took_is_decided_once() {
    let mut three = Three::start().await;
    let clients = three.clients();
    let was = clients[2].cluster().await.unwrap().node;
    settled(&clients).await;
    assert_eq!(three.nodes[2].terminate().await.code(), Some(0));
    let (dir, old, first) = (three.homes[2].data(), Home::new(), Home::new());
    cp(&dir, &old.data());
    three.nodes[0].kill();
    three.nodes[1].kill();
    three.run_again(2).await;
    let ann = claim(&clients[2], &user("alice", "ann")).await;
    let only = claim(&clients[2], &user("only", "ann")).await;
    assert_eq!(three.nodes[2].terminate().await.code(), Some(0));
    cp(&dir, &first.data());

    // The copy is used, and the others learn what it issues.
    std::fs::remove_dir_all(&dir).unwrap();
    cp(&old.data(), &dir);
    three.run_again(0).await;
    three.run_again(1).await;
    three.run_again(2).await;
    let bob = claim(&clients[2], &user_final("alice", "bob")).await;
    assert_eq!((bob.status, bob.node), (Status::Confirmed, was));
    assert_eq!(three.nodes[2].terminate().await.code(), Some(0));

    // The first directory is put back in its place.
    std::fs::remove_dir_all(&dir).unwrap();
    cp(&first.data(), &dir);
    three.run_again(2).await;
    assert_eq!(three.nodes[2].ended().await.code(), Some(1));
    let log = three.homes[2].read_log();
    assert!(log.contains("forename rejoin --data-dir"), "{log}");
    reads(&dir, 0, "rejoin");
    three.run_again(2).await;
    is_back(&clients[2], was).await;
    all_members(&clients).await;
    for client in &clients {
        assert_eq!(confirmed(client, &bob).await.stamp, bob.stamp, "what was told to be final stays");
        let again = confirmed(client, &only).await;
        assert_ne!(again.stamp, only.stamp, "what only the first directory had is registered again");
        let lost = eventually("the other claim is decided", async || {
            let now = client.registration(ann.id).await.map_err(|error| error.to_string())?;
            if now.status.is_final() { Ok(now) } else { Err(format!("{now:?}")) }
        })
        .await;
        assert_eq!((lost.status, lost.rejected_by.unwrap().registration), (Status::Rejected, bob.id));
    }
    agreed_but_for(&clients, 2).await;
}

/// An old copy of a node that has registered nothing since, but has acknowledged ops of others.
#[tokio::test]
async fn a_copy_that_lacks_what_its_node_has_acknowledged_does_not_go_on_as_that_node() {
    let mut three = Three::start().await;
    let clients = three.clients();
    let was = clients[2].cluster().await.unwrap().node;
    settled(&clients).await;
    assert_eq!(three.nodes[2].terminate().await.code(), Some(0));
    let (dir, old) = (three.homes[2].data(), Home::new());
    cp(&dir, &old.data());
    three.run_again(2).await;
    three.nodes[1].kill();
    // Only a and c hold these, which is a majority.
    let mut taken = Vec::new();
    for number in 0..20 {
        taken.push(claim(&clients[0], &user(&format!("name{number}"), "ann")).await);
    }
    eventually("c has them", async || {
        let last = taken.last().unwrap().id;
        clients[2].registration(last).await.map(|_| ()).map_err(|error| error.to_string())
    })
    .await;
    assert_eq!(three.nodes[2].terminate().await.code(), Some(0));
    std::fs::remove_dir_all(&dir).unwrap();
    cp(&old.data(), &dir);
    three.run_again(2).await;
    // Two outcomes are right: the node is told of its acknowledgement and stops, or it first gets the ops that it
    // lacks.
    eventually("it stops, or has all again", async || {
        if three.nodes[2].has_ended() {
            return Ok(());
        }
        let last = taken.last().unwrap().id;
        clients[2].registration(last).await.map(|_| ()).map_err(|error| error.to_string())
    })
    .await;
    if three.nodes[2].has_ended() {
        let log = three.homes[2].read_log();
        assert!(log.contains("remembers its word") || log.contains("is older than what peers have seen"), "{log}");
        reads(&dir, 0, "rejoin");
        three.run_again(1).await;
        three.run_again(2).await;
        is_back(&clients[2], was).await;
    } else {
        three.run_again(1).await;
    }
    all_members(&clients).await;
    for registration in &taken {
        assert_eq!(confirmed(&clients[1], registration).await.stamp, registration.stamp);
    }
    let next = claim(&clients[2], &user_final("next", "cid")).await;
    assert_eq!(next.status, Status::Confirmed);
    agreed_but_for(&clients, 2).await;
}
