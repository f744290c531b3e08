//! What holds for every request before it is looked at, and for every answer: the name by which the server was
//! called, the headers that keep browsers from doing more than was meant, a time limit. And who asks.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderName,
    HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::limit::Limits;
use super::{Backend, Caller, Hosts, Problem};

/// Time from a request's head to the head of its answer.
const ANSWER: Duration = Duration::from_secs(30);
/// Nothing from elsewhere, nothing inline, in no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The longest token that is looked at, in bytes.
const TOKEN: usize = 16 * 1024;

const HEADERS: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (X_FRAME_OPTIONS, "DENY"),
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Who may ask how often.
#[derive(Clone, Default)]
pub(super) struct Gatekeeper(Arc<Mutex<Limits>>);

impl Gatekeeper {
    /// Who asks, if that is not too often.
    pub(super) async fn caller<B: Backend>(
        &self,
        backend: &B,
        headers: &HeaderMap,
    ) -> Result<Caller, Problem> {
        let token = bearer(headers).unwrap_or_default();
        let mut hasher = DefaultHasher::new();
        token.hash(&mut hasher);
        let may = {
            let mut limits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            limits.take(hasher.finish(), Instant::now())
        };
        if may { backend.identify(token).await } else { Err(Problem::too_many()) }
    }
}

/// Looks at the request's host, and puts the headers on the answer.
pub(super) async fn every_request(
    State(hosts): State<Hosts>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = if is_called(hosts, request.headers()) {
        let late = || Problem::unavailable("no answer was found in time").into_response();
        timeout(ANSWER, next.run(request)).await.unwrap_or_else(|_| late())
    } else {
        let cause = "the request calls this server by a name that is not its own";
        Problem::forbidden(cause, "call it by 127.0.0.1 or localhost, with its port")
            .into_response()
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The token of a request; only its first `Authorization` counts, and there may be no second.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let is_one = scheme.eq_ignore_ascii_case("bearer") && token.len() <= TOKEN;
    is_one.then(|| token.trim()).filter(|token| !token.is_empty())
}

fn is_called(hosts: Hosts, headers: &HeaderMap) -> bool {
    let Hosts::Loopback(address) = hosts else { return true };
    let port = address.port();
    let mut values = headers.get_all(HOST).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let own = [format!("127.0.0.1:{port}"), format!("localhost:{port}"), address.to_string()];
    let called = value.to_str().unwrap_or_default();
    own.iter().any(|name| name.eq_ignore_ascii_case(called))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            headers.append(name.clone(), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn only_one_bearer_counts() {
        let cases: [(&[&'static str], Option<&str>); 8] = [
            (&[], None),
            (&["Bearer abc"], Some("abc")),
            (&["bearer abc"], Some("abc")),
            (&["Bearer"], None),
            (&["Bearer "], None),
            (&["Basic abc"], None),
            (&["abc"], None),
            (&["Bearer abc", "Bearer def"], None),
        ];
        for (values, token) in cases {
            let all: Vec<_> = values.iter().map(|value| (AUTHORIZATION, *value)).collect();
            assert_eq!(bearer(&headers(&all)), token, "{values:?}");
        }
    }

    #[test]
    fn a_name_from_elsewhere_is_not_ours() {
        let hosts = Hosts::Loopback("127.0.0.1:8080".parse().unwrap());
        let rows = [
            ("127.0.0.1:8080", true),
            ("localhost:8080", true),
            ("LOCALHOST:8080", true),
            ("localhost", false),
            ("127.0.0.1:80", false),
            ("evil.example:8080", false),
            ("127.0.0.1:8080.evil.example", false),
            ("", false),
        ];
        for (name, is_ours) in rows {
            assert_eq!(is_called(hosts, &headers(&[(HOST, name)])), is_ours, "{name}");
        }
        assert!(!is_called(hosts, &headers(&[])));
        assert!(!is_called(hosts, &headers(&[(HOST, "localhost:8080"), (HOST, "evil")])));
        let six = Hosts::Loopback("[::1]:8080".parse().unwrap());
        assert!(is_called(six, &headers(&[(HOST, "[::1]:8080")])));
        assert!(is_called(Hosts::Any, &headers(&[(HOST, "ghostship.shop")])));
    }
}
