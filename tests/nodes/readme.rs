//! Compiles and runs the README's example in Rust.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use forename::client::ClientError;
use forename::model::{NameRef, Registration, RegistrationBody, Status, Wait};
use forename::transport::Cuts;
use uuid::Uuid;

use crate::support::id;
use crate::support::local::{self, Local};

/// Signs somebody up as in the README. Returns what the example's callbacks were told.
#[rustfmt::skip]
async fn sign_up(address: &str, id: Uuid) -> Result<String, ClientError> {
    let told = RefCell::new(String::new());
    let welcome = |it: Registration| *told.borrow_mut() = format!("welcome {}", it.owner);
    let tell_later = |id: Uuid| *told.borrow_mut() = format!("later {id}");
    let another_name = |error: ClientError| *told.borrow_mut() = error.to_string();
    let ask_another_node = |_: RegistrationBody, error: ClientError| *told.borrow_mut() = error.to_string();
    let refused = |error: ClientError| *told.borrow_mut() = format!("refused: {error}");
    // The README's lines.
    let node = forename::Client::new(address)?;
    let name = |namespace: &str, name: &str| NameRef { namespace: namespace.into(), name: name.into() };
    let names = vec![name("username", "carol"), name("email", "carol@example.org")];
    let body = RegistrationBody { id: Some(id), owner: "user-17".into(), names, wait: Some(Wait::Final), ..Default::default() };
    match node.register(&body).await {
        Ok(it) if it.status == Status::Confirmed => welcome(it),
        Ok(it) => tell_later(it.id),                                 // pending: the event feed says how it ends
        Err(error) if error.is_taken() => another_name(error),       // held by somebody, or an earlier claim won
        Err(error) if error.is_unreachable() || error.is_passing() => ask_another_node(body, error), // it stays one registration
        Err(error) => refused(error),                                // no such name, a limit: the error says what to do
    }
    // Until here.
    Ok(told.take())
}

#[tokio::test]
async fn the_readme_signs_carol_up() {
    let node = Local::start("a", Arc::new(Cuts::new()), None).await;
    let address = node.client.address().to_owned();
    assert_eq!(sign_up(&address, id(1)).await.unwrap(), "welcome user-17");
    // The same call again gives the same registration, and another owner comes too late.
    assert_eq!(sign_up(&address, id(1)).await.unwrap(), "welcome user-17");
    let told = sign_up(&address, id(2)).await.unwrap();
    assert!(told.contains("not available: username/carol, email/carol@example.org"), "{told}");
    local::shutdown(vec![node]).await;
    let told = sign_up(&address, id(3)).await.unwrap();
    assert!(told.contains("no answer from the node"), "{told}");
}

#[test]
fn the_example_is_the_readmes() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let (_, rest) = readme.split_once("```rust\n").unwrap();
    let (shown, _) = rest.split_once("```").unwrap();
    let (_, rest) = include_str!("readme.rs").split_once("    // The README's lines.\n").unwrap();
    let (run, _) = rest.split_once("    // Until here.\n").unwrap();
    let run: Vec<_> = run.lines().map(|line| line.strip_prefix("    ").unwrap_or(line)).collect();
    let shown = shown.replace("\"http://127.0.0.1:7410\"", "address");
    assert_eq!(shown.lines().collect::<Vec<_>>(), run);
}
