//! The target's URL: some other system decides by HTTP whether migrations may go on. Any status from 200 to
//! 299 is go; what is in the answer does not matter.

use std::sync::Arc;

use super::asked::{self, Asked, LIMIT};
use super::judge::Reading;
use super::signal::Signal;
use crate::engine::Result;
use crate::engine::context::Context;
use crate::http;

/// The URL, which nothing that is told shows.
struct Url(String);

impl Asked for Url {
    const SIGNAL: Signal = Signal::Http;

    async fn ask(&mut self, context: &Context) -> std::result::Result<Reading, String> {
        let credentials = context.plan.request.connect.credentials.read().await;
        let authorities = credentials.map_err(|error| error.to_string())?.authorities;
        let authorities = authorities.and_then(|bytes| String::from_utf8(bytes).ok());
        Ok(judged(http::look(&self.0, authorities.as_deref(), LIMIT).await?))
    }
}

/// Watches until the attempt ends.
///
/// # Errors
///
/// None.
pub async fn watch(context: Arc<Context>) -> Result<()> {
    let url = context.plan.request.probes.url.clone().map(Url);
    asked::watch(context, url).await
}

fn judged(status: u16) -> Reading {
    match status {
        200..=299 => Reading::Good,
        300..=399 => Reading::Bad(format!(
            "the target's URL answers {status}, a redirect, which is not followed"
        )),
        _ => Reading::Bad(format!("the target's URL answers {status}, and not 200")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_is_go() {
        assert_eq!([200, 204, 299].map(judged), [const { Reading::Good }; 3]);
        for (status, words) in [(302, "302, a redirect"), (404, "404, and not"), (503, "503")] {
            let Reading::Bad(found) = judged(status) else { panic!("{status} is go") };
            assert!(found.contains(words), "{found}");
        }
    }
}
