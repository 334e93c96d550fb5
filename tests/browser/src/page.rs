//! The page as a test sees it: open, look, wait, type, click, send events.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use fantoccini::actions::{
    InputSource, KeyAction, KeyActions, MOUSE_BUTTON_LEFT, MouseActions, PointerAction,
};
use fantoccini::{Client, Locator};
use serde_json::{Value, json};
use tokio::time::{Instant, interval};

use crate::browser::{ChromeCommand, ColourScheme};
use crate::pipeline::Pipeline;

const DEADLINE: Duration = Duration::from_secs(30);
/// WCAG 2 level AA for text.
const LEAST_CONTRAST: f64 = 4.5;
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// One tab on one pipeline. Clones are the same tab.
#[derive(Clone)]
pub struct Page {
    client: Client,
    origin: String,
    token: String,
    expected_errors: Arc<Mutex<Vec<&'static str>>>,
}

impl Page {
    pub(crate) fn new(client: Client, pipeline: &Pipeline) -> Self {
        let expected_errors = Arc::default();
        Self { client, origin: pipeline.origin.clone(), token: pipeline.token.clone(), expected_errors }
    }

    /// The same tab with another token.
    #[must_use]
    pub fn with_token(&self, token: String) -> Self {
        Self { token, ..self.clone() }
    }

    /// The bearer token of the pipeline.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Opens the page at a path and query, as `/?range=all`, without a token in the address.
    pub async fn open(&self, path: &str) -> Result<()> {
        Ok(self.client.goto(&format!("{}{path}", self.origin)).await?)
    }

    /// Opens the page with a query as the printed address does, and waits until the pipeline's state is shown.
    pub async fn open_signed_in(&self, query: &str) -> Result<()> {
        self.open(&format!("/{query}#token={}", self.token)).await?;
        self.wait_until("the page is there", "!document.getElementById('app').hidden").await?;
        self.wait_until(
            "the state of the pipeline is shown",
            "document.querySelector('.part.ledger strong')",
        )
        .await?;
        Ok(())
    }

    /// Loads the page again with another query; the tab stays signed in.
    pub async fn reopen(&self, query: &str) -> Result<()> {
        self.open(&format!("/{query}")).await?;
        self.wait_until("the page is there", "!document.getElementById('app').hidden").await?;
        Ok(())
    }

    /// Runs a function body in the page and returns its value.
    pub async fn run(&self, body: &str, args: Vec<Value>) -> Result<Value> {
        self.client.execute(body, args).await.with_context(|| format!("in {body}"))
    }

    /// The value of an expression in the page.
    pub async fn value(&self, expression: &str) -> Result<Value> {
        self.run(&format!("return ({expression})"), vec![]).await
    }

    /// The value of an expression as text.
    pub async fn text(&self, expression: &str) -> Result<String> {
        let value = self.value(expression).await?;
        Ok(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    /// Waits until an expression is true in the sense of JavaScript, and returns its value.
    ///
    /// # Errors
    /// It is not after 30 s; the message says `what` was waited for and what the page shows.
    pub async fn wait_until(&self, what: &str, expression: &str) -> Result<Value> {
        let deadline = Instant::now() + DEADLINE;
        let mut look = interval(LOOK_EVERY);
        loop {
            look.tick().await;
            // Only the truth is asked for first: an element cannot be serialised for free.
            let (truth, value) = self.look(expression).await?;
            if truth {
                return Ok(value);
            }
            if Instant::now() > deadline {
                let shown = self.text("document.body.innerText.slice(0, 1500)").await?;
                bail!("not within {DEADLINE:?}: {what}\n{expression} is {value}\nthe page shows:\n{shown}");
            }
        }
    }

    async fn look(&self, expression: &str) -> Result<(bool, Value)> {
        let body = format!(
            "const value = ({expression}); return [Boolean(value), value instanceof Node ? 'a node' : value]"
        );
        let answer = self.run(&body, vec![]).await?;
        Ok((answer[0] == true, answer[1].clone()))
    }

    /// Waits until the list says that it is complete with this many events.
    pub async fn wait_for_events(&self, count: usize) -> Result<()> {
        let foot = "(document.querySelector('.list-foot')?.textContent ?? '').replaceAll(',', '')";
        let words = if count == 1 { "1 event.".to_owned() } else { format!("{count} events.") };
        self.wait_until(&format!("the list ends after {words}"), &format!("{foot}.startsWith('{words}')"))
            .await?;
        Ok(())
    }

    /// The messages of the lines in the document, from top to bottom.
    pub async fn messages(&self) -> Result<Vec<String>> {
        let value = self
            .value(
                "[...document.querySelectorAll('.row')].sort((a, b) => a.ariaRowIndex - b.ariaRowIndex)
                 .map((row) => row.querySelector('.text').textContent)",
            )
            .await?;
        Ok(serde_json::from_value(value)?)
    }

    /// Clicks the first element of a CSS selector.
    pub async fn click(&self, selector: &str) -> Result<()> {
        let element =
            self.client.find(Locator::Css(selector)).await.with_context(|| format!("no {selector}"))?;
        element.click().await.with_context(|| format!("clicking {selector}"))
    }

    /// Presses and releases keys wherever the focus is; special keys as `fantoccini::key::Key`.
    pub async fn press(&self, keys: &str) -> Result<()> {
        let mut actions = KeyActions::new("keyboard".to_owned());
        for value in keys.chars() {
            actions = actions.then(KeyAction::Down { value }).then(KeyAction::Up { value });
        }
        Ok(self.client.perform_actions(actions).await?)
    }

    /// Presses the mouse at a point of the window, moves to another, and lets go there.
    pub async fn drag(&self, from: (f64, f64), to: (f64, f64)) -> Result<()> {
        let hop = |(x, y)| PointerAction::MoveTo { duration: Some(Duration::from_millis(20)), x, y };
        let actions = MouseActions::new("mouse".to_owned())
            .then(hop(from))
            .then(PointerAction::Down { button: MOUSE_BUTTON_LEFT })
            .then(hop(to))
            .then(PointerAction::Up { button: MOUSE_BUTTON_LEFT });
        Ok(self.client.perform_actions(actions).await?)
    }

    /// Makes the system prefer a colour scheme, and reduced motion, so that colours are final at once.
    pub async fn prefer(&self, scheme: ColourScheme) -> Result<()> {
        let params = json!({ "features": [
            { "name": "prefers-color-scheme", "value": scheme.to_string() },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ] });
        self.client.issue_cmd(ChromeCommand::devtools("Emulation.setEmulatedMedia", &params)).await?;
        Ok(())
    }

    /// Gives the window this size in CSS pixels.
    pub async fn resize(&self, width: u32, height: u32) -> Result<()> {
        let params = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.client.issue_cmd(ChromeCommand::devtools("Emulation.setDeviceMetricsOverride", &params)).await?;
        Ok(())
    }

    /// Looks at every text that is shown, in the light and in the dark page, and returns how many there are.
    ///
    /// # Errors
    /// One has less contrast to its ground than WCAG 2 asks for at level AA.
    pub async fn check_contrast(&self) -> Result<usize> {
        let mut looked_at = usize::MAX;
        for scheme in [ColourScheme::Light, ColourScheme::Dark] {
            self.prefer(scheme).await?;
            let all = self.run(include_str!("contrast.js"), vec![]).await?;
            let all = all.as_array().cloned().unwrap_or_default();
            let is_poor = |one: &&Value| one["ratio"].as_f64().unwrap_or(0.0) < LEAST_CONTRAST;
            let poor: Vec<&Value> = all.iter().filter(is_poor).collect();
            ensure!(poor.is_empty(), "{scheme}: text with too little contrast: {poor:#?}");
            looked_at = looked_at.min(all.len());
        }
        Ok(looked_at)
    }

    /// Goes back in the history.
    pub async fn back(&self) -> Result<()> {
        Ok(self.client.back().await?)
    }

    /// Calls the API from the page, with the tab's token; a body makes it a POST. Returns status and JSON answer.
    pub async fn api(&self, path: &str, body: Option<&Value>) -> Result<(u64, Value)> {
        let script = "const [path, token, body, done] = arguments;
            const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
            fetch(path, body === null ? { headers } : { method: 'POST', headers, body })
              .then(async (answer) => done([answer.status, await answer.json()]), (error) => done([0, String(error)]));";
        let body = body.map_or(Value::Null, |body| Value::String(body.to_string()));
        let answer =
            self.client.execute_async(script, vec![path.into(), self.token.clone().into(), body]).await?;
        Ok((answer[0].as_u64().unwrap_or_default(), answer[1].clone()))
    }

    /// Sends events and waits until all are stored.
    pub async fn send(&self, events: &[Value]) -> Result<()> {
        let before = self.stored().await?;
        let (status, answer) = self.api("/api/v1/logs", Some(&Value::from(events))).await?;
        ensure!(status == 202 && answer["accepted"] == events.len(), "sending gave {status} {answer}");
        let wanted = before + events.len() as u64;
        let deadline = Instant::now() + DEADLINE;
        let mut look = interval(LOOK_EVERY);
        while self.stored().await? < wanted {
            ensure!(
                Instant::now() < deadline,
                "{} of {wanted} events stored within {DEADLINE:?}",
                self.stored().await?
            );
            look.tick().await;
        }
        Ok(())
    }

    async fn stored(&self) -> Result<u64> {
        let (status, answer) = self.api("/api/v1/stats", None).await?;
        answer["total"].as_u64().with_context(|| format!("stats gave {status} {answer}"))
    }

    /// Console errors that hold this text belong to the test.
    pub fn expect_console_error(&self, text: &'static str) {
        self.expected_errors.lock().expect("no test panics while holding it").push(text);
    }

    /// Fails when the page logged an error that was not expected.
    pub async fn check_console(&self) -> Result<()> {
        let entries = self.client.issue_cmd(ChromeCommand::log("browser")).await?;
        let expected = self.expected_errors.lock().expect("no test panics while holding it").clone();
        let is_expected = |entry: &&Value| {
            let message = entry["message"].as_str().unwrap_or_default();
            entry["level"] != "SEVERE" || expected.iter().any(|text| message.contains(text))
        };
        let errors: Vec<_> =
            entries.as_array().into_iter().flatten().filter(|entry| !is_expected(entry)).collect();
        ensure!(errors.is_empty(), "the console has errors: {errors:#?}");
        Ok(())
    }

    /// Fails when a request went anywhere but to the pipeline.
    pub async fn check_requests(&self) -> Result<()> {
        let entries = self.client.issue_cmd(ChromeCommand::log("performance")).await?;
        let mut own = 0;
        for entry in entries.as_array().into_iter().flatten() {
            let message: Value = serde_json::from_str(entry["message"].as_str().unwrap_or("null"))?;
            if message["message"]["method"] != "Network.requestWillBeSent" {
                continue;
            }
            let request = &message["message"]["params"];
            // The browser's own empty first tab is not the page.
            if request["documentURL"].as_str().is_some_and(|document| document.starts_with("chrome")) {
                continue;
            }
            let address = request["request"]["url"].as_str().unwrap_or_default();
            ensure!(
                address.starts_with(&format!("{}/", self.origin)),
                "a request left the origin: {address}"
            );
            own += 1;
        }
        ensure!(own > 10, "only {own} requests seen: the check sees nothing");
        Ok(())
    }

    /// Keeps what a failed test saw, under the target directory.
    pub(crate) async fn save_screenshot(&self) {
        let name = std::thread::current().name().unwrap_or("test").replace("::", "-");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tmp");
        let file = folder.join(format!("browser-{name}.png"));
        if let Ok(png) = self.client.screenshot().await
            && std::fs::create_dir_all(&folder).is_ok()
            && std::fs::write(&file, png).is_ok()
        {
            eprintln!("the page as it was: {}", file.display());
        }
    }
}
