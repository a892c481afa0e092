//! A real browser, which is driven over the Chrome DevTools Protocol: it opens pages, clicks, types, and takes
//! pictures.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use data_encoding::BASE64;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::process::Guarded;
use super::{eventually, http, within};

/// Returns the name of the browser's program, where one is installed.
pub(crate) fn chromium() -> Option<&'static str> {
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success()))
}

/// Makes a command that runs the browser without a window.
pub(crate) fn browser(program: &str, profile: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--no-proxy-server"]);
    // The host name of an attacker, which resolves to this machine.
    command.arg("--host-resolver-rules=MAP evil.example 127.0.0.1");
    command.arg(format!("--user-data-dir={}", profile.display()));
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// A browser with one page.
pub(crate) struct Page {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    calls: u64,
    _browser: Guarded,
    _profile: TempDir,
}

impl Page {
    /// Starts a browser and opens an address in it.
    pub(crate) async fn open(program: &str, address: &str) -> Self {
        let profile = tempfile::tempdir().expect("a directory for a profile");
        let mut command = browser(program, profile.path());
        command.args(["--remote-debugging-port=0", "about:blank"]).stdout(Stdio::null());
        let browser = Guarded(command.spawn().expect("the browser can be run"));
        let port = eventually("the browser says where it listens", async || {
            let text = std::fs::read_to_string(profile.path().join("DevToolsActivePort"));
            let text = text.map_err(|error| error.to_string())?;
            text.lines().next().and_then(|line| line.parse::<u16>().ok()).ok_or(text)
        })
        .await;
        let made = http().build().expect("a client").put(format!("http://127.0.0.1:{port}/json/new?about:blank"));
        let target: Value = made.send().await.expect("a new page").json().await.expect("a page is described as JSON");
        let place = target["webSocketDebuggerUrl"].as_str().expect("a page has an address for debuggers");
        let (socket, _) = tokio_tungstenite::connect_async(place).await.expect("a page can be debugged");
        let mut page = Self { socket, calls: 0, _browser: browser, _profile: profile };
        page.call("Page.enable", json!({})).await;
        page.call("Page.navigate", json!({ "url": address })).await;
        page
    }

    /// Makes a call of the protocol. Events that come meanwhile are dropped.
    async fn call(&mut self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, params).await;
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Makes a call of the protocol. Returns the error that the browser gives.
    async fn answer(&mut self, method: &str, params: Value) -> Result<Value, String> {
        self.calls += 1;
        let number = self.calls;
        let call = json!({ "id": number, "method": method, "params": params }).to_string();
        self.socket.send(Message::text(call)).await.expect("the browser lives");
        loop {
            let message = within(method, self.socket.next()).await.expect("the browser lives").expect("a message");
            let Message::Text(text) = message else { continue };
            let mut answer: Value = serde_json::from_str(&text).expect("the browser speaks JSON");
            if answer["id"] == number {
                let error = answer["error"]["message"].as_str().map(str::to_owned);
                return error.map_or_else(|| Ok(answer["result"].take()), Err);
            }
        }
    }

    /// Evaluates an expression in the page. Returns null where the page is loaded again meanwhile.
    pub(crate) async fn value(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut answer = match self.answer("Runtime.evaluate", params).await {
            Ok(answer) => answer,
            Err(error) if error.contains("navigated") || error.contains("context") => return Value::Null,
            Err(error) => panic!("{expression}: {error}"),
        };
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// Waits until the page shows something, which is when the expression is true.
    pub(crate) async fn shows(&mut self, what: &str, expression: &str) {
        let expression = format!("(() => {{ try {{ return !!({expression}); }} catch {{ return false; }} }})()");
        let mut last = String::new();
        let looking = async {
            while self.value(&expression).await != Value::Bool(true) {
                last = self.value("document.body?.innerText").await.as_str().unwrap_or_default().to_owned();
                tokio::time::sleep(super::LOOK).await;
            }
        };
        let found = tokio::time::timeout(super::DEADLINE, looking).await;
        assert!(found.is_ok(), "the page does not show {what}: it shows\n{last}");
    }

    /// Clicks on the first element that matches the selector.
    pub(crate) async fn click(&mut self, selector: &str) {
        let selector = Value::from(selector);
        self.value(&format!("document.querySelector({selector}).click()")).await;
    }

    /// Replaces the text of an element by typing, as a keyboard does.
    pub(crate) async fn types(&mut self, selector: &str, text: &str) {
        let selector = Value::from(selector);
        self.value(&format!("(of => {{ of.focus(); of.select?.(); }})(document.querySelector({selector}))")).await;
        self.call("Input.insertText", json!({ "text": text })).await;
    }

    /// Presses one key.
    pub(crate) async fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { key } else { "" };
            self.call("Input.dispatchKeyEvent", json!({ "type": kind, "key": key, "text": text })).await;
        }
    }

    /// Sets the width of the page, like that of a window or a phone, and the dark or the light color scheme.
    pub(crate) async fn looks(&mut self, width: u32, dark: bool) {
        let metrics = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", metrics).await;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", features).await;
    }

    /// Takes a picture of the whole page. It stays in the build directory, for people to look at.
    pub(crate) async fn picture(&mut self, name: &str) -> PathBuf {
        let taken =
            self.call("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": true })).await;
        let bytes = BASE64.decode(taken["data"].as_str().unwrap_or_default().as_bytes()).expect("a picture in base64");
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures");
        std::fs::create_dir_all(&directory).expect("a directory for pictures");
        let path = directory.join(name).with_extension("png");
        std::fs::write(&path, bytes).expect("a picture is written");
        path
    }
}
