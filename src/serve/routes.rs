//! The routes: what is read of a request, what the backend is asked, and how it is answered.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use futures_util::stream::{self, Stream};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::guard::{Gatekeeper, every_request};
use super::view::{Line, Migration};
use super::{Action, Backend, Caller, Hosts, Problem, Selection, csv, tuning};
use crate::api::legal::Command;

/// The largest body that is read, in bytes.
const BODY: usize = 16 * 1024;
/// Streams of events at a time.
const STREAMS: usize = 64;
/// A stream tells so often.
const TICK: Duration = Duration::from_secs(1);

const PAGE: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");
const ICON: &str = include_str!("page/icon.svg");

type Asked = Result<Query<Selection>, QueryRejection>;

struct Server<B> {
    backend: Arc<B>,
    gatekeeper: Gatekeeper,
    streams: Arc<Semaphore>,
}

impl<B> Clone for Server<B> {
    fn clone(&self) -> Self {
        Self {
            backend: Arc::clone(&self.backend),
            gatekeeper: self.gatekeeper.clone(),
            streams: Arc::clone(&self.streams),
        }
    }
}

/// All routes.
pub(super) fn router<B: Backend>(hosts: Hosts, backend: Arc<B>) -> Router {
    let streams = Arc::new(Semaphore::new(STREAMS));
    let server = Server { backend, gatekeeper: Gatekeeper::default(), streams };
    let mut router = Router::new()
        .route("/", get(async || file("text/html; charset=utf-8", PAGE)))
        .route("/page.css", get(async || file("text/css; charset=utf-8", STYLE)))
        .route("/page.js", get(async || file("text/javascript; charset=utf-8", SCRIPT)))
        .route("/icon.svg", get(async || file("image/svg+xml", ICON)))
        .route("/api/status", get(status::<B>))
        .route("/api/migrate-tables", get(tables::<B>))
        .route("/api/events", get(events::<B>))
        .route("/api/samples.csv", get(samples::<B>))
        .route("/api/tuning", post(tune::<B>));
    for (path, command) in COMMANDS {
        router = router.route(
            path,
            post(async move |State(server), headers, asked, body| {
                order::<B>(server, headers, asked, body, command).await
            }),
        );
    }
    router
        .fallback(async || {
            Problem::missing("there is nothing at this path", "docs/api.md lists the paths")
        })
        .method_not_allowed_fallback(async || {
            Problem::new(405, "this path is not asked so", "the header Allow says how")
        })
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn_with_state(hosts, every_request))
        .with_state(server)
}

/// `throttle` and `no-throttle` are the words of gh-ost for the same two.
const COMMANDS: [(&str, Command); 7] = [
    ("/api/pause", Command::Pause),
    ("/api/throttle", Command::Pause),
    ("/api/resume", Command::Resume),
    ("/api/no-throttle", Command::Resume),
    ("/api/postpone", Command::Postpone),
    ("/api/cut-over", Command::CutOver),
    ("/api/panic", Command::Panic),
];

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, kind)], text)
}

async fn status<B: Backend>(
    State(server): State<Server<B>>,
    headers: HeaderMap,
    asked: Asked,
) -> Result<Json<Value>, Problem> {
    let (caller, selection) = server.admit(&headers, asked).await?;
    Ok(Json(snapshot(&server.backend.show(&caller, &selection).await?)))
}

async fn tables<B: Backend>(
    State(server): State<Server<B>>,
    headers: HeaderMap,
    asked: Asked,
) -> Result<Json<Value>, Problem> {
    let (caller, selection) = server.admit(&headers, asked).await?;
    let all = server.backend.show(&caller, &selection).await?;
    let lines: Vec<Line<'_>> = all.iter().map(Line::from).collect();
    Ok(Json(json!({"tables": lines})))
}

async fn samples<B: Backend>(
    State(server): State<Server<B>>,
    headers: HeaderMap,
    asked: Asked,
) -> Result<Response, Problem> {
    let (caller, selection) = server.admit(&headers, asked).await?;
    let all = server.backend.samples(&caller, &selection).await?;
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8; header=present"),
        (CONTENT_DISPOSITION, "attachment; filename=\"ghostship-samples.csv\""),
    ];
    Ok((headers, csv::text(&all)).into_response())
}

async fn order<B: Backend>(
    server: Server<B>,
    headers: HeaderMap,
    asked: Asked,
    body: Result<Bytes, BytesRejection>,
    command: Command,
) -> Result<Json<Value>, Problem> {
    let (caller, selection) = server.admit(&headers, asked).await?;
    body.map_err(refused_body)?;
    server.act(&caller, &selection, Action::Command(command)).await
}

async fn tune<B: Backend>(
    State(server): State<Server<B>>,
    headers: HeaderMap,
    asked: Asked,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Problem> {
    let (caller, selection) = server.admit(&headers, asked).await?;
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().map(str::trim) != Some("application/json") {
        let remedy = "send it with Content-Type: application/json";
        return Err(Problem::new(415, "the body does not say that it is JSON", remedy));
    }
    let patch = tuning::read(&body.map_err(refused_body)?)?;
    server.act(&caller, &selection, Action::Tune(patch)).await
}

async fn events<B: Backend>(
    State(server): State<Server<B>>,
    headers: HeaderMap,
    asked: Asked,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let (caller, selection) = server.admit(&headers, asked).await?;
    // What is wrong from the start is told by a status and not inside a stream.
    server.backend.show(&caller, &selection).await?;
    let permit = Arc::clone(&server.streams).try_acquire_owned();
    let permit = permit.map_err(|_| Problem::too_many())?;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let teller = Teller { server, headers, selection, ticks, _permit: permit };
    let stream = stream::unfold(Some(teller), async |teller| {
        let mut teller = teller?;
        Some(match teller.next().await {
            Ok(snapshot) => {
                (Ok(Event::default().event("snapshot").data(snapshot.to_string())), Some(teller))
            }
            Err(problem) => (Ok(Event::default().event("problem").data(problem.cause)), None),
        })
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}

/// A stream of events. Who asks is looked at again for each, so that a right that is taken away ends it.
struct Teller<B> {
    server: Server<B>,
    headers: HeaderMap,
    selection: Selection,
    ticks: Interval,
    _permit: OwnedSemaphorePermit,
}

impl<B: Backend> Teller<B> {
    async fn next(&mut self) -> Result<Value, Problem> {
        self.ticks.tick().await;
        let server = &self.server;
        let caller = server.gatekeeper.caller(&*server.backend, &self.headers).await?;
        Ok(snapshot(&server.backend.show(&caller, &self.selection).await?))
    }
}

impl<B: Backend> Server<B> {
    async fn admit(
        &self,
        headers: &HeaderMap,
        asked: Asked,
    ) -> Result<(Caller, Selection), Problem> {
        let caller = self.gatekeeper.caller(&*self.backend, headers).await?;
        let Query(selection) = asked.map_err(|_| {
            let cause =
                "the query has something else than namespace and name, or one of them twice";
            Problem::malformed(cause, "ask for ?namespace=NAMESPACE&name=NAME")
        })?;
        Ok((caller, selection))
    }

    async fn act(
        &self,
        caller: &Caller,
        selection: &Selection,
        action: Action,
    ) -> Result<Json<Value>, Problem> {
        let word = action.as_str();
        let done = self.backend.act(caller, selection, action).await?;
        let (changed, message, notes) = (done.changed, done.message, done.notes);
        Ok(Json(json!({"action": word, "changed": changed, "message": message, "notes": notes})))
    }
}

fn snapshot(all: &[Migration]) -> Value {
    json!({"at": Timestamp::now().to_string(), "migrations": all})
}

#[expect(clippy::needless_pass_by_value, reason = "the form that a mapped error asks for")]
fn refused_body(rejection: BytesRejection) -> Problem {
    let status = rejection.status().as_u16();
    Problem::new(status, "the body cannot be read, or is larger than 16 KiB", "send less")
}
