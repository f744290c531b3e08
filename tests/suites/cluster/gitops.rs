//! GitOps tools put back what Git holds while people steer by kubectl. Flux takes away every field whose
//! manager is called kubectl; Argo CD's self-heal applies the manifest over everything. Nothing unsafe
//! follows: what Git holds is the safe state, and panic and permission are latched.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::{End, SLOW, STEP, trial};
use crate::support::cluster::kubectl_with_input;
use crate::support::shop::{Migration, Shop};
use crate::support::wait::wait_for;

/// The field manager of Flux.
const FLUX: &str = "kustomize-controller";
/// The field manager of Argo CD.
const ARGO: &str = "argocd-controller";

/// How a tool puts back what Git holds.
type Revert = fn(&Shop, &Migration) -> Result<()>;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("flux_takes_controls_back", async |shop| controls(shop, FLUX, strip).await),
        trial("argo_takes_controls_back", async |shop| controls(shop, ARGO, heal).await),
        trial("flux_after_permission", async |shop| permission(shop, FLUX, strip).await),
        trial("argo_after_permission", async |shop| permission(shop, ARGO, heal).await),
    ]
}

/// A pause is lost and it goes on; panic is not lost; and at no time does it swap without permission.
async fn controls(shop: &mut Shop, manager: &str, revert: Revert) -> Result<End> {
    let in_git = shop
        .migration("one", SLOW)
        .with("/postponeCutOver", json!(true))
        .with("/paused", json!(false));
    apply_as(manager, &in_git.0)?;
    shop.wait_until_copying("one", STEP).await?;
    shop.patch("one", &json!({"paused": true}))?;
    shop.wait_for_reason("one", "Paused", STEP).await?;
    revert(shop, &in_git)?;
    let spec = shop.read("one").await?.context("it is gone")?["spec"].clone();
    ensure!(spec["paused"] != json!(true), "void: the pause was not reverted: {spec}");
    expect_told(shop, manager, "spec.paused: true, which kubectl-patch").await?;
    shop.patch("one", &json!({"copy": {"maxRowsPerSecond": 0}}))?;
    shop.wait_for_reason("one", "CutOverPostponed", STEP).await?;
    shop.patch("one", &json!({"panic": true}))?;
    shop.wait_for_phase("one", "Panicked", STEP).await?;
    revert(shop, &in_git)?;
    shop.scene.registers.wait_for_more(200).await?;
    ensure!(shop.phase("one").await? == "Panicked", "the revert undid the panic");
    // Git does not hold it, and Argo CD leaves it alone.
    if manager == FLUX {
        expect_told(shop, manager, "spec.panic: true, which kubectl-patch").await?;
    }
    ensure!(!shop.scene.is_swapped().await?, "it swapped without permission");
    shop.patch("one", &json!({"panic": false}))?;
    shop.delete("one")?;
    shop.wait_until_gone("one", STEP).await?;
    Ok(End::Untouched)
}

/// Permission that was seen holds, although Git still says that the cut-over is postponed.
async fn permission(shop: &mut Shop, manager: &str, revert: Revert) -> Result<End> {
    let in_git = shop.migration("one", SLOW).with("/postponeCutOver", json!(true));
    apply_as(manager, &in_git.0)?;
    shop.wait_until_copying("one", STEP).await?;
    revert(shop, &in_git)?;
    shop.annotate("one", "ghostship.dev/cut-over=allow")?;
    let latched = |status: &Value| !status["cutOver"]["permission"].is_null();
    shop.wait_for_status("one", ("permission", STEP), latched).await?;
    revert(shop, &in_git)?;
    ensure!(!shop.scene.is_swapped().await?, "void: it swapped before Git was put back");
    if manager == FLUX {
        let permission = "ghostship.dev/cut-over: allow, which kubectl-annotate";
        expect_told(shop, manager, permission).await?;
    }
    shop.patch("one", &json!({"copy": {"maxRowsPerSecond": 0}}))?;
    shop.wait_for_phase("one", "Succeeded", STEP).await?;
    Ok(End::Completed)
}

/// Exactly one event tells that this manager took this back.
async fn expect_told(shop: &Shop, manager: &str, what: &str) -> Result<()> {
    let sentence = format!("{manager} took back {what} had set; ");
    let probe = async || {
        let notes = reverts(shop)?;
        let found =
            notes.iter().filter(|(note, _)| note.starts_with(&sentence)).collect::<Vec<_>>();
        Ok(match found.as_slice() {
            [(_, 1)] => Ok(()),
            _ => Err(format!("{notes:?}")),
        })
    };
    wait_for(&format!("one event of the revert: {sentence}"), STEP, probe).await
}

/// The events of reverts, and how often each was told.
fn reverts(shop: &Shop) -> Result<Vec<(String, u64)>> {
    let only = "--field-selector=reason=ControlReverted";
    let found: Value =
        serde_json::from_str(&shop.kubectl(&["get", "events", only, "-o", "json"])?)?;
    let events = found["items"].as_array().cloned().unwrap_or_default();
    let told = events.iter().map(|event| {
        let note = event["message"].as_str().unwrap_or_default().to_owned();
        (note, event["series"]["count"].as_u64().unwrap_or(1))
    });
    Ok(told.collect())
}

fn apply_as(manager: &str, document: &Value) -> Result<()> {
    let manager = format!("--field-manager={manager}");
    let arguments = ["apply", "--server-side", "--force-conflicts", &manager, "-f", "-"];
    kubectl_with_input(&arguments, &document.to_string()).map(drop)
}

/// As Argo CD does with self-heal.
fn heal(_: &Shop, in_git: &Migration) -> Result<()> {
    apply_as(ARGO, &in_git.0)
}

/// As Flux does: what kubectl owns becomes its own, and the manifest, applied again, leaves it out.
fn strip(shop: &Shop, in_git: &Migration) -> Result<()> {
    let found: Value = serde_json::from_str(&shop.kubectl(&[
        "get",
        "smig",
        "one",
        "-o",
        "json",
        "--show-managed-fields",
    ])?)?;
    let entries = found["metadata"]["managedFields"].as_array().context("no managed fields")?;
    let is_taken = |entry: &Value| {
        let manager = entry["manager"].as_str().unwrap_or_default();
        entry["subresource"].is_null() && manager.starts_with("kubectl")
    };
    let mut own = entries.iter().find(|entry| entry["manager"] == FLUX).context("no Flux")?.clone();
    for taken in entries.iter().filter(|entry| is_taken(entry)) {
        merge(&mut own["fieldsV1"], &taken["fieldsV1"]);
    }
    let mut all = vec![own];
    all.extend(
        entries.iter().filter(|entry| !is_taken(entry) && entry["manager"] != FLUX).cloned(),
    );
    let patch = json!([{"op": "replace", "path": "/metadata/managedFields", "value": all}]);
    shop.kubectl(&["patch", "smig", "one", "--type=json", "-p", &patch.to_string()])?;
    apply_as(FLUX, &in_git.0)
}

fn merge(own: &mut Value, other: &Value) {
    let (Some(own), Some(other)) = (own.as_object_mut(), other.as_object()) else { return };
    for (name, field) in other {
        match own.get_mut(name) {
            Some(known) => merge(known, field),
            None => drop(own.insert(name.clone(), field.clone())),
        }
    }
}
