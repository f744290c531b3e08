//! Which GitOps tool owns a field or an annotation and may write it back. Pure.

use super::migration::SchemaMigration;
use super::ownership::{self, Place};

/// What the user should know before this is written; `None` when no tool owns it.
pub fn warning(migration: &SchemaMigration, place: Place) -> Option<String> {
    let tool = tool(migration, place)?;
    let what = match place {
        Place::Field(field) => format!("spec.{field}"),
        Place::Annotation(name) => format!("the annotation {name}"),
    };
    Some(format!("{tool} owns {what} and may write back what Git holds: change it in Git as well"))
}

fn tool(migration: &SchemaMigration, place: Place) -> Option<String> {
    let mut managers = ownership::managers(migration, place);
    managers.find(|manager| ownership::is_tool(manager)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::names;
    use crate::api::samples::migration;

    #[test]
    fn tools_are_named_for_exactly_what_they_own() {
        let paused = json!({"f:spec": {"f:paused": {}, "f:table": {}}});
        let word = json!({"f:metadata": {"f:annotations": {"f:ghostship.dev/cut-over": {}}}});
        let rows = [
            ("argocd-controller", &paused, Place::Field("paused"), true),
            ("argocd-controller", &paused, Place::Field("abort"), false),
            ("argocd-controller", &paused, Place::Annotation(names::CUT_OVER), false),
            ("kustomize-controller", &word, Place::Annotation(names::CUT_OVER), true),
            ("helm-controller", &word, Place::Annotation(names::RETRY), false),
            ("flux-client-side-apply", &paused, Place::Field("paused"), true),
            ("ghostship-cli", &paused, Place::Field("paused"), false),
            ("argocd-server", &paused, Place::Field("paused"), false),
            ("kubectl-client-side-apply", &paused, Place::Field("paused"), false),
        ];
        for (manager, fields, place, warned) in rows {
            let entry = json!({"manager": manager, "operation": "Apply", "fieldsV1": fields});
            let migration = migration(&json!({"metadata": {"managedFields": [entry]}}));
            let found = warning(&migration, place);
            assert_eq!(found.is_some(), warned, "{manager} {place:?}");
            assert!(found.is_none_or(|text| text.starts_with(manager)), "{manager}");
        }
    }

    #[test]
    fn ownership_of_a_status_says_nothing() {
        let entry = json!({"manager": "argocd-controller", "operation": "Update",
            "subresource": "status", "fieldsV1": {"f:spec": {"f:paused": {}}}});
        let migration = migration(&json!({"metadata": {"managedFields": [entry]}}));
        assert_eq!(warning(&migration, Place::Field("paused")), None);
    }
}
