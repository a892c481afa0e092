//! Tests with processes in network namespaces on a bridge, whose links really go down.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::support::process::{Home, Process, Serve, command, run};
use crate::support::{eventually, same, skipped};

const LABELS: [&str; 3] = ["a", "b", "c"];
const HTTP_PORT: u16 = 7400;
const PEER_PORT: u16 = 7401;

fn ip(words: &str) -> Result<(), String> {
    let output = Command::new("ip").args(words.split(' ')).output().map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {words}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// Network namespaces that are joined by a bridge in one more namespace, so that the machine's own network is not
/// touched. All are removed when this value is dropped.
struct Net {
    hub: String,
    nodes: Vec<String>,
}

impl Net {
    /// # Errors
    /// The reason why they cannot be made on this machine.
    fn new(test: char) -> Result<Self, String> {
        // The name is unique to this process and test. The name of a device has 15 bytes at most.
        let tag = format!("fn{}{test}", std::process::id());
        let net = Self { hub: format!("{tag}-hub"), nodes: LABELS.map(|label| format!("{tag}-{label}")).to_vec() };
        ip(&format!("netns add {}", net.hub))?;
        ip(&format!("-n {} link add hub type bridge", net.hub))?;
        ip(&format!("-n {} link set hub up", net.hub))?;
        for (index, node) in net.nodes.iter().enumerate() {
            let hub = &net.hub;
            ip(&format!("netns add {node}"))?;
            ip(&format!("-n {node} link set lo up"))?;
            ip(&format!("-n {hub} link add port{index} type veth peer name eth0 netns {node}"))?;
            ip(&format!("-n {hub} link set port{index} master hub"))?;
            ip(&format!("-n {node} address add {}/24 dev eth0", Self::address(index, 0).ip()))?;
            ip(&format!("-n {node} link set eth0 up"))?;
            net.link(index, "up")?;
        }
        Ok(net)
    }

    /// Sets a node's link to the bridge `up` or `down`.
    fn link(&self, index: usize, state: &str) -> Result<(), String> {
        ip(&format!("-n {} link set port{index} {state}", self.hub))
    }

    /// The address of a node, from the block that RFC 5737 reserves for documentation, which nobody uses.
    fn address(index: usize, port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1 + u8::try_from(index).unwrap()], port))
    }

    /// Makes a node send packets for another node to a hardware address that nobody has. This cuts the link in one
    /// direction.
    fn misdirect(&self, from: usize, to: usize) -> Result<(), String> {
        let to = Self::address(to, 0).ip();
        ip(&format!("-n {} neigh replace {to} lladdr 02:00:00:00:00:99 dev eth0 nud permanent", self.nodes[from]))
    }

    /// Lets the node find the right hardware address again.
    fn direct(&self, from: usize, to: usize) -> Result<(), String> {
        let to = Self::address(to, 0).ip();
        ip(&format!("-n {} neigh delete {to} dev eth0", self.nodes[from]))
    }

    fn inside(&self, index: usize) -> Vec<String> {
        ["ip", "netns", "exec", &self.nodes[index]].map(str::to_owned).to_vec()
    }

    fn serve(&self, index: usize) -> Serve {
        let mut serve = Serve::new(LABELS[index]).at(Self::address(index, HTTP_PORT), Self::address(index, PEER_PORT));
        serve.through = self.inside(index);
        serve.arguments.push("--insecure".to_owned());
        serve
    }

    /// Runs a client command beside a node. Returns its exit code and the JSON that it printed.
    fn command(&self, index: usize, words: &str) -> Result<(i32, Value), String> {
        let mut command = command(&self.inside(index));
        command.args(words.split(' ')).args(["--output", "json"]);
        command.env("FORENAME_NODE", format!("http://{}", Self::address(index, HTTP_PORT)));
        let output = run(&mut command);
        let exit = output.status.code().ok_or("it was killed")?;
        let complaint = || String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::from_slice(&output.stdout).map(|value| (exit, value)).map_err(|_| complaint())
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in self.nodes.iter().chain([&self.hub]) {
            // A namespace is missing where its creation failed.
            let _ = ip(&format!("netns delete {name}"));
        }
    }
}

/// Waits until the output of a command beside a node is as wanted.
async fn shows<T: PartialEq + Debug>(net: &Net, index: usize, words: &str, look: fn(&Value) -> T, wanted: T) -> Value {
    eventually(&format!("{words} at {}", LABELS[index]), async || {
        let (_, value) = net.command(index, words)?;
        same(&look(&value), &wanted)?;
        Ok(value)
    })
    .await
}

fn status(value: &Value) -> String {
    value["status"].as_str().unwrap_or_default().to_owned()
}

fn members(value: &Value) -> usize {
    let members = value["members"].as_array().into_iter().flatten();
    members.filter(|member| member["state"] == "member").count()
}

/// Counts the evictions that are done or under way.
fn evictions(value: &Value) -> usize {
    let count = |list: &Value| list.as_array().map_or(0, Vec::len);
    count(&value["evicted"]) + count(&value["eviction"]["nodes"])
}

fn waits_for(value: &Value) -> Vec<String> {
    let waiting = value["waiting_for"].as_array().into_iter().flatten();
    let mut labels: Vec<_> = waiting.map(|member| member["label"].as_str().unwrap_or_default().to_owned()).collect();
    labels.sort_unstable();
    labels
}

/// Three nodes that are members of one cluster.
async fn three(net: &Net, homes: &[Home; 3]) -> Vec<Process> {
    let mut nodes = vec![Process::start(&homes[0], &net.serve(0)).await];
    let (_, issued) = net.command(0, "member token --uses 2").unwrap();
    let token = issued["token"].as_str().unwrap();
    for (index, home) in homes.iter().enumerate().skip(1) {
        let serve = net.serve(index).join(nodes[0].peer, token);
        nodes.push(Process::start(home, &serve).await);
    }
    for index in 0..3 {
        shows(net, index, "status", members, 3).await;
    }
    nodes
}

#[tokio::test]
async fn a_link_set_down_and_up_again_between_machines() {
    let net = match Net::new('a') {
        Ok(net) => net,
        Err(why) => {
            skipped(&format!("no network namespaces here: {why}"));
            return;
        }
    };
    let homes = [Home::new(), Home::new(), Home::new()];
    let mut nodes = three(&net, &homes).await;
    let (exit, first) = net.command(1, "claim username/zoe --owner ann --wait --timeout 60s").unwrap();
    assert_eq!((exit, &first["status"]), (0, &"confirmed".into()));

    net.link(2, "down").unwrap();
    let (exit, here) = net.command(0, "claim username/alice --owner ann --wait --timeout 200ms").unwrap();
    assert_eq!((exit, &here["status"]), (4, &"pending".into()));
    let (exit, there) = net.command(2, "claim username/alice --owner bob --wait --timeout 200ms").unwrap();
    assert_eq!((exit, &there["status"]), (4, &"pending".into()));
    let (here, there) = (here["id"].as_str().unwrap(), there["id"].as_str().unwrap());
    shows(&net, 0, &format!("show {here}"), waits_for, vec!["c".to_owned()]).await;
    shows(&net, 2, &format!("show {there}"), waits_for, vec!["a".to_owned(), "b".to_owned()]).await;

    net.link(2, "up").unwrap();
    for (index, node) in nodes.iter_mut().enumerate() {
        shows(&net, index, &format!("show {here}"), status, "confirmed".to_owned()).await;
        let lost = shows(&net, index, &format!("show {there}"), status, "rejected".to_owned()).await;
        assert_eq!(lost["rejected_by"]["registration"], here);
        let name = shows(&net, index, "show username/alice", status, "held".to_owned()).await;
        assert_eq!(name["registration"], here);
        node.assert_lives();
    }
}

/// The value of `evict_after`. It is longer than each of the silences in the next test, but not than all of them
/// together.
const EVICT_AFTER: &str = "4s";
/// The number of times that the link goes down and up, with a claim that is confirmed in between.
const FLAPS: usize = 6;

#[tokio::test]
async fn a_cut_in_one_direction_and_a_flapping_link_evict_nobody() {
    let net = match Net::new('b') {
        Ok(net) => net,
        Err(why) => {
            skipped(&format!("no network namespaces here: {why}"));
            return;
        }
    };
    let homes = [Home::new(), Home::new(), Home::new()];
    let mut nodes = three(&net, &homes).await;
    let (exit, set) = net.command(1, &format!("cluster set --evict-after {EVICT_AFTER}")).unwrap();
    assert_eq!((exit, &set["settings"]["evict_after"]), (0, &EVICT_AFTER.into()));
    // The messages of a reach c through b, so neither is silent to the other for long.
    net.misdirect(0, 2).unwrap();
    let started = Instant::now();
    let mut number = 0;
    while started.elapsed() < 2 * Duration::from_secs(4) {
        for (index, label) in LABELS.iter().enumerate() {
            number += 1;
            let words = format!("claim username/one{number} --owner ann --wait --timeout 60s");
            let (exit, claimed) = net.command(index, &words).unwrap();
            assert_eq!((exit, &claimed["status"]), (0, &"confirmed".into()), "at {label}");
        }
    }
    net.direct(0, 2).unwrap();

    for number in 0..FLAPS {
        net.link(2, "down").unwrap();
        let words = format!("claim username/two{number} --owner ann --wait --timeout 500ms");
        let (exit, pending) = net.command(0, &words).unwrap();
        assert_eq!((exit, &pending["status"]), (4, &"pending".into()));
        net.link(2, "up").unwrap();
        let id = pending["id"].as_str().unwrap();
        shows(&net, 0, &format!("show {id}"), status, "confirmed".to_owned()).await;
    }
    for (index, node) in nodes.iter_mut().enumerate() {
        let status = shows(&net, index, "status", members, 3).await;
        assert_eq!(evictions(&status), 0, "{status}");
        node.assert_lives();
    }
}
