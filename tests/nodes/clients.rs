//! Tests of the clients in `clients/`: each follows three real nodes, one of which it kills. They are skipped where the
//! tools to run them are not installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::openapi::of_environment;
use crate::support::http;
use crate::support::process::{Home, Process, Serve, Three, run};
use crate::support::skipped;

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// Runs a command to its end, while the nodes go on.
async fn ended(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Gives the addresses of the nodes to the tests of a client.
fn tell(command: &mut Command, three: &Three) {
    let addresses: Vec<_> = three.nodes.iter().map(Process::url).collect();
    command.env("FORENAME_NODES", addresses.join(",")).env("FORENAME_FIRST", three.nodes[0].id().to_string());
    // No files are written beside the sources.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
}

#[tokio::test]
async fn the_client_in_python_outlives_a_node() {
    let Some(python) = of_environment("python") else {
        return skipped("there is no environment of Python; see .ci/run");
    };
    let three = Three::start().await;
    let mut command = Command::new(&python);
    command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]).current_dir(clients().join("python"));
    tell(&mut command, &three);
    let tests = ended(command).await;
    assert!(tests.status.success() && !text(&tests).contains("skipped"), "{}", text(&tests));

    let mut command = Command::new(python);
    command.args(["-m", "mypy", "--cache-dir=/dev/null"]).current_dir(clients().join("python"));
    let types = ended(command).await;
    assert!(types.status.success(), "{}", text(&types));
}

#[tokio::test]
async fn the_client_in_typescript_outlives_a_node() {
    let package = clients().join("typescript");
    if !package.join("dist/test/live.test.js").is_file() {
        return skipped("the client in TypeScript is not built; see .ci/run");
    }
    let three = Three::start().await;
    let mut command = Command::new("node");
    command.args(["--test", "--test-concurrency=1", "dist/test/"]).current_dir(package);
    tell(&mut command, &three);
    let tests = ended(command).await;
    let told = text(&tests);
    assert!(tests.status.success() && told.contains("# skipped 0") && !told.contains("# pass 0"), "{told}");
}

#[tokio::test]
async fn the_models_of_both_clients_are_those_of_the_document() {
    let home = Home::new();
    let node = Process::start(&home, &Serve::new("a")).await;
    let document = http().build().unwrap().get(format!("{}/openapi.json", node.url())).send().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("openapi.json");
    std::fs::write(&path, document.text().await.unwrap()).unwrap();
    let generate = |python: &Path| {
        let mut command = Command::new(python);
        command.arg(clients().join("generate.py")).arg(&path).arg("--check");
        command
    };
    let python = of_environment("python").unwrap_or_else(|| PathBuf::from("python3"));
    if !Command::new(&python).arg("--version").output().is_ok_and(|output| output.status.success()) {
        return skipped("there is no Python to make the models with");
    }
    let checked = ended(generate(&python)).await;
    assert!(checked.status.success(), "{}", text(&checked));
}
