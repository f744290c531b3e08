//! Who may do what: the accounts of controller and worker have what they need and nothing else, and a
//! tenant who may write migrations reaches no other namespace's target, host or Secret.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::{End, STEP, trial};
use crate::support::cluster::kubectl_with_input;
use crate::support::operator::apply;
use crate::support::shop::{Shop, TARGET};

/// What every account has: asking about itself.
const EVERYBODYS: [&str; 2] = ["authorization.k8s.io", "authentication.k8s.io"];

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("controller_and_worker_may_do_no_more_than_they_need", accounts),
        trial("tenants_reach_no_other_target", tenants),
    ]
}

async fn accounts(shop: &mut Shop) -> Result<End> {
    shop.apply(&shop.migration("one", 0).with("/postponeCutOver", json!(true)).0)?;
    shop.wait_for_reason("one", "CutOverPostponed", STEP).await?;
    let controller = format!("system:serviceaccount:{0}:ghostship", shop.operator.namespace);
    let in_shop = rules(&controller, &shop.namespace)?;
    let expected = [
        "/events list,watch",
        "/pods get,list,watch",
        "/serviceaccounts create,patch",
        "batch/jobs create,delete,get,list,patch,watch",
        "events.k8s.io/events create,patch",
        "ghostship.dev/migrationtargets get,list,watch",
        "ghostship.dev/schemamigrations delete,get,list,patch,watch",
        "ghostship.dev/schemamigrations/finalizers update",
        "ghostship.dev/schemamigrations/status patch",
        "rbac.authorization.k8s.io/rolebindings create,patch",
        "rbac.authorization.k8s.io/roles create,patch",
    ];
    expect_rules("the controller", &in_shop, &expected)?;
    let account =
        shop.kubectl(&["get", "pods", "-o", "jsonpath={.items[0].spec.serviceAccountName}"])?;
    let worker = format!("system:serviceaccount:{}:{account}", shop.namespace);
    let target = format!("ghostship.dev/migrationtargets[{TARGET}] get,list,watch");
    let expected = [
        target.as_str(),
        "ghostship.dev/schemamigrations/status[one] patch",
        "ghostship.dev/schemamigrations[one] get,list,watch",
    ];
    expect_rules("the worker", &rules(&worker, &shop.namespace)?, &expected)?;
    expect_rules("the worker elsewhere", &rules(&worker, "default")?, &[])?;
    shop.patch("one", &json!({"postponeCutOver": false}))?;
    shop.wait_for_phase("one", "Succeeded", STEP).await?;
    Ok(End::Completed)
}

fn expect_rules(who: &str, found: &BTreeSet<String>, expected: &[&str]) -> Result<()> {
    let expected: BTreeSet<String> = expected.iter().map(|rule| (*rule).to_owned()).collect();
    let surplus: Vec<_> = found.difference(&expected).collect();
    let missing: Vec<_> = expected.difference(found).collect();
    ensure!(
        surplus.is_empty() && missing.is_empty(),
        "{who} may too much: {surplus:?}, too little: {missing:?}"
    );
    Ok(())
}

/// What an account may do in a namespace, one line per resource.
fn rules(account: &str, namespace: &str) -> Result<BTreeSet<String>> {
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace}});
    let groups = ["--as-group=system:serviceaccounts", "--as-group=system:authenticated"];
    let (as_account, mut arguments) =
        (format!("--as={account}"), vec!["create", "--validate=false", "-f", "-", "-o", "json"]);
    arguments.push(&as_account);
    arguments.extend(groups);
    let answer: Value =
        serde_json::from_str(&kubectl_with_input(&arguments, &review.to_string())?)?;
    let texts = |rule: &Value, field: &str| -> Vec<String> {
        let list = rule[field].as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut all = BTreeSet::new();
    for rule in answer["status"]["resourceRules"].as_array().into_iter().flatten() {
        let (mut verbs, names) = (texts(rule, "verbs"), texts(rule, "resourceNames"));
        verbs.sort();
        let names = if names.is_empty() { String::new() } else { format!("[{}]", names.join(",")) };
        for group in
            texts(rule, "apiGroups").iter().filter(|group| !EVERYBODYS.contains(&group.as_str()))
        {
            for resource in texts(rule, "resources") {
                all.insert(format!("{group}/{resource}{names} {}", verbs.join(",")));
            }
        }
    }
    Ok(all)
}

/// A tenant writes migrations in a namespace of their own and names what is the shop's.
async fn tenants(shop: &mut Shop) -> Result<End> {
    let own = format!("{}-tenant", shop.namespace);
    let mut namespace: Value = serde_json::from_str(&shop.kubectl(&[
        "get",
        "namespace",
        &shop.namespace,
        "-o",
        "json",
    ])?)?;
    namespace["metadata"] = json!({"name": own, "labels": namespace["metadata"]["labels"]});
    let rule = |groups: &str, resource: &str| json!({"apiGroups": [groups], "resources": [resource], "verbs": ["*"]});
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "tenant", "namespace": own},
        "rules": [rule("ghostship.dev", "schemamigrations")]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "tenant", "namespace": own},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tenant"},
        "subjects": [{"kind": "User", "name": "tenant", "apiGroup": "rbac.authorization.k8s.io"}]});
    apply(&[namespace])?;
    apply(&[role, binding])?;
    let as_tenant = |document: &Value| {
        kubectl_with_input(&["apply", "--as=tenant", "-f", "-"], &document.to_string())
    };
    let mut migration = shop.migration("theirs", 0).0;
    migration["metadata"]["namespace"] = json!(own);
    as_tenant(&migration)?;
    let status = [
        "wait",
        "-n",
        &own,
        "smig/theirs",
        "--for=jsonpath={.status.phase}=Failed",
        "--timeout=60s",
    ];
    crate::support::cluster::kubectl(&status)?;
    let message = crate::support::cluster::kubectl(&[
        "get",
        "-n",
        &own,
        "smig",
        "theirs",
        "-o",
        "jsonpath={.status.message}",
    ])?;
    ensure!(message.contains("there is no MigrationTarget"), "the message is {message:?}");
    for (field, value) in [
        ("host", json!("db.example.org")),
        ("credentialsSecret", json!({"name": TARGET})),
        ("targetNamespace", json!(shop.namespace)),
    ] {
        let mut smuggling = migration.clone();
        smuggling["metadata"]["name"] = json!("smuggling");
        smuggling["spec"][field] = value;
        ensure!(as_tenant(&smuggling).is_err(), "spec.{field} was taken");
    }
    let target = json!({"apiVersion": "ghostship.dev/v1alpha1", "kind": "MigrationTarget",
        "metadata": {"name": TARGET, "namespace": own},
        "spec": {"host": "db.example.org", "credentialsSecret": {"name": TARGET}}});
    ensure!(as_tenant(&target).is_err(), "a tenant could write a target");
    let pods = crate::support::cluster::kubectl(&["get", "-n", &own, "jobs,pods", "-o", "name"])?;
    ensure!(pods.is_empty(), "a worker was started: {pods}");
    crate::support::cluster::kubectl(&["delete", "namespace", &own, "--wait=false"])?;
    Ok(End::Untouched)
}
