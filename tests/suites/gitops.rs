//! What Argo CD, Flux and kstatus make of a migration in every state that the controller can put it into,
//! by the scripts and expressions of `config`, run by a real Lua and a real CEL. The files that Argo CD's
//! own tests read are compared with the code, or written when `GHOSTSHIP_TEST_WRITE` is set.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use ghostship::api::control;
use ghostship::api::validate::Control;
use ghostship::controller::decide::{Decision, asks_to_clean_up, decide, last_ending};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::plain;
use crate::support::kstatus::kstatus;
use crate::support::lua::{self, script};
use crate::support::states::{State, merge, states};
use crate::support::{flux, lua::NOW};

const WRITE: &str = "GHOSTSHIP_TEST_WRITE";
const GROUP_KIND: &str = "ghostship.dev_SchemaMigration";
const CONFIG_MAP_HEAD: &str = "\
# What Argo CD has to know of SchemaMigrations: merge it into its argocd-cm. Made from the scripts beside it.
";

/// The actions with a legal state of each, the patch that each is, and the name of its result.
fn actions() -> [(&'static str, &'static str, Value, &'static str); 12] {
    let annotated = |name: &str, word: &str| json!({"metadata": {"annotations": {name: word}}});
    let with_spec = |mut patch: Value, field: &str| {
        merge(&mut patch, &json!({"spec": {field: false}}));
        patch
    };
    let retried = annotated("ghostship.dev/retry", NOW);
    [
        ("pause", "copying", json!({"spec": {"paused": true}}), "pause"),
        ("resume", "paused", json!({"spec": {"paused": false}}), "resume"),
        ("postpone", "copying", annotated("ghostship.dev/cut-over", "postpone"), "postpone"),
        (
            "cut-over",
            "cut_over_postponed",
            annotated("ghostship.dev/cut-over", "allow"),
            "cut_over",
        ),
        (
            "cut-over",
            "permission_taken_back",
            annotated("ghostship.dev/cut-over", "allow"),
            "cut_over_again",
        ),
        ("panic", "copying", json!({"spec": {"panic": true}}), "panic"),
        ("abort", "paused", json!({"spec": {"abort": true}}), "abort"),
        ("abort", "failed", json!({"spec": {"abort": true}}), "abort_failed"),
        ("abort", "panicked", json!({"spec": {"abort": true, "panic": false}}), "abort_panicked"),
        ("retry", "retrying", retried.clone(), "retry_at_once"),
        ("retry", "failed", retried.clone(), "retry"),
        ("retry", "panicked", with_spec(retried, "panic"), "retry_panicked"),
    ]
}

/// One test per state, one per action, and one per file that lists them.
pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for state in states() {
        trials.push(plain(&format!("gitops::state::{}", state.name), move || check_state(&state)));
    }
    for (action, from, patch, to) in actions() {
        let name = format!("gitops::action::{action}::{from}");
        trials.push(plain(&name, move || check_action(action, from, &patch, to)));
    }
    trials.push(plain("gitops::conditions_mean_the_same_in_any_order", conditions_in_any_order));
    trials.push(plain("gitops::legal_actions_are_of_the_list", legal_actions_are_of_the_list));
    trials.push(plain("gitops::argocd::health_test", || held("health_test.yaml", &health_test()?)));
    trials.push(plain("gitops::argocd::action_test", || {
        held("actions/action_test.yaml", &action_test()?)
    }));
    trials.push(plain("gitops::argocd::config_map", || held("argocd-cm.yaml", &config_map()?)));
    trials
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/argocd")
}

/// Compares a file with what it has to be, or writes it.
fn held(path: &str, wanted: &str) -> Result<()> {
    let path = folder().join(path);
    if std::env::var_os(WRITE).is_some() {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        return Ok(std::fs::write(&path, wanted)?);
    }
    let found = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let differs = similar::TextDiff::from_lines(&found, wanted).unified_diff().to_string();
    ensure!(
        found == wanted,
        "{} is not what the code gives; {WRITE}=1 cargo test --test main -- gitops:: writes it\n{differs}",
        path.display()
    );
    Ok(())
}

fn yaml(document: &Value) -> Result<String> {
    Ok(serde_yaml::to_string(document)?)
}

fn find(name: &str) -> Result<State> {
    states().into_iter().find(|state| state.name == name).with_context(|| name.to_owned())
}

fn check_state(state: &State) -> Result<()> {
    let resource = state.resource()?;
    held(&format!("testdata/{}.yaml", state.name), &yaml(&resource)?)?;
    ensure!(kstatus(&resource) == state.seen.kstatus, "kstatus: {}", kstatus(&resource));
    let health = lua::run(&script("health.lua")?, &resource)?;
    ensure!(health == expected_health(state, &resource), "Argo CD: {health}");
    for (file, wanted) in
        [("health-checks", state.seen.flux), ("health-checks-accepted", state.seen.accepted)]
    {
        let found = flux::health(&kustomization(file)?, &resource)?;
        ensure!(found == wanted, "Flux by {file}.yaml: {found}, not {wanted}");
    }
    let enabled = enabled(&resource)?;
    ensure!(enabled == state.seen.actions, "enabled are {enabled:?}");
    Ok(())
}

/// The health with its message: phase and message of the controller, or why they do not count.
fn expected_health(state: &State, resource: &Value) -> Value {
    let status = &resource["status"];
    let told = |name: &str| status[name].as_str().unwrap_or_default().to_owned();
    let is_current = status["observedGeneration"] == resource["metadata"]["generation"];
    let message = match (resource["metadata"]["deletionTimestamp"].is_string(), is_current) {
        (true, _) => format!("Deleting: {}: {}", told("phase"), told("message")),
        (false, false) => "Waiting for the controller to look at it".to_owned(),
        (false, true) => format!("{}: {}", told("phase"), told("message")),
    };
    json!({"status": state.seen.argo, "message": message})
}

fn kustomization(file: &str) -> Result<Value> {
    let path = format!("{}/config/flux/{file}.yaml", env!("CARGO_MANIFEST_DIR"));
    Ok(serde_yaml::from_str(&std::fs::read_to_string(path)?)?)
}

fn discovered(resource: &Value) -> Result<serde_json::Map<String, Value>> {
    let found = lua::run(&script("actions/discovery.lua")?, resource)?;
    found.as_object().cloned().context("discovery gives no map")
}

/// The names of the actions that a resource allows, sorted.
fn enabled(resource: &Value) -> Result<Vec<String>> {
    let all = discovered(resource)?.into_iter();
    let enabled = all.filter(|(_, action)| action["disabled"] == false);
    Ok(enabled.map(|(name, _)| name).collect())
}

fn conditions_in_any_order() -> Result<()> {
    for state in states() {
        let mut resource = state.resource()?;
        if let Some(conditions) =
            resource.pointer_mut("/status/conditions").and_then(Value::as_array_mut)
        {
            conditions.reverse();
        }
        let health = lua::run(&script("health.lua")?, &resource)?;
        ensure!(health["status"] == state.seen.argo, "{}: Argo CD: {health}", state.name);
        ensure!(kstatus(&resource) == state.seen.kstatus, "{}: kstatus", state.name);
    }
    Ok(())
}

fn legal_actions_are_of_the_list() -> Result<()> {
    let mut listed: Vec<&str> = actions().iter().map(|(action, ..)| *action).collect();
    listed.sort_unstable();
    listed.dedup();
    let found = discovered(&find("copying")?.resource()?)?;
    ensure!(found.keys().eq(&listed), "discovery knows {:?}", found.keys());
    for (action, from, ..) in actions() {
        ensure!(find(from)?.seen.actions.contains(&action), "{action} is not legal in {from}");
    }
    for action in listed {
        ensure!(states().iter().any(|one| one.seen.actions.contains(&action)), "{action}: never");
    }
    Ok(())
}

/// Runs an action and asks the controller's own functions what the result means to them.
fn check_action(action: &str, from: &str, patch: &Value, to: &str) -> Result<()> {
    let state = find(from)?;
    let resource = state.resource()?;
    let mut wanted = resource.clone();
    merge(&mut wanted, patch);
    held(&format!("actions/testdata/{to}.yaml"), &yaml(&wanted)?)?;
    let returned = lua::run(&script(&format!("actions/{action}/action.lua"))?, &resource)?;
    let returned = lua::cleaned(returned, &resource);
    ensure!(returned == wanted, "the action gives\n{}", yaml(&returned)?);
    let observed = state.observed_as(&wanted)?;
    let asked = control::wanted(&observed.migration);
    let asked =
        asked.map_err(|found| anyhow::anyhow!("the result is invalid: {found:?}"))?.migration.asked;
    let means = match action {
        "pause" => asked.control == Control::Pause,
        "resume" => asked.control == Control::Run,
        "panic" => asked.control == Control::Panic,
        "abort" => match last_ending(&observed) {
            None => asked.control == Control::Abort,
            Some(ending) => asks_to_clean_up(&observed, &ending),
        },
        "postpone" => asked.postpone_cut_over,
        "cut-over" => !asked.postpone_cut_over,
        _ => matches!(decide(&observed), Decision::Attempt { number: 2, .. }),
    };
    ensure!(means, "to the controller it means {asked:?}");
    Ok(())
}

/// The list that Argo CD's own test of health scripts reads.
fn health_test() -> Result<String> {
    let tests = states().into_iter().map(|state| {
        let health = expected_health(&state, &state.resource()?);
        Ok(json!({"inputPath": format!("testdata/{}.yaml", state.name), "healthStatus": health}))
    });
    yaml(&json!({"tests": tests.collect::<Result<Vec<_>>>()?}))
}

/// The list that Argo CD's own test of actions reads.
fn action_test() -> Result<String> {
    let discoveries = states().into_iter().map(|state| {
        let found = discovered(&state.resource()?)?.into_iter().map(|(name, mut action)| {
            action["name"] = json!(name);
            action["disabled"] = json!(!state.seen.actions.contains(&name.as_str()));
            action
        });
        let result = found.collect::<Vec<_>>();
        Ok(json!({"inputPath": format!("../testdata/{}.yaml", state.name), "result": result}))
    });
    let runs = actions().map(|(action, from, _, to)| {
        json!({"action": action, "inputPath": format!("../testdata/{from}.yaml"),
            "expectedOutputPath": format!("testdata/{to}.yaml")})
    });
    yaml(&json!({"discoveryTests": discoveries.collect::<Result<Vec<_>>>()?, "actionTests": runs}))
}

/// The part of Argo CD's configuration that carries the same scripts.
fn config_map() -> Result<String> {
    let definition = |name: String| {
        let lua = script(&format!("actions/{name}/action.lua"))?;
        Ok(json!({"name": name, "action.lua": lua}))
    };
    let names = discovered(&find("copying")?.resource()?)?.into_iter().map(|(name, _)| name);
    let definitions = names.map(definition).collect::<Result<Vec<_>>>()?;
    let discovery = script("actions/discovery.lua")?;
    let actions = yaml(&json!({"discovery.lua": discovery, "definitions": definitions}))?;
    let map = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "argocd-cm", "namespace": "argocd", "labels": {
            "app.kubernetes.io/name": "argocd-cm", "app.kubernetes.io/part-of": "argocd"}},
        "data": {
            (format!("resource.customizations.health.{GROUP_KIND}")): script("health.lua")?,
            (format!("resource.customizations.actions.{GROUP_KIND}")): actions,
        },
    });
    Ok(format!("{CONFIG_MAP_HEAD}{}", yaml(&map)?))
}
