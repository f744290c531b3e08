//! What was set through the API of a run, laid over its file: each field holds until the file says something
//! else about that field than when it was set. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::validate::{ValidMigration, Violation};
use crate::serve::tuning;
use crate::serve::view::Laid;

/// The parts of the spec whose fields are laid one by one.
const PARTS: [&str; 2] = ["copy", "throttle"];

/// Fields that were set through the API.
#[derive(Debug, Default)]
pub struct Overlay(BTreeMap<Field, Held>);

/// A field below the spec: of a part, or of the spec itself when there is no second name.
type Field = (String, Option<String>);

#[derive(Debug)]
struct Held {
    value: Value,
    /// What the file said when it was set; null for nothing.
    file: Value,
}

impl Overlay {
    /// Lays a patch of the spec over the file's document.
    ///
    /// # Errors
    ///
    /// Every violation of what would hold then; nothing is laid.
    pub fn lay(&mut self, patch: &Value, document: &Value) -> Result<(), Vec<Violation>> {
        let (merged, _) = tuning::merged(&self.over(document), patch)?;
        for field in fields(patch) {
            let (value, file) = (read(&merged, &field), read(document, &field));
            match is_same(&value, &file) {
                true => self.0.remove(&field),
                false => self.0.insert(field, Held { value, file }),
            };
        }
        Ok(())
    }

    /// Takes note of what the file says now; the fields that it has changed, which it has back.
    pub fn give_way(&mut self, document: &Value) -> Vec<String> {
        let changed = |field: &Field, held: &Held| !is_same(&read(document, field), &held.file);
        let gone: Vec<Field> = self
            .0
            .iter()
            .filter(|(field, held)| changed(field, held))
            .map(|(field, _)| field.clone())
            .collect();
        self.0.retain(|field, _| !gone.contains(field));
        gone.iter().map(path).collect()
    }

    /// The migration that holds: the file's document under what lies over it.
    ///
    /// # Errors
    ///
    /// Every violation: what fits each of both need not fit both together.
    pub fn migration(&self, document: &Value) -> Result<ValidMigration, Vec<Violation>> {
        tuning::merged(&self.over(document), &json!({})).map(|(_, valid)| valid)
    }

    /// The file's document with what lies over it.
    pub fn over(&self, document: &Value) -> Value {
        let mut document = document.clone();
        for ((outer, inner), held) in &self.0 {
            let mut place = &mut document["spec"];
            if inner.is_some() {
                place = &mut place[outer.as_str()];
            }
            if place.is_null() {
                *place = json!({});
            }
            if let Some(fields) = place.as_object_mut() {
                fields.insert(inner.as_ref().unwrap_or(outer).clone(), held.value.clone());
            }
        }
        document
    }

    /// Gives the file everything back.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What is laid over the file, for people.
    pub fn told(&self) -> Vec<Laid> {
        let told =
            |(field, held): (&Field, &Held)| Laid { field: path(field), value: held.value.clone() };
        self.0.iter().map(told).collect()
    }
}

fn fields(patch: &Value) -> Vec<Field> {
    let mut found = Vec::new();
    for (outer, value) in patch.as_object().into_iter().flatten() {
        match value.as_object().filter(|_| PARTS.contains(&outer.as_str())) {
            Some(part) => found.extend(part.keys().map(|it| (outer.clone(), Some(it.clone())))),
            None => found.push((outer.clone(), None)),
        }
    }
    found
}

fn read(document: &Value, (outer, inner): &Field) -> Value {
    let outer = &document["spec"][outer.as_str()];
    inner.as_ref().map_or(outer, |inner| &outer[inner.as_str()]).clone()
}

/// A control that is absent is one that is off.
fn is_same(one: &Value, other: &Value) -> bool {
    let off = |value: &Value| value.is_null() || *value == Value::Bool(false);
    one == other || (off(one) && off(other))
}

fn path((outer, inner): &Field) -> String {
    inner.as_ref().map_or_else(|| outer.clone(), |inner| format!("{outer}.{inner}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::validate::Control;

    fn document(spec: &Value) -> Value {
        let mut document = json!({"apiVersion": "ghostship.dev/v1alpha1",
            "kind": "SchemaMigration", "metadata": {"name": "one"},
            "spec": {"target": "t", "database": "d", "table": "t", "alter": "ENGINE=InnoDB"}});
        for (name, value) in spec.as_object().unwrap() {
            document["spec"][name] = value.clone();
        }
        document
    }

    fn paths(overlay: &Overlay) -> Vec<String> {
        overlay.told().into_iter().map(|one| one.field).collect()
    }

    #[test]
    fn what_is_set_holds_until_the_file_changes_that_field() {
        let mut overlay = Overlay::default();
        let file = document(&json!({"copy": {"threads": 2}}));
        let patch = json!({"paused": true, "copy": {"threads": 5}});
        overlay.lay(&patch, &file).unwrap();
        let holds = overlay.migration(&file).unwrap();
        assert_eq!((holds.asked.control, holds.layer.threads), (Control::Pause, Some(5)));
        // Another field of the file is no word about these.
        let other = document(&json!({"copy": {"threads": 2, "chunkTime": "100ms"}}));
        assert_eq!(overlay.give_way(&other), Vec::<String>::new());
        let holds = overlay.migration(&other).unwrap();
        assert_eq!(holds.layer.threads, Some(5));
        assert!(holds.layer.chunk_time.is_some());
        let changed = document(&json!({"copy": {"threads": 3}}));
        assert_eq!(overlay.give_way(&changed), ["copy.threads"]);
        let holds = overlay.migration(&changed).unwrap();
        assert_eq!((holds.asked.control, holds.layer.threads), (Control::Pause, Some(3)));
        assert_eq!(paths(&overlay), ["paused"]);
    }

    #[test]
    fn a_pause_of_the_file_is_resumed_and_can_be_asked_for_again() {
        let mut overlay = Overlay::default();
        let paused = document(&json!({"paused": true}));
        overlay.lay(&json!({"paused": false}), &paused).unwrap();
        assert_eq!(overlay.migration(&paused).unwrap().asked.control, Control::Run);
        let running = document(&json!({}));
        assert_eq!(overlay.give_way(&running), ["paused"]);
        assert_eq!(overlay.migration(&paused).unwrap().asked.control, Control::Pause);
    }

    #[test]
    fn what_the_file_says_anyway_is_not_held_against_it() {
        let mut overlay = Overlay::default();
        let file = document(&json!({}));
        overlay.lay(&json!({"paused": true}), &file).unwrap();
        overlay.lay(&json!({"paused": false}), &file).unwrap();
        assert_eq!(paths(&overlay), Vec::<String>::new());
        // The same word in the file leaves nothing to hold.
        overlay.lay(&json!({"paused": true}), &file).unwrap();
        assert_eq!(overlay.give_way(&document(&json!({"paused": true}))), ["paused"]);
    }

    #[test]
    fn a_field_can_be_taken_away_and_what_is_wrong_is_not_laid() {
        let mut overlay = Overlay::default();
        let file = document(&json!({"throttle": {"maxLag": "2s"}}));
        overlay.lay(&json!({"throttle": {"maxLag": null}}), &file).unwrap();
        assert_eq!(overlay.migration(&file).unwrap().layer.throttle.max_lag, None);
        assert!(overlay.lay(&json!({"copy": {"threads": 99}}), &file).is_err());
        assert_eq!(paths(&overlay), ["throttle.maxLag"]);
        overlay.clear();
        assert!(overlay.migration(&file).unwrap().layer.throttle.max_lag.is_some());
    }

    #[test]
    fn both_together_may_be_wrong_when_each_is_right() {
        let mut overlay = Overlay::default();
        overlay.lay(&json!({"copy": {"threads": 4}}), &document(&json!({}))).unwrap();
        let broken = document(&json!({"copy": {"chunkTime": "1h"}}));
        assert!(overlay.migration(&broken).is_err());
    }
}
