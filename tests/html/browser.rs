//! A headless Chromium, steered through ChromeDriver as the WebDriver standard says.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub struct Browser {
    driver: Child,
    runtime: Runtime,
    client: reqwest::Client,
    session: String,
    _profile: TempDir,
}

/// So that Chromium neither needs a screen nor calls home.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
];

pub const ENTER: &str = "\u{e007}";
pub const ESCAPE: &str = "\u{e00c}";
pub const RIGHT: &str = "\u{e014}";

impl Browser {
    pub fn start() -> Browser {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs ChromeDriver and Chromium (Debian packages chromium and chromium-driver)");
        let said = BufReader::new(driver.stdout.take().expect("its output is a pipe"));
        let port = said
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                line.split_once("started successfully on port ")?.1.trim_end_matches('.').parse::<u16>().ok()
            })
            .expect("ChromeDriver says which port it listens on");
        let profile = tempfile::tempdir().expect("a temporary directory");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        let session = format!("http://127.0.0.1:{port}/session");
        let mut browser = Browser { driver, runtime, client, session, _profile: profile };
        let profile = format!("--user-data-dir={}", browser._profile.path().display());
        let flags: Vec<&str> = FLAGS.into_iter().chain([&*profile]).collect();
        let wanted = json!({ "browserName": "chrome", "goog:chromeOptions": { "args": flags }, "goog:loggingPrefs": { "browser": "ALL" } });
        let started = browser.post("", json!({ "capabilities": { "alwaysMatch": wanted } }));
        let id = started["sessionId"]
            .as_str()
            .unwrap_or_else(|| panic!("Chromium (Debian package chromium) does not start: {started}"));
        browser.session = format!("{}/{id}", browser.session);
        browser
    }

    fn post(&self, path: &str, body: Value) -> Value {
        let request = self.client.post(format!("{}{path}", self.session)).json(&body);
        let answer: Value =
            self.runtime.block_on(async { request.send().await?.json().await }).expect("ChromeDriver answers");
        assert!(answer["value"]["error"].is_null(), "{path} {body}: {}", answer["value"]["message"]);
        answer["value"].clone()
    }

    /// Opens a file.
    pub fn open(&self, page: &Path) {
        self.post("/url", json!({ "url": format!("file://{}", page.display()) }));
    }

    /// What an expression of the page's script comes to.
    pub fn get(&self, expression: &str) -> Value {
        self.post("/execute/sync", json!({ "script": format!("return {expression}"), "args": [] }))
    }

    /// A text that an expression comes to.
    pub fn text(&self, expression: &str) -> String {
        self.get(expression).as_str().unwrap_or_else(|| panic!("{expression} is no text")).to_owned()
    }

    /// Clicks the element that an expression comes to, where it is to be seen.
    pub fn click(&self, expression: &str) {
        let element = self.get(expression);
        let id = element.as_object().and_then(|object| object.values().next()?.as_str().map(str::to_owned));
        let id = id.unwrap_or_else(|| panic!("{expression} is no element: {element}"));
        self.post(&format!("/element/{id}/click"), json!({}));
    }

    /// Presses a key.
    pub fn press(&self, key: &str) {
        let keys = [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })];
        self.post("/actions", json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": keys }] }));
    }

    /// Sends a command of the DevTools protocol.
    pub fn devtools(&self, command: &str, parameters: Value) {
        self.post("/goog/cdp/execute", json!({ "cmd": command, "params": parameters }));
    }

    /// What the page wrote to its console since this was last asked, and what the browser complained of.
    pub fn complaints(&self) -> Value {
        self.post("/se/log", json!({ "type": "browser" }))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Without this Chromium would outlive its driver.
        let _ = self.runtime.block_on(self.client.delete(&self.session).send());
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
