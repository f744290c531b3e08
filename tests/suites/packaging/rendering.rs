//! What the chart renders for several sets of values: it passes helm's own checks and the API server's, it is what the
//! kustomizations render, its pods are restricted ones, and no unknown value goes unseen.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::CHART;
use super::objects::Objects;
use super::place::Namespace;
use crate::support::cluster::{helm, kubectl, kubectl_with_input};
use crate::support::wait::wait_for;

/// Kinds of the Prometheus operator, which no cluster has of itself.
const MONITORING: [&str; 3] = ["PodMonitor", "PrometheusRule", "ServiceMonitor"];
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

pub(super) fn trials() -> Vec<Trial> {
    vec![
        super::super::trial("packaging::helm_lint_finds_nothing".into(), lint),
        super::super::trial("packaging::unknown_values_are_refused".into(), unknown_values),
        super::super::trial("packaging::the_schema_names_what_the_values_name".into(), schema),
        super::super::trial("packaging::kustomize_renders_what_helm_renders".into(), kustomize),
        super::super::trial("packaging::the_api_server_takes_every_object".into(), dry_run),
        super::super::trial("packaging::the_pods_keep_to_restricted".into(), restricted),
        super::super::trial("packaging::monitors_find_what_they_watch".into(), monitors),
        super::super::trial("packaging::the_samples_are_accepted".into(), samples),
        super::super::trial("packaging::the_chart_is_of_this_version".into(), version),
    ]
}

/// The sets of values: none, and each file of the chart's `ci` folder.
fn value_sets() -> Result<Vec<Vec<String>>> {
    let mut sets = vec![Vec::new()];
    for entry in std::fs::read_dir(format!("{CHART}/ci"))? {
        sets.push(vec!["--values".to_owned(), entry?.path().to_string_lossy().into_owned()]);
    }
    ensure!(sets.len() >= 3, "the chart's ci folder has {} files", sets.len() - 1);
    Ok(sets)
}

/// The release is named like its namespace.
fn render(namespace: &str, values: &[&str]) -> Result<Objects> {
    let base = ["template", namespace, CHART, "--namespace", namespace];
    Objects::parse(&helm(&[base.as_slice(), values].concat())?)
}

fn strings(values: &[String]) -> Vec<&str> {
    values.iter().map(String::as_str).collect()
}

async fn lint() -> Result<()> {
    for values in value_sets()? {
        helm(&[["lint", "--strict", CHART].as_slice(), &strings(&values)].concat())?;
    }
    Ok(())
}

async fn unknown_values() -> Result<()> {
    let cases = [
        ("replicaCount=3", "'replicaCount' not allowed"),
        ("image.name=ghostship", "'name' not allowed"),
        ("networkPolicy.workers.ports={3306}", "'ports' not allowed"),
        ("monitoring.podMonitor.on=true", "'on' not allowed"),
        ("maxActive=-1", "/maxActive"),
        ("image.digest=latest", "/image/digest"),
        ("worker.pullPolicy=Sometimes", "/worker/pullPolicy"),
        ("watchNamespaces={Shop}", "/watchNamespaces/0"),
        ("policies.actions={Deny,Warn}", "/policies/actions"),
        ("api.port=80", "'port' not allowed"),
        ("networkPolicy.workers.enabled=true", "name the namespaces"),
    ];
    for (value, words) in cases {
        let refused = render("ghostship", &["--set", value]).err();
        let refused = refused.with_context(|| format!("{value} is taken"))?;
        ensure!(format!("{refused:#}").contains(words), "{value}: {refused:#}");
    }
    Ok(())
}

/// Every name of the values is one of the schema and the other way round; what is free in the schema is free.
async fn schema() -> Result<()> {
    let read = |name: &str| std::fs::read_to_string(format!("{CHART}/{name}"));
    let values: Value = serde_yaml::from_str(&read("values.yaml")?)?;
    let schema: Value = serde_json::from_str(&read("values.schema.json")?)?;
    let (mut described, mut given) = (BTreeSet::new(), BTreeSet::new());
    collect_described(&schema, &schema, "", &mut described);
    collect_given(&values, "", &described, &mut given);
    described.retain(|name| !name.starts_with("/global"));
    for free in ["/resources/", "/affinity/", "/policies/namespaceSelector/"] {
        described.retain(|name| !name.starts_with(free));
        given.retain(|name| !name.starts_with(free));
    }
    ensure!(described.len() > 50, "the schema describes {} names", described.len());
    let odd: Vec<_> = described.symmetric_difference(&given).collect();
    ensure!(odd.is_empty(), "only in one of values.yaml and values.schema.json: {odd:?}");
    Ok(())
}

fn collect_described(root: &Value, schema: &Value, path: &str, names: &mut BTreeSet<String>) {
    let referred =
        schema["$ref"].as_str().and_then(|name| root.pointer(name.trim_start_matches('#')));
    let schema = referred.unwrap_or(schema);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        collect_described(root, field, &path, names);
        names.insert(path);
    }
}

/// Goes down only where the schema does.
fn collect_given(
    values: &Value,
    path: &str,
    described: &BTreeSet<String>,
    names: &mut BTreeSet<String>,
) {
    let below = |path: &str| described.iter().any(|name| name.starts_with(&format!("{path}/")));
    for (name, value) in values.as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        if below(&path) {
            collect_given(value, &path, described, names);
        }
        names.insert(path);
    }
}

/// Object by object; the namespace of the default is Helm's to make.
async fn kustomize() -> Result<()> {
    let policies =
        ["approve", "cut-over", "delete", "panic"].map(|name| format!("policies/{name}.yaml"));
    let policies: Vec<&str> = policies.iter().map(String::as_str).collect();
    let network = ["networkpolicy.yaml"];
    let cases: [(&str, &str, &[&str]); 6] = [
        ("default", "rbac.create=true", &[]),
        ("notifications", "notifications.existingSecret=ghostship-notifications", &[]),
        ("api", "api.enabled=true", &[]),
        ("policies", "policies.enabled=true", &policies),
        ("network", "networkPolicy.enabled=true", &network),
        (
            "network/workers",
            "networkPolicy.workers.enabled=true,watchNamespaces={ghostship}",
            &network,
        ),
    ];
    for (overlay, values, templates) in cases {
        let shown = templates
            .iter()
            .flat_map(|name| ["--show-only".to_owned(), format!("templates/{name}")]);
        let values = [vec!["--set".to_owned(), values.to_owned()], shown.collect()].concat();
        let by_helm = render("ghostship", &strings(&values))?;
        let text = kubectl(&["kustomize", &format!("{ROOT}/config/{overlay}")])?;
        let text = match overlay {
            "network/workers" => text.replace("\nmetadata:", "\nmetadata:\n  namespace: ghostship"),
            _ => text,
        };
        let (_, by_kustomize) =
            Objects::parse(&text)?.partition(|object| object["kind"] == "Namespace");
        let is_test = |object: &Value| object["metadata"]["annotations"]["helm.sh/hook"] == "test";
        let (_, by_helm) = by_helm.partition(is_test);
        let differences = by_kustomize.differences(&by_helm);
        ensure!(differences.is_empty(), "config/{overlay} (-) and the chart (+):\n{differences}");
    }
    Ok(())
}

/// The namespaces that the sets name are the test's own here; kinds of the Prometheus operator are looked at by `monitors`.
async fn dry_run() -> Result<()> {
    let (one, other, folder) = (Namespace::create()?, Namespace::create()?, tempfile::tempdir()?);
    let mut kinds = BTreeSet::new();
    for values in value_sets()? {
        let mut arguments = Vec::new();
        for file in values.iter().skip(1) {
            let named = format!("[{}, {}]", one.name(), other.name());
            let text = std::fs::read_to_string(file)?.replace("[shop, billing]", &named);
            let path = folder.path().join("values.yaml");
            std::fs::write(&path, text)?;
            arguments = vec!["--values".to_owned(), path.to_string_lossy().into_owned()];
        }
        let objects = render(one.name(), &strings(&arguments))?;
        kinds.extend(objects.kinds().into_iter().map(str::to_owned));
        let (_, known) =
            objects.partition(|object| MONITORING.iter().any(|kind| object["kind"] == *kind));
        let apply = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-"];
        let taken = kubectl_with_input(&apply, &known.text())?;
        ensure!(taken.lines().count() == known.len(), "{} objects:\n{taken}", known.len());
    }
    // A kind that no set of values renders would not have been tried.
    ensure!(kinds.len() >= 15, "only these kinds are rendered: {kinds:?}");
    Ok(())
}

/// The controller's pod in a namespace that admits restricted ones only, and one that is not, to see it refused.
async fn restricted() -> Result<()> {
    let namespace = Namespace::create()?;
    let account = ["get", "serviceaccount", "default", "-n", namespace.name(), "-o", "name"];
    wait_for("the account of pods", super::SOON, async || {
        Ok(kubectl(&account).map_err(|error| format!("{error:#}")))
    })
    .await?;
    for values in value_sets()? {
        let objects = render(namespace.name(), &strings(&values))?;
        let mut template = objects.one("Deployment")?["spec"]["template"].clone();
        template["apiVersion"] = json!("v1");
        template["kind"] = json!("Pod");
        template["metadata"]["name"] = json!("one");
        template["metadata"]["namespace"] = json!(namespace.name());
        template["spec"]["serviceAccountName"] = json!("default");
        let create = ["create", "--dry-run=server", "-f", "-"];
        kubectl_with_input(&create, &template.to_string())?;
        template["spec"]["containers"][0]["securityContext"] = json!({});
        let refused = kubectl_with_input(&create, &template.to_string()).err();
        let refused = refused.context("a pod that is not restricted is admitted")?;
        ensure!(format!("{refused:#}").contains("violates PodSecurity"), "{refused:#}");
    }
    Ok(())
}

/// Selectors and ports of the monitors are those of the Service and of the workers' pods.
async fn monitors() -> Result<()> {
    let on = "monitoring.serviceMonitor.enabled=true,monitoring.podMonitor.enabled=true,\
              monitoring.prometheusRule.enabled=true,monitoring.dashboard.enabled=true";
    let objects = render("ghostship", &["--set", on])?;
    let service = objects.one("Service")?;
    let monitor = &objects.one("ServiceMonitor")?["spec"];
    let labels = service["metadata"]["labels"].as_object().context("the Service has labels")?;
    let wanted = monitor["selector"]["matchLabels"].as_object().context("a selector")?;
    ensure!(
        !wanted.is_empty() && wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
    );
    ensure!(monitor["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]);
    let container = &objects.one("Deployment")?["spec"]["template"]["spec"]["containers"][0];
    ensure!(service["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"]);
    let pods = &objects.one("PodMonitor")?["spec"];
    let workers =
        json!({"app.kubernetes.io/name": "ghostship", "app.kubernetes.io/component": "worker"});
    ensure!(pods["selector"]["matchLabels"] == workers && pods["namespaceSelector"]["any"] == true);
    ensure!(pods["podMetricsEndpoints"][0]["port"] == "metrics");
    let has = |name: &str| std::fs::exists(format!("{CHART}/files/{name}"));
    let groups = objects.one("PrometheusRule").map(|rule| rule["spec"]["groups"][0].is_object());
    ensure!(groups.unwrap_or(false) == has("alerts.yaml")?, "the alert rules");
    let dashboard =
        objects.one("ConfigMap").ok().and_then(|map| map["data"]["ghostship.json"].as_str());
    let dashboard = dashboard.map(serde_json::from_str::<Value>).transpose()?;
    ensure!(dashboard.is_some() == has("dashboard.json")?, "the dashboard");
    Ok(())
}

async fn samples() -> Result<()> {
    let namespace = Namespace::create()?;
    let place = format!("namespace: {}", namespace.name());
    let mut migrations = 0;
    for entry in std::fs::read_dir(format!("{ROOT}/config/samples"))? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path)?.replace("namespace: shop", &place);
        migrations += text.matches("kind: SchemaMigration").count();
        kubectl_with_input(&["create", "--dry-run=server", "--validate=strict", "-f", "-"], &text)
            .with_context(|| path.display().to_string())?;
    }
    ensure!(migrations >= 4, "the samples hold {migrations} migrations");
    Ok(())
}

async fn version() -> Result<()> {
    let chart: Value =
        serde_yaml::from_str(&std::fs::read_to_string(format!("{CHART}/Chart.yaml"))?)?;
    for field in ["version", "appVersion"] {
        ensure!(
            chart[field] == env!("CARGO_PKG_VERSION"),
            "Chart.yaml: {field} is {}",
            chart[field]
        );
    }
    Ok(())
}
