//! The small HTTP server of a pod: `/healthz` while the process lives, `/readyz` because a process that
//! serves can work or take over, `/metrics` in Prometheus' text format. Knows neither what is measured nor
//! by whom.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;

/// Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves until it is dropped; `metrics` is asked for its text at each scrape.
///
/// # Errors
///
/// When the address cannot be bound.
pub async fn serve(
    address: SocketAddr,
    metrics: impl Fn() -> String + Clone + Send + Sync + 'static,
) -> io::Result<Infallible> {
    let listener = TcpListener::bind(address).await?;
    let router = Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(async || "ok"))
        .route("/metrics", get(async move || ([(CONTENT_TYPE, METRICS_TYPE)], metrics())));
    axum::serve(listener, router).await?;
    Err(io::ErrorKind::ConnectionAborted.into())
}
