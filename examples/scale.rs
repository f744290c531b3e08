//! Many migrations at once, most of them finished or queued, to see what they cost the controller. The
//! workers are stand-ins that only report; no database is there. In: a kubeconfig, how many, the process id
//! and metrics address of a controller that runs. Out: a few lines of figures. See `benches/scale`.

#![expect(clippy::print_stdout, reason = "its lines are what it is for")]

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use ghostship::api::migration::SchemaMigration;
use kube::api::{
    Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
};
use kube::{Client, Resource};
use serde_json::{Value, json};
use tokio::time::{interval, sleep};

/// Namespaces, each with one target that runs one migration at a time.
const NAMESPACES: usize = 20;
/// Requests that are under way at a time while everything is laid out.
const AT_ONCE: usize = 16;
/// How often a stand-in reports, as workers do.
const REPORT: Duration = Duration::from_secs(5);
/// How long each state is measured.
const MEASURED: Duration = Duration::from_secs(60);
/// How long everything may take to be looked at once.
const SETTLED: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Active,
    Finished,
    Queued,
}

/// What a controller has used up so far.
#[derive(Debug)]
struct Usage {
    at: Instant,
    processor: Duration,
    memory_kib: u64,
    peak_kib: u64,
    reconciles: BTreeMap<String, f64>,
    writes: f64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [count, pid, metrics] = arguments.as_slice() else {
        bail!("usage: scale COUNT PID METRICS-ADDRESS, with KUBECONFIG set")
    };
    let (count, pid) = (count.parse::<usize>()?, pid.parse::<u32>()?);
    let client = Client::try_default().await?;
    let began = Instant::now();
    lay_out(&client, count).await?;
    println!("laid out       {count} migrations in {NAMESPACES} namespaces, {:?}", began.elapsed());
    let began = Instant::now();
    wait_until_looked_at(&client, count).await?;
    println!("all looked at  after {:?} more", began.elapsed());
    let before = usage(&client, pid, metrics).await?;
    let reports = report(&client, MEASURED).await?;
    let after = usage(&client, pid, metrics).await?;
    tell(&format!("{NAMESPACES} active"), &before, &after, reports);
    sleep(MEASURED / 4).await;
    let before = usage(&client, pid, metrics).await?;
    sleep(MEASURED).await;
    let after = usage(&client, pid, metrics).await?;
    tell("idle", &before, &after, 0);
    println!(
        "memory         {} MiB, at most {} MiB",
        after.memory_kib / 1024,
        after.peak_kib / 1024
    );
    Ok(())
}

fn kind(number: usize) -> Kind {
    match number / NAMESPACES {
        0 => Kind::Active,
        round if round % 10 < 7 => Kind::Finished,
        _ => Kind::Queued,
    }
}

fn namespace(number: usize) -> String {
    format!("scale-{}", number % NAMESPACES)
}

async fn lay_out(client: &Client, count: usize) -> Result<()> {
    for number in 0..NAMESPACES {
        let name = namespace(number);
        apply(client, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
            .await?;
        apply(client, json!({"apiVersion": "ghostship.dev/v1alpha1", "kind": "MigrationTarget",
            "metadata": {"name": "db", "namespace": name},
            "spec": {"host": "db.example.org", "credentialsSecret": {"name": "db"}, "allowedDatabases": ["shop"]}}))
        .await?;
    }
    stream::iter(0..count)
        .map(|number| make(client, number))
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await
        .map(drop)
}

async fn make(client: &Client, number: usize) -> Result<()> {
    let (name, namespace) = (format!("m{number}"), namespace(number));
    let finalizers: &[&str] =
        if kind(number) == Kind::Finished { &["ghostship.dev/clean-up"] } else { &[] };
    apply(
        client,
        json!({"apiVersion": "ghostship.dev/v1alpha1", "kind": "SchemaMigration",
        "metadata": {"name": name, "namespace": namespace, "finalizers": finalizers,
            "labels": {"ghostship-scale": "yes"}},
        "spec": {"target": "db", "database": "shop", "table": format!("t{number}"),
            "alter": "ADD COLUMN note varchar(200)",
            "worker": {"nodeSelector": {"ghostship.dev/no-such-node": "true"}}}}),
    )
    .await?;
    if kind(number) == Kind::Finished {
        let ending = json!({"outcome": "Completed", "reason": "Completed", "message": "done"});
        let api: Api<SchemaMigration> = Api::namespaced(client.clone(), &namespace);
        let status = json!({"status": {"attempt": 1, "phase": "Succeeded", "ending": ending,
            "report": {"attempt": 1, "phase": "CleanUp", "ending": ending}}});
        api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await?;
    }
    Ok(())
}

async fn apply(client: &Client, document: Value) -> Result<()> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let version = text(&document["apiVersion"]);
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    let resource =
        ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &text(&document["kind"])));
    let api: Api<DynamicObject> = match document["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let name = text(&document["metadata"]["name"]);
    api.patch(&name, &PatchParams::apply("scale").force(), &Patch::Apply(&document)).await?;
    Ok(())
}

async fn wait_until_looked_at(client: &Client, count: usize) -> Result<()> {
    let api: Api<SchemaMigration> = Api::all(client.clone());
    let deadline = Instant::now() + SETTLED;
    loop {
        let all = api.list(&ListParams::default()).await?.items;
        let ours = all.iter().filter(|one| {
            one.metadata.namespace.as_deref().is_some_and(|name| name.starts_with("scale-"))
        });
        let looked_at = ours.filter(|one| {
            let status = one.status.as_ref();
            let observed = status.and_then(|status| status.observed_generation);
            observed == one.meta().generation && status.is_some_and(|status| status.phase.is_some())
        });
        let done = looked_at.count();
        if done >= count {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("after {SETTLED:?} only {done} of {count} are looked at");
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Reports for every active migration until the time is over; answers how many reports were written.
async fn report(client: &Client, time: Duration) -> Result<u32> {
    let (mut ticks, end, mut written) = (interval(REPORT), Instant::now() + time, 0);
    while Instant::now() < end {
        ticks.tick().await;
        for number in 0..NAMESPACES {
            let name = format!("m{number}");
            let api: Api<SchemaMigration> = Api::namespaced(client.clone(), &namespace(number));
            let figures = json!({"rowsCopied": written, "rowsEstimated": 1_000_000, "percent": 1,
                "rowsPerSecond": 1, "keysApplied": 0, "backlog": 0, "verifiedPercent": 0,
                "rowsRepaired": 0, "cutOverAttempts": 0});
            let document = json!({"apiVersion": "ghostship.dev/v1alpha1", "kind": "SchemaMigration",
                "metadata": {"name": name}, "status": {"progress": figures,
                    "report": {"attempt": 1, "pod": "stand-in", "phase": "RowCopy"}}});
            let parameters = PatchParams::apply("ghostship-worker").force();
            api.patch_status(&name, &parameters, &Patch::Apply(&document)).await?;
            written += 1;
        }
    }
    Ok(written)
}

async fn usage(client: &Client, pid: u32, metrics: &str) -> Result<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the controller is gone")?;
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let size = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
    };
    let own = scrape(metrics).await?;
    let buckets = "ghostship_reconcile_seconds_bucket";
    Ok(Usage {
        at: Instant::now(),
        // A tick is 10 ms.
        processor: Duration::from_millis((ticks(11) + ticks(12)) * 10),
        memory_kib: size("VmRSS:"),
        peak_kib: size("VmHWM:"),
        reconciles: own.into_iter().filter(|(name, _)| name.starts_with(buckets)).collect(),
        writes: status_writes(client).await?,
    })
}

/// Writes of the status of migrations that the API server has seen, everybody's.
async fn status_writes(client: &Client) -> Result<f64> {
    let request = axum::http::Request::get("/metrics").body(Vec::new())?;
    let text = client.request_text(request).await?;
    let ours = |line: &&str| {
        line.starts_with("apiserver_request_total")
            && line.contains("resource=\"schemamigrations\"")
            && (line.contains("verb=\"APPLY\"") || line.contains("verb=\"PATCH\""))
    };
    let number = |line: &str| line.rsplit(' ').next().and_then(|text| text.parse::<f64>().ok());
    Ok(text.lines().filter(ours).filter_map(number).sum())
}

async fn scrape(address: &str) -> Result<BTreeMap<String, f64>> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: controller\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let pairs = text.lines().filter_map(|line| line.rsplit_once(' '));
    Ok(pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect())
}

fn tell(state: &str, before: &Usage, after: &Usage, reports: u32) {
    let time = after.at.duration_since(before.at).as_secs_f64();
    let processor = (after.processor - before.processor).as_secs_f64() / time;
    let writes = (after.writes - before.writes - f64::from(reports)).max(0.0) / time;
    println!(
        "{state:<14} {:.1} % of one core, {writes:.2} writes/s beside the {reports} reports, \
         99 of 100 looks within {}",
        processor * 100.0,
        percentile(&before.reconciles, &after.reconciles)
    );
}

/// The upper bound of the bucket that holds the 99th percentile of what came in between.
fn percentile(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>) -> String {
    let mut buckets: Vec<(f64, f64)> = after
        .iter()
        .filter_map(|(name, count)| {
            let bound = name.split("le=\"").nth(1)?.split('"').next()?;
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
            Some((bound, count - before.get(name).copied().unwrap_or(0.0)))
        })
        .collect();
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    let all = buckets.last().map_or(0.0, |last| last.1);
    let found = buckets.iter().find(|(_, count)| *count >= all * 0.99);
    found.map_or_else(|| "no time".to_owned(), |(bound, _)| format!("{bound} s ({all} looks)"))
}
