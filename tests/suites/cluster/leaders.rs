//! Two controllers of which one leads: the leader is frozen, or killed at several moments. The other one
//! takes over, nothing is made twice, and the migration ends as if nothing had happened.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::faults::{created, trial};
use super::{ROWS, STEP};
use crate::support::cluster::kubectl;
use crate::support::controller::Controller;
use crate::support::operator::Operator;
use crate::support::proxy::Proxy;
use crate::support::runtime;
use crate::support::scene::Shape;
use crate::support::settings::runs;
use crate::support::shop::{PodServer, Shop, Site, client};
use crate::support::wait::wait_for;

/// Rows a second at which the copy outlasts a change of leaders.
const SLOW: u64 = 500;

/// When the leader is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// Right after a migration was applied: its worker is being made.
    AtFirst,
    /// While rows are copied.
    Copying,
    /// While rows are copied, and the worker with it.
    WithWorker,
}

pub(super) fn trials() -> Vec<Trial> {
    vec![trial("a_leader_freezes_and_thaws".to_owned(), |server| {
        runtime::block_on(freeze_and_thaw(server))
    })]
}

pub(super) fn long_trials() -> Vec<Trial> {
    let moments = [
        ("at_first", Moment::AtFirst),
        ("while_copying", Moment::Copying),
        ("with_its_worker", Moment::WithWorker),
    ];
    let killed = moments.map(|(name, moment)| {
        trial(format!("a_leader_is_killed_{name}"), move |server| {
            (0..runs(1)).try_for_each(|_| runtime::block_on(killed(server, name, moment)))
        })
    });
    killed.into()
}

/// Another controller leads when the leader is frozen; thawed, the former one ends.
async fn freeze_and_thaw(server: &'static PodServer) -> Result<()> {
    let mut two = Leaders::start("leaders", server).await?;
    let migration = two.shop.migration("one", 0).with("/postponeCutOver", json!(true));
    two.shop.apply(&migration.0)?;
    two.shop.wait_for_reason("one", "CutOverPostponed", STEP).await?;
    two.first.signal("STOP")?;
    two.wait_for_leader("second").await?;
    two.shop.patch("one", &json!({"paused": true}))?;
    two.shop.wait_for_reason("one", "Paused", STEP).await?;
    two.first.signal("CONT")?;
    let probe = async || Ok(if two.first.has_ended()? { Ok(()) } else { Err("it still runs") });
    wait_for("the former leader to end", STEP, probe).await?;
    two.shop.patch("one", &json!({"paused": false, "postponeCutOver": false}))?;
    two.expect_end(1).await
}

/// The other controller steers the migration after the leader was killed.
async fn killed(server: &'static PodServer, name: &str, moment: Moment) -> Result<()> {
    let mut two = Leaders::start(&format!("killed_{name}"), server).await?;
    two.shop.apply(&two.shop.migration("one", SLOW).0)?;
    if moment != Moment::AtFirst {
        two.shop.wait_until_copying("one", STEP).await?;
    }
    two.first.kill();
    if moment == Moment::WithWorker {
        for pod in two.shop.live_pods()? {
            let at_once = ["--grace-period=0", "--force", "--wait=false"];
            two.shop.kubectl(&[&["delete", &pod], &at_once[..]].concat())?;
        }
    }
    two.wait_for_leader("second").await?;
    let ended = two.shop.phase("one").await? == "Succeeded";
    ensure!(!ended, "void: the migration ended before the other controller led");
    let attempts = if moment == Moment::WithWorker { 2 } else { 1 };
    let newest = |status: &Value| status["report"]["attempt"] == attempts;
    two.shop.wait_for_status("one", ("the newest worker", STEP), newest).await?;
    two.shop.patch("one", &json!({"paused": true}))?;
    two.shop.wait_for_reason("one", "Paused", STEP).await?;
    two.shop.patch("one", &json!({"paused": false, "copy": {"maxRowsPerSecond": 0}}))?;
    two.expect_end(attempts).await
}

/// Two controllers of one shop, outside the cluster.
struct Leaders {
    shop: Shop,
    proxy: Proxy,
    first: Controller,
    second: Controller,
}

impl Leaders {
    /// Starts both; the first one leads.
    async fn start(label: &str, server: &PodServer) -> Result<Self> {
        let operator = Operator::outside()?;
        let shape = Shape { rows: ROWS, unique: false, writers: 1 };
        let shop = Shop::open(Site { label, operator, server, shape }).await?;
        let proxy = Proxy::start(client().await?).await?;
        let first = Controller::start(&shop, &proxy, "first")?;
        wait_for_leader(&shop, "first").await?;
        let second = Controller::start(&shop, &proxy, "second")?;
        Ok(Self { shop, proxy, first, second })
    }

    async fn wait_for_leader(&self, name: &str) -> Result<()> {
        wait_for_leader(&self.shop, name).await
    }

    /// Waits for the end; so many attempts were made, each object of them once.
    async fn expect_end(self, attempts: u32) -> Result<()> {
        let Self { shop, proxy, first, second } = self;
        let status = shop.wait_for_phase("one", "Succeeded", STEP).await;
        let logs = || format!("{}\n{}\n{}", shop.story(), first.log(), second.log());
        let status = status.with_context(logs)?;
        ensure!(status["attempt"] == attempts, "it took {} attempts", status["attempt"]);
        let made = created(&proxy.writes());
        let wanted = |kind: &str| if kind == "jobs" { attempts } else { 1 };
        let once = made.iter().all(|(kind, times)| *times == wanted(kind));
        ensure!(once && made.contains_key("jobs"), "of {attempts} attempts was made {made:?}");
        let namespace = shop.namespace.clone();
        shop.expect_completed().await?;
        kubectl(&["delete", "namespace", &namespace, "--wait=false"]).map(drop)
    }
}

async fn wait_for_leader(shop: &Shop, name: &str) -> Result<()> {
    let probe = async || {
        let lease = ["get", "lease", "ghostship", "-o", "jsonpath={.spec.holderIdentity}"];
        // Before the first leader there is no Lease.
        let holder = shop.kubectl(&lease).unwrap_or_default();
        Ok(if holder == name { Ok(()) } else { Err(holder) })
    };
    wait_for(&format!("{name} to lead"), STEP, probe).await
}
