//! The algorithm by which kubectl's libraries, Flux and Helm read the state of any resource (kstatus). In:
//! the resource as a document; out: one word. Knows nothing of ghostship.

use serde_json::Value;

/// `Terminating`, `InProgress`, `Failed` or `Current`.
pub(crate) fn kstatus(resource: &Value) -> &'static str {
    if resource["metadata"]["deletionTimestamp"].is_string() {
        return "Terminating";
    }
    if !is_observed(resource) {
        return "InProgress";
    }
    let conditions = resource["status"]["conditions"].as_array();
    let conditions = conditions.map(Vec::as_slice).unwrap_or_default();
    let decisive = conditions.iter().filter(|one| one["status"] == "True").find_map(word);
    decisive.unwrap_or_else(|| readiness(conditions))
}

/// Whether the status is about the resource as it is; a status that does not tell counts as such.
fn is_observed(resource: &Value) -> bool {
    let observed = resource["status"]["observedGeneration"].as_i64();
    let generation = resource["metadata"]["generation"].as_i64();
    observed.is_none() || generation.is_none() || observed == generation
}

/// What a condition that holds decides; the first in the order of the list does.
fn word(condition: &Value) -> Option<&'static str> {
    match condition["type"].as_str() {
        Some("Reconciling") => Some("InProgress"),
        Some("Stalled") => Some("Failed"),
        _ => None,
    }
}

fn readiness(conditions: &[Value]) -> &'static str {
    match conditions.iter().find(|one| one["type"] == "Ready") {
        Some(ready) if ready["status"] != "True" => "InProgress",
        Some(_) | None => "Current",
    }
}
