//! Whoever calls the HTTP API: of a run, whose address it says and whose token is in a file, or of a controller.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Certificate, Client, ClientBuilder, Method, Response};
use serde_json::Value;

use super::ghostship::Ghostship;
use super::manifest::Manifest;
use super::wait::wait_for;

/// How long an answer may take.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);

/// A run that serves its API, and who calls it.
pub(crate) struct Caller {
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    /// The token.
    pub(crate) token: String,
    client: Client,
}

impl Caller {
    /// Starts a run that listens on a port of its own.
    pub(crate) async fn of_run(
        manifest: &Manifest,
        failpoints: Option<&str>,
        more: &[&str],
    ) -> Result<(Ghostship, Self)> {
        let file: PathBuf = manifest.path().with_extension("token");
        let name = file.to_string_lossy().into_owned();
        let base = ["--listen", "127.0.0.1:0", "--token-file", &name];
        let run = Ghostship::run_with(manifest, failpoints, &[&base, more].concat())?;
        let probe = async || {
            let said = run.said();
            let found = said.lines().find_map(|line| line.strip_prefix("live page: "));
            let url = found.and_then(|rest| rest.split('/').nth(2)).map(str::to_owned);
            Ok(url.ok_or(said))
        };
        let address = wait_for("the address of the API", ANSWER, probe).await?;
        let token = std::fs::read_to_string(&file)?;
        Ok((run, Self { url: format!("http://{address}"), token, client: client()? }))
    }

    /// Whoever calls another server, and trusts this certificate alone.
    pub(crate) fn at(url: String, token: String, trusted: &Path) -> Result<Self> {
        let trusted = Certificate::from_pem(&std::fs::read(trusted)?)?;
        let client = builder().tls_certs_only([trusted]).build()?;
        Ok(Self { url, token, client })
    }

    /// Sends a request with the token and perhaps a body, again when it comes too early after others.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response> {
        let probe = async || {
            let request = self.bare(method.clone(), path).bearer_auth(&self.token);
            let request = match body {
                Some(body) => {
                    request.header("content-type", "application/json").body(body.to_string())
                }
                None => request,
            };
            let response = request.send().await?;
            Ok(if response.status() == 429 { Err(response.status()) } else { Ok(response) })
        };
        wait_for("an answer", ANSWER, probe).await
    }

    /// A request without anything.
    pub(crate) fn bare(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// The answer to a request, which has to succeed.
    pub(crate) async fn read(&self, path: &str) -> Result<Value> {
        let response = self.send(Method::GET, path, None).await?;
        let (status, text) = (response.status(), response.text().await?);
        ensure!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).context("the answer is not JSON")
    }

    /// The one migration.
    pub(crate) async fn migration(&self) -> Result<Value> {
        Ok(self.read("/api/status").await?["migrations"][0].clone())
    }

    /// Status and body of an action.
    pub(crate) async fn act(&self, action: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let response = self.send(Method::POST, &format!("/api/{action}"), body).await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok((status, serde_json::from_str(&text).with_context(|| text)?))
    }

    /// An action that has to change something.
    pub(crate) async fn change(&self, action: &str, body: Option<&Value>) -> Result<()> {
        let (status, answer) = self.act(action, body).await?;
        ensure!(status == 200 && answer["changed"] == true, "{action}: {status} {answer}");
        Ok(())
    }

    /// Waits until the migration is so.
    pub(crate) async fn wait_for(
        &self,
        what: &str,
        deadline: Duration,
        is_so: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let probe = async || {
            let migration = self.migration().await?;
            Ok(if is_so(&migration) { Ok(migration) } else { Err(migration) })
        };
        wait_for(what, deadline, probe).await
    }
}

fn client() -> Result<Client> {
    Ok(builder().build()?)
}

fn builder() -> ClientBuilder {
    // A second test finds it installed.
    drop(rustls::crypto::ring::default_provider().install_default());
    Client::builder().timeout(Duration::from_secs(30)).no_proxy()
}
