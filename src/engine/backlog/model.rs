//! Explores every interleaving of small configurations through the backlog's own functions. At every
//! end the shadow must equal the source, an end must be reachable from everywhere, and with a guard
//! removed a loss must be found.

mod backlogs;
mod search;
mod steps;
mod world;

use self::search::{Report, explore};
use self::world::{Config, Mutation, Shape};
use super::KeyOrder;

const BASE: Config = Config::BASE;

/// The shadow has a second unique index: one lane.
const UNIQUE: Config =
    Config { shape: Shape::DeleteInsert, unique: true, lanes: 1, ..Config::BASE };

/// Only the server orders the keys: one lane.
const TEXT: Config = Config { order: KeyOrder::Server, lanes: 1, ..Config::BASE };

fn told(name: &str, config: Config) -> Report {
    let report = explore(config);
    println!(
        "{name}: {} states, {} steps, {} backlogs, {} ends, {:.1} s",
        report.states,
        report.steps,
        report.backlogs,
        report.ends,
        report.time.as_secs_f64()
    );
    if let Some(violation) = &report.violation {
        println!("{name}: {} steps to: {}", violation.length, violation.trace);
    }
    report
}

fn assert_exact(name: &str, config: Config) {
    let report = told(name, config);
    assert!(report.ends > 0);
    if let Some(violation) = report.violation {
        panic!("{name}: {}", violation.trace);
    }
}

#[test]
fn two_entries() {
    assert_exact("upsert", Config { entries: 2, ..BASE });
    assert_exact("unique", Config { entries: 2, ..UNIQUE });
    assert_exact("text", Config { entries: 2, ..TEXT });
    assert_exact("text unique", Config { entries: 2, shape: Shape::DeleteInsert, unique: true, ..TEXT });
    assert_exact("xa", Config { entries: 3, values: 1, xa: true, ranges: [0, 0, 0], lanes: 1, ..BASE });
    assert_exact("hidden start", Config { entries: 2, hidden_start: true, ..BASE });
    assert_exact("late", Config { entries: 2, late: true, returns: true, ..BASE });
}

/// A violation must be found.
fn assert_loses(name: &str, config: Config) {
    assert!(told(name, config).violation.is_some(), "{name}: nothing is found");
}

fn broken(mutation: Mutation, config: Config) {
    assert_loses(&format!("{mutation:?}"), Config { mutation: Some(mutation), ..config });
}

/// One range, one transaction, no crash.
const TINY: Config = Config { ranges: [0, 0, 0], entries: 1, crashes: 0, ..BASE };

#[test]
fn loss_without_the_chunks_gate() {
    broken(Mutation::ChunkGate, TINY);
}
#[test]
fn loss_without_the_lanes_gate() {
    broken(Mutation::LaneGate, TINY);
}
#[test]
fn loss_when_the_gate_target_is_taken_before_the_claim() {
    broken(Mutation::EarlyTarget, TINY);
}
#[test]
fn loss_when_the_gate_does_not_cover_the_first_start() {
    broken(Mutation::StartGate, Config { hidden_start: true, ..TINY });
}
#[test]
fn loss_when_the_gate_does_not_cover_a_restart() {
    broken(Mutation::StartGate, Config { crashes: 1, ..TINY });
}
#[test]
fn loss_when_an_extended_batch_does_not_pass_the_gate_again() {
    broken(Mutation::RetryGate, Config { crashes: 0, ..UNIQUE });
}
#[test]
fn loss_when_xa_keys_are_received_at_prepare() {
    broken(Mutation::XaAtPrepare, Config { entries: 2, xa: true, ..TINY });
}
#[test]
fn loss_when_the_position_ignores_held_keys() {
    broken(Mutation::IgnoreHeld, Config { crashes: 1, ..TINY });
}
#[test]
fn loss_when_the_position_ignores_queued_keys() {
    broken(Mutation::IgnoreQueued, Config { crashes: 1, ..TINY });
}
#[test]
fn loss_when_the_position_ignores_running_keys() {
    broken(Mutation::IgnoreRunning, Config { crashes: 1, ..TINY });
}
#[test]
fn loss_when_the_position_counts_an_arriving_transaction() {
    broken(Mutation::CountArriving, Config { crashes: 1, ..TINY });
}
#[test]
fn loss_when_a_key_is_in_two_lanes() {
    broken(Mutation::TwoLanes, Config { entries: 2, ..TINY });
}
#[test]
fn loss_when_an_event_is_merged_into_a_running_batch() {
    broken(Mutation::MergeIntoRunning, Config { entries: 2, ..TINY });
}
#[test]
fn loss_when_a_lane_reads_before_it_deletes() {
    broken(Mutation::ReadFirst, Config { crashes: 0, lanes: 2, ..UNIQUE });
}
#[test]
fn loss_when_the_upsert_meets_a_second_unique_index() {
    assert_loses("upsert with a second unique index", Config { shape: Shape::Upsert, entries: 2, values: 1, crashes: 0, ..UNIQUE });
}
#[test]
fn loss_when_two_lanes_meet_a_second_unique_index() {
    assert_loses("two lanes with a second unique index", Config { lanes: 2, crashes: 0, ..UNIQUE });
}
#[test]
fn loss_when_a_text_chunk_skips_early_rows() {
    broken(Mutation::SkipEarlyRows, TEXT);
}

#[cfg(feature = "failpoints")]
mod guards {
    use super::*;
    use crate::failpoint::{Guard, remove_here};

    fn without(guard: Guard, config: Config) {
        remove_here(Some(guard));
        let report = told(&format!("without {guard:?}"), config);
        remove_here(None);
        assert!(report.violation.is_some());
    }

    #[test]
    fn loss_without_holding() {
        without(Guard::Hold, Config { entries: 2, asserts: false, ..TINY });
    }
    #[test]
    fn loss_without_holding_text_keys() {
        without(Guard::Hold, Config { order: KeyOrder::Server, entries: 2, lanes: 1, ..TINY });
    }
    #[test]
    fn loss_when_the_position_enters_an_xa_span() {
        without(Guard::XaSpan, Config { ranges: [0, 0, 0], values: 1, xa: true, lanes: 1, ..BASE });
    }
    #[test]
    fn loss_when_a_text_chunk_drops_what_it_held() {
        without(Guard::Requeue, Config { shape: Shape::DeleteInsert, unique: true, crashes: 0, ..TEXT });
    }
}
