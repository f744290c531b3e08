//! The controller is killed at each of its writes, before the server has it and after, found by a
//! recording proxy; it hears badly. Everything ends as if nothing had happened: one attempt, one Job, no
//! object made twice, the tables swapped once, or, after a deletion, nothing left.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::{NODE, STEP, conclude};
use crate::support::cluster::kubectl;
use crate::support::controller::Controller;
use crate::support::operator::{Operator, image};
use crate::support::proxy::{Moment, Proxy, Write};
use crate::support::runtime;
use crate::support::scene::Shape;
use crate::support::settings::is_long;
use crate::support::shop::{PodServer, Shop, Site, client};

/// Plans of each story when the long tests are not asked for.
const FEW: usize = 3;
const SHAPE: Shape = Shape { rows: 300, unique: false, writers: 1 };

/// What happens to a migration while its controller is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    /// It is applied and ends well.
    Completes,
    /// The same, while the controller's watches break off and are late.
    HearsBadly,
    /// It is deleted while it waits for the permission to cut over: its worker cleans up.
    IsDeleted,
    /// It is deleted after a panic that was taken back: a further worker cleans up.
    IsCleanedUp,
}

/// One place at which the controller is killed.
type Plan = (usize, Moment);

pub(super) fn trials() -> Vec<Trial> {
    let stories = [
        ("completes", Story::Completes),
        ("is_deleted", Story::IsDeleted),
        ("is_cleaned_up", Story::IsCleanedUp),
    ];
    let killed = stories.map(|(name, story)| {
        trial(format!("controller_killed_at_each_write::{name}"), move |server| {
            runtime::block_on(all_plans(name, story, server))
        })
    });
    let mut trials: Vec<Trial> = killed.into();
    trials.push(trial("watches_break_off_and_are_late".to_owned(), |server| {
        runtime::block_on(play("hears_badly", Story::HearsBadly, server, None)).map(drop)
    }));
    trials
}

/// A test that has controllers of its own, outside the cluster.
pub(super) fn trial(
    name: String,
    body: impl FnOnce(&'static PodServer) -> Result<()> + Send + 'static,
) -> Trial {
    Trial::test(format!("cluster::{name}"), move || {
        let _beside_others = NODE.read().unwrap_or_else(PoisonError::into_inner);
        let run = || {
            // What all tests share is started before the time of this one begins.
            image()?;
            body(PodServer::shared()?)
        };
        conclude(&name, run())
    })
}

async fn all_plans(name: &str, story: Story, server: &'static PodServer) -> Result<()> {
    let (undisturbed, _) = play(&format!("{name}_0"), story, server, None).await?;
    let made = created(&undisturbed);
    let makes_job = made.contains_key("jobs") || story == Story::IsDeleted;
    ensure!(makes_job, "void: of {undisturbed:?} none made a Job");
    let mut plans: Vec<Plan> = (1..=undisturbed.len())
        .flat_map(|number| [(number, Moment::Before), (number, Moment::After)])
        .collect();
    if !is_long() {
        let step = plans.len().div_ceil(FEW);
        plans = plans.into_iter().step_by(step.max(1)).collect();
    }
    let total = plans.len();
    let mut results = Vec::new();
    // One after the other: the stories stand side by side, and every stream reads what all of them write.
    for (at, plan) in plans.into_iter().enumerate() {
        let label = format!("{name}_{}", at + 1);
        let played = try_plan(&label, story, server, (plan, &made)).await;
        results.push(played.with_context(|| format!("killed at {plan:?}")));
    }
    let void = results.iter().filter(|result| matches!(result, Ok(false))).count();
    let failed: Vec<String> =
        results.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    let (writes, failures) = (undisturbed.len(), failed.len());
    eprintln!("{name}: {writes} writes, {total} plans, {void} void, {failures} failed");
    ensure!(void * 2 < total, "void: {void} of {total} plans met no write");
    ensure!(failed.is_empty(), "{} of {total} plans failed:\n{}", failed.len(), failed.join("\n"));
    Ok(())
}

/// Answers whether there was a write for the plan.
async fn try_plan(
    label: &str,
    story: Story,
    server: &'static PodServer,
    (plan, made): (Plan, &BTreeMap<String, u32>),
) -> Result<bool> {
    let (writes, has_fired) = play(label, story, server, Some(plan)).await?;
    let found = created(&writes);
    ensure!(found == *made, "it made {found:?}, undisturbed {made:?}");
    Ok(has_fired)
}

/// Plays a story with the controller killed as planned; answers its writes since the plan holds, and
/// whether there was such a write: how often the status is written depends on time.
async fn play(
    label: &str,
    story: Story,
    server: &'static PodServer,
    plan: Option<Plan>,
) -> Result<(Vec<Write>, bool)> {
    let operator = Operator::outside()?;
    let shop = Shop::open(Site { label, operator, server, shape: SHAPE }).await?;
    let proxy = Proxy::start(client().await?).await?;
    if story == Story::HearsBadly {
        proxy.spoil_watches();
    }
    let mut controller = Controller::start(&shop, &proxy, "under-test")?;
    let told = tell(&shop, story, (&proxy, &mut controller), plan).await;
    let (from, has_fired) = told.map_err(|error| {
        anyhow!("{error:#}\n{}\n=== controller\n{}", shop.give_up(), controller.log())
    })?;
    let writes = proxy.writes().split_off(from);
    let namespace = shop.namespace.clone();
    match story {
        Story::Completes | Story::HearsBadly => shop.expect_completed().await?,
        Story::IsDeleted | Story::IsCleanedUp => shop.expect_untouched().await?,
    }
    kubectl(&["delete", "namespace", &namespace, "--wait=false"])?;
    Ok((writes, has_fired))
}

/// Answers from which write on the plan counts, and whether it met one.
async fn tell(
    shop: &Shop,
    story: Story,
    (proxy, controller): (&Proxy, &mut Controller),
    plan: Option<Plan>,
) -> Result<(usize, bool)> {
    let is_deleted = matches!(story, Story::IsDeleted | Story::IsCleanedUp);
    let migration = shop.migration("one", 0).with("/postponeCutOver", json!(is_deleted));
    if is_deleted {
        shop.apply(&migration.0)?;
        shop.wait_for_reason("one", "CutOverPostponed", STEP).await?;
    }
    if story == Story::IsCleanedUp {
        shop.patch("one", &json!({"panic": true}))?;
        shop.wait_for_phase("one", "Panicked", STEP).await?;
        shop.patch("one", &json!({"panic": false}))?;
        let seen = |status: &Value| status["observedGeneration"] == 3;
        shop.wait_for_status("one", ("the panic taken back", STEP), seen).await?;
    }
    let from = proxy.writes().len();
    if let Some((number, moment)) = plan {
        proxy.hold(number, moment);
    }
    match story {
        Story::Completes | Story::HearsBadly => shop.apply(&migration.0)?,
        Story::IsDeleted | Story::IsCleanedUp => shop.delete("one")?,
    }
    let has_fired = tokio::select! {
        biased;
        held = proxy.has_held(STEP), if plan.is_some() => held,
        // There are fewer writes than planned.
        ended = wait_for_end(shop, story) => {
            ended?;
            false
        }
    };
    if has_fired {
        controller.kill_and_restart()?;
    }
    wait_for_end(shop, story).await?;
    Ok((from, has_fired))
}

async fn wait_for_end(shop: &Shop, story: Story) -> Result<()> {
    if matches!(story, Story::IsDeleted | Story::IsCleanedUp) {
        return shop.wait_until_gone("one", STEP * 2).await;
    }
    let status = shop.wait_for_phase("one", "Succeeded", STEP * 2).await?;
    ensure!(status["attempt"] == 1, "it took {} attempts", status["attempt"]);
    wait_for_rest(shop).await
}

/// Waits until the controller has told the end in every part of the status.
async fn wait_for_rest(shop: &Shop) -> Result<()> {
    let told =
        |status: &Value| !status["completedAt"].is_null() && status["cutOver"]["state"] == "Done";
    shop.wait_for_status("one", ("the end to be told", Duration::from_secs(20)), told)
        .await
        .map(drop)
}

/// How many objects were made, by kind: names differ from shop to shop.
pub(super) fn created(writes: &[Write]) -> BTreeMap<String, u32> {
    let mut all = BTreeMap::new();
    for write in writes.iter().filter(|write| write.created) {
        let kind = write.what.rsplit('/').nth(1).unwrap_or_default();
        *all.entry(kind.to_owned()).or_default() += 1;
    }
    all
}
