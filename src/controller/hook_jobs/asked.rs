//! What is asked of Jobs, what a Job that was found means, and what the status tells of it. Pure: resources
//! in, entries of the status out. An answer belongs to one asking of one hook and to no other.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::build::job_name;
use crate::api::duration;
use crate::api::hook_jobs::{HookJobStatus, JobAnswer, JobHook, QuestionStatus, shown};
use crate::api::migration::SchemaMigration;
use crate::api::names;
use crate::api::target::MigrationTarget;
use crate::api::validate;
use crate::controller::decide::{Observed, current_report};

/// Entries that the status keeps.
const KEPT: usize = 16;
/// Exit code of a program that wants to be asked again, as in sysexits.h.
const WAIT: i32 = 75;
/// Exit codes with which a container ends by a signal, or never began.
const ENDED: std::ops::RangeInclusive<i32> = 128..=192;

/// One hook of one question.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The question.
    pub question: QuestionStatus,
    /// The hook's name.
    pub name: String,
    /// What the target says of it; `None` when it has no such hook.
    pub hook: Option<JobHook>,
    /// Whether the status knows of its Job already.
    pub is_known: bool,
    /// Its Job.
    pub job: HookJob,
}

/// The Job of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookJob {
    /// There is none.
    Absent,
    /// The API server did not take it; why.
    Refused(String),
    /// One of that name answers another question.
    Foreign,
    /// It has not ended.
    Runs {
        /// Why its pod does not start.
        problem: Option<String>,
    },
    /// Its program has ended.
    Said {
        /// The exit code.
        code: i32,
        /// The termination message.
        message: String,
    },
    /// It was ended before its program could answer; how.
    Lost(String),
}

impl Asked {
    /// Whether its Job has to be made.
    pub fn is_to_be_made(&self) -> bool {
        self.job == HookJob::Absent && !self.is_known && self.hook.is_some()
    }

    /// What came of it, with the words for people; `None` while nothing has.
    fn answer(&self) -> Option<(JobAnswer, String)> {
        let unanswered = |words: &str| Some((JobAnswer::Unanswered, words.to_owned()));
        match &self.job {
            HookJob::Absent if self.hook.is_none() => {
                unanswered("cannot be asked: the MigrationTarget has no such hook any more")
            }
            HookJob::Absent => unanswered("gave no answer: its Job is gone"),
            HookJob::Refused(why) => unanswered(&format!("has no Job: {why}")),
            HookJob::Foreign => unanswered("gave no answer: its Job is of another question"),
            HookJob::Lost(how) => unanswered(how),
            HookJob::Runs { .. } => None,
            HookJob::Said { code, message } => Some(said(*code, message)),
        }
    }
}

fn said(code: i32, message: &str) -> (JobAnswer, String) {
    let (answer, what) = match code {
        0 => (JobAnswer::Allow, "allows".to_owned()),
        WAIT => (JobAnswer::Wait, "asks to wait".to_owned()),
        code => (JobAnswer::Deny, format!("denies with exit code {code}")),
    };
    let message = shown(message);
    (answer, if message.is_empty() { what } else { format!("{what}: {message}") })
}

/// Every hook that a worker asks and whose answer the status does not have. Of a migration that is being
/// deleted nobody wants to know anything.
pub fn open(migration: &SchemaMigration, target: Option<&MigrationTarget>) -> Vec<Asked> {
    let known = known(migration);
    let wanted: Vec<_> = questions(migration)
        .flat_map(|question| question.hooks.iter().map(move |hook| (question, hook)))
        .map(|(question, hook)| {
            (question, hook, known.iter().find(|one| one.is_about(question, hook)))
        })
        .filter(|(_, _, known)| known.is_none_or(|known| known.answer.is_none()))
        .collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let target = target.and_then(|target| serde_json::to_value(target).ok());
    let hooks = target.and_then(|target| validate::target(&target).ok());
    let hooks = hooks.map(|target| target.stages.jobs).unwrap_or_default();
    let asked = wanted.into_iter().map(|(question, name, known)| Asked {
        question: question.clone(),
        name: name.clone(),
        hook: hooks.iter().find(|hook| hook.name == *name).cloned(),
        is_known: known.is_some(),
        job: HookJob::Absent,
    });
    asked.collect()
}

/// The controller's entries after this look: what is asked, and the newest of what was.
pub fn entries(observed: &Observed) -> Vec<HookJobStatus> {
    let migration = &observed.migration;
    let mut all = known(migration).to_vec();
    for asked in &observed.asked {
        let new = entry(observed, asked);
        match all.iter_mut().find(|one| one.is_about(&asked.question, &asked.name)) {
            Some(old) if is_same(old, &new) => {}
            Some(old) => *old = new,
            None => all.push(new),
        }
    }
    let is_asked = |entry: &HookJobStatus| {
        questions(migration).any(|question| entry.is_about(question, &entry.hook))
    };
    while let Some(oldest) = all.iter().position(|one| !is_asked(one)).filter(|_| all.len() > KEPT)
    {
        all.remove(oldest);
    }
    all.truncate(KEPT);
    all
}

/// The time alone makes no other entry.
fn is_same(one: &HookJobStatus, other: &HookJobStatus) -> bool {
    (one.answer, &one.message, &one.job) == (other.answer, &other.message, &other.job)
}

fn entry(observed: &Observed, asked: &Asked) -> HookJobStatus {
    let answer = asked.answer();
    let problem = match &asked.job {
        HookJob::Runs { problem: Some(why) } => format!("its pod does not start: {why}"),
        _ => String::new(),
    };
    HookJobStatus {
        id: asked.question.id.clone(),
        hook: asked.name.clone(),
        number: asked.question.number,
        job: job_name(&observed.migration, asked),
        answer: answer.as_ref().map(|(answer, _)| *answer),
        message: answer.map_or(problem, |(_, words)| words),
        at: Some(Time(observed.now)),
    }
}

fn known(migration: &SchemaMigration) -> &[HookJobStatus] {
    migration.status.as_ref().map(|status| status.hook_jobs.as_slice()).unwrap_or_default()
}

fn questions(migration: &SchemaMigration) -> impl Iterator<Item = &QuestionStatus> {
    let is_wanted = migration.metadata.deletion_timestamp.is_none();
    let report = current_report(migration).filter(|_| is_wanted);
    report.into_iter().flat_map(|report| &report.questions)
}

/// What the Job of a question means.
pub fn found((job, pods): (&Job, &[Pod]), asked: &Asked) -> HookJob {
    let annotations = job.metadata.annotations.as_ref();
    let asked_at = annotations.and_then(|all| all.get(names::ASKED_AT)).map(String::as_str);
    if asked_at != Some(super::build::asked_at(&asked.question).as_str()) {
        return HookJob::Foreign;
    }
    if job.metadata.deletion_timestamp.is_some() {
        return HookJob::Lost("gave no answer: its Job was deleted".to_owned());
    }
    match (condition(job, "Failed"), condition(job, "Complete")) {
        (Some("DeadlineExceeded"), _) => HookJob::Lost(overdue(asked)),
        (Some(_), _) => last_words(pods)
            .unwrap_or_else(|| HookJob::Lost("gave no answer: its pod is gone".to_owned())),
        (None, Some(_)) => {
            last_words(pods).unwrap_or_else(|| HookJob::Said { code: 0, message: String::new() })
        }
        (None, None) => HookJob::Runs { problem: None },
    }
}

/// The reason of a condition that holds.
fn condition<'a>(job: &'a Job, name: &str) -> Option<&'a str> {
    let mut conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let found = conditions.find(|one| one.type_ == name && one.status == "True")?;
    Some(found.reason.as_deref().unwrap_or_default())
}

fn overdue(asked: &Asked) -> String {
    let limit = asked.hook.as_ref().map(|hook| duration::format(hook.timeout));
    format!("took longer than {} and was ended", limit.unwrap_or_default())
}

/// What its pod said at the end; `None` when it said nothing.
fn last_words(pods: &[Pod]) -> Option<HookJob> {
    let disrupted = pods.iter().find_map(disruption);
    if let Some(how) = disrupted {
        return Some(HookJob::Lost(format!("gave no answer: its pod was ended ({how})")));
    }
    let ended = pods.iter().flat_map(|pod| pod.status.iter()).find_map(|status| {
        let mut containers = status.container_statuses.iter().flatten();
        containers.find_map(|container| container.state.as_ref()?.terminated.clone())
    })?;
    let ContainerStateTerminated { exit_code: code, reason, message, .. } = ended;
    let reason = reason.unwrap_or_default();
    let message = message.unwrap_or_default();
    if ENDED.contains(&code) || ["OOMKilled", "StartError"].contains(&reason.as_str()) {
        let words = if message.is_empty() { reason } else { format!("{reason}: {message}") };
        let words = shown(&words);
        return Some(HookJob::Lost(format!("was ended with code {code} ({words})")));
    }
    Some(HookJob::Said { code, message })
}

/// Why somebody else has ended a pod.
fn disruption(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let mut conditions = status.conditions.iter().flatten();
    let disrupted = conditions.find(|one| one.type_ == "DisruptionTarget" && one.status == "True");
    match disrupted {
        Some(one) => Some(one.reason.clone().unwrap_or_default()),
        None => status.reason.clone().filter(|reason| reason == "Evicted"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::samples::{active, merge, observed};

    const SINCE: &str = "2026-01-01T11:59:00Z";

    fn question(number: i64, hooks: &[&str]) -> Value {
        json!({"id": "uid/1/BeforeCopy", "stage": "BeforeCopy", "try": number, "hooks": hooks,
            "since": SINCE})
    }

    fn observation(questions: &Value, jobs: &Value, changes: &Value) -> Observed {
        let mut all = json!({"status": {"attempt": 1, "hookJobs": jobs,
            "report": {"attempt": 1, "phase": "Prepare", "questions": questions}}});
        merge(&mut all, changes);
        let mut observed = observed(&all, active());
        let target = observed.target.as_mut().unwrap();
        let hooks = json!({"jobs": [
            {"name": "one", "stages": ["BeforeCopy"], "template": {"image": "i"}, "timeout": "90s"},
            {"name": "two", "stages": ["BeforeCopy"], "template": {"image": "i"}},
        ]});
        target.spec.hooks = Some(serde_json::from_value(hooks).unwrap());
        observed.asked = open(&observed.migration, observed.target.as_ref());
        observed
    }

    fn known(number: i64, hook: &str, answer: Option<&str>) -> Value {
        let mut entry = json!({"id": "uid/1/BeforeCopy", "hook": hook, "try": number, "job": "j"});
        if let Some(answer) = answer {
            entry["answer"] = json!(answer);
        }
        entry
    }

    #[test]
    fn only_what_has_no_answer_is_asked() {
        let deleted = json!({"metadata": {"deletionTimestamp": "2026-01-01T11:59:30Z"}});
        let earlier = json!({"status": {"attempt": 2}});
        let rows = [
            (json!([]), json!({}), vec!["one", "two"]),
            (json!([known(3, "one", Some("Allow"))]), json!({}), vec!["two"]),
            (json!([known(3, "one", None)]), json!({}), vec!["one", "two"]),
            (json!([known(2, "one", Some("Allow"))]), json!({}), vec!["one", "two"]),
            (json!([]), deleted, vec![]),
            (json!([]), earlier, vec![]),
        ];
        for (jobs, changes, expected) in rows {
            let all = observation(&json!([question(3, &["one", "two"])]), &jobs, &changes);
            let names: Vec<_> = all.asked.iter().map(|one| one.name.as_str()).collect();
            assert_eq!(names, expected, "{jobs} {changes}");
        }
        assert!(observation(&json!([]), &json!([]), &json!({})).asked.is_empty());
    }

    #[test]
    fn a_job_is_made_once_for_each_asking() {
        let rows = [
            (json!([]), "one", HookJob::Absent, true),
            (json!([known(3, "one", None)]), "one", HookJob::Absent, false),
            (json!([known(2, "one", Some("Wait"))]), "one", HookJob::Absent, true),
            (json!([]), "one", HookJob::Runs { problem: None }, false),
            (json!([]), "gone", HookJob::Absent, false),
        ];
        for (jobs, hook, job, is_made) in rows {
            let mut all = observation(&json!([question(3, &[hook])]), &jobs, &json!({}));
            all.asked[0].job = job.clone();
            assert_eq!(all.asked[0].is_to_be_made(), is_made, "{jobs} {hook} {job:?}");
        }
    }

    #[test]
    fn what_came_of_a_job_is_told() {
        let said = |code, message: &str| HookJob::Said { code, message: message.to_owned() };
        let rows = [
            (HookJob::Runs { problem: None }, None, ""),
            (
                HookJob::Runs { problem: Some("ErrImagePull".into()) },
                None,
                "its pod does not start: ErrImagePull",
            ),
            (said(0, ""), Some(JobAnswer::Allow), "allows"),
            (said(75, "no\nbackup"), Some(JobAnswer::Wait), "asks to wait: no backup"),
            (said(1, ""), Some(JobAnswer::Deny), "denies with exit code 1"),
            (said(255, "x"), Some(JobAnswer::Deny), "denies with exit code 255: x"),
            (HookJob::Absent, Some(JobAnswer::Unanswered), "gave no answer: its Job is gone"),
            (
                HookJob::Refused("no quota".into()),
                Some(JobAnswer::Unanswered),
                "has no Job: no quota",
            ),
            (HookJob::Lost("was ended".into()), Some(JobAnswer::Unanswered), "was ended"),
            (
                HookJob::Foreign,
                Some(JobAnswer::Unanswered),
                "gave no answer: its Job is of another question",
            ),
        ];
        for (job, answer, words) in rows {
            let mut all = observation(&json!([question(3, &["one"])]), &json!([]), &json!({}));
            all.asked[0].job = job.clone();
            let told = entries(&all);
            assert_eq!((told[0].answer, told[0].message.as_str()), (answer, words), "{job:?}");
            assert_eq!((told[0].number, told[0].hook.as_str()), (3, "one"));
        }
        let all = observation(&json!([question(3, &["gone"])]), &json!([]), &json!({}));
        assert!(entries(&all)[0].message.contains("no such hook"), "{:?}", entries(&all));
    }

    #[test]
    fn the_status_keeps_what_is_asked_and_the_newest_rest() {
        let jobs: Vec<Value> = (1..=16).map(|number| known(number, "one", Some("Wait"))).collect();
        let mut all = observation(&json!([question(1, &["one", "two"])]), &json!(jobs), &json!({}));
        all.asked[0].job = HookJob::Runs { problem: None };
        let numbers: Vec<i64> = entries(&all).iter().map(|one| one.number).collect();
        assert_eq!(numbers.len(), KEPT);
        assert_eq!((numbers[0], numbers[1], numbers[KEPT - 1]), (1, 3, 1));
        let same = observation(&json!([]), &json!(jobs), &json!({}));
        assert_eq!(serde_json::to_value(entries(&same)).unwrap(), json!(jobs));
    }

    #[test]
    fn an_entry_changes_with_what_it_says_alone() {
        let jobs = json!([known(3, "one", None)]);
        let mut all = observation(&json!([question(3, &["one"])]), &jobs, &json!({}));
        all.asked[0].job = HookJob::Runs { problem: None };
        let first = entries(&all);
        all.migration.status.as_mut().unwrap().hook_jobs.clone_from(&first);
        all.now = "2026-01-01T13:00:00Z".parse().unwrap();
        assert_eq!(entries(&all), first);
        all.asked[0].job = HookJob::Said { code: 0, message: String::new() };
        assert_eq!(entries(&all)[0].at, Some(Time(all.now)));
    }

    #[test]
    fn only_a_program_that_ended_by_itself_has_answered() {
        let failed = |reason: &str| json!({"type": "Failed", "status": "True", "reason": reason});
        let complete = json!({"type": "Complete", "status": "True"});
        let limit = failed("BackoffLimitExceeded");
        let ended = |code: i32, reason: &str, message: &str| {
            json!({"containerStatuses": [{"name": "hook", "image": "i", "imageID": "", "ready": false,
                "restartCount": 0, "state": {"terminated": {"exitCode": code, "reason": reason,
                    "message": message}}}]})
        };
        let disrupted = {
            let mut status = ended(0, "Completed", "");
            status["conditions"] = json!([{"type": "DisruptionTarget", "status": "True",
                "reason": "EvictionByEvictionAPI"}]);
            status
        };
        let mut evicted = ended(1, "Error", "");
        evicted["reason"] = json!("Evicted");
        let words = |code, message: &str| HookJob::Said { code, message: message.to_owned() };
        let lost = |words: &str| HookJob::Lost(words.to_owned());
        let gone = lost("gave no answer: its pod is gone");
        let rows = [
            (json!([]), None, HookJob::Runs { problem: None }),
            (json!([complete]), Some(ended(0, "Completed", "fine")), words(0, "fine")),
            (json!([complete]), None, words(0, "")),
            (json!([limit]), Some(ended(75, "Error", "later")), words(75, "later")),
            (json!([limit]), Some(ended(1, "Error", "")), words(1, "")),
            (json!([limit]), None, gone.clone()),
            (json!([limit]), Some(json!({})), gone),
            (
                json!([limit]),
                Some(ended(137, "Error", "")),
                lost("was ended with code 137 (Error)"),
            ),
            (
                json!([limit]),
                Some(ended(1, "OOMKilled", "")),
                lost("was ended with code 1 (OOMKilled)"),
            ),
            (
                json!([limit]),
                Some(ended(128, "StartError", "no such file")),
                lost("was ended with code 128 (StartError: no such file)"),
            ),
            (json!([limit]), Some(evicted), lost("gave no answer: its pod was ended (Evicted)")),
            (
                json!([complete]),
                Some(disrupted),
                lost("gave no answer: its pod was ended (EvictionByEvictionAPI)"),
            ),
            (
                json!([failed("DeadlineExceeded")]),
                Some(ended(0, "Completed", "fine")),
                lost("took longer than 1m30s and was ended"),
            ),
        ];
        let all = observation(&json!([question(3, &["one"])]), &json!([]), &json!({}));
        for (conditions, pod, expected) in rows {
            let job = json!({"metadata": {"annotations": {"ghostship.dev/asked-at": SINCE}},
                "status": {"conditions": conditions}});
            let pods: Vec<Pod> = pod
                .iter()
                .map(|status| serde_json::from_value(json!({"status": status})).unwrap())
                .collect();
            let job: Job = serde_json::from_value(job).unwrap();
            assert_eq!(found((&job, &pods), &all.asked[0]), expected, "{conditions} {pod:?}");
        }
    }

    #[test]
    fn a_job_of_another_question_is_no_answer() {
        let all = observation(&json!([question(3, &["one"])]), &json!([]), &json!({}));
        let complete = json!([{"type": "Complete", "status": "True"}]);
        let deleted = "2026-01-01T11:59:30Z";
        let rows = [
            (json!({"annotations": {"ghostship.dev/asked-at": "2026-01-01T10:00:00Z"}}), "Foreign"),
            (json!({}), "Foreign"),
            (json!({"annotations": {"ghostship.dev/asked-at": SINCE}}), "Said"),
            (
                json!({"annotations": {"ghostship.dev/asked-at": SINCE},
                    "deletionTimestamp": deleted}),
                "Lost",
            ),
        ];
        for (metadata, expected) in rows {
            let job = json!({"metadata": metadata, "status": {"conditions": complete}});
            let job: Job = serde_json::from_value(job).unwrap();
            let found = format!("{:?}", found((&job, &[]), &all.asked[0]));
            assert!(found.starts_with(expected), "{metadata}: {found}");
        }
    }
}
