//! A receiver of notifications inside the test: an HTTP server that keeps what it gets and answers as it
//! is told.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::Response;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::wait::wait_for;

/// Time within which something arrives.
pub(crate) const ARRIVAL: Duration = Duration::from_secs(20);

/// What it does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    /// Answers with this status and this text.
    Answer(u16, &'static str),
    /// Answers with a redirect to this URL.
    Redirect(String),
    /// Never answers.
    Silence,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    /// Path and parameters.
    pub(crate) path: String,
    /// `webhook-id`, `webhook-timestamp` and `webhook-signature`.
    pub(crate) headers: [String; 3],
    /// The body as text.
    pub(crate) body: String,
    /// The body as JSON.
    pub(crate) json: Value,
}

impl Got {
    /// What it tells: kind and moment of each notice.
    pub(crate) fn told(&self) -> Vec<String> {
        let notices = self.json["notices"].as_array().cloned().unwrap_or_default();
        let words = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
        notices
            .iter()
            .map(|one| format!("{} {}", words(one, "kind"), words(one, "moment")))
            .collect()
    }
}

/// A running receiver; it ends when the value is dropped.
pub(crate) struct Receiver {
    port: u16,
    got: Arc<Mutex<Vec<Got>>>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// Starts one on a port of its own.
    pub(crate) async fn start(manner: Manner) -> Result<Self> {
        Self::on(0, manner).await
    }

    /// Starts one on this port.
    pub(crate) async fn on(port: u16, manner: Manner) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let port = listener.local_addr()?.port();
        let got = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&got);
        let router = Router::new().fallback(move |request: Request| {
            let (kept, manner) = (Arc::clone(&kept), manner.clone());
            async move {
                let one = read(request).await;
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                answer(manner).await
            }
        });
        let task = tokio::spawn(async move {
            drop(axum::serve(listener, router).await);
        });
        Ok(Self { port, got, task })
    }

    /// Where it is.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Everything that has arrived.
    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everything that was told, in order.
    pub(crate) fn told(&self) -> Vec<String> {
        self.got().iter().flat_map(Got::told).collect()
    }

    /// Waits until this was told.
    pub(crate) async fn wait_for(&self, what: &str) -> Result<()> {
        let told = async || {
            let told = self.told();
            Ok(if told.iter().any(|one| one == what) { Ok(()) } else { Err(told) })
        };
        wait_for(what, ARRIVAL, told).await
    }

    /// Waits until so many requests have arrived.
    pub(crate) async fn wait_for_requests(&self, count: usize) -> Result<()> {
        let enough = async || {
            let got = self.got();
            Ok(if got.len() >= count { Ok(()) } else { Err(got) })
        };
        wait_for("requests", ARRIVAL, enough).await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr().context("no port")?.port())
}

async fn read(request: Request) -> Got {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap_or_default();
    let header = |name: &str| {
        let value = head.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    Got {
        path: head.uri.to_string(),
        headers: [header("webhook-id"), header("webhook-timestamp"), header("webhook-signature")],
        json: serde_json::from_slice(&body).unwrap_or_default(),
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}

async fn answer(manner: Manner) -> Response<Body> {
    let (status, location, text) = match manner {
        Manner::Answer(status, text) => (status, None, text),
        Manner::Redirect(location) => (302, Some(location), ""),
        Manner::Silence => std::future::pending().await,
    };
    let mut builder = Response::builder().status(status);
    if let Some(location) = location {
        builder = builder.header("location", location);
    }
    builder.body(Body::from(text)).unwrap_or_default()
}
