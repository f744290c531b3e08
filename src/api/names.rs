//! Names that people and programs meet on resources: annotations, labels, the finalizer, field managers.

/// Annotation: permission for a postponed cut-over (`allow`), or its withdrawal (`postpone`).
pub const CUT_OVER: &str = "ghostship.dev/cut-over";
/// Annotation: approval of stages that wait for a person, by their names, separated by commas.
pub const APPROVE: &str = "ghostship.dev/approve";
/// Annotation: another attempt after a failure or a panic; any value that was not there before.
pub const RETRY: &str = "ghostship.dev/retry";
/// Annotation: with `true` a deleted migration goes at once, without cleaning up on the server.
pub const ABANDON: &str = "ghostship.dev/abandon";
/// Annotation: what people were told of the migration, so that nobody is told twice. The controller's own.
pub const NOTIFIED: &str = "ghostship.dev/notified";
/// Annotation: what was last done through the HTTP API, by whom and when, as JSON.
pub const LAST_API_ACTION: &str = "ghostship.dev/last-api-action";
/// Annotation of a hook's pod: the document that it is told.
pub const DOCUMENT: &str = "ghostship.dev/document";
/// Annotation of a hook's Job: since when its question is asked.
pub const ASKED_AT: &str = "ghostship.dev/asked-at";
/// The finalizer of migrations that may have left something on a server.
pub const FINALIZER: &str = "ghostship.dev/clean-up";
/// Label: name of the migration that an object belongs to.
pub const MIGRATION: &str = "ghostship.dev/migration";
/// Label: number of the attempt that an object belongs to.
pub const ATTEMPT: &str = "ghostship.dev/attempt";
/// Label: what a worker does: `migrate` or `clean-up`.
pub const PURPOSE: &str = "ghostship.dev/purpose";
/// Label: the hook whose Job it is.
pub const HOOK: &str = "ghostship.dev/hook";
/// Label: the stage at which a hook's Job is asked.
pub const STAGE: &str = "ghostship.dev/stage";
/// Field manager of the controller.
pub const CONTROLLER: &str = "ghostship-controller";
/// Field manager of workers.
pub const WORKER: &str = "ghostship-worker";
/// Field manager of the user's verbs; no GitOps tool strips what it owns.
pub const VERBS: &str = "ghostship-cli";
/// Field manager of the HTTP API of the controller.
pub const API: &str = "ghostship-api";
