//! The chart and the kustomizations, with the real helm, kubectl and API server: what they render, that both render the
//! same, that a release comes and goes, and who may do what. Names: `packaging::TEST`.

mod objects;
mod place;
mod policies;
mod readme;
mod release;
mod rendering;

use std::time::Duration;

use libtest_mimic::Trial;

/// The chart.
const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/ghostship");

/// The time within which a cluster does what it has to do by itself.
const SOON: Duration = Duration::from_secs(60);

/// All tests of the packaging.
pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = rendering::trials();
    trials.extend(readme::trials());
    trials.extend(release::trials());
    trials.extend(policies::trials());
    trials
}
