//! Jobs as hooks: real Jobs allow, ask to wait, deny and hang, and the migration does as they say; the end is
//! told once; a controller that is killed around a Job makes no second one; and nobody who waits for a Job
//! keeps a deletion or a panic from being heard.

use std::sync::PoisonError;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::control::expect_stopped;
use super::{End, NODE, STEP, conclude, faults, in_shop};
use crate::support::cluster::{kubectl, kubectl_with_input};
use crate::support::controller::Controller;
use crate::support::hook_image::hook_image;
use crate::support::operator::Operator;
use crate::support::proxy::{Moment, Proxy};
use crate::support::runtime;
use crate::support::scene::Shape;
use crate::support::shop::{PodServer, Shop, Site, TARGET, client};
use crate::support::wait::wait_for;

/// How long until nothing of a deleted migration is left.
const GONE: Duration = Duration::from_secs(30);
const SHAPE: Shape = Shape { rows: 300, unique: false, writers: 1 };

/// Around which write the controller is killed.
#[derive(Clone, Copy, Debug)]
enum Kill {
    /// The creation of the Job, before or after the server has it.
    Around(Moment),
    /// Some time after it; the Job ends while there is no controller.
    BeforeTheAnswer,
}

pub(super) fn trials() -> Vec<Trial> {
    let kills = [
        ("before_its_job", Kill::Around(Moment::Before)),
        ("after_its_job", Kill::Around(Moment::After)),
        ("before_the_answer", Kill::BeforeTheAnswer),
    ];
    let killed = kills.map(|(name, kill)| {
        let name = format!("hook_and_the_controller_is_killed_{name}");
        faults::trial(name.clone(), move |server| runtime::block_on(killed(name, kill, server)))
    });
    let mut trials = vec![
        trial("hook_waits_then_allows_and_is_told_the_end_once", waits),
        trial("hook_denies", denies),
        trial("hook_hangs_and_holds_the_cut_over", hangs),
        trial("hook_hangs_and_panic_and_deletion_are_heard", hangs_for_ever),
        trial("hook_whose_pod_is_evicted_is_asked_again", evicted),
        trial("hook_that_cannot_be_written_is_refused", refused),
    ];
    trials.extend(killed);
    trials
}

/// A test in a small shop of its own, which the shared controller minds.
fn trial(
    label: &'static str,
    body: impl AsyncFnOnce(&mut Shop) -> Result<End> + Send + 'static,
) -> Trial {
    Trial::test(format!("cluster::{label}"), move || {
        let _beside_others = NODE.read().unwrap_or_else(PoisonError::into_inner);
        let run = || {
            let (operator, server) = (Operator::shared()?, PodServer::shared()?);
            hook_image()?;
            let site = Site { label, operator, server, shape: SHAPE };
            runtime::block_on(in_shop(site, body))
        };
        conclude(label, run())
    })
}

/// One hook of the target at these stages.
fn set_hook(shop: &Shop, stages: &[&str], timeout: &str) -> Result<()> {
    patch_jobs(shop, &json!([job(stages, timeout)?]))
}

fn job(stages: &[&str], timeout: &str) -> Result<Value> {
    let answer = json!({"configMapKeyRef": {"name": "answer", "key": "answer"}});
    Ok(json!({"name": "gate", "stages": stages, "timeout": timeout, "template": {
        "image": hook_image()?, "env": [{"name": "ANSWER", "valueFrom": answer}],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
    }}))
}

fn patch_jobs(shop: &Shop, jobs: &Value) -> Result<()> {
    let patch = json!({"spec": {"hooks": {"jobs": jobs}}}).to_string();
    shop.kubectl(&["patch", "mtgt", TARGET, "--type=merge", "-p", &patch]).map(drop)
}

/// From now on pods that start answer so.
fn set_answer(shop: &Shop, answer: &str) -> Result<()> {
    shop.apply(&json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "answer", "namespace": shop.namespace}, "data": {"answer": answer}}))
}

/// The Jobs that were made for a stage.
fn jobs(shop: &Shop, stage: &str) -> Result<Vec<Value>> {
    let label = format!("app.kubernetes.io/component=hook,ghostship.dev/stage={stage}");
    let list: Value =
        serde_json::from_str(&shop.kubectl(&["get", "jobs", "-l", &label, "-o", "json"])?)?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

/// What the status tells of the Jobs of a stage, oldest first.
fn entries(status: &Value, stage: &str) -> Vec<Value> {
    let all = status["hookJobs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of_stage = |one: &&Value| one["id"].as_str().is_some_and(|id| id.ends_with(stage));
    all.iter().filter(of_stage).cloned().collect()
}

async fn wait_for_answer(shop: &Shop, stage: &str, answer: &str) -> Result<Value> {
    let told = |status: &Value| entries(status, stage).iter().any(|one| one["answer"] == answer);
    let what = format!("{answer} at {stage}");
    let status = shop.wait_for_status("one", (&what, STEP), told).await?;
    let found = entries(&status, stage).into_iter().find(|one| one["answer"] == answer);
    found.with_context(|| what)
}

async fn waits(shop: &mut Shop) -> Result<End> {
    set_hook(shop, &["BeforeCopy", "AfterCutOver", "Success", "Failure"], "2m")?;
    set_answer(shop, "75 no backup yet")?;
    shop.apply(&shop.migration("one", 0).0)?;
    let status = shop.wait_for_reason("one", "HookWaits", STEP).await?;
    let said = wait_for_answer(shop, "BeforeCopy", "Wait").await?;
    ensure!(said["message"] == "asks to wait: no backup yet", "{said}");
    let told = |status: &Value| {
        status["message"].as_str().is_some_and(|text| text.contains("asks to wait: no backup yet"))
    };
    shop.wait_for_status("one", ("why it is held", STEP), told).await?;
    ensure!(shop.scene.helpers().await?.is_empty(), "it did not wait: {status}");
    ensure!(jobs(shop, "Success")?.is_empty(), "the end was told before it came");
    set_answer(shop, "0 a backup of today")?;
    shop.wait_for_phase("one", "Succeeded", STEP).await?;
    let said = wait_for_answer(shop, "Success", "Allow").await?;
    ensure!(said["message"] == "allows: a backup of today", "{said}");
    wait_for_answer(shop, "AfterCutOver", "Allow").await?;
    expect_asked_once_each(shop).await?;
    Ok(End::Completed)
}

/// Each asking has its own Job, of one question; what is only told has one.
async fn expect_asked_once_each(shop: &Shop) -> Result<()> {
    let gate = jobs(shop, "BeforeCopy")?;
    ensure!(gate.len() >= 2, "it was asked {} times", gate.len());
    for stage in ["Success", "AfterCutOver"] {
        let told = jobs(shop, stage)?;
        ensure!(told.len() == 1, "{stage} was told by {} Jobs", told.len());
    }
    ensure!(jobs(shop, "Failure")?.is_empty(), "a failure was told");
    let uid = shop.uid("one").await?;
    for job in &gate {
        ensure!(job["metadata"]["ownerReferences"][0]["uid"] == *uid, "{}", job["metadata"]);
        let asked = job["spec"]["template"]["metadata"]["annotations"]["ghostship.dev/document"]
            .as_str()
            .context("no document")?;
        let document: Value = serde_json::from_str(asked)?;
        ensure!(document["id"] == format!("{uid}/1/BeforeCopy"), "{document}");
        ensure!(document["progress"]["phase"].is_string(), "{document}");
    }
    Ok(())
}

/// A denial ends the attempt with nothing changed; a retry asks anew.
async fn denies(shop: &mut Shop) -> Result<End> {
    set_hook(shop, &["BeforeCopy", "Failure"], "2m")?;
    set_answer(shop, "1 the board has frozen all changes")?;
    shop.apply(&shop.migration("one", 0).0)?;
    let status = shop.wait_for_reason("one", "HookDenied", STEP).await?;
    let message = status["message"].as_str().unwrap_or_default();
    ensure!(message.contains("denies with exit code 1: the board has frozen"), "{message}");
    ensure!(shop.scene.helpers().await?.is_empty(), "it did not listen");
    wait_for_answer(shop, "Failure", "Deny").await?;
    ensure!(jobs(shop, "Failure")?.len() == 1, "the failure was told more than once");
    set_answer(shop, "0")?;
    shop.annotate("one", "ghostship.dev/retry=first")?;
    let status = shop.wait_for_phase("one", "Succeeded", STEP).await?;
    ensure!(status["attempt"] == 2, "it took {} attempts", status["attempt"]);
    let ids: Vec<Value> =
        entries(&status, "BeforeCopy").iter().map(|one| one["id"].clone()).collect();
    let uid = shop.uid("one").await?;
    let expected = [1, 2].map(|attempt| json!(format!("{uid}/{attempt}/BeforeCopy")));
    ensure!(ids == expected, "{ids:?}");
    Ok(End::Completed)
}

async fn hangs(shop: &mut Shop) -> Result<End> {
    set_hook(shop, &["BeforeCutOver"], "10s")?;
    set_answer(shop, "hang")?;
    shop.apply(&shop.migration("one", 0).0)?;
    let held = |status: &Value| status["report"]["hold"]["reason"] == "HookUnanswered";
    let status = shop.wait_for_status("one", ("HookUnanswered", STEP), held).await?;
    let hold = &status["report"]["hold"];
    let words = hold["message"].as_str().unwrap_or_default();
    ensure!(words.contains("took longer than 10s and was ended"), "{hold}");
    ensure!(hold["stage"] == "BeforeCutOver", "{hold}");
    shop.scene.registers.wait_for_more(100).await?;
    ensure!(!shop.scene.is_swapped().await?, "swapped without an answer");
    // What a hook runs, and for how long, is read for each question.
    set_hook(shop, &["BeforeCutOver"], "2m")?;
    set_answer(shop, "0")?;
    shop.wait_for_phase("one", "Succeeded", STEP).await?;
    Ok(End::Completed)
}

async fn hangs_for_ever(shop: &mut Shop) -> Result<End> {
    set_hook(shop, &["RowCopyComplete"], "10m")?;
    set_answer(shop, "hang")?;
    shop.apply(&shop.migration("one", 0).0)?;
    wait_until_it_runs(shop, "RowCopyComplete").await?;
    shop.patch("one", &json!({"panic": true}))?;
    expect_stopped(shop, Instant::now()).await?;
    shop.wait_for_phase("one", "Panicked", STEP).await?;
    shop.patch("one", &json!({"panic": false}))?;
    shop.annotate("one", "ghostship.dev/retry=first")?;
    let again = |status: &Value| entries(status, "2/RowCopyComplete").len() == 1;
    shop.wait_for_status("one", ("to be asked anew", STEP), again).await?;
    expect_gone_when_deleted(shop, "RowCopyComplete").await
}

/// Hooks that run go with their migration.
async fn expect_gone_when_deleted(shop: &Shop, stage: &str) -> Result<End> {
    shop.delete("one")?;
    shop.wait_until_gone("one", GONE).await?;
    let probe = async || {
        let left = jobs(shop, stage)?.len() + shop.live_pods()?.len();
        Ok(if left == 0 { Ok(()) } else { Err(left) })
    };
    wait_for("its Jobs to be gone", GONE, probe).await?;
    Ok(End::Untouched)
}

async fn wait_until_it_runs(shop: &Shop, stage: &str) -> Result<()> {
    let probe = async || {
        let jobs = jobs(shop, stage)?;
        let is_up = jobs.iter().any(|job| job["status"]["ready"] == 1);
        Ok(if is_up { Ok(()) } else { Err(jobs) })
    };
    wait_for("a Job that hangs", STEP, probe).await
}

/// A pod that was evicted has said nothing, and another is asked. An abort is heard meanwhile.
async fn evicted(shop: &mut Shop) -> Result<End> {
    const STAGE: &str = "RowCopyComplete";
    set_hook(shop, &[STAGE], "10m")?;
    set_answer(shop, "hang")?;
    shop.apply(&shop.migration("one", 0).0)?;
    wait_until_it_runs(shop, STAGE).await?;
    evict_hook(shop)?;
    let said = wait_for_answer(shop, STAGE, "Unanswered").await?;
    let words = said["message"].as_str().unwrap_or_default();
    // Whether the pod can still be asked how it ended depends on who is faster.
    let lost = ["its pod is gone", "its pod was ended (EvictionByEvictionAPI)"];
    ensure!(lost.iter().any(|how| words == format!("gave no answer: {how}")), "{said}");
    let again = |status: &Value| {
        entries(status, STAGE)
            .iter()
            .any(|one| one["answer"].is_null() && one["try"] != said["try"])
    };
    shop.wait_for_status("one", ("to be asked again", STEP), again).await?;
    ensure!(!shop.scene.is_swapped().await?, "swapped without an answer");
    shop.patch("one", &json!({"abort": true}))?;
    shop.wait_for_phase("one", "Aborted", STEP).await?;
    expect_gone_when_deleted(shop, STAGE).await
}

/// Evicts the pod of the only hook that runs, as draining its node would.
fn evict_hook(shop: &Shop) -> Result<()> {
    let hooks = "app.kubernetes.io/component=hook";
    let name =
        shop.kubectl(&["get", "pods", "-l", hooks, "-o", "jsonpath={.items[*].metadata.name}"])?;
    let place = format!("/api/v1/namespaces/{}/pods/{name}/eviction", shop.namespace);
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": name, "namespace": shop.namespace}});
    kubectl_with_input(&["create", "--raw", &place, "-f", "-"], &eviction.to_string()).map(drop)
}

/// The API server refuses what `ghostship` refuses.
async fn refused(shop: &mut Shop) -> Result<End> {
    let with = |path: &str, value: Value| {
        let mut one = job(&["BeforeCopy"], "1m")?;
        *one.pointer_mut(path).context("no such field")? = value;
        Ok::<_, anyhow::Error>(one)
    };
    let variable = "/template/env/0";
    let rows = [
        (with("/stages", json!(["Status"]))?, "stage Status"),
        (with("/timeout", json!("11m"))?, "timeout must be"),
        (with("/name", json!("Gate"))?, "name"),
        (with(variable, json!({"name": "GHOSTSHIP_A", "value": "1"}))?, "GHOSTSHIP_"),
        (with(variable, json!({"name": "A"}))?, "either value or valueFrom"),
        (with(variable, json!({"name": "A", "valueFrom": {}}))?, "secretKeyRef"),
    ];
    for (one, words) in rows {
        let Err(error) = patch_jobs(shop, &json!([one])) else {
            return Err(anyhow!("{one} was taken"));
        };
        ensure!(format!("{error:#}").contains(words), "{one}: {error:#}");
    }
    let one = job(&["BeforeCopy"], "1m")?;
    ensure!(patch_jobs(shop, &json!([one, one])).is_err(), "two hooks have one name");
    patch_jobs(shop, &json!([one]))?;
    Ok(End::Untouched)
}

async fn killed(name: String, kill: Kill, server: &'static PodServer) -> Result<()> {
    hook_image()?;
    let operator = Operator::outside()?;
    let shop = Shop::open(Site { label: &name, operator, server, shape: SHAPE }).await?;
    let proxy = Proxy::start(client().await?).await?;
    let mut controller = Controller::start(&shop, &proxy, "under-test")?;
    let told = tell_killed(&shop, kill, (&proxy, &mut controller)).await;
    told.map_err(|error| {
        anyhow!("{error:#}\n{}\n=== controller\n{}", shop.give_up(), controller.log())
    })?;
    let namespace = shop.namespace.clone();
    shop.expect_completed().await?;
    kubectl(&["delete", "namespace", &namespace, "--wait=false"]).map(drop)
}

async fn tell_killed(
    shop: &Shop,
    kill: Kill,
    (proxy, controller): (&Proxy, &mut Controller),
) -> Result<()> {
    set_hook(shop, &["BeforeCopy"], "5m")?;
    match kill {
        Kill::Around(moment) => {
            set_answer(shop, "0")?;
            proxy.hold_next("POST */jobs", moment);
            shop.apply(&shop.migration("one", 0).0)?;
            ensure!(proxy.has_held(STEP).await, "void: no Job was made");
            let made = usize::from(moment == Moment::After);
            ensure!(jobs(shop, "BeforeCopy")?.len() == made, "void: it was held elsewhere");
            controller.kill_and_restart()?;
        }
        Kill::BeforeTheAnswer => {
            // Its pod waits for the variable: that is told.
            shop.apply(&shop.migration("one", 0).0)?;
            let told = |status: &Value| {
                let entry = entries(status, "BeforeCopy").pop().unwrap_or_default();
                entry["message"]
                    .as_str()
                    .is_some_and(|words| words.contains("\"answer\" not found"))
            };
            shop.wait_for_status("one", ("why the pod does not start", STEP), told).await?;
            controller.kill();
            set_answer(shop, "0")?;
            let probe = async || {
                let jobs = jobs(shop, "BeforeCopy")?;
                let ended = jobs.iter().any(|job| job["status"]["succeeded"] == 1);
                Ok(if ended { Ok(()) } else { Err(jobs.len()) })
            };
            wait_for("the Job to end", STEP, probe).await?;
            controller.kill_and_restart()?;
        }
    }
    let status = shop.wait_for_phase("one", "Succeeded", STEP).await?;
    let told = entries(&status, "BeforeCopy");
    ensure!(told.len() == 1 && told[0]["answer"] == "Allow", "{told:?}");
    let made = jobs(shop, "BeforeCopy")?;
    ensure!(made.len() == 1, "one asking has {} Jobs", made.len());
    ensure!(told[0]["job"] == made[0]["metadata"]["name"], "{told:?}");
    ensure!(status["attempt"] == 1, "it took {} attempts", status["attempt"]);
    Ok(())
}
