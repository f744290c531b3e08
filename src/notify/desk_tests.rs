//! Test only: What is told of a course of events.

use super::Moment::{Begins, Continues, Ends, Happened};
use super::*;
use crate::notify::snapshot::Advance;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn snapshot(stage: Stage) -> Snapshot {
    Snapshot {
        id: "1".to_owned(),
        migration: "shop/one".to_owned(),
        table: "shop.orders".to_owned(),
        stage,
        since: at(0),
        phase: "RowCopy".to_owned(),
        reason: String::new(),
        message: "so it stands".to_owned(),
        advance: Advance::default(),
        lag: None,
        held: Vec::new(),
        rests: false,
        paused_since: None,
        waits_for: String::new(),
        cut_over_attempts: 0,
        cut_over_error: String::new(),
        backlog: 0,
        retention: None,
    }
}

/// The second, the stage and the alerts that hold then.
type Step<'a> = (i64, Stage, &'a [Kind]);
/// What is told: the second, the kind and the moment.
type Words<'a> = &'a [(i64, Kind, Moment)];

fn told(memory: &mut Memory, steps: &[Step<'_>]) -> Vec<(i64, Kind, Moment)> {
    let mut all = Vec::new();
    for (second, stage, kinds) in steps {
        let holding: Vec<Holding> = kinds
            .iter()
            .map(|kind| Holding { kind: *kind, message: "x".to_owned(), since: at(*second) })
            .collect();
        let rules = Rules::default();
        let notices = tell(memory, &snapshot(*stage), &holding, at(*second), &rules);
        all.extend(notices.into_iter().map(|one| (*second, one.kind, one.moment)));
    }
    all
}

/// A course of events and what is told of it.
type Row<'a> = (&'a str, &'a [Step<'a>], Words<'a>);

fn expect_told(rows: &[Row<'_>]) {
    for (name, steps, expected) in rows {
        assert_eq!(told(&mut Memory::default(), steps), *expected, "{name}");
    }
}

#[test]
fn each_turn_of_a_life_is_told_once() {
    use Kind::{Aborted, Failed, Postponed, Started, Succeeded};
    use Stage::{Pending, Working};
    let rows: [Row<'_>; 4] = [
        (
            "a life",
            &[
                (0, Pending, &[]),
                (1, Working, &[]),
                (2, Working, &[]),
                (3, Stage::Postponed, &[]),
                (4, Stage::Postponed, &[]),
                (5, Working, &[]),
                (6, Stage::Succeeded, &[]),
                (7, Stage::Succeeded, &[]),
            ],
            &[(1, Started, Happened), (3, Postponed, Happened), (6, Succeeded, Happened)],
        ),
        (
            "a retry after a failure",
            &[(0, Working, &[]), (1, Stage::Failed, &[]), (2, Pending, &[]), (3, Working, &[])],
            &[(0, Started, Happened), (1, Failed, Happened), (3, Started, Happened)],
        ),
        ("a refusal", &[(0, Stage::Failed, &[])], &[(0, Failed, Happened)]),
        (
            "given up",
            &[(0, Working, &[]), (1, Stage::Aborted, &[]), (2, Stage::Leaving, &[])],
            &[(0, Started, Happened), (1, Aborted, Happened)],
        ),
    ];
    expect_told(&rows);
}

#[test]
fn each_alert_is_told_when_it_begins_and_when_it_is_over() {
    use Kind::{Error, Failed, Lag, Load, Panicked, Started, Succeeded};
    use Stage::{Retrying, Working};
    let rows: [Row<'_>; 8] = [
        (
            "an alert begins, holds and is over",
            &[(0, Working, &[Lag]), (1, Working, &[Lag]), (2, Working, &[]), (62, Working, &[])],
            &[(0, Started, Happened), (0, Lag, Begins), (62, Lag, Ends)],
        ),
        (
            "what comes and goes is one alert",
            &[
                (0, Working, &[Lag]),
                (10, Working, &[]),
                (69, Working, &[]),
                (70, Working, &[Lag]),
                (80, Working, &[]),
                (139, Working, &[]),
                (140, Working, &[]),
            ],
            &[(0, Started, Happened), (0, Lag, Begins), (140, Lag, Ends)],
        ),
        (
            "an alert that holds is repeated now and then",
            &[
                (0, Working, &[Load]),
                (14_399, Working, &[Load]),
                (14_400, Working, &[Load]),
                (28_799, Working, &[Load]),
                (28_800, Working, &[Load]),
            ],
            &[
                (0, Started, Happened),
                (0, Load, Begins),
                (14_400, Load, Continues),
                (28_800, Load, Continues),
            ],
        ),
        (
            "two alerts are two",
            &[(0, Working, &[Lag]), (1, Working, &[Lag, Load]), (61, Working, &[Load])],
            &[(0, Started, Happened), (0, Lag, Begins), (1, Load, Begins)],
        ),
        (
            "a failure silences what held",
            &[(0, Working, &[Lag, Load]), (1, Stage::Failed, &[]), (100, Stage::Failed, &[])],
            &[(0, Started, Happened), (0, Lag, Begins), (0, Load, Begins), (1, Failed, Happened)],
        ),
        (
            "so does panic",
            &[(0, Working, &[Lag]), (1, Stage::Panicked, &[Lag]), (100, Stage::Panicked, &[])],
            &[(0, Started, Happened), (0, Lag, Begins), (1, Panicked, Happened)],
        ),
        (
            "and the good end",
            &[(0, Working, &[Lag]), (1, Stage::Succeeded, &[]), (100, Stage::Succeeded, &[])],
            &[(0, Started, Happened), (0, Lag, Begins), (1, Succeeded, Happened)],
        ),
        (
            "attempts that fail are one error",
            &[
                (0, Working, &[]),
                (1, Retrying, &[Error]),
                (20, Working, &[]),
                (30, Retrying, &[Error]),
                (40, Working, &[]),
                (100, Working, &[]),
            ],
            &[(0, Started, Happened), (1, Error, Begins), (100, Error, Ends)],
        ),
    ];
    expect_told(&rows);
}

#[test]
fn another_process_goes_on_from_the_memory() {
    let mut memory = Memory::default();
    told(&mut memory, &[(0, Stage::Working, &[Kind::Lag, Kind::Stuck])]);
    let text = memory.text();
    let next: &[Step<'_>] = &[
        (100, Stage::Working, &[Kind::Lag, Kind::Stuck]),
        (200, Stage::Working, &[Kind::Stuck]),
        (260, Stage::Working, &[Kind::Stuck]),
        (14_400, Stage::Working, &[Kind::Stuck]),
    ];
    let mut read = Memory::read(&text).unwrap();
    assert_eq!(told(&mut read, next), [(260, Kind::Lag, Ends), (14_400, Kind::Stuck, Continues)]);
    assert_eq!(Memory::read(&text).unwrap().watch(), Watch::after(Some(at(0)), None));
    // Nothing is told twice in the other direction either: without the memory it would be.
    assert_eq!(told(&mut Memory::default(), &next[..1]).len(), 3);
}

#[test]
fn what_happened_long_ago_is_no_news() {
    let rows = [
        (Stage::Succeeded, 599, true),
        (Stage::Succeeded, 600, false),
        (Stage::Working, 600, false),
        (Stage::Working, 1, true),
    ];
    for (stage, now, news) in rows {
        let mut memory = Memory::first(&snapshot(stage), at(now));
        assert_eq!(!told(&mut memory, &[(now, stage, &[])]).is_empty(), news, "{stage:?} {now}");
    }
    // An alert is news whenever it is seen.
    let mut memory = Memory::first(&snapshot(Stage::Working), at(600));
    let found = told(&mut memory, &[(600, Stage::Working, &[Kind::Lag])]);
    assert_eq!(found, [(600, Kind::Lag, Begins)]);
}

#[test]
fn the_memory_is_small_and_foreign_text_is_none() {
    let mut memory = Memory::default();
    told(&mut memory, &[(0, Stage::Working, Kind::ALL)]);
    assert!(memory.text().len() < 900, "{}", memory.text().len());
    assert_eq!(Memory::read(&memory.text()), Some(memory));
    for text in ["", "x", "1", "{\"last\":\"Nonsense\"}"] {
        assert_eq!(Memory::read(text), None, "{text}");
    }
}
