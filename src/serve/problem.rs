//! Why a request is not answered as asked: a status, the cause and what to do, as JSON.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::api::validate::Violation;

/// Why a request is not answered as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The cause, one sentence.
    pub cause: String,
    /// What to do, one sentence.
    pub remedy: String,
}

impl Problem {
    /// A problem with its status and texts.
    pub fn new(status: u16, cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status, cause: cause.into(), remedy: remedy.into() }
    }

    /// 400: what was sent cannot be understood.
    pub fn malformed(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(400, cause, remedy)
    }

    /// 401: nobody bears the token.
    pub fn unknown_caller(remedy: impl Into<String>) -> Self {
        Self::new(401, "the request bears no token that is known here", remedy)
    }

    /// 403: the caller may not.
    pub fn forbidden(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(403, cause, remedy)
    }

    /// 404: there is no such thing.
    pub fn missing(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(404, cause, remedy)
    }

    /// 409: it has no effect as things stand.
    pub fn no_effect(cause: impl Into<String>) -> Self {
        Self::new(409, cause, "look at /api/status; it says what goes on")
    }

    /// 422: settings that a manifest could not have either.
    pub fn invalid(violations: &[Violation]) -> Self {
        let texts = |of: fn(&Violation) -> &String| {
            let all: Vec<&str> = violations.iter().map(|one| of(one).as_str()).collect();
            all.join("; ")
        };
        Self::new(422, texts(|one| &one.message), texts(|one| &one.remedy))
    }

    /// 429: too many requests.
    pub fn too_many() -> Self {
        Self::new(429, "too many requests", "wait a second and ask less often")
    }

    /// 503: somebody who has to be asked does not answer.
    pub fn unavailable(cause: impl Into<String>) -> Self {
        Self::new(503, cause, "try again; what runs goes on meanwhile")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = json!({"status": self.status, "error": self.cause, "remedy": self.remedy});
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        match self.status {
            401 => drop(headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            429 | 503 => drop(headers.insert(RETRY_AFTER, HeaderValue::from_static("1"))),
            _ => {}
        }
        response
    }
}
