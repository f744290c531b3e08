//! The small HTTP server of a pod: `/healthz` while the process lives, `/readyz` when it is ready to work
//! or to take over, `/metrics` in Prometheus' text format. Knows neither what is measured nor by whom.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

/// Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether a process is ready; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says that it is ready from now on.
    pub fn declare(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn holds(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Serves until it is dropped; `metrics` is asked for its text at each scrape.
///
/// # Errors
///
/// When the address cannot be bound.
pub async fn serve(
    address: SocketAddr,
    readiness: Readiness,
    metrics: impl Fn() -> String + Clone + Send + Sync + 'static,
) -> io::Result<Infallible> {
    let listener = TcpListener::bind(address).await?;
    let router = Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(async move || ready(&readiness)))
        .route("/metrics", get(async move || ([(CONTENT_TYPE, METRICS_TYPE)], metrics())));
    axum::serve(listener, router).await?;
    Err(io::ErrorKind::ConnectionAborted.into())
}

fn ready(readiness: &Readiness) -> impl IntoResponse + use<> {
    match readiness.holds() {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not yet"),
    }
}
