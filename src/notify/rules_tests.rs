//! Test only: Which alerts hold, course by course.

use super::*;
use crate::notify::snapshot::Held;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn working() -> Snapshot {
    Snapshot {
        id: "1".to_owned(),
        migration: "shop/one".to_owned(),
        table: "shop.orders".to_owned(),
        stage: Stage::Working,
        since: at(0),
        phase: "RowCopy".to_owned(),
        reason: "Running".to_owned(),
        message: String::new(),
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

fn kinds(snapshot: &Snapshot, now: i64, rules: &Rules) -> Vec<Kind> {
    let found = judge(&mut Watch::default(), snapshot, at(now), rules);
    found.into_iter().map(|one| one.kind).collect()
}

#[test]
fn each_alert_holds_from_its_limit_on() {
    let held = |since: i64| vec![Held { words: "load".to_owned(), since: at(since) }];
    let seconds = |count: u64| Some(Duration::from_secs(count));
    let rows: [(&str, Snapshot, i64, &[Kind]); 15] = [
        ("nothing", working(), 5, &[]),
        ("a little behind", Snapshot { lag: seconds(59), ..working() }, 5, &[]),
        ("behind", Snapshot { lag: seconds(60), ..working() }, 5, &[Kind::Lag]),
        ("held for a while", Snapshot { held: held(0), ..working() }, 599, &[]),
        ("held for long", Snapshot { held: held(0), ..working() }, 600, &[Kind::Load]),
        ("paused", Snapshot { paused_since: Some(at(0)), ..working() }, 3599, &[]),
        (
            "paused for long",
            Snapshot { paused_since: Some(at(0)), held: held(0), ..working() },
            3600,
            &[Kind::LongPause],
        ),
        (
            "some attempts",
            Snapshot { cut_over_attempts: 4, cut_over_error: "x".to_owned(), ..working() },
            5,
            &[],
        ),
        (
            "many attempts",
            Snapshot { cut_over_attempts: 5, cut_over_error: "x".to_owned(), ..working() },
            5,
            &[Kind::CutOver],
        ),
        ("retention is wide", Snapshot { retention: seconds(3600), ..working() }, 5, &[]),
        (
            "retention is narrow",
            Snapshot { retention: seconds(3599), ..working() },
            5,
            &[Kind::Retention],
        ),
        ("retrying", Snapshot { stage: Stage::Retrying, ..working() }, 5, &[Kind::Error]),
        (
            "behind before an attempt",
            Snapshot { stage: Stage::Retrying, lag: seconds(600), ..working() },
            5,
            &[Kind::Error],
        ),
        (
            "behind and over",
            Snapshot { stage: Stage::Failed, lag: seconds(600), ..working() },
            5,
            &[],
        ),
        (
            "behind and pending",
            Snapshot { stage: Stage::Pending, lag: seconds(600), ..working() },
            5,
            &[],
        ),
    ];
    for (name, snapshot, now, expected) in rows {
        assert_eq!(kinds(&snapshot, now, &Rules::default()), expected, "{name}");
    }
}

#[test]
fn a_rule_of_zero_is_off() {
    let none = Duration::ZERO;
    let off = Rules {
        lag: none,
        load: none,
        stuck: none,
        long_pause: none,
        cut_over_attempts: 0,
        not_converging: none,
        retention: none,
        repeat_after: none,
        settle: none,
    };
    let worst = Snapshot {
        lag: Some(Duration::from_secs(100_000)),
        held: vec![Held { words: String::new(), since: at(0) }],
        cut_over_attempts: 100,
        cut_over_error: "x".to_owned(),
        retention: Some(none),
        ..working()
    };
    assert_eq!(kinds(&worst, 1_000_000, &off), []);
    let paused = Snapshot { paused_since: Some(at(0)), ..working() };
    assert_eq!(kinds(&paused, 1_000_000, &off), []);
}

/// Snapshots at their seconds, and whether the last one is stuck.
type Course<'a> = (&'a str, &'a [(i64, Snapshot)], bool);

#[test]
fn what_does_not_move_is_stuck_unless_it_is_excused() {
    let rows = |rows| Snapshot { advance: Advance { rows, ..Advance::default() }, ..working() };
    let paused = Snapshot { paused_since: Some(at(0)), ..working() };
    let postponed = Snapshot { stage: Stage::Postponed, ..working() };
    let held = Snapshot { held: vec![Held { words: "x".to_owned(), since: at(0) }], ..working() };
    let retrying = Snapshot { stage: Stage::Retrying, ..working() };
    let resting = Snapshot { rests: true, ..working() };
    let cases: [Course<'_>; 9] = [
        ("for a while", &[(0, rows(1)), (899, rows(1))], false),
        ("for long", &[(0, rows(1)), (900, rows(1))], true),
        ("it moved", &[(0, rows(1)), (600, rows(2)), (900, rows(2))], false),
        ("it moved and stopped", &[(0, rows(1)), (600, rows(2)), (1500, rows(2))], true),
        ("paused", &[(0, paused.clone()), (900, paused.clone())], false),
        ("paused in between", &[(0, rows(1)), (899, paused), (900, rows(1))], false),
        ("outside its hours", &[(0, resting.clone()), (900, resting)], false),
        ("postponed", &[(0, postponed.clone()), (900, postponed)], false),
        ("another attempt", &[(0, rows(1)), (800, retrying), (900, rows(1)), (901, held)], false),
    ];
    for (name, course, expected) in cases {
        let mut watch = Watch::default();
        let mut last = Vec::new();
        for (second, snapshot) in course {
            last = judge(&mut watch, snapshot, at(*second), &Rules::default());
        }
        assert_eq!(last.iter().any(|one| one.kind == Kind::Stuck), expected, "{name}");
    }
}

#[test]
fn a_backlog_that_stays_above_where_it_was_does_not_converge() {
    let in_phase = |phase: &str, backlog| Snapshot {
        phase: phase.to_owned(),
        backlog,
        // It moves: only the backlog is the matter.
        advance: Advance { keys: backlog, ..Advance::default() },
        ..working()
    };
    let of = |backlog| in_phase("CatchUp", backlog);
    let cases: [Course<'_>; 6] = [
        ("grows for a while", &[(0, of(5000)), (599, of(9000))], false),
        ("grows for long", &[(0, of(5000)), (600, of(9000))], true),
        ("shrinks", &[(0, of(9000)), (300, of(5000)), (899, of(6000))], false),
        ("is small", &[(0, of(1)), (600, of(900))], false),
        ("is small at first", &[(0, of(1)), (300, of(900)), (600, of(2000))], false),
        (
            "in the row copy",
            &[(0, in_phase("RowCopy", 5000)), (600, in_phase("RowCopy", 9000))],
            false,
        ),
    ];
    for (name, course, expected) in cases {
        let mut watch = Watch::default();
        let mut last = Vec::new();
        for (second, snapshot) in course {
            last = judge(&mut watch, snapshot, at(*second), &Rules::default());
        }
        assert_eq!(last.iter().any(|one| one.kind == Kind::NotConverging), expected, "{name}");
    }
}

#[test]
fn what_another_process_told_holds_until_it_moves() {
    let rows = |rows| Snapshot { advance: Advance { rows, ..Advance::default() }, ..working() };
    let mut watch = Watch::after(Some(at(0)), None);
    let stuck = |watch: &mut Watch, snapshot: &Snapshot, now| {
        let found = judge(watch, snapshot, at(now), &Rules::default());
        found.first().map(|one| (one.kind, one.since))
    };
    let retrying = Snapshot { stage: Stage::Retrying, ..working() };
    assert_eq!(stuck(&mut watch.clone(), &rows(1), 1000), Some((Kind::Stuck, at(0))));
    assert_eq!(stuck(&mut watch, &retrying, 999).map(|(kind, _)| kind), Some(Kind::Error));
    assert_eq!(stuck(&mut watch, &rows(1), 1000), Some((Kind::Stuck, at(0))));
    assert_eq!(stuck(&mut watch, &rows(2), 1001), None);
    assert_eq!(stuck(&mut watch, &rows(2), 1900), None);
    let mut watch = Watch::after(None, Some(at(0)));
    let behind = Snapshot { phase: "CatchUp".to_owned(), backlog: 9000, ..working() };
    assert_eq!(stuck(&mut watch, &behind, 1000), Some((Kind::NotConverging, at(0))));
}
