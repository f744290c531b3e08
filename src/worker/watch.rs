//! Follows the worker's own resource and publishes what it asks for. Events may be lost and delayed:
//! only the resource as it is counts. Before a cut-over the resource is read directly.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use kube::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use tokio::time::timeout;

use super::Assignment;
use super::load::CALL;
use crate::api::control::{self, Wanted};
use crate::api::migration::SchemaMigration;
use crate::engine::intent::{Command, Intent, Publisher, Tuning};
use crate::resolve;

/// How long the watch waits for a question before it waits again.
const QUESTION: Duration = Duration::from_secs(3600);

/// The watch of one resource.
pub(super) struct Watch {
    api: Api<SchemaMigration>,
    name: String,
    uid: String,
    clean_up: bool,
}

impl Watch {
    pub(super) fn new(api: Api<SchemaMigration>, assignment: &Assignment) -> Self {
        let Assignment { name, uid, clean_up, .. } = assignment.clone();
        Self { api, name, uid, clean_up }
    }

    /// Publishes whenever the resource asks for something else, and reads it when the engine asks. Never
    /// ends.
    pub(super) async fn follow(self, mut publisher: Publisher) -> ! {
        let mut events = watch_object(self.api.clone(), &self.name).default_backoff().boxed();
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(resource)) => self.publish(&publisher, resource.as_ref()),
                    Some(Err(error)) => tracing::warn!(%error, "the watch broke off; it is begun again"),
                    None => events = watch_object(self.api.clone(), &self.name).default_backoff().boxed(),
                },
                question = publisher.question(QUESTION) => if let Some(question) = question {
                    let read = timeout(CALL, self.api.get_opt(&self.name)).await;
                    let is_current = match &read {
                        Ok(Ok(resource)) => {
                            self.publish(&publisher, resource.as_ref());
                            resource.as_ref().is_none_or(|it| control::wanted(it).is_ok())
                        }
                        Ok(Err(_)) | Err(_) => false,
                    };
                    question.answer(is_current);
                },
            }
        }
    }

    fn publish(&self, publisher: &Publisher, resource: Option<&SchemaMigration>) {
        if let Some(intent) = self.intent(resource) {
            publisher.publish(intent);
        }
    }

    /// What the resource asks of this worker; `None` when it cannot be told and the last word holds.
    fn intent(&self, resource: Option<&SchemaMigration>) -> Option<Intent> {
        let own = resource.filter(|it| it.metadata.uid.as_deref() == Some(&self.uid));
        let Some(own) = own else { return Some(only(Command::Leave)) };
        let mut intent = match control::wanted(own) {
            // Whoever deletes wants nothing left, and this worker is the nearest to do it: in a namespace
            // that goes no other one can be started.
            Ok(Wanted { deleted: true, .. }) if own.spec.panic != Some(true) => {
                only(Command::Abort)
            }
            Ok(wanted) => resolve::intent(&wanted.wishes),
            Err(_) if control::asks_for_panic(own) => only(Command::Panic),
            Err(_) => return None,
        };
        // The latch of an earlier panic does not keep what is deleted from being cleaned up.
        if self.clean_up {
            let panics = own.spec.panic == Some(true);
            intent.command = if panics { Command::Panic } else { Command::Abort };
        }
        Some(intent)
    }
}

fn only(command: Command) -> Intent {
    Intent {
        command,
        postpone_cut_over: true,
        approved: BTreeSet::new(),
        tuning: Tuning::default(),
    }
}
