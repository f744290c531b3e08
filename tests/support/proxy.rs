//! A proxy in front of the API server. It records the writes that pass and can be told to hold one of
//! them, before or after the server has it: its client hears nothing more, and the test can kill it there.
//! It can make watches bad: each ends soon, and its events come late. Leases and events are no writes in
//! this sense. Must not know: what the client is.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use kube::Client;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::wait::let_time_pass;

/// The largest body of a write.
const LARGEST: usize = 4 << 20;

/// How long a bad watch lasts, and how late its events come.
const WATCH: Duration = Duration::from_millis(900);
const LATE: Duration = Duration::from_millis(400);

/// Where a write is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The server never sees it.
    Before,
    /// The server has done it, and its client does not know.
    After,
}

/// A write that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    /// Method and path.
    pub(crate) what: String,
    /// Whether it made an object.
    pub(crate) created: bool,
}

/// Which write is held.
#[derive(Clone, Debug)]
enum Which {
    Number(usize),
    Like(&'static str),
}

type Fault = (Which, Moment);

/// The proxy; it ends when the value is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    client: Client,
    bad_watches: AtomicBool,
    no_reviews: AtomicBool,
    fault: Mutex<Option<Fault>>,
    writes: Mutex<Vec<Write>>,
    fired: Notify,
}

impl Proxy {
    /// Starts it on a port of its own.
    pub(crate) async fn start(client: Client) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            client,
            bad_watches: AtomicBool::new(false),
            no_reviews: AtomicBool::new(false),
            fault: Mutex::default(),
            writes: Mutex::default(),
            fired: Notify::new(),
        });
        let router = axum::Router::new().fallback(pass).with_state(Arc::clone(&shared));
        let task = tokio::task::spawn(async move {
            drop(axum::serve(listener, router).await);
        });
        Ok(Self { address, shared, task })
    }

    /// A kubeconfig whose server is this proxy.
    pub(crate) fn kubeconfig(&self) -> String {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "proxy", "user": {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
        })
        .to_string()
    }

    /// From now on watches end soon, and their events come late.
    pub(crate) fn spoil_watches(&self) {
        self.shared.bad_watches.store(true, Ordering::SeqCst);
    }

    /// Whether nobody answers who calls and what they may.
    pub(crate) fn refuse_reviews(&self, refuse: bool) {
        self.shared.no_reviews.store(refuse, Ordering::SeqCst);
    }

    /// Holds the write with this number, counted from now, from 1.
    pub(crate) fn hold(&self, number: usize, moment: Moment) {
        let at = self.writes().len() + number;
        self.arm((Which::Number(at), moment));
    }

    /// Holds the next write that begins and ends so, as `POST */jobs`.
    pub(crate) fn hold_next(&self, like: &'static str, moment: Moment) {
        self.arm((Which::Like(like), moment));
    }

    fn arm(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }

    /// Waits until a write is held; whether one was.
    pub(crate) async fn has_held(&self, limit: Duration) -> bool {
        timeout(limit, self.shared.fired.notified()).await.is_ok()
    }

    /// The writes so far, in order.
    pub(crate) fn writes(&self) -> Vec<Write> {
        self.shared.writes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let is_review = request.uri().path().ends_with("reviews");
    if is_review && shared.no_reviews.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let answer = match is_write(&request) {
        true => shared.write(request).await,
        false => shared.forward(request).await,
    };
    answer.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response())
}

fn is_write(request: &Request) -> bool {
    let path = request.uri().path();
    let counts = !path.contains("/leases") && !path.contains("/events");
    counts && request.method() != Method::GET
}

impl Shared {
    async fn write(&self, request: Request) -> Result<Response> {
        let what = format!("{} {}", request.method(), request.uri().path());
        let (index, moment) = self.record(what);
        if moment == Some(Moment::Before) {
            return self.hold_for_ever().await;
        }
        let answer = self.forward(request).await?;
        if answer.status() == StatusCode::CREATED
            && let Some(write) =
                self.writes.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index)
        {
            write.created = true;
        }
        match moment {
            Some(_) => self.hold_for_ever().await,
            None => Ok(answer),
        }
    }

    /// Notes the write down: its place in the list, and where it shall be held, if it shall.
    fn record(&self, what: String) -> (usize, Option<Moment>) {
        let mut writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        writes.push(Write { what: what.clone(), created: false });
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        let held = fault.take_if(|(which, _)| match which {
            Which::Number(at) => *at == writes.len(),
            Which::Like(like) => like
                .split_once('*')
                .is_some_and(|(begin, end)| what.starts_with(begin) && what.ends_with(end)),
        });
        (writes.len() - 1, held.map(|(_, moment)| moment))
    }

    async fn hold_for_ever(&self) -> Result<Response> {
        self.fired.notify_one();
        std::future::pending().await
    }

    async fn forward(&self, request: Request) -> Result<Response> {
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, LARGEST).await.context("the body of a request")?;
        let mut onward = axum::http::Request::builder().method(parts.method).uri(parts.uri);
        for (name, value) in kept(&parts.headers) {
            onward = onward.header(name, value);
        }
        let answer = self.client.send(onward.body(body.to_vec().into())?).await?;
        let (parts, body) = answer.into_parts();
        let body = Body::new(body);
        let mut response =
            Response::new(match is_watch && self.bad_watches.load(Ordering::SeqCst) {
                true => spoiled(body),
                false => body,
            });
        *response.status_mut() = parts.status;
        response
            .headers_mut()
            .extend(kept(&parts.headers).map(|(name, value)| (name.clone(), value.clone())));
        Ok(response)
    }
}

/// Ends after a while, and what it tells comes late.
fn spoiled(body: Body) -> Body {
    let late = body.into_data_stream().then(async |chunk| {
        let_time_pass(LATE).await;
        chunk
    });
    Body::from_stream(late.take_until(Box::pin(let_time_pass(WATCH))))
}

/// The headers that have a meaning beyond one connection.
fn kept(
    headers: &HeaderMap,
) -> impl Iterator<Item = (&axum::http::HeaderName, &axum::http::HeaderValue)> {
    let names = ["content-type", "accept", "user-agent"];
    headers.iter().filter(move |(name, _)| names.contains(&name.as_str()))
}
