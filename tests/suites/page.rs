//! The HTTP API and the live page of a run: what they tell, what they steer, whom they turn away, and how the
//! page looks to a real browser.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::caller::{ANSWER, Caller};
use crate::support::scene::{RUN, Scene, Shape, expect_code};
use crate::support::server::Flavour;
use crate::support::wait::wait_for;

/// Speed and rows of a copy that lasts until somebody makes it quicker.
const SLOW: u64 = 400;
const SHAPE: Shape = Shape { rows: 16_000, unique: false, writers: 1 };
/// A change whose text would be an element if it were taken for markup.
const HOSTILE: &str = "ADD COLUMN note INT NULL COMMENT '<img id=hostile src=x>'";

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        super::trial("page::a_run_is_watched_and_steered".to_owned(), steered),
        super::trial("page::strangers_are_turned_away".to_owned(), strangers),
        super::trial("page::the_file_takes_back_what_it_changes".to_owned(), file),
        super::trial("page::a_cut_over_is_postponed_and_allowed".to_owned(), cut_over),
        super::trial_within(
            Duration::from_secs(400),
            "page::a_browser_shows_and_steers".to_owned(),
            browser,
        ),
        super::plain("page::others_than_this_machine_are_not_served", loopback),
    ]
}

async fn scene(label: &str) -> Result<Scene> {
    let mut scene = Scene::shared(label, Flavour::Gtid, SHAPE).await?;
    let copy = json!({"threads": 2, "chunkTime": "200ms", "maxRowsPerSecond": SLOW});
    scene.manifest.set(&[("/copy", copy)])?;
    Ok(scene)
}

fn number(value: &Value, field: &str) -> f64 {
    value[field].as_f64().unwrap_or_default()
}

fn copies(migration: &Value) -> bool {
    migration["phase"] == "RowCopy" && number(migration, "rowsCopied") > 0.0
}

async fn steered() -> Result<()> {
    let mut scene = scene("page_steered").await?;
    let (run, caller) = Caller::of_run(&scene.manifest, None, &[]).await?;
    let migration = caller.wait_for("rows are copied", RUN, copies).await?;
    ensure!(migration["actions"] == json!(["pause", "postpone", "panic"]), "{migration}");
    let tables = caller.read("/api/migrate-tables").await?;
    let line = &tables["tables"][0];
    ensure!(line["table"] == migration["table"] && line["phase"] == "RowCopy", "{tables}");
    let mut snapshots = Snapshots::of(&caller).await?;
    let first = snapshots.next().await?;
    while number(&snapshots.next().await?, "rowsCopied") <= number(&first, "rowsCopied") {}

    caller.change("throttle", None).await?;
    let (status, again) = caller.act("pause", None).await?;
    ensure!(status == 200 && again["changed"] == false, "{status} {again}");
    let waits = |it: &Value| it["waitingFor"].as_str().is_some_and(|it| it.contains("paused"));
    let held = caller.wait_for("it stands still", RUN, waits).await?;
    ensure!(held["paused"] == true && held["laidOver"][0]["field"] == "paused", "{held}");
    scene.registers.wait_for_more(100).await?;
    let still = caller.migration().await?;
    ensure!(still["rowsCopied"] == held["rowsCopied"], "{held} {still}");
    caller.change("no-throttle", None).await?;
    let more = |it: &Value| number(it, "rowsCopied") > number(&held, "rowsCopied");
    caller.wait_for("it goes on", RUN, more).await?;

    samples(&caller).await?;
    // At the old speed the rest would take longer than what is waited here.
    let tuning = json!({"copy": {"maxRowsPerSecond": 0, "threads": 3}});
    caller.change("tuning", Some(&tuning)).await?;
    let settings = caller.migration().await?["settings"].clone();
    let holds = |field: &str, value: &str| {
        settings
            .as_array()
            .into_iter()
            .flatten()
            .any(|it| it["field"] == field && it["value"] == value)
    };
    ensure!(holds("copy.threads", "3") && holds("copy.maxRowsPerSecond", "0"), "{settings}");
    let ended = run.wait(Duration::from_secs(20)).await?;
    expect_code(&ended, 0)?;
    ensure!(ended.stderr.contains("note: paused through the API by"), "{}", ended.stderr);
    scene.expect_completed().await
}

/// The samples as CSV: a line of names and lines with as many cells, oldest first.
async fn samples(caller: &Caller) -> Result<()> {
    let response = caller.send(Method::GET, "/api/samples.csv", None).await?;
    let kind = response.headers()["content-type"].to_str()?.to_owned();
    ensure!(kind.starts_with("text/csv"), "{kind}");
    let text = response.text().await?;
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    let (head, lines) = lines.split_first().context("no line")?;
    let place = |name: &str| head.iter().position(|it| *it == name).context("no such column");
    let rows = place("rows_copied")?;
    let mut last = 0;
    for line in lines {
        ensure!(line.len() == head.len(), "{line:?}");
        ensure!(line[place("time")?].parse::<jiff::Timestamp>().is_ok(), "{line:?}");
        let copied: u64 = line[rows].parse()?;
        ensure!(copied >= last, "{text}");
        last = copied;
    }
    ensure!(last > 0, "{text}");
    let throttled = lines.iter().any(|line| line.last() == Some(&"maxRowsPerSecond"));
    ensure!(throttled, "no sample names the signal:\n{text}");
    Ok(())
}

/// The stream of events.
struct Snapshots {
    response: reqwest::Response,
    text: String,
}

impl Snapshots {
    async fn of(caller: &Caller) -> Result<Self> {
        let response = caller.send(Method::GET, "/api/events", None).await?;
        ensure!(response.status() == 200, "{}", response.status());
        Ok(Self { response, text: String::new() })
    }

    /// The migration in the next one.
    async fn next(&mut self) -> Result<Value> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: "));
                let data: Value = serde_json::from_str(data.context("no data")?)?;
                self.text = rest.to_owned();
                return Ok(data["migrations"][0].clone());
            }
            let chunk = self.response.chunk().await?.context("the stream ended")?;
            self.text.push_str(std::str::from_utf8(&chunk)?);
        }
    }
}

async fn strangers() -> Result<()> {
    let scene = scene("page_strangers").await?;
    let (run, caller) = Caller::of_run(&scene.manifest, None, &["--log-level", "trace"]).await?;
    caller.wait_for("rows are copied", RUN, copies).await?;
    let (get, post) = (Method::GET, Method::POST);
    let bare = |method: &Method, path: &str| caller.bare(method.clone(), path);
    let known = |method: &Method, path: &str| bare(method, path).bearer_auth(&caller.token);
    let json =
        |request: reqwest::RequestBuilder| request.header("content-type", "application/json");
    let large = "x".repeat(20_000);
    let cases = [
        (bare(&get, "/api/status"), 401),
        (bare(&get, "/api/events"), 401),
        (bare(&get, "/api/samples.csv"), 401),
        (bare(&post, "/api/panic"), 401),
        (bare(&post, "/api/panic").bearer_auth(caller.token.to_uppercase()), 401),
        (bare(&get, "/api/status").bearer_auth(&caller.token[1..]), 401),
        (bare(&get, &format!("/api/status?token={}", caller.token)), 401),
        (known(&get, "/api/status").header("host", "evil.example"), 403),
        (bare(&get, "/").header("host", "evil.example"), 403),
        (known(&post, "/api/panic?name=another"), 404),
        (known(&get, "/api/status?namespace=another"), 404),
        (known(&get, "/api/nothing"), 404),
        (known(&get, "/api/panic"), 405),
        (known(&post, "/api/status"), 405),
        (known(&get, "/api/status?nome=x"), 400),
        (json(known(&post, "/api/tuning")).body("{"), 400),
        (json(known(&post, "/api/tuning")).body("{\"panic\": true}"), 400),
        (known(&post, "/api/tuning").body("{\"copy\": {\"threads\": 1}}"), 415),
        (json(known(&post, "/api/tuning")).body("{\"copy\": {\"threads\": 99}}"), 422),
        (json(known(&post, "/api/tuning")).body("{\"copy\": {\"thread\": 1}}"), 422),
        (json(known(&post, "/api/tuning")).body(large.clone()), 413),
        (known(&post, "/api/pause").body(large), 413),
    ];
    for (request, expected) in cases {
        let (client, request) = request.build_split();
        let request = request?;
        let what = format!("{} {}", request.method(), request.url().path());
        let response = client.execute(request).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        ensure!(status == expected, "{what}: {status} and not {expected}: {text}");
        let body: Value = serde_json::from_str(&text).with_context(|| format!("{what}: {text}"))?;
        ensure!(body["error"].is_string() && body["remedy"].is_string(), "{what}: {body}");
        expect_headers(&headers).with_context(|| what)?;
    }
    for path in ["/", "/page.js", "/page.css", "/icon.svg"] {
        let response = bare(&get, path).send().await?;
        ensure!(response.status() == 200, "{path}: {}", response.status());
        expect_headers(response.headers())?;
    }
    let migration = caller.migration().await?;
    ensure!(migration["paused"] == false && migration["laidOver"].is_null(), "{migration}");
    let mut refused = 0;
    for _ in 0..200 {
        let status = known(&get, "/api/migrate-tables").send().await?.status().as_u16();
        ensure!([200, 429].contains(&status), "{status}");
        refused += usize::from(status == 429);
    }
    ensure!(refused > 0, "nobody was asked to come less often");
    panic(run, &caller).await?;
    scene.end().await
}

async fn panic(run: crate::support::ghostship::Ghostship, caller: &Caller) -> Result<()> {
    // Until the bucket has filled again.
    wait_for("panic to be taken", ANSWER, async || {
        let (status, answer) = caller.act("panic", None).await?;
        Ok(if status == 200 { Ok(()) } else { Err(answer) })
    })
    .await?;
    let ended = run.wait(Duration::from_secs(10)).await?;
    expect_code(&ended, 6)?;
    ensure!(ended.stderr.contains("done through the API"), "void: nothing is logged");
    let said = format!("{}{}", ended.stderr, Value::from(ended.lines));
    ensure!(!said.contains(&caller.token), "the token was told:\n{said}");
    Ok(())
}

fn expect_headers(headers: &reqwest::header::HeaderMap) -> Result<()> {
    let expected = [
        ("content-security-policy", "frame-ancestors 'none'"),
        ("content-security-policy", "default-src 'none'"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ];
    for (name, words) in expected {
        let value = headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default();
        ensure!(value.contains(words), "{name} is {value:?}");
    }
    ensure!(!headers.contains_key("set-cookie"), "a cookie is set");
    Ok(())
}

async fn file() -> Result<()> {
    let mut scene = scene("page_file").await?;
    let (run, caller) = Caller::of_run(&scene.manifest, None, &[]).await?;
    caller.wait_for("rows are copied", RUN, copies).await?;
    let is_paused = |wanted: bool| move |it: &Value| it["paused"] == wanted;
    caller.change("pause", None).await?;
    // Another field of the file is no word about this one.
    scene.manifest.set(&[("/copy/threads", json!(1))])?;
    let taken = |it: &Value| {
        let settings = it["settings"].as_array().into_iter().flatten();
        settings.into_iter().any(|one| one["field"] == "copy.threads" && one["value"] == "1")
    };
    let seen = caller.wait_for("the file is read", ANSWER, taken).await?;
    ensure!(seen["paused"] == true, "{seen}");
    scene.manifest.set(&[("/paused", json!(true))])?;
    caller.wait_for("the file holds", ANSWER, |it| it["laidOver"].is_null()).await?;
    scene.manifest.set(&[("/paused", json!(false))])?;
    caller.wait_for("the file has resumed it", ANSWER, is_paused(false)).await?;
    // And over a file that pauses it is resumed.
    scene.manifest.set(&[("/paused", json!(true))])?;
    caller.wait_for("the file has paused it", ANSWER, is_paused(true)).await?;
    caller.change("resume", None).await?;
    let migration = caller.migration().await?;
    ensure!(migration["paused"] == false, "{migration}");
    let hours =
        json!({"pause": [{"from": "2020-01-01T00:00:00Z", "until": "2099-01-01T00:00:00Z"}]});
    scene.manifest.set(&[("/windows", hours)])?;
    caller.wait_for("the window pauses it", ANSWER, is_paused(true)).await?;
    let (status, answer) = caller.act("resume", None).await?;
    let cause = answer["error"].as_str().unwrap_or_default();
    ensure!(status == 409 && cause.contains("pause window"), "{status} {answer}");
    run.signal("TERM")?;
    expect_code(&run.wait(RUN).await?, 4)?;
    scene.manifest.set(&[("/windows", json!(null)), ("/paused", json!(false))])?;
    scene.manifest.set(&[("/copy/maxRowsPerSecond", json!(0))])?;
    scene.completes().await?;
    scene.expect_completed().await
}

async fn cut_over() -> Result<()> {
    let mut scene = scene("page_cut_over").await?;
    scene.manifest.set(&[("/copy/maxRowsPerSecond", json!(0))])?;
    let stop = Some("chunk.begin=stop");
    let (run, caller) = Caller::of_run(&scene.manifest, stop, &[]).await?;
    run.wait_until_stopped(RUN).await?;
    let asked = caller.change("postpone", None);
    let (asked, gone_on) = tokio::join!(asked, async { run.signal("CONT") });
    gone_on?;
    asked?;
    let waits = |it: &Value| {
        it["phase"] == "AwaitCutOver"
            && it["waitingFor"].as_str().is_some_and(|it| it.contains("postpone"))
    };
    let waiting = caller.wait_for("it waits", RUN, waits).await?;
    ensure!(waiting["actions"] == json!(["pause", "cut-over", "panic"]), "{waiting}");
    ensure!(!scene.is_swapped().await?, "it was swapped");
    caller.change("cut-over", None).await?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}

/// The percentage that the page shows.
const PERCENT: &str = "parseFloat(document.querySelector('#percent').textContent)";

async fn browser() -> Result<()> {
    let mut browser = Browser::start().await?;
    let mut scene = scene("page_browser").await?;
    scene.manifest.rename("migration", HOSTILE)?;
    let (run, caller) = Caller::of_run(&scene.manifest, None, &[]).await?;
    caller.wait_for("rows are copied", RUN, copies).await?;
    browser.look((1200, 900), "light").await?;
    browser.open(&caller.url).await?;
    browser.wait_for("!document.querySelector('#entrance').hidden", ANSWER).await?;
    browser.open(&format!("{}/#token={}", caller.url, caller.token)).await?;
    browser.wait_for(&format!("{PERCENT} > 0"), ANSWER).await?;
    let address = browser.value("location.href").await?;
    ensure!(!address.to_string().contains(&caller.token), "the token stays in the address");
    let first = browser.value(PERCENT).await?;
    browser.wait_for(&format!("{PERCENT} > {first} + 3"), ANSWER).await?;
    let shown = browser.value("document.querySelector('#alter').textContent").await?;
    ensure!(shown == HOSTILE, "{shown}");
    ensure!(browser.value("document.querySelector('#hostile')").await?.is_null(), "it is markup");
    pictures(&mut browser, "copying").await?;

    browser.click("[data-action=pause]").await?;
    browser
        .wait_for("document.querySelector('#phase').textContent.includes('paused')", ANSWER)
        .await?;
    ensure!(caller.migration().await?["paused"] == true, "only the page says so");
    pictures(&mut browser, "paused").await?;
    browser.click("[data-action=panic]").await?;
    browser.wait_for("document.querySelector('#sure').open", ANSWER).await?;
    pictures(&mut browser, "sure").await?;
    browser.click("#sure button[value=no]").await?;
    browser.wait_for("!document.querySelector('#sure').open", ANSWER).await?;
    browser.click("[data-action=resume]").await?;
    browser
        .wait_for("!document.querySelector('#phase').textContent.includes('paused')", ANSWER)
        .await?;
    let now = browser.value(PERCENT).await?;
    browser.wait_for(&format!("{PERCENT} > {now}"), ANSWER).await?;

    browser.value("document.querySelector('#limit').value = '0'").await?;
    browser.click("#tuning button").await?;
    expect_code(&run.wait(RUN).await?, 0)?;
    browser
        .wait_for("document.querySelector('#connection').dataset.state === 'lost'", ANSWER)
        .await?;
    let loud =
        |it: &&String| !it.contains("ERR_CONNECTION_REFUSED") && !it.contains("ERR_INCOMPLETE");
    let complaints: Vec<&String> = browser.complaints.iter().filter(loud).collect();
    ensure!(complaints.is_empty(), "the page complains: {complaints:?}");
    scene.expect_completed().await
}

/// On a desk by day, and on a phone at night; nothing may stand out at the side.
async fn pictures(browser: &mut Browser, name: &str) -> Result<()> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    for (size, scheme) in [((1200, 900), "light"), ((390, 844), "dark"), ((1200, 900), "dark")] {
        browser.look(size, scheme).await?;
        let fits = "document.documentElement.scrollWidth <= window.innerWidth";
        browser.wait_for(fits, ANSWER).await?;
        browser.picture(&folder.join(format!("{name}-{}-{scheme}.png", size.0))).await?;
    }
    browser.look((1200, 900), "light").await
}

fn loopback() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/samples/migration.yaml");
    let token = folder.path().join("token");
    let run = |address: &str, token: Option<&Path>| -> Result<(Option<i32>, String)> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ghostship"));
        command.arg("run").arg("-f").arg(&sample).args(["--listen", address]);
        if let Some(token) = token {
            command.arg("--token-file").arg(token);
        }
        let output = command.output()?;
        Ok((output.status.code(), String::from_utf8(output.stderr)?))
    };
    for address in ["0.0.0.0:0", "[::]:0", "10.0.0.1:0"] {
        let (code, said) = run(address, Some(&token))?;
        ensure!(code == Some(2) && said.contains("other machines"), "{address}: {code:?} {said}");
    }
    let (code, said) = run("127.0.0.1:0", None)?;
    ensure!(code == Some(2) && said.contains("--token-file"), "{code:?} {said}");
    Ok(())
}
