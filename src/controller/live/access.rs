//! Who calls, and what they may: the API server is asked about the token, and about each verb on each
//! migration. Answers hold for ten seconds; no answer is a no.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use kube::api::PostParams;
use kube::{Api, Client};
use sha2::{Digest, Sha256};

use crate::api::GROUP;
use crate::api::legal::Command;
use crate::controller::Error;
use crate::controller::observe::within;
use crate::serve::limit::Limits;
use crate::serve::{Action, Caller, Problem};

/// How long an answer holds.
const HOLDS: Duration = Duration::from_secs(10);
/// Answers that are remembered, of each sort.
const ANSWERS: usize = 4096;
const RESOURCE: &str = "schemamigrations";

/// Who answers reviews.
pub(super) trait Reviewer: Send + Sync + 'static {
    /// Whose token it is, for an audience.
    fn token(
        &self,
        token: &str,
        audience: &str,
    ) -> impl Future<Output = Result<TokenReviewStatus, Error>> + Send;

    /// Whether somebody may do something.
    fn access(
        &self,
        spec: SubjectAccessReviewSpec,
    ) -> impl Future<Output = Result<SubjectAccessReviewStatus, Error>> + Send;
}

/// The API server.
pub(super) struct ApiServer(pub(super) Client);

impl Reviewer for ApiServer {
    async fn token(&self, token: &str, audience: &str) -> Result<TokenReviewStatus, Error> {
        let spec =
            TokenReviewSpec { token: token.to_owned(), audiences: Some(vec![audience.to_owned()]) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let api: Api<TokenReview> = Api::all(self.0.clone());
        let parameters = PostParams::default();
        let answer = within("review a token", api.create(&parameters, &review)).await?;
        Ok(answer.status.unwrap_or_default())
    }

    async fn access(
        &self,
        spec: SubjectAccessReviewSpec,
    ) -> Result<SubjectAccessReviewStatus, Error> {
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let api: Api<SubjectAccessReview> = Api::all(self.0.clone());
        let parameters = PostParams::default();
        let answer = within("review an access", api.create(&parameters, &review)).await?;
        Ok(answer.status.unwrap_or_default())
    }
}

/// A right on migrations: all of a cluster without a namespace, all of a namespace without a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Right {
    pub(super) verb: &'static str,
    pub(super) subresource: Option<&'static str>,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
}

impl Right {
    /// To see one, those of a namespace, or all.
    pub(super) fn to_see(namespace: Option<&str>, name: Option<&str>) -> Self {
        let verb = if name.is_some() { "get" } else { "list" };
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self { verb, subresource: None, namespace: owned(namespace), name: owned(name) }
    }

    /// All that an action needs: to see the migration, to change it, and what the policies ask for of those who
    /// let a cut-over happen or panic. The policies see the controller's account, so the caller is asked here.
    pub(super) fn to_do(action: &Action, namespace: &str, name: &str) -> Vec<Self> {
        let seen = Self::to_see(Some(namespace), Some(name));
        let mut all = vec![seen.clone(), Self { verb: "patch", ..seen.clone() }];
        let approved = match action {
            Action::Command(Command::CutOver) => Some("cutover"),
            Action::Command(Command::Panic) => Some("panic"),
            _ => None,
        };
        if approved.is_some() {
            all.push(Self { verb: "approve", subresource: approved, ..seen });
        }
        all
    }

    fn words(&self) -> String {
        let subresource = self.subresource.map(|it| format!("/{it}")).unwrap_or_default();
        let name = self.name.as_ref().map(|it| format!(" {it}")).unwrap_or_default();
        let place = self.namespace.as_ref().map_or_else(
            || "in any namespace".to_owned(),
            |namespace| format!("in namespace {namespace}"),
        );
        format!("{} {RESOURCE}{subresource}{name} {place}", self.verb)
    }
}

/// What was answered lately.
pub(super) struct Access<R> {
    reviewer: R,
    audience: String,
    callers: Mutex<Answers<[u8; 32], Option<Caller>>>,
    rights: Mutex<Answers<(String, Right), bool>>,
    reviews: Mutex<Limits>,
}

impl<R: Reviewer> Access<R> {
    /// Nothing is known yet.
    pub(super) fn new(reviewer: R, audience: String) -> Self {
        Self {
            reviewer,
            audience,
            callers: Mutex::new(Answers(HashMap::new())),
            rights: Mutex::new(Answers(HashMap::new())),
            reviews: Mutex::default(),
        }
    }

    /// Who bears a token.
    pub(super) async fn identify(&self, token: &str) -> Result<Caller, Problem> {
        let remedy = || {
            let audience = &self.audience;
            format!(
                "send a token for the audience {audience:?}, such as `kubectl create token ACCOUNT --audience {audience}` makes"
            )
        };
        if token.is_empty() {
            return Err(Problem::unknown_caller(remedy()));
        }
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let known = lock(&self.callers).find(&digest);
        let caller = match known {
            Some(caller) => caller,
            None => {
                // Tokens that nobody knows must not keep the API server busy.
                if !lock(&self.reviews).take(0, Instant::now()) {
                    return Err(Problem::too_many());
                }
                let answer = self.reviewer.token(token, &self.audience).await;
                let status = answer.map_err(|error| unanswered(&error))?;
                let caller = caller(&status, &self.audience);
                lock(&self.callers).keep(digest, caller.clone());
                caller
            }
        };
        caller.ok_or_else(|| Problem::unknown_caller(remedy()))
    }

    /// Whether a caller has a right.
    pub(super) async fn may(&self, caller: &Caller, right: &Right) -> Result<bool, Problem> {
        let key = (format!("{caller:?}"), right.clone());
        if let Some(may) = lock(&self.rights).find(&key) {
            return Ok(may);
        }
        let answer = self.reviewer.access(review(caller, right)).await;
        let may = allows(&answer.map_err(|error| unanswered(&error))?);
        lock(&self.rights).keep(key, may);
        Ok(may)
    }

    /// Says 403 unless a caller has all of these rights.
    pub(super) async fn demand(&self, caller: &Caller, rights: &[Right]) -> Result<(), Problem> {
        for right in rights {
            if !self.may(caller, right).await? {
                return Err(refused(caller, right));
            }
        }
        Ok(())
    }
}

/// 403: a caller lacks a right.
pub(super) fn refused(caller: &Caller, right: &Right) -> Problem {
    let cause = format!("{:?} may not {}", caller.name, right.words());
    Problem::forbidden(cause, "ask an administrator for one of ghostship's roles")
}

/// Who it is, when the API server vouches for them and for the audience.
fn caller(status: &TokenReviewStatus, audience: &str) -> Option<Caller> {
    let meant = status.audiences.iter().flatten().any(|one| one == audience);
    let vouched = status.authenticated == Some(true)
        && status.error.as_deref().unwrap_or_default().is_empty()
        && meant;
    let user = status.user.clone().filter(|_| vouched)?;
    let name = user.username.filter(|name| !name.is_empty())?;
    Some(Caller {
        name,
        uid: user.uid.unwrap_or_default(),
        groups: user.groups.unwrap_or_default(),
        extra: user.extra.unwrap_or_default(),
    })
}

fn review(caller: &Caller, right: &Right) -> SubjectAccessReviewSpec {
    SubjectAccessReviewSpec {
        user: Some(caller.name.clone()),
        uid: Some(caller.uid.clone()),
        groups: Some(caller.groups.clone()),
        extra: Some(caller.extra.clone()),
        resource_attributes: Some(ResourceAttributes {
            group: Some(GROUP.to_owned()),
            resource: Some(RESOURCE.to_owned()),
            subresource: right.subresource.map(str::to_owned),
            verb: Some(right.verb.to_owned()),
            namespace: right.namespace.clone(),
            name: right.name.clone(),
            ..ResourceAttributes::default()
        }),
        ..SubjectAccessReviewSpec::default()
    }
}

fn allows(status: &SubjectAccessReviewStatus) -> bool {
    status.allowed && status.denied != Some(true)
}

fn unanswered(error: &Error) -> Problem {
    tracing::warn!(error = crate::controller::chain(error), "a review has no answer: refused");
    Problem::unavailable("the API server does not say who calls and what they may: refused")
}

/// Answers with the time at which they came.
struct Answers<K, V>(HashMap<K, (Instant, V)>);

impl<K: Eq + Hash, V: Clone> Answers<K, V> {
    fn find(&self, key: &K) -> Option<V> {
        let (at, value) = self.0.get(key)?;
        (at.elapsed() < HOLDS).then(|| value.clone())
    }

    fn keep(&mut self, key: K, value: V) {
        if self.0.len() >= ANSWERS {
            self.0.retain(|_, (at, _)| at.elapsed() < HOLDS);
            if self.0.len() >= ANSWERS {
                self.0.clear();
            }
        }
        self.0.insert(key, (Instant::now(), value));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::{Value, json};

    use super::*;

    const AUDIENCE: &str = "ghostship";

    fn token_status(value: Value) -> TokenReviewStatus {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn only_whom_the_api_server_vouches_for_is_known() {
        let user =
            json!({"username": "anna", "uid": "1", "groups": ["dba"], "extra": {"a": ["b"]}});
        let good = json!({"authenticated": true, "audiences": [AUDIENCE], "user": user});
        let with = |field: &str, value: Value| {
            let mut changed = good.clone();
            changed[field] = value;
            changed
        };
        let rows = [
            (good.clone(), true),
            (with("authenticated", json!(false)), false),
            (with("authenticated", json!(null)), false),
            (with("error", json!("the token has expired")), false),
            (with("error", json!("")), true),
            (with("audiences", json!(null)), false),
            (with("audiences", json!([])), false),
            (with("audiences", json!(["https://kubernetes.default.svc"])), false),
            (with("audiences", json!(["other", AUDIENCE])), true),
            (with("user", json!(null)), false),
            (with("user", json!({"username": ""})), false),
            (json!({}), false),
        ];
        for (status, known) in rows {
            let found = caller(&token_status(status.clone()), AUDIENCE);
            assert_eq!(found.is_some(), known, "{status}");
            assert!(found.is_none_or(|it| it.name == "anna"), "{status}");
        }
    }

    /// What is asked of the API server for each action, exactly.
    #[test]
    fn each_action_needs_its_rights() {
        let changed = ["get", "patch"].as_slice();
        let rows = [
            (Action::Command(Command::Pause), changed),
            (Action::Command(Command::Resume), changed),
            (Action::Command(Command::Postpone), changed),
            (Action::Tune(json!({})), changed),
            (Action::Command(Command::CutOver), &["get", "patch", "approve cutover"]),
            (Action::Command(Command::Panic), &["get", "patch", "approve panic"]),
        ];
        for (action, expected) in rows {
            let rights = Right::to_do(&action, "shop", "one");
            let caller = Caller { name: "anna".to_owned(), ..Caller::default() };
            let asked = rights.iter().map(|right| review(&caller, right)).map(|spec| {
                let asked = spec.resource_attributes.unwrap();
                assert_eq!(spec.user.as_deref(), Some("anna"));
                assert_eq!(asked.group.as_deref(), Some("ghostship.dev"));
                assert_eq!(asked.resource.as_deref(), Some("schemamigrations"));
                assert_eq!(asked.namespace.as_deref(), Some("shop"));
                assert_eq!(asked.name.as_deref(), Some("one"));
                let subresource = asked.subresource.map(|it| format!(" {it}"));
                format!("{}{}", asked.verb.unwrap(), subresource.unwrap_or_default())
            });
            assert_eq!(asked.collect::<Vec<_>>(), expected, "{action:?}");
        }
        let seen = |namespace, name| Right::to_see(namespace, name).words();
        assert_eq!(seen(None, None), "list schemamigrations in any namespace");
        assert_eq!(seen(Some("shop"), None), "list schemamigrations in namespace shop");
        assert_eq!(seen(Some("shop"), Some("one")), "get schemamigrations one in namespace shop");
    }

    #[test]
    fn a_denial_wins() {
        let status = |allowed, denied| SubjectAccessReviewStatus {
            allowed,
            denied,
            ..SubjectAccessReviewStatus::default()
        };
        let rows = [
            (true, None, true),
            (true, Some(false), true),
            (true, Some(true), false),
            (false, None, false),
            (false, Some(true), false),
        ];
        for (allowed, denied, may) in rows {
            assert_eq!(allows(&status(allowed, denied)), may, "{allowed} {denied:?}");
        }
    }

    /// Answers what it is told, and counts.
    #[derive(Default)]
    struct Fake {
        is_silent: bool,
        may: &'static [&'static str],
        asked: AtomicUsize,
    }

    impl Reviewer for Fake {
        async fn token(&self, token: &str, _: &str) -> Result<TokenReviewStatus, Error> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.is_silent {
                return Err(Error::TimeOut { doing: "review" });
            }
            let known = token == "good";
            Ok(token_status(json!({"authenticated": known, "audiences": [AUDIENCE],
                "user": {"username": "anna"}})))
        }

        async fn access(
            &self,
            spec: SubjectAccessReviewSpec,
        ) -> Result<SubjectAccessReviewStatus, Error> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.is_silent {
                return Err(Error::TimeOut { doing: "review" });
            }
            let verb = spec.resource_attributes.and_then(|it| it.verb).unwrap_or_default();
            let allowed = self.may.contains(&verb.as_str());
            Ok(SubjectAccessReviewStatus { allowed, ..SubjectAccessReviewStatus::default() })
        }
    }

    async fn status_of(access: &Access<Fake>, token: &str, action: &Action) -> u16 {
        let answer = async {
            let caller = access.identify(token).await?;
            access.demand(&caller, &Right::to_do(action, "shop", "one")).await
        };
        answer.await.err().map_or(200, |problem: Problem| problem.status)
    }

    #[tokio::test]
    async fn everybody_gets_what_is_theirs() {
        let (pause, cut_over) =
            (Action::Command(Command::Pause), Action::Command(Command::CutOver));
        let viewer: &[&str] = &["get", "list"];
        let editor: &[&str] = &["get", "list", "patch"];
        let approver: &[&str] = &["get", "list", "patch", "approve"];
        let rows = [
            ("", approver, &pause, 401),
            ("bad", approver, &pause, 401),
            ("good", &[], &pause, 403),
            ("good", viewer, &pause, 403),
            ("good", editor, &pause, 200),
            ("good", editor, &cut_over, 403),
            ("good", approver, &cut_over, 200),
        ];
        for (token, may, action, expected) in rows {
            let access = Access::new(Fake { may, ..Fake::default() }, AUDIENCE.to_owned());
            assert_eq!(status_of(&access, token, action).await, expected, "{token} {may:?}");
        }
        let silent = Access::new(Fake { is_silent: true, ..Fake::default() }, AUDIENCE.to_owned());
        assert_eq!(status_of(&silent, "good", &pause).await, 503);
        let caller = Caller { name: "anna".to_owned(), ..Caller::default() };
        let rights = Right::to_do(&pause, "shop", "one");
        assert_eq!(silent.demand(&caller, &rights).await.unwrap_err().status, 503);
    }

    #[tokio::test]
    async fn answers_are_remembered_and_reviews_are_limited() {
        let access =
            Access::new(Fake { may: &["get", "patch"], ..Fake::default() }, AUDIENCE.to_owned());
        let pause = Action::Command(Command::Pause);
        for _ in 0..5 {
            assert_eq!(status_of(&access, "good", &pause).await, 200);
        }
        assert_eq!(access.reviewer.asked.load(Ordering::Relaxed), 3, "a token and two rights");
        let mut refused = 0;
        for number in 0..500 {
            refused +=
                usize::from(status_of(&access, &format!("bad {number}"), &pause).await == 429);
        }
        assert!(refused > 300, "{refused}");
        assert_eq!(status_of(&access, "good", &pause).await, 200, "who is known is not held up");
    }

    #[test]
    fn answers_grow_old_and_are_bounded() {
        let mut answers = Answers(HashMap::new());
        let old = Instant::now().checked_sub(HOLDS).unwrap();
        answers.0.insert(1, (old, true));
        assert_eq!(answers.find(&1), None);
        for key in 0..ANSWERS * 2 {
            answers.keep(key, true);
        }
        assert!(answers.0.len() <= ANSWERS);
    }
}
