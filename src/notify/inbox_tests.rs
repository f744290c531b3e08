//! Test only: What a receiver gets, and when.

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn notice(kind: Kind, now: Timestamp) -> Notice {
    Notice { kind, ..Notice::test(now) }
}

fn policy() -> Policy {
    Policy { min_severity: Severity::Info, on: None, quiet: None, per_minute: 3 }
}

fn berlin() -> QuietHours {
    QuietHours {
        from: Time::constant(22, 0, 0, 0),
        until: Time::constant(7, 0, 0, 0),
        zone: TimeZone::get("Europe/Berlin").unwrap(),
        except: Some(Severity::Critical),
    }
}

fn kinds(messages: &[Message]) -> Vec<(Vec<Kind>, usize)> {
    let of =
        |message: &Message| (message.notices.iter().map(|one| one.kind).collect(), message.more);
    messages.iter().map(of).collect()
}

#[test]
fn quiet_hours_are_those_of_the_place() {
    let noon = QuietHours {
        from: Time::constant(12, 0, 0, 0),
        until: Time::constant(13, 0, 0, 0),
        except: None,
        ..berlin()
    };
    let rows = [
        // In winter Berlin is one hour ahead, in summer two.
        (berlin(), "2026-01-10T20:59:59Z", false),
        (berlin(), "2026-01-10T21:00:00Z", true),
        (berlin(), "2026-01-11T05:59:59Z", true),
        (berlin(), "2026-01-11T06:00:00Z", false),
        (berlin(), "2026-07-10T19:59:59Z", false),
        (berlin(), "2026-07-10T20:00:00Z", true),
        (berlin(), "2026-07-11T05:00:00Z", false),
        // The night in which the clock goes forward: 07:00 is 05:00 UTC.
        (berlin(), "2026-03-29T04:59:59Z", true),
        (berlin(), "2026-03-29T05:00:00Z", false),
        (noon.clone(), "2026-01-10T11:00:00Z", true),
        (noon.clone(), "2026-01-10T12:00:00Z", false),
        (noon, "2026-01-10T10:59:59Z", false),
    ];
    for (quiet, now, expected) in rows {
        assert_eq!(quiet.hold(Severity::Warning, at(now)), expected, "{now}");
    }
    assert!(!berlin().hold(Severity::Critical, at("2026-01-10T23:00:00Z")));
}

#[test]
fn a_receiver_gets_what_it_asked_for() {
    let only = |kinds: &[Kind]| Some(kinds.iter().copied().collect());
    let rows = [
        (policy(), Kind::Started, true),
        (Policy { min_severity: Severity::Warning, ..policy() }, Kind::Started, false),
        (Policy { min_severity: Severity::Warning, ..policy() }, Kind::Lag, true),
        (Policy { min_severity: Severity::Critical, ..policy() }, Kind::Lag, false),
        (Policy { on: only(&[Kind::Lag]), ..policy() }, Kind::Lag, true),
        (Policy { on: only(&[Kind::Lag]), ..policy() }, Kind::Failed, false),
    ];
    let now = at("2026-01-10T12:00:00Z");
    for (policy, kind, expected) in rows {
        let mut inbox = Inbox::default();
        inbox.put(notice(kind, now), &policy);
        assert_eq!(!inbox.release(&policy, now).is_empty(), expected, "{policy:?} {kind:?}");
    }
}

#[test]
fn quiet_hours_end_with_one_digest() {
    let policy = Policy { quiet: Some(berlin()), ..policy() };
    let mut inbox = Inbox::default();
    let night = at("2026-01-10T23:00:00Z");
    for kind in [Kind::Started, Kind::Lag, Kind::Failed, Kind::Postponed] {
        inbox.put(notice(kind, night), &policy);
    }
    assert_eq!(kinds(&inbox.release(&policy, night)), [(vec![Kind::Failed], 0)]);
    assert_eq!(inbox.release(&policy, at("2026-01-11T05:59:00Z")), []);
    let morning = inbox.release(&policy, at("2026-01-11T06:00:00Z"));
    assert_eq!(kinds(&morning), [(vec![Kind::Started, Kind::Lag, Kind::Postponed], 0)]);
    assert_eq!(inbox.release(&policy, at("2026-01-11T06:05:00Z")), []);
}

#[test]
fn too_many_at_a_time_come_as_one() {
    let policy = policy();
    let mut inbox = Inbox::default();
    let start = at("2026-01-10T12:00:00Z");
    for _ in 0..8 {
        inbox.put(notice(Kind::Lag, start), &policy);
    }
    assert_eq!(inbox.release(&policy, start).len(), 3);
    inbox.put(notice(Kind::Failed, start), &policy);
    assert_eq!(inbox.release(&policy, at("2026-01-10T12:00:59Z")), []);
    let later = inbox.release(&policy, at("2026-01-10T12:01:00Z"));
    assert_eq!(later.len(), 1);
    assert_eq!((later[0].notices.len(), later[0].more), (6, 0));
    // What comes then comes alone again.
    inbox.put(notice(Kind::Started, start), &policy);
    let next = inbox.release(&policy, at("2026-01-10T12:01:01Z"));
    assert_eq!(kinds(&next), [(vec![Kind::Started], 0)]);
}

#[test]
fn of_a_flood_the_oldest_of_the_least_grave_are_only_counted() {
    let policy = policy();
    let mut inbox = Inbox::default();
    let now = at("2026-01-10T12:00:00Z");
    inbox.put(notice(Kind::Failed, now), &policy);
    for _ in 0..250 {
        inbox.put(notice(Kind::Started, now), &policy);
    }
    let all = inbox.release(&policy, now);
    assert_eq!((all.len(), all[0].notices.len(), all[0].more), (1, HELD, 51));
    assert_eq!(all[0].severity(), Severity::Critical);
}

#[test]
fn at_the_end_everything_comes() {
    let policy = Policy { quiet: Some(berlin()), ..policy() };
    let mut inbox = Inbox::default();
    let night = at("2026-01-10T23:00:00Z");
    inbox.put(notice(Kind::Succeeded, night), &policy);
    assert_eq!(inbox.release(&policy, night), []);
    assert_eq!(inbox.empty().map(|message| message.notices.len()), Some(1));
    assert_eq!(inbox.empty(), None);
}
