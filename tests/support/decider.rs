//! A receiver of hooks inside the test: an HTTP server that checks who asks, keeps what it is told, and
//! answers each stage as the test wants at that moment.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::receiver::ARRIVAL;
use super::wait::wait_for;

/// The key that both sides know.
pub(crate) const KEY: &str = "canary-84d2-hooks";

/// How a question is answered.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// With this decision.
    Say(&'static str),
    /// With this status and this text.
    Raw(u16, String),
    /// With a redirect to this URL.
    Redirect(String),
    /// The connection breaks in the middle of the answer.
    Break,
    /// Never.
    Silence,
}

#[derive(Default)]
struct State {
    answers: BTreeMap<String, Answer>,
    told: Vec<Value>,
    refused: usize,
}

/// A running receiver; it ends when the value is dropped.
pub(crate) struct Decider {
    port: u16,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Decider {
    /// Starts one that allows everything.
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let state = Arc::<Mutex<State>>::default();
        let known = Arc::clone(&state);
        let router = Router::new().fallback(move |request: Request| {
            let known = Arc::clone(&known);
            async move { decide(&known, request).await }
        });
        let task = tokio::spawn(async move {
            drop(axum::serve(listener, router).await);
        });
        Ok(Self { port, state, task })
    }

    /// The target's field `hooks` with this receiver at these stages.
    pub(crate) fn hooks(&self, stages: &[&str], timeout: &str) -> Value {
        let url = self.url();
        json!({"http": [{"name": "decider", "stages": stages, "url": url, "timeout": timeout}]})
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/decide", self.port)
    }

    /// From now on this stage is answered so.
    pub(crate) fn set(&self, stage: &str, answer: Answer) {
        self.lock().answers.insert(stage.to_owned(), answer);
    }

    /// The documents so far, of those whose signature was right.
    pub(crate) fn told(&self) -> Vec<Value> {
        self.lock().told.clone()
    }

    /// The stages so far, in order.
    pub(crate) fn stages(&self) -> Vec<String> {
        self.told().iter().filter_map(|one| Some(one["stage"].as_str()?.to_owned())).collect()
    }

    /// Requests whose signature was wrong.
    pub(crate) fn refused(&self) -> usize {
        self.lock().refused
    }

    /// Waits until this stage was asked so often.
    pub(crate) async fn wait_for(&self, stage: &str, times: usize) -> Result<()> {
        let asked = async || {
            let stages = self.stages();
            let count = stages.iter().filter(|one| *one == stage).count();
            Ok(if count >= times { Ok(()) } else { Err(stages) })
        };
        wait_for(stage, ARRIVAL, asked).await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Decider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn decide(state: &Mutex<State>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap_or_default();
    let header = |name: &str| {
        let value = head.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let parts = [header("webhook-id"), header("webhook-timestamp")];
    let answer = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if header("webhook-signature") != signature(&parts, &body) {
            state.refused += 1;
            return plain(401, "who are you?".to_owned());
        }
        let document: Value = serde_json::from_slice(&body).unwrap_or_default();
        let stage = document["stage"].as_str().unwrap_or_default().to_owned();
        state.told.push(document);
        state.answers.get(&stage).cloned().unwrap_or(Answer::Say("allow"))
    };
    match answer {
        Answer::Say(decision) => {
            plain(200, json!({"decision": decision, "message": "as the test says"}).to_string())
        }
        Answer::Raw(status, text) => plain(status, text),
        Answer::Redirect(location) => {
            let builder = Response::builder().status(302).header("location", location);
            builder.body(Body::empty()).unwrap_or_default()
        }
        Answer::Break => {
            let parts = [Ok("{\"decision\":"), Err(io::Error::other("it breaks off"))];
            Response::new(Body::from_stream(futures_util::stream::iter(parts)))
        }
        Answer::Silence => std::future::pending().await,
    }
}

/// By Standard Webhooks.
fn signature([id, timestamp]: &[String; 2], body: &[u8]) -> String {
    let Ok(mut hmac) = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()) else {
        return "none".to_owned();
    };
    hmac.update(format!("{id}.{timestamp}.").as_bytes());
    hmac.update(body);
    format!("v1,{}", STANDARD.encode(hmac.finalize().into_bytes()))
}

fn plain(status: u16, text: String) -> Response<Body> {
    Response::builder().status(status).body(Body::from(text)).unwrap_or_default()
}
