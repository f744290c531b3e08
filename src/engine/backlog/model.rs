//! Explores every interleaving of small configurations through the backlog's own functions. At every
//! end the shadow must equal the source, an end must be reachable from everywhere, and with a guard
//! removed a violation must be found. `--nocapture` prints the number of states and the shortest traces.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a model counts to ten, and a hash may lose bits"
)]

mod backlogs;
mod search;
mod steps;
mod world;

use self::search::{Report, explore};
use self::world::{Config, Mutation, Shape};
use super::KeyOrder;

/// Upsert, two lanes, two ranges, two transactions, one crash.
const BASE: Config = Config::BASE;

/// The shadow has a second unique index: one lane.
const UNIQUE: Config = Config { shape: Shape::DeleteInsert, unique: true, lanes: 1, ..BASE };

/// Only the server orders the keys: one lane.
const TEXT: Config = Config { order: KeyOrder::Server, lanes: 1, ..BASE };

const TEXT_UNIQUE: Config = Config { shape: Shape::DeleteInsert, unique: true, ..TEXT };

/// One lane, three entries: as many as a span has that something lies in.
const XA: Config = Config { xa: true, values: 1, entries: 3, lanes: 1, ..BASE };

/// One range, one transaction, no crash: enough for most losses.
const TINY: Config = Config { ranges: [0; 3], entries: 1, crashes: 0, ..BASE };

const ONE_RANGE: [usize; 3] = [0; 3];

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

/// No violation may be found.
fn assert_exact(name: &str, config: Config) {
    let report = told(name, config);
    assert!(report.ends > 0, "{name}: there is no end");
    if let Some(violation) = report.violation {
        panic!("{name}: {}", violation.trace);
    }
}

/// This violation must be found.
fn assert_found(name: &str, config: Config, what: &str) {
    let violation = told(name, config).violation;
    assert_eq!(violation.map(|violation| violation.what), Some(what), "{name}");
}

fn assert_loses(name: &str, config: Config) {
    assert_found(name, config, "the shadow differs from the source");
}

fn broken(mutation: Mutation, config: Config) {
    let config = Config { mutation: Some(mutation), ..config };
    assert_loses(&format!("broken {mutation:?}"), config);
}

#[test]
fn upsert_on_two_lanes_is_exact() {
    assert_exact("upsert", Config { hidden_start: true, ..BASE });
}

#[test]
fn replies_that_come_late_or_not_at_all_are_survived() {
    let late = Config { ranges: ONE_RANGE, late: true, returns: true, ..BASE };
    assert_exact("late replies, upsert", late);
    assert_exact(
        "late replies, unique",
        Config { ranges: ONE_RANGE, late: true, returns: true, ..UNIQUE },
    );
}

#[test]
fn delete_and_insert_on_one_lane_is_exact_with_a_second_unique_index() {
    assert_exact("unique", UNIQUE);
}

#[test]
fn text_keys_are_exact() {
    assert_exact("text, one range", Config { ranges: ONE_RANGE, ..TEXT });
    assert_exact("text, two ranges", Config { values: 1, crashes: 0, ..TEXT });
}

#[test]
fn text_keys_are_exact_with_a_second_unique_index() {
    assert_exact("text, unique, one range", Config { ranges: ONE_RANGE, ..TEXT_UNIQUE });
    assert_exact("text, unique, two ranges", Config { values: 1, crashes: 0, ..TEXT_UNIQUE });
}

#[test]
fn xa_transactions_are_exact() {
    assert_exact("xa", Config { ranges: ONE_RANGE, ..XA });
}

#[test]
fn batches_smaller_than_the_queue_are_exact() {
    let small = Config { limits: &[1, 2], lanes: 1, ranges: ONE_RANGE, ..BASE };
    assert_exact("small batches", small);
}

#[test]
fn loss_without_the_gate_of_chunks() {
    broken(Mutation::ChunkGate, TINY);
}

#[test]
fn loss_without_the_gate_of_lanes() {
    broken(Mutation::LaneGate, TINY);
}

#[test]
fn loss_when_a_gate_target_is_taken_before_the_claim() {
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
    broken(Mutation::RetryGate, Config { ranges: ONE_RANGE, crashes: 0, ..UNIQUE });
}

#[test]
fn loss_when_xa_keys_are_received_at_prepare() {
    broken(Mutation::XaAtPrepare, Config { entries: 2, xa: true, ..TINY });
}

#[test]
fn loss_when_the_position_lies_inside_an_xa_span() {
    broken(Mutation::InsideXaSpan, Config { entries: 2, xa: true, crashes: 1, ..TINY });
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
fn loss_when_lanes_read_before_they_delete() {
    broken(Mutation::ReadFirst, Config { ranges: ONE_RANGE, crashes: 0, lanes: 2, ..UNIQUE });
}

#[test]
fn loss_when_an_upsert_meets_a_second_unique_index() {
    let upsert = Config { shape: Shape::Upsert, values: 1, crashes: 0, ..UNIQUE };
    assert_loses("upsert with a second unique index", upsert);
}

#[test]
fn loss_when_two_lanes_meet_a_second_unique_index() {
    let lanes = Config { ranges: ONE_RANGE, entries: 3, values: 1, crashes: 0, lanes: 2, ..UNIQUE };
    assert_loses("two lanes with a second unique index", lanes);
}

#[cfg(feature = "failpoints")]
mod guards {
    use super::*;
    use crate::failpoint::{Guard, remove_here};

    fn without(guard: Guard, config: Config, what: &str) {
        remove_here(Some(guard));
        assert_found(&format!("without {guard:?}"), config, what);
        remove_here(None);
    }

    const LOSS: &str = "the shadow differs from the source";

    #[test]
    fn loss_without_holding() {
        without(Guard::Hold, Config { entries: 2, asserts: false, ..TINY }, LOSS);
    }

    #[test]
    fn chunk_meets_rows_without_holding() {
        without(Guard::Hold, TINY, "a chunk met a row in its own range");
    }

    #[test]
    fn loss_without_holding_text_keys() {
        let text = Config { order: KeyOrder::Server, entries: 2, lanes: 1, ..TINY };
        without(Guard::Hold, text, LOSS);
    }

    #[test]
    fn loss_when_keys_of_a_prepared_transaction_do_not_stop_the_position() {
        without(Guard::XaSpan, Config { ranges: ONE_RANGE, ..XA }, LOSS);
    }

    #[test]
    fn text_chunk_waits_for_ever_when_it_drops_what_it_held() {
        let one_range = Config { ranges: ONE_RANGE, values: 1, crashes: 0, ..TEXT_UNIQUE };
        without(Guard::Requeue, one_range, "no end can be reached from here");
    }

    #[test]
    fn loss_when_a_text_chunk_drops_what_it_held() {
        let two_ranges = Config { values: 1, crashes: 0, ..TEXT_UNIQUE };
        without(Guard::Requeue, two_ranges, LOSS);
    }
}

/// Minutes and a gigabyte, so only on demand, best optimised:
/// `cargo test --features long-tests --config profile.dev.package.ghostship.opt-level=3 model_long`.
#[cfg(feature = "long-tests")]
mod long {
    use super::*;

    #[test]
    fn model_long_upsert() {
        assert_exact("three transactions", Config { entries: 3, ..BASE });
        assert_exact("two crashes", Config { crashes: 2, late: true, ..BASE });
        let three_keys = Config { keys: 3, values: 1, limits: &[1, 9], ..BASE };
        assert_exact("three keys in three ranges", three_keys);
    }

    #[test]
    fn model_long_unique() {
        assert_exact("unique, three transactions", Config { entries: 3, ..UNIQUE });
        assert_exact(
            "unique, four transactions",
            Config { entries: 4, ranges: ONE_RANGE, ..UNIQUE },
        );
        assert_exact("unique, two crashes", Config { crashes: 2, late: true, ..UNIQUE });
        let three_keys = Config { keys: 3, ranges: [0, 0, 1], limits: &[1, 9], ..UNIQUE };
        assert_exact("unique, three keys", three_keys);
    }

    #[test]
    fn model_long_text() {
        assert_exact("text", TEXT);
        assert_exact("text, three transactions", Config { entries: 3, ranges: ONE_RANGE, ..TEXT });
        assert_exact("text, unique", TEXT_UNIQUE);
        let three = Config { entries: 3, values: 1, crashes: 0, ..TEXT_UNIQUE };
        assert_exact("text, unique, three transactions", three);
    }

    #[test]
    fn model_long_xa() {
        assert_exact("xa, two ranges", XA);
        assert_exact("xa, four entries", Config { entries: 4, ranges: ONE_RANGE, ..XA });
        let unique = Config { shape: Shape::DeleteInsert, unique: true, ..XA };
        assert_exact("xa, unique", unique);
        assert_exact("xa, text", Config { order: KeyOrder::Server, ranges: ONE_RANGE, ..XA });
    }
}
