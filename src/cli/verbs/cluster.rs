//! The cluster as the verbs see it: found by flags, the environment or the pod's account; migrations read,
//! listed, patched and followed, each request with a time limit and each error with its remedy.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use kube::api::{ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::core::Status;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watch_object};
use kube::{Api, Client, Config};
use serde_json::Value;
use similar::get_close_matches;
use tokio::time::timeout;

use crate::api::migration::SchemaMigration;
use crate::api::names;
use crate::args::verbs::Place;

/// How long one request to the API server may take.
const CALL: Duration = Duration::from_secs(15);
/// How alike a name must be to be suggested, and how many are.
const ALIKE: (f32, usize) = (0.6, 3);
/// Migrations whose names are listed at most.
const LISTED: u32 = 500;

/// Why a verb could not ask the cluster.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no usable kubeconfig.
    #[error("the kubeconfig cannot be used")]
    ReadConfig {
        /// What is wrong.
        source: Box<KubeconfigError>,
    },
    /// The configuration is no ground for a connection.
    #[error("the cluster of the kubeconfig cannot be used")]
    Connect {
        /// What is wrong.
        source: Box<kube::Error>,
    },
    /// The API server refused.
    #[error("the API server does not let us {doing}: {}", answer.message)]
    Ask {
        /// What was asked.
        doing: String,
        /// Its answer.
        answer: Box<Status>,
    },
    /// The API server is not reached.
    #[error("the API server cannot be reached to {doing}")]
    Reach {
        /// What was to be asked.
        doing: String,
        /// What went wrong.
        source: Box<kube::Error>,
    },
    /// The API server is silent.
    #[error("the API server did not answer within {} s", CALL.as_secs())]
    HearNothing,
    /// There is no such migration.
    #[error("there is no SchemaMigration {name} in namespace {namespace}{}", suggestion(similar))]
    Find {
        /// Its name.
        name: String,
        /// Where.
        namespace: String,
        /// Names that are there and look alike.
        similar: Vec<String>,
    },
}

impl Error {
    /// What to do, one sentence.
    pub fn remedy(&self) -> String {
        match self {
            Self::ReadConfig { .. } => {
                "name a file by --kubeconfig or KUBECONFIG and a context in it by --context; \
                 `kubectl config get-contexts` lists them"
                    .to_owned()
            }
            Self::Connect { .. } => "try `kubectl version` with the same context".to_owned(),
            Self::Ask { answer, .. } => of_answer(answer),
            Self::Reach { .. } | Self::HearNothing => {
                "try `kubectl version`; a worker goes on by itself meanwhile".to_owned()
            }
            Self::Find { namespace, .. } => {
                format!("list them by `kubectl ghostship status -n {namespace}`, or all by -A")
            }
        }
    }
}

/// Migrations of a namespace, or of all.
#[derive(Clone)]
pub struct Migrations {
    api: Api<SchemaMigration>,
    namespace: String,
}

/// Whose migrations are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those of one namespace.
    Namespace,
    /// Those of all namespaces.
    All,
}

impl Migrations {
    /// Finds the cluster; sends nothing yet.
    ///
    /// # Errors
    ///
    /// When no configuration is found or it cannot be used.
    pub async fn of(place: &Place, scope: Scope) -> Result<Self, Error> {
        let config = config(place).await?;
        let namespace = place.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client =
            Client::try_from(config).map_err(|error| Error::Connect { source: Box::new(error) })?;
        let api = match scope {
            Scope::All => Api::all(client),
            Scope::Namespace => Api::namespaced(client, &namespace),
        };
        Ok(Self { api, namespace })
    }

    /// The namespace that was asked for.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be asked or does not know it; similar names are part of that error.
    pub async fn read(&self, name: &str) -> Result<SchemaMigration, Error> {
        let doing = format!("read SchemaMigration {name} in namespace {}", self.namespace);
        match within(&doing, self.api.get_opt(name)).await? {
            Some(migration) => Ok(migration),
            None => Err(self.missing(name).await),
        }
    }

    /// Lists all, by namespace and name.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be asked.
    pub async fn list(&self) -> Result<Vec<SchemaMigration>, Error> {
        let parameters = ListParams::default();
        let list = self.api.list(&parameters);
        let mut items = within("list SchemaMigrations", list).await?.items;
        items.sort_by_key(|one| (one.metadata.namespace.clone(), one.metadata.name.clone()));
        Ok(items)
    }

    /// Merges a patch into one, as the field manager of the verbs.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be asked or refuses.
    pub async fn patch(&self, name: &str, patch: &Value) -> Result<SchemaMigration, Error> {
        let field_manager = Some(names::VERBS.to_owned());
        let parameters = PatchParams { field_manager, ..PatchParams::default() };
        let patch = Patch::Merge(patch);
        let doing = format!("change SchemaMigration {name} in namespace {}", self.namespace);
        within(&doing, self.api.patch(name, &parameters, &patch)).await
    }

    /// One as it is now and whenever it changes; `None` when it is gone. A watch that breaks off is
    /// taken up again after a pause that grows, and is told as an error meanwhile.
    pub fn follow(
        &self,
        name: &str,
    ) -> impl Stream<Item = Result<Option<SchemaMigration>, watcher::Error>> + Send + Unpin {
        watch_object(self.api.clone(), name).default_backoff().boxed()
    }

    /// The names of some.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be asked.
    pub async fn names(&self) -> Result<Vec<String>, Error> {
        let parameters = ListParams::default().limit(LISTED);
        let list = self.api.list_metadata(&parameters);
        let known = within("list SchemaMigrations", list).await?.items;
        Ok(known.into_iter().filter_map(|one| one.metadata.name).collect())
    }

    /// That there is none of this name, with names that look alike.
    pub async fn missing(&self, name: &str) -> Error {
        let known = self.names().await.unwrap_or_default();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let similar = get_close_matches(name, &known, ALIKE.1, ALIKE.0);
        Error::Find {
            name: name.to_owned(),
            namespace: self.namespace.clone(),
            similar: similar.into_iter().map(str::to_owned).collect(),
        }
    }
}

async fn config(place: &Place) -> Result<Config, Error> {
    let options =
        KubeConfigOptions { context: place.context.clone(), ..KubeConfigOptions::default() };
    let read = match &place.kubeconfig {
        Some(file) => match Kubeconfig::read_from(file) {
            Ok(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options).await,
            Err(error) => Err(error),
        },
        None => Config::from_kubeconfig(&options).await,
    };
    let is_named = place.kubeconfig.is_some() || place.context.is_some();
    match read {
        Ok(config) => Ok(config),
        Err(error) => match Config::incluster() {
            Ok(config) if !is_named => Ok(config),
            _ => Err(Error::ReadConfig { source: Box::new(error) }),
        },
    }
}

async fn within<T>(
    doing: &str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, Error> {
    let doing = doing.to_owned();
    match timeout(CALL, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(answer))) => Err(Error::Ask { doing, answer }),
        Ok(Err(error)) => Err(Error::Reach { doing, source: Box::new(error) }),
        Err(_) => Err(Error::HearNothing),
    }
}

fn of_answer(answer: &Status) -> String {
    match answer.code {
        401 => "log in again: the cluster does not accept the account of this context".to_owned(),
        403 => "ask for a role with get, list, watch and patch on schemamigrations.ghostship.dev; \
                `kubectl auth can-i patch schemamigrations.ghostship.dev` tells"
            .to_owned(),
        404 => "install the kinds: `ghostship crds | kubectl apply --server-side -f -`".to_owned(),
        _ => "read the answer; a policy of the cluster may have refused".to_owned(),
    }
}

fn suggestion(similar: &[String]) -> String {
    if similar.is_empty() { String::new() } else { format!("; similar: {}", similar.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(kubeconfig: &str, context: Option<&str>) -> Place {
        Place {
            namespace: None,
            kubeconfig: Some(kubeconfig.into()),
            context: context.map(str::to_owned),
        }
    }

    #[tokio::test]
    async fn a_kubeconfig_that_cannot_be_used_is_told_with_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config").display().to_string();
        let missing = config(&place(&file, None)).await.unwrap_err();
        assert_eq!(super::super::told(&missing).matches(&file).count(), 1, "{missing:?}");
        assert!(missing.remedy().contains("--kubeconfig"));
        let text = "apiVersion: v1\nkind: Config\ncurrent-context: one\n\
            contexts: [{name: one, context: {cluster: one, user: one, namespace: shop}}]\n\
            clusters: [{name: one, cluster: {server: 'https://127.0.0.1:1'}}]\n\
            users: [{name: one, user: {}}]\n";
        std::fs::write(&file, text).unwrap();
        assert_eq!(config(&place(&file, None)).await.unwrap().default_namespace, "shop");
        let unknown = config(&place(&file, Some("two"))).await.unwrap_err();
        assert!(super::super::told(&unknown).contains("two"), "{unknown:?}");
    }

    #[test]
    fn every_answer_has_its_remedy() {
        let rows =
            [(401, "log in"), (403, "can-i patch"), (404, "ghostship crds"), (422, "policy")];
        for (code, expected) in rows {
            let answer = Box::new(Status { code, message: "no".into(), ..Status::default() });
            let error = Error::Ask { doing: "read one".into(), answer };
            assert!(error.remedy().contains(expected), "{code}: {}", error.remedy());
            assert_eq!(error.to_string(), "the API server does not let us read one: no");
        }
    }

    #[test]
    fn similar_names_are_part_of_the_message() {
        let similar = vec!["add-note".to_owned()];
        let error = Error::Find { name: "ad-note".into(), namespace: "shop".into(), similar };
        let expected = "there is no SchemaMigration ad-note in namespace shop; similar: add-note";
        assert_eq!(error.to_string(), expected);
    }
}
