//! Follows the worker's own resource and its target, and publishes what they ask for at this hour. Events
//! may be lost and delayed: only the resources as they are count. Before a cut-over they are read directly.

use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client};
use tokio::time::timeout;

use super::Assignment;
use super::load::{CALL, Loaded};
use crate::api::audit;
use crate::api::control::{self, Wanted};
use crate::api::effective::{Setting, effective};
use crate::api::migration::SchemaMigration;
use crate::api::target::MigrationTarget;
use crate::api::validate::{self, TargetSettings, ValidMigration};
use crate::engine::intent::{Command, Intent, Publisher};
use crate::engine::record::Record;
use crate::hooks::Board;
use crate::resolve::{self, Settings};

/// How often the hour is looked at: windows open and close between events.
const HOUR: Duration = Duration::from_secs(1);

/// The watch of one migration and its target.
pub(super) struct Watch {
    migrations: Api<SchemaMigration>,
    targets: Api<MigrationTarget>,
    name: String,
    uid: String,
    target: String,
    known: Known,
    board: Board,
}

/// What is asked for, as far as it is known.
struct Known {
    asked: Asked,
    target: TargetSettings,
    clean_up: bool,
    /// Who changed what, for the ledger.
    record: Record,
}

/// What the migration asks for.
enum Asked {
    Only(Command),
    All(Box<ValidMigration>),
}

impl Watch {
    pub(super) fn new(client: &Client, assignment: &Assignment, loaded: &Loaded) -> Self {
        let Assignment { name, uid, namespace, .. } = assignment.clone();
        Self {
            migrations: Api::namespaced(client.clone(), &namespace),
            targets: Api::namespaced(client.clone(), &namespace),
            name,
            uid,
            target: loaded.target.0.clone(),
            known: Known::new(loaded, assignment.clean_up),
            board: loaded.board.clone(),
        }
    }

    /// What holds at this hour, and its settings when all of them are known.
    pub(super) fn holds(&self, now: Timestamp) -> (Intent, Option<Vec<Setting>>) {
        self.known.holds(now)
    }

    /// Publishes whenever something else is asked for, and reads when the engine asks. Never ends.
    pub(super) async fn follow(
        mut self,
        mut publisher: Publisher,
        settings: Settings,
        clock: impl Fn() -> Timestamp,
    ) -> ! {
        let mut own = watch_object(self.migrations.clone(), &self.name).default_backoff().boxed();
        let mut target = watch_object(self.targets.clone(), &self.target).default_backoff().boxed();
        loop {
            let mut question = None;
            tokio::select! {
                event = own.next() => match event {
                    Some(Ok(resource)) => drop(self.hear(resource.as_ref())),
                    Some(Err(error)) => tracing::warn!(%error, "the watch broke off; it is begun again"),
                    None => own = watch_object(self.migrations.clone(), &self.name).default_backoff().boxed(),
                },
                event = target.next() => match event {
                    Some(Ok(resource)) => drop(self.known.hear_target(resource.as_ref())),
                    Some(Err(error)) => tracing::warn!(%error, "the watch of the target broke off; it is begun again"),
                    None => target = watch_object(self.targets.clone(), &self.target).default_backoff().boxed(),
                },
                asked = publisher.question(HOUR) => question = asked,
            }
            let is_current = match question {
                Some(_) => self.read().await,
                None => true,
            };
            let (intent, now) = self.known.holds(clock());
            publisher.publish(intent);
            for change in now.into_iter().flat_map(|now| settings.tell(now)) {
                let (field, value, origin) = (change.is.field, &change.is.value, &change.is.origin);
                let was = &change.was.0;
                tracing::info!(field, was, value, %origin, "a setting changed");
            }
            question.into_iter().for_each(|question| question.answer(is_current));
        }
    }

    /// Takes the migration as it is, and what it tells of the Jobs of hooks.
    fn hear(&mut self, resource: Option<&SchemaMigration>) -> bool {
        let own = resource.filter(|it| it.metadata.uid.as_deref() == Some(&self.uid));
        if let Some(status) = own.and_then(|own| own.status.as_ref()) {
            self.board.hear(&status.hook_jobs);
        }
        self.known.hear(resource, &self.uid)
    }

    /// Reads both anew; whether what they say now is known.
    async fn read(&mut self) -> bool {
        let both = async {
            tokio::try_join!(
                self.migrations.get_opt(&self.name),
                self.targets.get_opt(&self.target)
            )
        };
        match timeout(CALL, both).await {
            Ok(Ok((own, target))) => {
                let is_heard = self.hear(own.as_ref());
                self.known.hear_target(target.as_ref()) && is_heard
            }
            Ok(Err(_)) | Err(_) => false,
        }
    }
}

impl Known {
    fn new(loaded: &Loaded, clean_up: bool) -> Self {
        let asked = match clean_up {
            true => Asked::Only(Command::Abort),
            false => Asked::All(Box::new(loaded.migration.clone())),
        };
        let record = loaded.request.record.clone();
        Self { asked, target: loaded.target.1.clone(), clean_up, record }
    }

    fn holds(&self, now: Timestamp) -> (Intent, Option<Vec<Setting>>) {
        let migration = match &self.asked {
            Asked::Only(command) => return (Intent::only(*command), None),
            Asked::All(migration) => migration,
        };
        let effective = effective(&self.target, migration, now);
        (resolve::intent(&effective.wishes), Some(effective.settings))
    }

    /// Takes the migration as it is; whether it can be told what it asks for. If not, the last word holds.
    fn hear(&mut self, resource: Option<&SchemaMigration>, uid: &str) -> bool {
        let own = resource.filter(|it| it.metadata.uid.as_deref() == Some(uid));
        let Some(own) = own else {
            self.asked = Asked::Only(Command::Leave);
            return true;
        };
        self.record.replace(resolve::entries(audit::after(own, Timestamp::now()).changes));
        let panics = own.spec.panic == Some(true);
        self.asked = match control::wanted(own) {
            // The latch of an earlier panic does not keep what is deleted from being cleaned up.
            _ if self.clean_up && panics => Asked::Only(Command::Panic),
            _ if self.clean_up => Asked::Only(Command::Abort),
            // Whoever deletes wants nothing left, and this worker is the nearest to do it: in a namespace
            // that goes no other one can be started.
            Ok(Wanted { deleted: true, .. }) if !panics => Asked::Only(Command::Abort),
            Ok(wanted) => Asked::All(Box::new(wanted.migration)),
            Err(_) if control::asks_for_panic(own) => Asked::Only(Command::Panic),
            Err(_) => return false,
        };
        true
    }

    /// Takes the target as it is; whether it can be told what it says. If not, or when it is gone, its last
    /// word holds.
    fn hear_target(&mut self, resource: Option<&MigrationTarget>) -> bool {
        let Some(target) = resource else { return true };
        match validate::target(&serde_json::to_value(target).unwrap_or_default()) {
            Ok(valid) => {
                self.target = valid.settings;
                true
            }
            Err(_) => false,
        }
    }
}
