//! The HTTP API of a controller: who is let in, who may see, who may steer, and what is kept of what was done.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::faults::trial;
use super::{ROWS, STEP};
use crate::support::caller::Caller;
use crate::support::certificate;
use crate::support::cluster::kubectl;
use crate::support::controller::Controller;
use crate::support::operator::{Operator, apply};
use crate::support::proxy::Proxy;
use crate::support::receiver::free_port;
use crate::support::runtime;
use crate::support::scene::Shape;
use crate::support::shop::{PodServer, Shop, Site, client};
use crate::support::wait::wait_for;

const AUDIENCE: &str = "ghostship-test";
const SOON: Duration = Duration::from_secs(30);

pub(super) fn trials() -> Vec<Trial> {
    vec![trial("api_lets_each_do_what_is_theirs".to_owned(), |server| {
        runtime::block_on(Box::pin(rights(server)))
    })]
}

async fn rights(server: &'static PodServer) -> Result<()> {
    let operator = Operator::outside()?;
    let shape = Shape { rows: ROWS, unique: false, writers: 1 };
    let shop = Shop::open(Site { label: "api", operator, server, shape }).await?;
    let proxy = Proxy::start(client().await?).await?;
    let address = format!("127.0.0.1:{}", free_port()?);
    let folder = tempfile::tempdir()?;
    let certificate = folder.path().join("tls.crt");
    certificate::make(&certificate, &folder.path().join("tls.key"))?;
    let place = folder.path().to_string_lossy();
    let more = ["--listen-api", &address, "--api-audience", AUDIENCE, "--api-tls", &place];
    let mut controller = Controller::start_with(&shop, &proxy, "api", &more)?;
    let told = tell(&shop, &proxy, (&format!("https://{address}"), &certificate)).await;
    told.map_err(|error| {
        anyhow!("{error:#}\n{}\n=== controller\n{}", shop.give_up(), controller.log())
    })?;
    controller.kill();
    let namespace = shop.namespace.clone();
    shop.expect_completed().await?;
    kubectl(&["delete", "namespace", &namespace, "--wait=false"]).map(drop)
}

async fn tell(shop: &Shop, proxy: &Proxy, (url, certificate): (&str, &Path)) -> Result<()> {
    shop.apply(&shop.migration("one", 0).with("/postponeCutOver", json!(true)).0)?;
    shop.wait_for_reason("one", "CutOverPostponed", STEP).await?;
    let as_ = |token: String| Caller::at(url.to_owned(), token, certificate);
    everybody(shop, &as_).await?;
    nobody_in_doubt(shop, &as_, proxy).await?;
    shop.wait_for_phase("one", "Succeeded", STEP).await.map(drop)
}

async fn everybody(shop: &Shop, as_: &impl Fn(String) -> Result<Caller>) -> Result<()> {
    let one = format!("?namespace={}&name=one", shop.namespace);
    let (pause, resume) = (format!("pause{one}"), format!("resume{one}"));
    let viewer = as_(account(shop, "viewer", &["get", "list"], &[])?)?;
    wait_for("the API", SOON, async || {
        let (status, answer) = seen(&viewer, &one).await?;
        Ok(if status == 200 { Ok(()) } else { Err((status, answer)) })
    })
    .await?;
    let (_, found) = seen(&viewer, &one).await?;
    ensure!(found["migrations"][0]["postponed"] == true, "{found}");
    expect(viewer.act(&pause, None).await?, 403)?;
    expect(posing(&viewer, &pause).await?, 403)?;
    // Those of all namespaces are not theirs, those of the shop are.
    let (status, all) = seen(&viewer, "").await?;
    ensure!(status == 200 && all["migrations"].as_array().map(Vec::len) == Some(1), "{all}");
    expect(seen(&viewer, "?namespace=kube-system").await?, 403)?;
    for token in ["", "wrong", &other_audience(shop)?] {
        let stranger = as_(token.to_owned())?;
        expect(seen(&stranger, &one).await?, 401)?;
        expect(stranger.act(&pause, None).await?, 401)?;
    }
    let editor = as_(account(shop, "editor", &["get", "list", "patch"], &[])?)?;
    editor.change(&pause, None).await?;
    shop.wait_for_reason("one", "Paused", STEP).await?;
    let kept = shop.read("one").await?.context("it is gone")?;
    let record = &kept["metadata"]["annotations"]["ghostship.dev/last-api-action"];
    ensure!(record.as_str().is_some_and(|it| it.contains(":editor\"")), "{record}");
    let managers = kept["metadata"]["managedFields"].to_string();
    ensure!(managers.contains("ghostship-api"), "{managers}");
    let events = shop.kubectl(&["get", "events", "-o", "yaml"])?;
    ensure!(events.contains("pause through the API by"), "{events}");
    editor.change(&resume, None).await?;
    for reserved in ["cut-over", "panic"] {
        expect(editor.act(&format!("{reserved}{one}"), None).await?, 403)?;
    }
    expect(editor.act("pause", None).await?, 400)?;
    let approver = as_(account(shop, "approver", &["get", "list", "patch"], &["approve"])?)?;
    approver.change(&format!("cut-over{one}"), None).await
}

/// Rights that were taken away end within seconds; nobody is let in while nobody can be asked.
async fn nobody_in_doubt(
    shop: &Shop,
    as_: &impl Fn(String) -> Result<Caller>,
    proxy: &Proxy,
) -> Result<()> {
    let one = format!("?namespace={}&name=one", shop.namespace);
    let passing = as_(account(shop, "passing", &["get", "list"], &[])?)?;
    expect(seen(&passing, &one).await?, 200)?;
    shop.kubectl(&["delete", "rolebinding", "passing"])?;
    let refused = async |expected: u16| {
        wait_for("the refusal", SOON, async || {
            let (status, answer) = seen(&passing, &one).await?;
            Ok(if status == expected { Ok(()) } else { Err((status, answer)) })
        })
        .await
    };
    refused(403).await?;
    proxy.refuse_reviews(true);
    refused(503).await?;
    proxy.refuse_reviews(false);
    refused(403).await?;
    shop.kubectl(&["delete", "serviceaccount", "passing"])?;
    refused(401).await
}

/// The same with the headers by which the API server takes a caller for somebody else.
async fn posing(caller: &Caller, action: &str) -> Result<(u16, Value)> {
    let request = caller.bare(reqwest::Method::POST, &format!("/api/{action}"));
    let headers = [("impersonate-user", "system:admin"), ("impersonate-group", "system:masters")];
    let request = headers.into_iter().fold(request, |all, (name, value)| all.header(name, value));
    let response = request.bearer_auth(&caller.token).send().await?;
    let status = response.status().as_u16();
    Ok((status, serde_json::from_str(&response.text().await?)?))
}

async fn seen(caller: &Caller, selection: &str) -> Result<(u16, Value)> {
    let path = format!("/api/status{selection}");
    let Ok(response) = caller.send(reqwest::Method::GET, &path, None).await else {
        return Ok((0, Value::Null));
    };
    let status = response.status().as_u16();
    Ok((status, serde_json::from_str(&response.text().await?)?))
}

fn expect((status, answer): (u16, Value), expected: u16) -> Result<()> {
    ensure!(status == expected, "{status} and not {expected}: {answer}");
    Ok(())
}

/// An account with these verbs on the shop's migrations and on their cut-overs, and its token.
fn account(shop: &Shop, name: &str, verbs: &[&str], on_cut_overs: &[&str]) -> Result<String> {
    let namespace = &shop.namespace;
    let metadata = json!({"name": name, "namespace": namespace});
    let rule = |resource: &str, verbs: &[&str]| json!({"apiGroups": ["ghostship.dev"], "resources": [resource], "verbs": verbs});
    let mut rules = vec![rule("schemamigrations", verbs)];
    if !on_cut_overs.is_empty() {
        rules.push(rule("schemamigrations/cutover", on_cut_overs));
    }
    let group = "rbac.authorization.k8s.io";
    let version = format!("{group}/v1");
    apply(&[
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}),
        json!({"apiVersion": version, "kind": "Role", "metadata": metadata, "rules": rules}),
        json!({"apiVersion": version, "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}]}),
    ])?;
    shop.kubectl(&["create", "token", name, "--audience", AUDIENCE])
}

/// A token of the same account that was made for somebody else.
fn other_audience(shop: &Shop) -> Result<String> {
    shop.kubectl(&["create", "token", "viewer", "--audience", "another"])
}
