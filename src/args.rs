//! What was typed: the command line of `ghostship`. Only shapes and help texts; files are read and
//! values are judged elsewhere. The one place, with the binaries, that looks at the environment.

pub mod complete;
pub mod verbs;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
pub use clap_complete::Shell;

use self::verbs::{Format, Place, Verb};

const EXAMPLES: &str = "\
Examples:
  ghostship plan -f migration.yaml            what would happen, how long, what is in the way
  ghostship run -f migration.yaml             change the table
  ghostship run -o json -f migration.yaml     the same, one JSON object per line
  ghostship crds | kubectl apply --server-side -f -   install the kinds
  ghostship status orders-add-note            how a migration in a cluster stands
  ghostship cut-over orders-add-note          let its postponed cut-over happen
  ghostship notify test -f notifications.yaml try whether people can be told

Start with `ghostship plan`: it changes nothing.";

const RUN_HELP: &str = "\
FILE holds YAML documents: one MigrationTarget, one SchemaMigration and, unless --credentials is
given, the Secret that the target names. Keep such a file readable by yourself alone.

While the migration runs, FILE is its control panel. Save it with another value and it takes effect
within a second:
  spec.paused: true            hold the copy; remove it to go on
  spec.postponeCutOver: true   do everything but the cut-over; remove it to let it happen
  spec.copy.threads: 4         faster or slower; also chunkTime and maxRowsPerSecond
  spec.throttle.maxLoad: {Threads_running: 30}
                               stands still above that load; also niceRatio
  ghostship.dev/approve: BeforeCopy   an annotation: lets a stage pass that waits for a person
  spec.abort: true             stop and drop what was created
  spec.panic: true             stop at once, touch nothing, keep every table

--hooks DIR names a folder of executables that are asked at the stages; see docs/hooks.md.

Ctrl-C or SIGTERM leaves the migration so that the same command continues it; a second one ends the
process at once.

Exit codes:
  0    the table has its new definition (or had it already)
  1    the migration failed after it had begun; the message says what is kept
  2    wrong usage or an invalid manifest; no server was contacted
  3    refused before anything was changed
  4    left on request; run the same command to continue
  5    aborted on request; the table is untouched
  6    stopped by panic; every table is kept
  130  ended at once by a second signal; the same command continues

Examples:
  ghostship run -f migration.yaml
  ghostship run --credentials /run/secrets/orders-db -f migration.yaml
  ghostship run -o json -f migration.yaml | jq -r 'select(.type == \"progress\").percent'
  ghostship run --listen 127.0.0.1:0 -f migration.yaml   with a live page in the browser";

const PLAN_HELP: &str = "\
With -f the server is asked and nothing is kept on it. With NAME the plan is shown that the worker of
a migration in a cluster reported.

Exit codes: 0 nothing is in the way, 2 wrong usage or an invalid manifest, 3 refused, 4 interrupted;
with NAME also those of `ghostship status` when there is no plan yet.

Examples:
  ghostship plan -f migration.yaml
  ghostship plan orders-add-note -n shop
  ghostship plan -o json -f migration.yaml | jq .refusals";

const WORKER_HELP: &str = "\
The worker watches its own resource, so that pausing, tuning and panic reach it without the controller,
and reports into the resource's status. Its ServiceAccount needs get, list and watch on that one
SchemaMigration, patch on its status, and get on its MigrationTarget.

Exit codes are those of `ghostship run`; 4 asks for another attempt.";

const NOTIFY_HELP: &str = "\
FILE names receivers (signed webhooks, Slack, DingTalk, e-mail) and the rules by which they are told:

  receivers:
    - name: oncall
      kind: Webhook
      urlFile: oncall.url
      signingKeyFile: oncall.key
      minSeverity: Warning
  rules: {lag: 60s, stuck: 15m, longPause: 1h}

The same file serves `ghostship run --notify FILE` and `ghostship controller --notify FILE`. It holds
secrets: keep it readable by yourself alone. docs/notifications.md has every field.";

const NOTIFY_TEST_HELP: &str = "\
One notice, marked as a test, goes to each receiver, whatever its quiet hours and filters, and is tried
once. What was wrong is told by receiver; no URL and no key is shown.

Exit codes: 0 every receiver confirmed it, 1 one did not, 2 FILE is wrong.

Example:
  ghostship notify test -f notifications.yaml";

const COMPLETION_HELP: &str = "\
Examples:
  ghostship completion bash > /etc/bash_completion.d/ghostship
  ghostship completion zsh > ~/.zfunc/_ghostship";

/// Changes the schema of live MySQL tables without blocking the application.
///
/// The table is copied beside itself with the new definition, kept current from the binlog, verified
/// row by row and swapped in within a second.
#[derive(Debug, Parser)]
#[command(name = "ghostship", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Logging, the same for all commands.
    #[command(flatten)]
    pub logging: Logging,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Change a table as a file of manifests says, without a cluster.
    #[command(after_help = RUN_HELP)]
    Run(RunArguments),
    /// Show what a run would do and what is in its way.
    #[command(after_help = PLAN_HELP)]
    Plan(PlanArguments),
    /// A verb on a migration in a cluster.
    #[command(flatten)]
    Verb(Verb),
    /// Work with the receivers of notifications.
    #[command(after_help = NOTIFY_HELP)]
    Notify {
        /// What to do.
        #[command(subcommand)]
        action: NotifyAction,
    },
    /// Run the controller: it starts a worker for each SchemaMigration and keeps its status.
    Controller(ControllerArguments),
    /// Run one attempt of a SchemaMigration in its pod; the controller starts it.
    #[command(after_help = WORKER_HELP)]
    Worker(WorkerArguments),
    /// Print the custom resource definitions.
    #[command(after_help = "Example:\n  ghostship crds | kubectl apply --server-side -f -")]
    Crds,
    /// Print a completion script for a shell.
    #[command(after_help = COMPLETION_HELP)]
    Completion {
        /// The shell.
        shell: Shell,
    },
}

/// What `notify` does.
#[derive(Debug, Subcommand)]
pub enum NotifyAction {
    /// Send one test notice to each receiver and tell how that went.
    #[command(after_help = NOTIFY_TEST_HELP)]
    Test {
        /// File of receivers and rules.
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
    },
}

/// What `run` takes.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// Which migration.
    #[command(flatten)]
    pub source: Source,
    /// How progress and the outcome are shown.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// File of receivers and rules: who is told what happens, see `ghostship notify --help`.
    #[arg(long, value_name = "FILE")]
    pub notify: Option<PathBuf>,
    /// Serve the live page and the HTTP API there, to this machine alone: 127.0.0.1:PORT, with port 0 for
    /// any. The URL is shown with a token.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// File with the API's token, made when it is not there: for whoever has no terminal.
    #[arg(long, value_name = "FILE", requires = "listen")]
    pub token_file: Option<PathBuf>,
    /// Folder of executables that are asked at the stages, each named as its stage, for example
    /// before-cut-over; exit code 0 allows, 75 asks to wait, any other denies.
    #[arg(long, value_name = "DIR")]
    pub hooks: Option<PathBuf>,
    /// How long such an executable may run, for example 30s.
    #[arg(long, value_name = "DURATION", default_value = "60s", requires = "hooks")]
    pub hook_timeout: String,
    /// Show no progress; only the outcome.
    #[arg(short, long)]
    pub quiet: bool,
}

/// What `plan` takes: a file, or the name of a migration in a cluster.
#[derive(Debug, Args)]
pub struct PlanArguments {
    /// Name of a SchemaMigration in a cluster.
    #[arg(required_unless_present = "file", conflicts_with_all = ["file", "credentials"])]
    pub name: Option<String>,
    /// File with a MigrationTarget, a SchemaMigration and perhaps a Secret.
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The account, with FILE.
    #[command(flatten)]
    pub account: Account,
    /// Where NAME is.
    #[command(flatten)]
    pub place: Place,
    /// How the plan is shown; YAML with NAME only.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
}

/// What `controller` takes.
#[derive(Debug, Args)]
pub struct ControllerArguments {
    /// Namespaces to watch, separated by commas; all when absent.
    #[arg(long, env = "GHOSTSHIP_WATCH_NAMESPACES", value_delimiter = ',')]
    pub namespaces: Vec<String>,
    /// Only resources with these labels, for example `shard=one`.
    #[arg(long, env = "GHOSTSHIP_SELECTOR", default_value = "")]
    pub selector: String,
    /// Image of the workers of migrations that begin from now on.
    #[arg(long, env = "GHOSTSHIP_WORKER_IMAGE")]
    pub worker_image: String,
    /// When the workers' image is pulled: Always, IfNotPresent or Never.
    #[arg(long, env = "GHOSTSHIP_WORKER_PULL_POLICY", default_value = "IfNotPresent")]
    pub worker_pull_policy: String,
    /// Secrets in the migrations' namespaces with which it is pulled, separated by commas.
    #[arg(long, env = "GHOSTSHIP_WORKER_PULL_SECRETS", value_delimiter = ',')]
    pub worker_pull_secrets: Vec<String>,
    /// Migrations that work at a time, of all targets together; 0 for no limit.
    #[arg(long, env = "GHOSTSHIP_MAX_ACTIVE", default_value_t = 0)]
    pub max_active: usize,
    /// Address of /healthz, /readyz and /metrics.
    #[arg(long, env = "GHOSTSHIP_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Address of the live page and the HTTP API for all migrations that are watched; none when absent.
    #[arg(long, env = "GHOSTSHIP_LISTEN_API", value_name = "ADDRESS")]
    pub listen_api: Option<SocketAddr>,
    /// Folder with tls.crt and tls.key, by which the API is served with TLS; they are read anew when they
    /// change. Without TLS when absent.
    #[arg(long, env = "GHOSTSHIP_API_TLS", value_name = "DIR", requires = "listen_api")]
    pub api_tls: Option<PathBuf>,
    /// Audience that the tokens of the API's callers must be made for.
    #[arg(long, env = "GHOSTSHIP_API_AUDIENCE", default_value = "ghostship")]
    pub api_audience: String,
    /// Name of the Lease whose holder works.
    #[arg(long, env = "GHOSTSHIP_LEASE", default_value = "ghostship")]
    pub lease: String,
    /// Namespace of that Lease; the current one when absent.
    #[arg(long, env = "GHOSTSHIP_LEASE_NAMESPACE", default_value = "")]
    pub lease_namespace: String,
    /// Name of this process in the Lease: its pod.
    #[arg(long, env = "GHOSTSHIP_POD", default_value = "ghostship")]
    pub pod: String,
    /// File of receivers and rules: who is told what happens, see `ghostship notify --help`. Read again
    /// when it changes; nobody is told when absent.
    #[arg(long, env = "GHOSTSHIP_NOTIFY", value_name = "FILE")]
    pub notify: Option<PathBuf>,
}

/// What `worker` takes.
#[derive(Debug, Args)]
pub struct WorkerArguments {
    /// Namespace of the SchemaMigration.
    #[arg(long, env = "GHOSTSHIP_NAMESPACE")]
    pub namespace: String,
    /// Name of the SchemaMigration.
    #[arg(long, env = "GHOSTSHIP_NAME")]
    pub name: String,
    /// UID of the SchemaMigration: one of the same name that was created anew is another one.
    #[arg(long, env = "GHOSTSHIP_UID")]
    pub uid: String,
    /// Number of this attempt; a lower one gives way to a higher one.
    #[arg(long, env = "GHOSTSHIP_ATTEMPT")]
    pub attempt: u64,
    /// Directory with the files `username` and `password`, and perhaps `ca.crt`, `tls.crt` and
    /// `tls.key`; read anew for every connection.
    #[arg(long, value_name = "DIR", default_value = "/credentials")]
    pub credentials: PathBuf,
    /// Name of this pod, for the report.
    #[arg(long, env = "GHOSTSHIP_POD", default_value = "unknown")]
    pub pod: String,
    /// Address of /healthz, /readyz and /metrics; none when absent.
    #[arg(long, env = "GHOSTSHIP_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Only clean up: drop the helper tables, or finish what is left after a swap.
    #[arg(long)]
    pub clean_up: bool,
}

/// Where the manifests and the account are.
#[derive(Clone, Debug, Args)]
pub struct Source {
    /// File with a MigrationTarget, a SchemaMigration and perhaps a Secret.
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
    /// The account.
    #[command(flatten)]
    pub account: Account,
}

/// Which account is used, and on whose behalf.
#[derive(Clone, Debug, Default, Args)]
pub struct Account {
    /// Directory with the files `username` and `password`, and perhaps `ca.crt`, `tls.crt` and
    /// `tls.key`; read anew for every connection. Wins over a Secret in FILE.
    #[arg(long, value_name = "DIR")]
    pub credentials: Option<PathBuf>,
    /// Who asks for the migration; kept in the ledger of finished migrations.
    #[arg(long, value_name = "NAME", env = "USER", default_value = "unknown")]
    pub requested_by: String,
}

/// What logging takes.
#[derive(Debug, Args)]
pub struct Logging {
    /// How log lines look; they go to standard error.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, env = "GHOSTSHIP_LOG_FORMAT")]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or per module as `warn,ghostship=debug`.
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        default_value = "warn",
        env = "GHOSTSHIP_LOG"
    )]
    pub log_level: String,
}

/// How results are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The completion script of a program for a shell.
pub fn completion<P: CommandFactory>(shell: Shell) -> String {
    let mut command = P::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    String::from_utf8_lossy(&script).trim_end().to_owned()
}

/// The words to complete, when the program was called by the name under which kubectl asks for them.
pub fn to_complete() -> Option<Vec<OsString>> {
    let mut typed = std::env::args_os();
    let program = typed.next()?;
    (Path::new(&program).file_name()? == complete::PROGRAM).then(|| typed.collect())
}

/// Whether the user wants no colours anywhere, by the custom of the variable `NO_COLOR`.
#[expect(clippy::disallowed_methods, reason = "the edge of the process")]
pub fn no_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

impl LogFormat {
    /// As it is typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_run_is_understood() {
        let typed = ["ghostship", "run", "-o", "json", "-q", "--credentials", "/c", "-f", "m.yaml"];
        let arguments = Arguments::try_parse_from(typed).unwrap();
        let Command::Run(run) = arguments.command else { panic!("not a run") };
        assert_eq!((run.output, run.quiet), (Output::Json, true));
        assert_eq!(run.source.file, PathBuf::from("m.yaml"));
        assert_eq!(run.source.account.credentials, Some(PathBuf::from("/c")));
    }

    #[test]
    fn a_plan_is_of_a_file_or_of_a_name() {
        let parse = |typed: &[&str]| {
            let whole = ["ghostship", "plan"].iter().chain(typed);
            let Command::Plan(plan) = Arguments::try_parse_from(whole).ok()?.command else {
                panic!("not a plan")
            };
            Some((plan.name, plan.file.map(|file| file.display().to_string())))
        };
        let cases: [(&[&str], _); 5] = [
            (&["-f", "m.yaml"], Some((None, Some("m.yaml".to_owned())))),
            (&["one", "-n", "shop"], Some((Some("one".to_owned()), None))),
            (&[], None),
            (&["one", "-f", "m.yaml"], None),
            (&["one", "--credentials", "/c"], None),
        ];
        for (typed, expected) in cases {
            assert_eq!(parse(typed), expected, "{typed:?}");
        }
    }
}
