//! A real browser without a window: Chromium, from `e2e/tools/chromium`, driven by its DevTools protocol over
//! pipes. A page is opened, looked at and clicked on as a person does. Must not know: ghostship.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::wait::wait_for;

/// How long one answer may take; the first includes the start of the browser, which may have to be fetched.
const ANSWER: Duration = Duration::from_secs(30);
const START: Duration = Duration::from_secs(300);

/// A browser with one page; it ends when the value is dropped.
pub(crate) struct Browser {
    child: Child,
    input: ChildStdin,
    heard: UnboundedReceiver<Value>,
    number: u64,
    session: Option<String>,
    /// What the page complained about.
    pub(crate) complaints: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    /// Starts one with an empty page.
    pub(crate) async fn start() -> Result<Self> {
        let profile = tempfile::tempdir()?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/tools/chromium");
        let mut child = Command::new(script)
            .args(["--pipe", "--disable-background-networking", "--disable-component-update"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("the browser does not start")?;
        let input = child.stdin.take().context("the browser has no input")?;
        let output = child.stdout.take().context("the browser has no output")?;
        let (sender, heard) = unbounded_channel();
        std::thread::spawn(move || {
            for message in BufReader::new(output).split(0).map_while(std::io::Result::ok) {
                if let Ok(message) = serde_json::from_slice(&message) {
                    drop(sender.send(message));
                }
            }
        });
        let (session, complaints) = (None, Vec::new());
        let mut browser =
            Self { child, input, heard, number: 0, session, complaints, _profile: profile };
        browser.open_page().await?;
        Ok(browser)
    }

    async fn open_page(&mut self) -> Result<()> {
        let blank = json!({"url": "about:blank"});
        let page = timeout(START, self.send("Target.createTarget", blank)).await??;
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        let attached = self.send("Target.attachToTarget", attach).await?;
        self.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            self.send(domain, json!({})).await?;
        }
        Ok(())
    }

    /// Goes to an address.
    pub(crate) async fn open(&mut self, url: &str) -> Result<()> {
        let answer = self.send("Page.navigate", json!({"url": url})).await?;
        ensure!(answer["errorText"].is_null(), "{url}: {}", answer["errorText"]);
        self.wait_for("document.readyState === 'complete'", ANSWER).await
    }

    /// The value of an expression in the page.
    pub(crate) async fn value(&mut self, expression: &str) -> Result<Value> {
        let parameters =
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.send("Runtime.evaluate", parameters).await?;
        ensure!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        Ok(answer["result"]["value"].clone())
    }

    /// Waits until an expression is true.
    pub(crate) async fn wait_for(&mut self, expression: &str, deadline: Duration) -> Result<()> {
        let probe = async || {
            Ok(match self.value(&format!("Boolean({expression})")).await? {
                Value::Bool(true) => Ok(()),
                _ => Err(self.value("document.body?.innerText").await?),
            })
        };
        wait_for(expression, deadline, probe).await
    }

    /// Clicks on the middle of an element, as a mouse does.
    pub(crate) async fn click(&mut self, selector: &str) -> Result<()> {
        let find = format!(
            "(() => {{ const it = document.querySelector({selector:?}); it.scrollIntoView({{block: 'center'}}); \
             const box = it.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        );
        let place = self.value(&find).await?;
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1});
            self.send("Input.dispatchMouseEvent", event).await?;
        }
        Ok(())
    }

    /// How large the window is, and whether the person likes it dark.
    pub(crate) async fn look(&mut self, (width, height): (u32, u32), scheme: &str) -> Result<()> {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.send("Emulation.setDeviceMetricsOverride", metrics).await?;
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.send("Emulation.setEmulatedMedia", json!({"features": [feature]})).await?;
        Ok(())
    }

    /// Takes a picture of the whole page.
    pub(crate) async fn picture(&mut self, file: &Path) -> Result<()> {
        let parameters = json!({"format": "png", "captureBeyondViewport": true});
        let answer = self.send("Page.captureScreenshot", parameters).await?;
        let data = answer["data"].as_str().context("no picture")?;
        std::fs::create_dir_all(file.parent().context("no folder")?)?;
        Ok(std::fs::write(file, STANDARD.decode(data)?)?)
    }

    async fn send(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.number += 1;
        let mut message = json!({"id": self.number, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.input.write_all(message.to_string().as_bytes())?;
        self.input.write_all(&[0])?;
        let limit = if self.session.is_some() { ANSWER } else { START };
        loop {
            let heard = timeout(limit, self.heard.recv()).await;
            let heard = heard.with_context(|| format!("no answer to {method}"))?;
            let Some(message) = heard else { bail!("the browser has ended before {method}") };
            if message["id"] == self.number {
                ensure!(message["error"].is_null(), "{method}: {}", message["error"]);
                return Ok(message["result"].clone());
            }
            self.note(&message);
        }
    }

    fn note(&mut self, message: &Value) {
        let about = &message["params"];
        let complains = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Log.entryAdded") => about["entry"]["level"] == "error",
            _ => false,
        };
        if complains {
            self.complaints.push(about.to_string());
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
