//! Tables for the changes that are told of a migration.

use serde_json::{Value, json};

use super::*;
use crate::api::samples::{migration, now};

/// An entry of the managed fields at a second of 02:00.
fn entry(manager: &str, second: u32, fields: &Value) -> Value {
    json!({"manager": manager, "operation": "Update", "fieldsV1": fields,
        "time": format!("2026-01-01T02:00:{second:02}Z")})
}

fn owned(spec: &Value) -> Value {
    json!({"f:spec": spec})
}

fn looked(spec: &Value, annotations: &Value, entries: &[Value]) -> SchemaMigration {
    migration(&json!({"spec": spec,
        "metadata": {"annotations": annotations, "managedFields": entries}}))
}

/// The second look, with the status of the first one.
fn then(first: &SchemaMigration, second: &SchemaMigration) -> SchemaMigration {
    let mut second = second.clone();
    let status = second.status.get_or_insert_default();
    status.audit = Some(after(first, now()));
    second
}

/// Field, values and author of each change.
fn told_of(changes: &[ChangeStatus]) -> Vec<String> {
    let told = |one: &ChangeStatus| format!("{} {}>{} {}", one.field, one.from, one.to, one.by);
    changes.iter().map(told).collect()
}

/// Spec and annotations before and after, the managed fields then, and what is told.
type Case<'a> = (&'a str, [Value; 2], [Value; 2], Vec<Value>, &'a [&'a str]);

fn expect(cases: Vec<Case<'_>>) {
    let base = entry("kubectl-create", 1, &owned(&json!({"f:table": {}})));
    for (name, [spec, words], [spec_then, words_then], more, expected) in cases {
        let first = looked(&spec, &words, std::slice::from_ref(&base));
        let entries = [vec![base.clone()], more].concat();
        let second = then(&first, &looked(&spec_then, &words_then, &entries));
        let mut found = told_of(&fresh(&second, now()));
        found.sort();
        assert_eq!(found, expected, "{name}");
        // Whoever looks again, after a restart for one, sees nothing new.
        assert_eq!(fresh(&then(&second, &second), now()), [], "{name}: told twice");
    }
}

/// No annotation, and this spec.
fn only(spec: Value) -> [Value; 2] {
    [spec, json!({})]
}

#[test]
fn each_change_of_a_control_has_its_author() {
    let paused = owned(&json!({"f:paused": {}}));
    let words = json!({"f:metadata": {"f:annotations": {"f:ghostship.dev/cut-over": {}}}});
    let table = owned(&json!({"f:table": {}}));
    let on = || only(json!({"paused": true}));
    let off = || only(json!({}));
    let word = |word: &str, other: &str| {
        [json!({}), json!({"ghostship.dev/cut-over": word, "other": other})]
    };
    expect(vec![
        ("nothing", off(), off(), vec![], &[]),
        (
            "by a person",
            off(),
            on(),
            vec![entry("kubectl-patch", 9, &paused)],
            &["spec.paused none>true kubectl-patch"],
        ),
        (
            "taken away by who wrote since",
            on(),
            off(),
            vec![entry("kustomize-controller", 9, &table)],
            &["spec.paused true>none kustomize-controller"],
        ),
        (
            "taken away by somebody who leaves no trace",
            on(),
            off(),
            vec![],
            &["spec.paused true>none "],
        ),
        (
            "a permission",
            word("postpone", "a"),
            word("allow", "b"),
            vec![entry("ghostship-cli", 9, &words)],
            &["ghostship.dev/cut-over postpone>allow ghostship-cli"],
        ),
        (
            "two who say the same",
            off(),
            on(),
            vec![entry("kubectl-patch", 9, &paused), entry("argocd-controller", 8, &paused)],
            &["spec.paused none>true argocd-controller, kubectl-patch"],
        ),
        (
            "one of two who wrote before",
            off(),
            on(),
            vec![entry("kubectl-patch", 9, &paused), entry("old", 0, &paused)],
            &["spec.paused none>true kubectl-patch"],
        ),
    ]);
}

#[test]
fn each_change_of_a_setting_has_its_author() {
    let threads = owned(&json!({"f:copy": {"f:threads": {}}}));
    let load = owned(&json!({"f:throttle": {"f:maxLoad": {".": {}, "f:Threads_running": {}}}}));
    let windows = owned(&json!({"f:windows": {"f:copy": {}}}));
    let whole = owned(&json!({"f:windows": {}}));
    let max_load = |limit: u8| only(json!({"throttle": {"maxLoad": {"Threads_running": limit}}}));
    let window = json!([{"cron": "0 1 * * *", "duration": "1h"}]);
    expect(vec![
        (
            "one by one",
            only(json!({"copy": {"threads": 2, "chunkTime": "1s"}})),
            only(json!({"copy": {"threads": 4, "maxRowsPerSecond": 7}})),
            vec![entry("argocd-controller", 9, &threads)],
            &[
                "spec.copy.chunkTime 1s>none argocd-controller",
                "spec.copy.maxRowsPerSecond none>7 ",
                "spec.copy.threads 2>4 argocd-controller",
            ],
        ),
        (
            "a limit of load",
            max_load(5),
            max_load(9),
            vec![entry("ghostship-cli", 9, &load)],
            &["spec.throttle.maxLoad.Threads_running 5>9 ghostship-cli"],
        ),
        (
            "a list as a whole",
            only(json!({})),
            only(json!({"windows": {"copy": window}})),
            vec![entry("ghostship-cli", 9, &windows)],
            &[
                "spec.windows.copy none>[{\"cron\":\"0 1 * * *\",\"duration\":\"1h\"}] ghostship-cli",
            ],
        ),
        (
            "a part of what is owned as a whole",
            only(json!({})),
            only(json!({"windows": {"copy": []}})),
            vec![entry("one", 9, &whole)],
            &["spec.windows.copy none>[] one"],
        ),
        (
            "what is read at the start is none",
            only(json!({})),
            only(json!({"acceptLossy": true, "oldTable": {"retain": "1h"}})),
            vec![],
            &[],
        ),
    ]);
}

#[test]
fn nothing_is_a_change_before_the_first_look() {
    let paused = looked(&json!({"paused": true}), &json!({}), &[]);
    assert_eq!(fresh(&paused, now()), []);
    let first = after(&paused, now());
    assert_eq!((first.changes.len(), first.seen["spec.paused"].as_str()), (0, "true"));
}

#[test]
fn the_time_is_that_of_the_write() {
    let paused = owned(&json!({"f:paused": {}}));
    let first = looked(&json!({}), &json!({}), &[]);
    let at = |entries: &[Value]| {
        let second = then(&first, &looked(&json!({"paused": true}), &json!({}), entries));
        fresh(&second, now())[0].at.as_ref().unwrap().0.to_string()
    };
    assert_eq!(at(&[entry("one", 9, &paused)]), "2026-01-01T02:00:09Z");
    assert_eq!(at(&[]), now().to_string());
    let ahead = json!({"manager": "one", "fieldsV1": paused, "time": "2027-01-01T00:00:00Z"});
    assert_eq!(at(&[ahead]), now().to_string());
}

#[test]
fn a_control_that_was_set_and_set_back_is_told_when_its_owner_shows_it() {
    let off = json!({"paused": false});
    let of = |who: &str, second| entry(who, second, &owned(&json!({"f:paused": {}})));
    let first = looked(&off, &json!({}), &[of("kubectl-create", 1)]);
    let rows: [(&str, i64, &[&str]); 4] = [
        ("ghostship-cli", 5, &["spec.paused false>false ghostship-cli"]),
        ("ghostship-cli", 4, &[]),
        ("kubectl-create", 5, &[]),
        ("kustomize-controller", 5, &[]),
    ];
    for (who, generation, expected) in rows {
        let mut second = then(&first, &looked(&off, &json!({}), &[of(who, 9)]));
        second.metadata.generation = Some(generation);
        assert_eq!(told_of(&fresh(&second, now())), expected, "{who} {generation}");
    }
}

#[test]
fn the_api_names_its_caller() {
    let record = |by: &str, second: u32| {
        let at = format!("2026-01-01T02:00:{second:02}.123Z");
        json!({"what": "paused", "by": by, "at": at}).to_string()
    };
    let paused = owned(&json!({"f:paused": {}}));
    let rows = [
        ("ghostship-api", 9, "ghostship-api for alice"),
        ("ghostship-api", 8, "ghostship-api"),
        ("kubectl-patch", 9, "kubectl-patch"),
    ];
    for (manager, second, by) in rows {
        let annotations = json!({"ghostship.dev/last-api-action": record("alice", second)});
        let first = looked(&json!({}), &json!({}), &[]);
        let second = looked(&json!({"paused": true}), &annotations, &[entry(manager, 9, &paused)]);
        let found = fresh(&then(&first, &second), now());
        assert_eq!(found.iter().map(|one| one.by.as_str()).collect::<Vec<_>>(), [by]);
    }
}

#[test]
fn texts_and_lists_are_bounded() {
    let long = "é".repeat(500);
    let words = |value: &str| json!({"ghostship.dev/retry": value});
    let first = looked(&json!({}), &words(&long), &[]);
    let second = then(&first, &looked(&json!({}), &words(&format!("{long}x")), &[]));
    let found = fresh(&second, now());
    assert!(found[0].from != found[0].to, "two long texts look alike: {found:?}");
    assert!(found[0].to.chars().count() <= LONGEST, "{found:?}");
    assert_eq!(told(&json!("a\nb")), "a b");
    let mut last = first;
    for round in 0..2 * CHANGES {
        last = then(&last, &looked(&json!({}), &words(&round.to_string()), &[]));
    }
    let kept = after(&last, now()).changes;
    assert_eq!((kept.len(), kept[CHANGES - 1].to.as_str()), (CHANGES, "39"));
}

#[test]
fn controls_are_told_apart_from_settings() {
    let rows = [
        ("spec.paused", true),
        ("spec.panic", true),
        ("ghostship.dev/cut-over", true),
        ("ghostship.dev/retry", true),
        ("spec.copy.threads", false),
        ("spec.cutOver.lockBudget", false),
        ("spec.windows.pause", false),
    ];
    for (field, control) in rows {
        assert_eq!(is_control(field), control, "{field}");
    }
}

#[test]
fn one_source_needs_no_managers() {
    let file = |spec: Value| values(&json!({"spec": spec}));
    let (before, after) = (file(json!({"copy": {"threads": 2}})), file(json!({"panic": true})));
    let found = told_of(&between(&before, &after, ("the file", now())));
    assert_eq!(found, ["spec.copy.threads 2>none the file", "spec.panic none>true the file"]);
}
