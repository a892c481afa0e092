//! Checks that erased text is in no table of any node, also after a restart, and that its name is free again.

use std::sync::Arc;
use std::time::Duration;

use forename::Client;
use forename::model::{EndReason, EventType, Metadata, NameRef, RegistrationBody, Status};
use forename::node::{JoinConfig, NodeConfig};
use forename::transport::Cuts;
use tempfile::{TempDir, tempdir};
use uuid::Uuid;

use crate::support::facts::feed;
use crate::support::local::{self, Local};
use crate::support::{all_members, claim, eventually, id, user_final};

/// Starts a node whose logs soon drop the ops that all members have.
async fn start(dir: TempDir, label: &str, cuts: &Arc<Cuts>, join: Option<JoinConfig>) -> Local {
    let soon = |config: &mut NodeConfig| config.keep_log = Some(Duration::from_millis(50));
    Local::start_otherwise(soon, dir, label, cuts.clone(), join).await
}

/// Returns all rows of all tables of a node on its disk, as they are in its backup.
async fn tables(client: &Client) -> Vec<u8> {
    let mut backup = client.backup().await.unwrap();
    let mut bytes = Vec::new();
    while let Some(chunk) = backup.next().await.unwrap() {
        bytes.extend_from_slice(&chunk);
    }
    bytes
}

/// Returns the first of some texts that is in any table of a node.
async fn has_any<'a>(client: &Client, texts: &[&'a str]) -> Option<&'a str> {
    let tables = tables(client).await;
    texts.iter().copied().find(|text| tables.windows(text.len()).any(|window| window == text.as_bytes()))
}

async fn is_erased(client: &Client, id: Uuid) {
    eventually("it is erased", async || {
        let shown = client.registration(id).await.map_err(|error| error.to_string())?;
        if shown.erased && shown.owner.is_empty() && shown.names.is_empty() && shown.metadata.is_none() {
            return Ok(());
        }
        Err(format!("{shown:?}"))
    })
    .await;
}

#[tokio::test]
async fn what_is_erased_is_in_no_table_of_any_node() {
    let cuts = Arc::new(Cuts::new());
    let a = start(tempdir().unwrap(), "a", &cuts, None).await;
    let b = start(tempdir().unwrap(), "b", &cuts, Some(a.to_join().await)).await;
    let mut nodes = vec![a, b];
    all_members(&local::clients(&nodes)).await;
    let mail = NameRef { namespace: "email".to_owned(), name: "Annika@Example.org".to_owned() };
    let mut body = RegistrationBody { id: Some(id(1)), ..user_final("Annika.Maier", "customer-4711") };
    body.names.push(mail);
    body.metadata = Some(Metadata::new("{\"phone\": \"+49 30 1234\"}".to_owned()).unwrap());
    claim(&nodes[0].client, &body).await;
    claim(&nodes[1].client, &user_final("Wilhelmine", "customer-4712")).await;
    let texts = ["customer-4711", "Annika", "annika", "aier", "+49 30 1234"];
    for node in &nodes {
        assert_eq!(has_any(&node.client, &texts).await, Some("customer-4711"));
    }

    let given_up = nodes[1].client.erase(id(1)).await.unwrap();
    assert_eq!(given_up.id, id(1));
    for node in &nodes {
        is_erased(&node.client, id(1)).await;
        // The ops leave the logs once all members are known to have them.
        eventually("nothing is left of it", async || match has_any(&node.client, &texts).await {
            Some(text) => Err(format!("{text} is left")),
            None => Ok(()),
        })
        .await;
        assert_eq!(has_any(&node.client, &["customer-4712"]).await, Some("customer-4712"), "others stay");
        let told = feed(&node.client).await;
        let ended: Vec<_> = told.iter().filter(|event| event.event_type == EventType::NameEnded).collect();
        assert_eq!(ended.len(), 2);
        for event in ended {
            assert_eq!((event.subject.clone(), event.data.reason), (id(1).to_string(), Some(EndReason::Released)));
            assert!(event.data.registration.erased && event.data.name.is_none());
        }
        assert_eq!(node.client.owner("customer-4711", None, None).await.unwrap().registrations, []);
        assert!(node.client.erase(id(1)).await.unwrap().erased, "as often as one likes");
    }

    let dir = nodes.remove(0).shutdown().await;
    let verified = forename::node::offline::verify(dir.path()).unwrap();
    assert_eq!(verified.findings, []);
    nodes.insert(0, start(dir, "a", &cuts, None).await);
    all_members(&local::clients(&nodes)).await;
    is_erased(&nodes[0].client, id(1)).await;
    assert_eq!(has_any(&nodes[0].client, &texts).await, None);
    let again = claim(&nodes[0].client, &user_final("annika.maier", "customer-4713")).await;
    assert_eq!(again.status, Status::Confirmed);
    local::shutdown(nodes).await;
}
