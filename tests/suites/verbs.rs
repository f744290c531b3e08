//! The verbs of both programs against a real API server: what they write and as whom, what they refuse,
//! their exit codes, and that scripts can read what they print. No controller takes part: a policy of the
//! test's namespace lets no service account write there, and the test writes the status itself.

mod completion;

use std::io::{BufRead, BufReader, Lines};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::cluster::{kubectl, kubectl_with_input};
use crate::support::random;
use crate::support::wait::wait_for;

const DEADLINE: Duration = Duration::from_secs(60);
const PLUGIN: &str = env!("CARGO_BIN_EXE_kubectl-ghostship");
const GHOSTSHIP: &str = env!("CARGO_BIN_EXE_ghostship");

/// All of them.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        super::trial("verbs::fields".to_owned(), fields),
        super::trial("verbs::cut_over".to_owned(), cut_over),
        super::trial("verbs::retry".to_owned(), retry),
        super::trial("verbs::git_ops".to_owned(), git_ops),
        super::trial("verbs::refusals".to_owned(), refusals),
        super::trial("verbs::wait".to_owned(), wait),
        super::trial("verbs::watch".to_owned(), watch),
        super::trial("verbs::interrupt".to_owned(), interrupt),
        super::trial("verbs::show".to_owned(), show),
        super::trial("verbs::errors".to_owned(), errors),
        super::trial("verbs::completion".to_owned(), completion::completion),
    ]
}

/// Pause, resume, panic and abort set their fields, as a manager that no GitOps tool strips.
async fn fields() -> Result<()> {
    let place = Place::open("fields").await?;
    let rows = [
        ("pause", "paused", true),
        ("resume", "paused", false),
        ("panic", "panic", true),
        ("abort", "abort", true),
    ];
    let copy = json!({"threads": 3});
    place.create("one", &json!({"copy": copy}))?;
    place.report("one", &copying())?;
    for (verb, field, value) in rows {
        let ended = place.run(PLUGIN, &[verb, "one"])?;
        ended.expect(0)?;
        let object = place.object("one")?;
        ensure!(object["spec"][field] == value, "{verb}: {}", object["spec"]);
        ensure!(owner(&object, &["f:spec"], field) == ["ghostship-cli"], "{verb}: {object}");
        ensure!(object["spec"]["copy"] == copy, "{verb} took something else away");
    }
    let unchanged = place.run(GHOSTSHIP, &["abort", "one"])?;
    unchanged.expect(0)?;
    ensure!(unchanged.stdout.contains("unchanged"), "{}", unchanged.stdout);
    Ok(())
}

async fn cut_over() -> Result<()> {
    let place = Place::open("cut-over").await?;
    place.create("one", &json!({"postponeCutOver": true}))?;
    place.report("one", &ready())?;
    place.run(PLUGIN, &["status", "one"])?.expect(8)?;
    let word = |object: &Value| object["metadata"]["annotations"]["ghostship.dev/cut-over"].clone();
    for (verb, program, expected) in [
        ("cut-over", PLUGIN, "allow"),
        ("postpone", GHOSTSHIP, "postpone"),
        ("cut-over", GHOSTSHIP, "allow"),
    ] {
        place.run(program, &[verb, "one"])?.expect(0)?;
        let object = place.object("one")?;
        ensure!(word(&object) == expected, "{verb}: {}", object["metadata"]["annotations"]);
        ensure!(object["spec"]["postponeCutOver"] == true, "{verb} changed what Git holds");
        let owner = owner(&object, &["f:metadata", "f:annotations"], "ghostship.dev/cut-over");
        ensure!(owner == ["ghostship-cli"], "{verb}: {owner:?}");
    }
    place.run(PLUGIN, &["status", "one"])?.expect(7)
}

/// A retry has a token of its own and takes back what ended the attempt before; an abort takes back panic.
async fn retry() -> Result<()> {
    let place = Place::open("retry").await?;
    place.create("one", &json!({"panic": true}))?;
    place.report("one", &ended("Panicked"))?;
    place.run(PLUGIN, &["status", "one"])?.expect(6)?;
    let token = |object: &Value| object["metadata"]["annotations"]["ghostship.dev/retry"].clone();
    place.run(PLUGIN, &["retry", "one"])?.expect(0)?;
    let first = place.object("one")?;
    ensure!(first["spec"]["panic"] == false, "panic would end the next attempt: {}", first["spec"]);
    place.run(PLUGIN, &["retry", "one"])?.expect(0)?;
    let second = token(&place.object("one")?);
    ensure!(second.is_string() && second != token(&first), "the token is not fresh: {second}");
    place.create("two", &json!({"panic": true}))?;
    place.report("two", &ended("Panicked"))?;
    place.run(PLUGIN, &["abort", "two"])?.expect(0)?;
    let spec = place.object("two")?["spec"].clone();
    ensure!(spec["abort"] == true && spec["panic"] == false, "nothing would be cleaned up: {spec}");
    place.run(PLUGIN, &["status", "two"])?.expect(7)
}

async fn git_ops() -> Result<()> {
    let place = Place::open("git-ops").await?;
    place.create_as("argocd-controller", "one", &json!({"paused": false}))?;
    place.report("one", &copying())?;
    let owned = place.run(PLUGIN, &["pause", "one"])?;
    owned.expect(0)?;
    let warning = "warning: argocd-controller owns spec.paused";
    ensure!(owned.stderr.contains(warning), "{}", owned.stderr);
    let free = place.run(PLUGIN, &["abort", "one"])?;
    free.expect(0)?;
    ensure!(!free.stderr.contains("warning"), "{}", free.stderr);
    place.create_as("kustomize-controller", "two", &json!({}))?;
    let annotated = place.annotated("two", "ghostship.dev/cut-over", "postpone");
    place.apply_as("kustomize-controller", &annotated)?;
    let word = place.run(PLUGIN, &["cut-over", "two"])?;
    word.expect(0)?;
    let warning = "warning: kustomize-controller owns the annotation ghostship.dev/cut-over";
    ensure!(word.stderr.contains(warning), "{}", word.stderr);
    Ok(())
}

/// What makes no sense is refused with a sentence, and nothing is written.
async fn refusals() -> Result<()> {
    let place = Place::open("refusals").await?;
    let rows: [(&str, Value, &[&str], i32); 4] = [
        ("succeeded", ended("Succeeded"), &["pause", "cut-over", "panic", "abort", "retry"], 0),
        ("failed", ended("Failed"), &["pause", "resume", "postpone", "cut-over", "panic"], 1),
        ("aborted", ended("Aborted"), &["pause", "panic"], 5),
        ("copying", copying(), &["retry"], 7),
    ];
    for (name, status, verbs, code) in rows {
        place.create(name, &json!({"postponeCutOver": true}))?;
        place.report(name, &status)?;
        let before = place.object(name)?;
        for verb in verbs {
            let refused = place.run(PLUGIN, &[verb, name])?;
            refused.expect(3)?;
            ensure!(
                refused.stderr.contains(&format!("error: {verb} makes no sense")),
                "{}",
                refused.stderr
            );
        }
        let after = place.object(name)?;
        let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
        ensure!(version(&before) == version(&after), "{name} was written");
        place.run(PLUGIN, &["status", name])?.expect(code)?;
    }
    Ok(())
}

/// `--wait` ends when the status shows the effect, or when its time is over.
async fn wait() -> Result<()> {
    let place = Place::open("wait").await?;
    place.create("one", &json!({}))?;
    place.report("one", &copying())?;
    let late = place.run(PLUGIN, &["pause", "one", "--wait", "--timeout", "1s"])?;
    late.expect(9)?;
    ensure!(late.stderr.contains("--timeout passed"), "{}", late.stderr);
    let mut waiting = place.start(PLUGIN, &["abort", "one", "--wait", "--timeout", "1m"])?;
    let asked = async || {
        Ok(match place.object("one")?["spec"]["abort"] == true {
            true => Ok(()),
            false => Err("not asked"),
        })
    };
    wait_for("the abort to be asked for", DEADLINE, asked).await?;
    ensure!(waiting.child.try_wait()?.is_none(), "it did not wait");
    place.report("one", &ended("Aborted"))?;
    waiting.expect(0).await?;
    place.create("two", &json!({}))?;
    place.report("two", &copying())?;
    let waiting = place.start(PLUGIN, &["panic", "two", "--wait", "--timeout", "1m"])?;
    place.report("two", &ended("Succeeded"))?;
    // Either the command was refused at once, or it came too late.
    waiting.expect(3).await
}

/// A line per change; it ends when the migration ends, with its exit code.
async fn watch() -> Result<()> {
    let place = Place::open("watch").await?;
    for (phase, code) in [("Succeeded", 0), ("Failed", 1), ("Panicked", 6)] {
        let name = phase.to_lowercase();
        place.create(&name, &json!({}))?;
        place.report(&name, &copying())?;
        let mut watching = place.start(GHOSTSHIP, &["watch", &name])?;
        let first = watching.line()?;
        ensure!(first.starts_with("RowCopy ") && first.contains("45 %"), "{first}");
        let mut more = copying();
        more["progress"]["percent"] = json!(46);
        place.report(&name, &more)?;
        let second = watching.line()?;
        ensure!(second.contains("46 %"), "{second}");
        place.report(&name, &ended(phase))?;
        let last = watching.line()?;
        ensure!(last.starts_with(phase), "{last}");
        watching.expect(code).await?;
    }
    let json = place.run(PLUGIN, &["watch", "failed", "-o", "json"])?;
    json.expect(1)?;
    let read: Value = serde_json::from_str(json.stdout.trim())?;
    ensure!(read["status"]["phase"] == "Failed", "{read}");
    place.create("endless", &json!({}))?;
    place.run(PLUGIN, &["watch", "endless", "--timeout", "1s"])?.expect(9)
}

async fn interrupt() -> Result<()> {
    let place = Place::open("interrupt").await?;
    place.create("one", &json!({}))?;
    place.report("one", &copying())?;
    let mut watching = place.start(PLUGIN, &["watch", "one"])?;
    watching.line()?;
    let pid = watching.child.id().to_string();
    ensure!(Command::new("kill").args(["-INT", &pid]).status()?.success(), "no signal was sent");
    watching.expect(130).await
}

/// What is printed can be read by scripts, and by people.
async fn show() -> Result<()> {
    let place = Place::open("show").await?;
    let empty = place.run(PLUGIN, &["status"])?;
    empty.expect(0)?;
    ensure!(
        empty.stdout.is_empty() && empty.stderr.contains("-A looks into all"),
        "{}",
        empty.stderr
    );
    place.create("one", &json!({}))?;
    place.report("one", &copying())?;
    place.create("two", &json!({}))?;
    place.report("two", &ended("Failed"))?;
    for verb in ["status", "plan", "history"] {
        let named = place.run(PLUGIN, &[verb, "one", "-o", "json"])?;
        let read: Value = serde_json::from_str(&named.stdout).context(verb)?;
        ensure!(read["name"] == "one" || read["metadata"]["name"] == "one", "{verb}: {read}");
        let yaml = place.run(GHOSTSHIP, &[verb, "one", "-o", "yaml"])?;
        ensure!(yaml.stdout.contains("name: one"), "{verb}: {}", yaml.stdout);
    }
    let screen = place.run(PLUGIN, &["status", "one"])?;
    screen.expect(7)?;
    for expected in ["45 %, 1,234 of ~2,700 rows", "pod one-1-xyz", "kubectl ghostship VERB one"] {
        ensure!(screen.stdout.contains(expected), "{expected}: {}", screen.stdout);
    }
    ensure!(!screen.stdout.contains('\u{1b}'), "colours into a pipe: {}", screen.stdout);
    let all = place.run(PLUGIN, &["status"])?;
    all.expect(0)?;
    ensure!(all.stdout.lines().count() == 3 && all.stdout.starts_with("NAME"), "{}", all.stdout);
    let list = place.run(PLUGIN, &["status", "-o", "json"])?;
    let read: Value = serde_json::from_str(&list.stdout)?;
    ensure!(read["items"].as_array().is_some_and(|items| items.len() == 2), "{read}");
    let past = place.run(PLUGIN, &["history", "-o", "json"])?;
    let read: Value = serde_json::from_str(&past.stdout)?;
    ensure!(read[0]["name"] == "two" && read[0]["outcome"] == "Failed", "{read}");
    let everywhere = place.anywhere(PLUGIN, &["history", "-A"])?;
    everywhere.expect(0)?;
    ensure!(everywhere.stdout.contains("two "), "{}", everywhere.stdout);
    let plan = place.run(PLUGIN, &["plan", "one"])?;
    plan.expect(0)?;
    ensure!(plan.stdout.contains("_orders_s"), "{}", plan.stdout);
    place.run(PLUGIN, &["plan", "two"])?.expect(1)
}

/// Errors name the cause and what to do.
async fn errors() -> Result<()> {
    let place = Place::open("errors").await?;
    place.create("add-note", &json!({}))?;
    let rows: [(&[&str], &str, &str); 4] = [
        (&["status", "ad-note"], "similar: add-note", "kubectl ghostship status"),
        (&["pause", "nothing-alike"], "there is no SchemaMigration", "-A"),
        (&["status", "add-note", "--context", "other"], "other", "--context"),
        (&["watch", "ad-note"], "similar: add-note", "-A"),
    ];
    for (arguments, cause, remedy) in rows {
        let failed = place.run(PLUGIN, arguments)?;
        failed.expect(10)?;
        ensure!(failed.stderr.contains(cause), "{arguments:?}: {}", failed.stderr);
        ensure!(
            failed.stderr.contains("remedy: ") && failed.stderr.contains(remedy),
            "{}",
            failed.stderr
        );
    }
    let unreadable = ["status", "--kubeconfig", "/nowhere/config"];
    let output = Command::new(PLUGIN).args(unreadable).output()?;
    let failed = Ended::of(output);
    failed.expect(10)?;
    ensure!(failed.stderr.contains("/nowhere/config"), "{}", failed.stderr);
    let forbidden = place.run_as_nobody(&["pause", "add-note"])?;
    forbidden.expect(10)?;
    ensure!(
        forbidden.stderr.contains("forbidden") && forbidden.stderr.contains("can-i patch"),
        "{}",
        forbidden.stderr
    );
    place.run(PLUGIN, &["pause", "add-note", "--wait", "--timeout", "soon"])?.expect(2)?;
    place.run(PLUGIN, &["pause"])?.expect(2)
}

/// A status of a migration that is being copied.
fn copying() -> Value {
    json!({"observedGeneration": 1, "phase": "RowCopy", "message": "it works", "attempt": 1,
        "progress": {"rowsCopied": 1234, "rowsEstimated": 2700, "percent": 45},
        "report": {"attempt": 1, "pod": "one-1-xyz", "phase": "RowCopy"},
        "plan": {"strategy": "Copy", "key": "PRIMARY (id)", "shadowTable": "_orders_s"}})
}

/// A status of a migration that waits for a permission.
fn ready() -> Value {
    let mut status = copying();
    status["phase"] = json!("AwaitCutOver");
    status["report"]["phase"] = json!("AwaitCutOver");
    status
}

/// A status of a migration that has ended.
fn ended(phase: &str) -> Value {
    json!({"phase": phase, "message": "how it ended", "attempt": 1, "report": null,
        "startedAt": "2026-01-01T01:00:00Z", "completedAt": "2026-01-01T02:00:00Z"})
}

/// Who owns a field, among those that write the object itself.
fn owner(object: &Value, path: &[&str], field: &str) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let owns = |entry: &&Value| {
        let fields = path.iter().fold(&entry["fieldsV1"], |at, part| &at[part]);
        fields.get(format!("f:{field}")).is_some()
    };
    let names = entries.iter().filter(owns).map(|entry| entry["manager"].as_str());
    names.map(|name| name.unwrap_or_default().to_owned()).collect()
}

/// A namespace of one test where no service account writes; it is removed when the value is dropped.
struct Place {
    namespace: String,
    folder: tempfile::TempDir,
}

impl Place {
    async fn open(name: &str) -> Result<Self> {
        let namespace = format!("verbs-{name}-{:x}", random::seed());
        let crds = concat!(env!("CARGO_MANIFEST_DIR"), "/crds");
        kubectl(&["apply", "--server-side", "--force-conflicts", "-f", crds])?;
        let folder = tempfile::tempdir()?;
        let place = Self { namespace, folder };
        std::fs::write(place.kubeconfig(), kubectl(&["config", "view", "--raw", "--flatten"])?)?;
        kubectl(&["create", "namespace", &place.namespace])?;
        kubectl_with_input(&["apply", "-f", "-"], &place.policy())?;
        wait_for("the policy to hold", DEADLINE, async || Ok(place.holds())).await?;
        Ok(place)
    }

    /// Whether a service account that may do everything else is kept out; a policy takes its time.
    fn holds(&self) -> std::result::Result<(), String> {
        let create = ["create", "--dry-run=server", "-f", "-"];
        let whom = ["--as=system:serviceaccount:other:controller", "--as-group=system:masters"];
        match kubectl_with_input(
            &[create.as_slice(), &whom].concat(),
            &self.manifest("probe").to_string(),
        ) {
            Err(refused) if format!("{refused:#}").contains("ValidatingAdmissionPolicy") => Ok(()),
            Err(other) => Err(format!("{other:#}")),
            Ok(_) => Err("a controller may write".to_owned()),
        }
    }

    /// Keeps a controller that watches all namespaces out of this one.
    fn policy(&self) -> String {
        let name = &self.namespace;
        let rule = json!({"apiGroups": ["ghostship.dev"], "apiVersions": ["*"],
            "operations": ["CREATE", "UPDATE"], "resources": ["schemamigrations", "schemamigrations/status"]});
        let only_here = json!({"matchLabels": {"kubernetes.io/metadata.name": name}});
        let policy = json!({"apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [{
                "expression": "!request.userInfo.username.startsWith('system:serviceaccount:')"}]}});
        let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": only_here}}});
        json!({"apiVersion": "v1", "kind": "List", "items": [policy, binding]}).to_string()
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    fn create(&self, name: &str, control: &Value) -> Result<()> {
        self.create_as("test", name, control)
    }

    fn create_as(&self, manager: &str, name: &str, control: &Value) -> Result<()> {
        let mut object = self.manifest(name);
        for (field, value) in control.as_object().into_iter().flatten() {
            object["spec"][field] = value.clone();
        }
        self.apply_as(manager, &object)
    }

    fn apply_as(&self, manager: &str, object: &Value) -> Result<()> {
        let manager = format!("--field-manager={manager}");
        let apply = ["apply", "--server-side", &manager, "-f", "-"];
        kubectl_with_input(&apply, &object.to_string()).map(drop)
    }

    fn annotated(&self, name: &str, annotation: &str, value: &str) -> Value {
        let mut object = self.manifest(name);
        object["metadata"]["annotations"] = json!({(annotation): value});
        object["spec"]["postponeCutOver"] = json!(true);
        object
    }

    fn manifest(&self, name: &str) -> Value {
        json!({"apiVersion": "ghostship.dev/v1alpha1", "kind": "SchemaMigration",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"target": "db", "database": "shop", "table": "orders", "alter": "ENGINE=InnoDB"}})
    }

    /// Writes a status, as controller and worker do.
    fn report(&self, name: &str, status: &Value) -> Result<()> {
        let patch = json!({"status": status}).to_string();
        let target = ["patch", "schemamigration", name, "-n", &self.namespace];
        let how = ["--subresource=status", "--type=merge", "-p", &patch];
        kubectl(&[target.as_slice(), &how].concat()).map(drop)
    }

    fn object(&self, name: &str) -> Result<Value> {
        let get = ["get", "schemamigration", name, "-n", &self.namespace];
        let text = kubectl(&[get.as_slice(), &["-o", "json", "--show-managed-fields"]].concat())?;
        Ok(serde_json::from_str(&text)?)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<Ended> {
        self.anywhere(program, &[arguments, &["-n", &self.namespace]].concat())
    }

    fn anywhere(&self, program: &str, arguments: &[&str]) -> Result<Ended> {
        let output = self.command(program, arguments).stdin(Stdio::null()).output()?;
        Ok(Ended::of(output))
    }

    /// As a user without any right.
    fn run_as_nobody(&self, arguments: &[&str]) -> Result<Ended> {
        let text = std::fs::read_to_string(self.kubeconfig())?;
        let account = "\n  user:\n";
        ensure!(text.matches(account).count() == 1, "the kubeconfig has one account");
        let path = self.folder.path().join("nobody");
        std::fs::write(&path, text.replace(account, &format!("{account}    as: nobody\n")))?;
        let place = ["-n", &self.namespace, "--kubeconfig"];
        let output = Command::new(PLUGIN).args(arguments).args(place).arg(path).output()?;
        Ok(Ended::of(output))
    }

    fn start(&self, program: &str, arguments: &[&str]) -> Result<Running> {
        let whole = [arguments, &["-n", &self.namespace]].concat();
        let mut command = self.command(program, &whole);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let stdout = child.stdout.take().context("it has a standard output")?;
        Ok(Running { child, lines: BufReader::new(stdout).lines() })
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env("KUBECONFIG", self.kubeconfig());
        command
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let name = self.namespace.as_str();
        let policy = ["validatingadmissionpolicy", "validatingadmissionpolicybinding"];
        let migrations = ["delete", "schemamigration", "--all", "--wait=false", "-n", name];
        // What cannot be removed stays in a throw-away cluster.
        let _left = kubectl(&migrations);
        let _left = kubectl(&["delete", "namespace", name, "--wait=false"]);
        for kind in policy {
            let _left = kubectl(&["delete", kind, name, "--ignore-not-found"]);
        }
    }
}

/// A verb that has ended.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let Output { status, stdout, stderr } = output;
        Self { code: status.code(), stdout: text(&stdout), stderr: text(&stderr) }
    }

    fn expect(&self, code: i32) -> Result<()> {
        let Self { code: found, stdout, stderr } = self;
        ensure!(*found == Some(code), "exit code {found:?}, not {code}\n{stdout}\n{stderr}");
        Ok(())
    }
}

/// A verb that has not ended yet; it is killed when the value is dropped.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn line(&mut self) -> Result<String> {
        self.lines.next().context("it prints no more")?.context("its output cannot be read")
    }

    /// Waits until it ends.
    async fn expect(mut self, code: i32) -> Result<()> {
        let ended = async || Ok(self.child.try_wait()?.ok_or("it has not ended"));
        let ended = wait_for("the verb to end", DEADLINE, ended).await?;
        ensure!(ended.code() == Some(code), "it ended with {ended}, not {code}");
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}
