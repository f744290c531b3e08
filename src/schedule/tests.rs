//! Windows across the days on which clocks jump, tables of examples, and a comparison with counting the
//! minutes one by one.

use jiff::SignedDuration;

use super::*;

const BERLIN: &str = "Europe/Berlin";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn window(cron: &str, minutes: u64, zone: &str) -> Window {
    Window::recurring(cron, Duration::from_secs(minutes * 60), zone).unwrap()
}

/// `open until` or `closed until`, as text in UTC.
fn told(windows: &[Window], instant: &str) -> String {
    match state(windows, at(instant)) {
        State::Open { until } => format!("open {until}"),
        State::Closed { opens: Some(opens) } => format!("closed {opens}"),
        State::Closed { opens: None } => "closed".to_owned(),
    }
}

#[test]
fn a_night_is_open_by_the_clock_of_its_zone() {
    let nights = [window("0 22 * * 1-5", 480, BERLIN)];
    let rows = [
        // A Friday in winter: 22:00 is 21:00 UTC.
        ("2026-01-16T20:59:59Z", "closed 2026-01-16T22:00:00+01:00[Europe/Berlin]"),
        ("2026-01-16T21:00:00Z", "open 2026-01-17T05:00:00Z"),
        ("2026-01-17T04:59:59.999Z", "open 2026-01-17T05:00:00Z"),
        ("2026-01-17T05:00:00Z", "closed 2026-01-19T22:00:00+01:00[Europe/Berlin]"),
        // In summer it is 20:00 UTC.
        ("2026-07-17T20:00:00Z", "open 2026-07-18T04:00:00Z"),
    ];
    for (instant, expected) in rows {
        assert_eq!(told(&nights, instant), expected, "{instant}");
    }
}

#[test]
fn zones_differ() {
    let rows = [
        ("UTC", "2026-05-01T02:00:00Z"),
        ("America/New_York", "2026-05-01T06:00:00Z"),
        ("Asia/Kolkata", "2026-04-30T20:30:00Z"),
        ("Pacific/Auckland", "2026-04-30T14:00:00Z"),
    ];
    for (zone, opens) in rows {
        let before = at(opens) - SignedDuration::from_mins(1);
        let found = state(&[window("0 2 * * *", 60, zone)], before);
        let State::Closed { opens: Some(found) } = found else { panic!("{zone}: {found:?}") };
        assert_eq!(found.timestamp(), at(opens), "{zone}");
    }
}

#[test]
fn a_reading_that_is_left_out_opens_at_the_jump() {
    // 2026-03-29: 02:00 +01:00 becomes 03:00 +02:00, which is 01:00 UTC.
    for cron in ["30 2 * * *", "0 2 * * *", "59 2 * * *"] {
        let windows = [window(cron, 60, BERLIN)];
        assert_eq!(
            told(&windows, "2026-03-29T00:59:59Z"),
            "closed 2026-03-29T03:00:00+02:00[Europe/Berlin]",
            "{cron}"
        );
        assert_eq!(told(&windows, "2026-03-29T01:00:00Z"), "open 2026-03-29T02:00:00Z", "{cron}");
        assert!(told(&windows, "2026-03-29T02:00:00Z").starts_with("closed 2026-03-30"), "{cron}");
    }
}

#[test]
fn a_reading_that_comes_twice_opens_once() {
    // 2026-10-25: 03:00 +02:00 becomes 02:00 +01:00, which is 01:00 UTC.
    let windows = [window("30 2 * * *", 30, BERLIN)];
    let rows = [
        ("2026-10-25T00:29:59Z", "closed 2026-10-25T02:30:00+02:00[Europe/Berlin]"),
        ("2026-10-25T00:30:00Z", "open 2026-10-25T01:00:00Z"),
        ("2026-10-25T01:00:00Z", "closed 2026-10-26T02:30:00+01:00[Europe/Berlin]"),
        // The second 02:30.
        ("2026-10-25T01:30:00Z", "closed 2026-10-26T02:30:00+01:00[Europe/Berlin]"),
    ];
    for (instant, expected) in rows {
        assert_eq!(told(&windows, instant), expected, "{instant}");
    }
}

#[test]
fn every_hour_is_also_the_one_that_comes_twice() {
    let windows = [window("0 * * * *", 30, BERLIN)];
    for hour in 0..4 {
        let (open, closed) =
            (format!("2026-10-25T0{hour}:29:00Z"), format!("2026-10-25T0{hour}:31:00Z"));
        assert!(told(&windows, &open).starts_with("open"), "{open}");
        assert!(told(&windows, &closed).starts_with("closed"), "{closed}");
    }
    let always = [window("0 * * * *", 60, BERLIN)];
    for minute in 0..60 {
        let instant = format!("2026-10-25T01:{minute:02}:00Z");
        assert!(told(&always, &instant).starts_with("open"), "{instant}");
    }
}

#[test]
fn a_change_of_clocks_inside_a_window_does_not_change_its_length() {
    let windows = [window("0 22 * * *", 480, BERLIN)];
    // 22:00 to 07:00 by the clock on the wall in spring, to 05:00 in autumn.
    assert_eq!(told(&windows, "2026-03-28T21:00:00Z"), "open 2026-03-29T05:00:00Z");
    assert_eq!(told(&windows, "2026-10-24T20:00:00Z"), "open 2026-10-25T04:00:00Z");
}

#[test]
fn windows_that_overlap_or_adjoin_are_one() {
    let windows = [
        window("0 22 * * *", 120, "UTC"),
        window("0 0 * * *", 120, "UTC"),
        window("0 1 * * *", 180, "UTC"),
        Window::once("2026-05-02T04:00:00Z", "2026-05-02T04:00:30Z").unwrap(),
    ];
    assert_eq!(told(&windows, "2026-05-01T22:00:00Z"), "open 2026-05-02T04:00:30Z");
    assert_eq!(told(&windows, "2026-05-02T22:00:00Z"), "open 2026-05-03T04:00:00Z");
}

#[test]
fn a_window_that_is_longer_than_its_interval_never_closes() {
    let windows = [window("0 22 * * *", 1500, "UTC")];
    for instant in ["2026-05-01T21:59:59Z", "2026-05-01T22:00:00Z", "2026-05-01T23:30:00Z"] {
        let State::Open { until } = state(&windows, at(instant)) else { panic!("{instant}") };
        assert!(until > at("2026-06-01T00:00:00Z"), "{instant}: {until}");
    }
}

#[test]
fn a_leap_day_comes_when_it_comes() {
    let windows = [window("0 12 29 2 *", 60, "UTC")];
    assert_eq!(told(&windows, "2026-03-01T00:00:00Z"), "closed 2028-02-29T12:00:00+00:00[UTC]");
    assert_eq!(told(&windows, "2028-02-29T12:30:00Z"), "open 2028-02-29T13:00:00Z");
    assert_eq!(told(&windows, "2028-02-29T13:00:00Z"), "closed 2032-02-29T12:00:00+00:00[UTC]");
}

#[test]
fn what_happens_once_is_over_afterwards() {
    let windows =
        [Window::once("2026-11-22T22:00:00+01:00", "2026-11-22T22:00:05.5+01:00").unwrap()];
    let rows = [
        ("2026-11-22T20:59:59Z", "closed 2026-11-22T22:00:00+01:00[+01:00]"),
        ("2026-11-22T21:00:00Z", "open 2026-11-22T21:00:05.5Z"),
        ("2026-11-22T21:00:05.5Z", "closed"),
    ];
    for (instant, expected) in rows {
        assert_eq!(told(&windows, instant), expected, "{instant}");
    }
    assert_eq!(told(&[], "2026-11-22T21:00:00Z"), "closed");
}

#[test]
fn what_cannot_be_is_refused() {
    let hour = Duration::from_hours(1);
    let crons = [
        "",
        "22",
        "0 22 * *",
        "0 0 22 * * 1",
        "60 0 * * *",
        "0 24 * * *",
        "0 22 * * 8",
        "0 0 30 2 *",
        "nonsense",
        "0 22 * * MOON",
    ];
    for cron in crons {
        let refused = Window::recurring(cron, hour, "UTC").unwrap_err();
        assert!(matches!(refused, WindowError::ReadCron { .. }), "{cron}: {refused:?}");
    }
    for zone in ["", "Berlin", "Europe/Bärlin", "Mars/Olympus", "../etc/passwd"] {
        let refused = Window::recurring("0 22 * * *", hour, zone).unwrap_err();
        assert_eq!(refused, WindowError::FindZone, "{zone}");
    }
    let empty = Window::recurring("0 22 * * *", Duration::ZERO, "UTC").unwrap_err();
    assert_eq!(empty, WindowError::Empty);
    let rows = [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", WindowError::Empty),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:30:00+01:00", WindowError::Empty),
        ("2026-01-01T00:00:00", "2026-01-02T00:00:00Z", WindowError::ReadInstant),
        ("yesterday", "2026-01-02T00:00:00Z", WindowError::ReadInstant),
        ("2026-02-30T00:00:00Z", "2026-03-02T00:00:00Z", WindowError::ReadInstant),
    ];
    for (from, until, expected) in rows {
        assert_eq!(Window::once(from, until).unwrap_err(), expected, "{from} {until}");
    }
}

/// Around both changes of two zones: what is found by searching back and forth is what counting finds.
#[test]
fn searching_finds_what_counting_finds() {
    let crons = ["0 2 * * *", "15,45 1-3 * * *", "*/20 * * * *", "0 */2 * * *", "30 0 * * 0"];
    let days = [
        (BERLIN, "2026-03-28T18:00:00Z"),
        (BERLIN, "2026-10-24T18:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T06:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T06:00:00Z"),
    ];
    let minute = SignedDuration::from_mins(1);
    for (zone, day) in days {
        for cron in crons {
            for length in [15, 45] {
                let window = window(cron, length, zone);
                let mut openings = Vec::new();
                let mut last = at(day);
                while let Some(opening) = window.opens(last) {
                    assert!(opening.timestamp() > last, "{cron} {zone}: {opening}");
                    last = opening.timestamp();
                    openings.push(last);
                    if last > at(day) + minute * 60 * 20 {
                        break;
                    }
                }
                assert!(!openings.is_empty(), "{cron} {zone}");
                for count in 0..20 * 60 {
                    let now = at(day) + minute * count;
                    let opened = openings.iter().rev().find(|opening| **opening <= now);
                    let end = opened
                        .map(|opening| *opening + minute * i32::try_from(length).unwrap())
                        .filter(|end| *end > now);
                    let first = openings.first().is_some_and(|first| *first > now);
                    if !first {
                        assert_eq!(window.end(now), end, "{cron} {zone} {now}");
                    }
                }
            }
        }
    }
}
