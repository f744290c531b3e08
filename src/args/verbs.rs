//! What was typed after a verb on migrations in a cluster: the same for `ghostship` and for the kubectl
//! plugin. Shapes and help texts only.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::{Account, Arguments, Command, Logging, PlanArguments};

/// The numbers that every verb keeps to; the same list is in `docs/kubectl.md`.
const CODES: &str = "\
Exit codes:
  0    the migration succeeded; for a verb that changes something: done, or already so
  1    the migration failed
  2    wrong usage
  3    the migration was refused before anything was changed; for a verb: it makes no sense now
  5    aborted
  6    stopped by panic
  7    it is under way
  8    it waits for a human: paused, or its cut-over is postponed
  9    --timeout passed first
  10   the cluster could not be asked, or there is no such migration
  130  interrupted; the migration goes on";

const STATUS_HELP: &str = "\
Without NAME all migrations of the namespace are listed, and the exit code is 0.

Exit codes: 0 succeeded, 1 failed, 2 wrong usage, 3 refused before anything was changed, 5 aborted,
6 stopped by panic, 7 under way, 8 waits for a human (paused, or the cut-over is postponed), 10 the
cluster could not be asked or there is no such migration.

Examples:
  kubectl ghostship status
  kubectl ghostship status orders-add-note -n shop
  kubectl ghostship status orders-add-note -o json | jq .status.progress.percent";

const WATCH_HELP: &str = "\
On a terminal the screen of `status` is drawn anew; elsewhere there is a line per change. It ends when
the migration ends, with its exit code as of `status`; Ctrl-C ends it with 130 and changes nothing.

Examples:
  kubectl ghostship watch orders-add-note
  kubectl ghostship watch orders-add-note --timeout 30m && ./deploy";

const POSTPONE_HELP: &str = "\
Everything but the cut-over goes on, and the copy is kept current. It takes back a permission that was
given before. What it writes is the annotation ghostship.dev/cut-over=postpone.

Example:
  kubectl ghostship postpone orders-add-note";

const CUT_OVER_HELP: &str = "\
The permission may be given in advance: the tables are then swapped as soon as everything is ready and
verified. What it writes is the annotation ghostship.dev/cut-over=allow. With --wait it ends when the
tables are swapped.

Example:
  kubectl ghostship cut-over orders-add-note --wait --timeout 10m";

const PANIC_HELP: &str = "\
The worker stops within a second and keeps every table. On a terminal the name has to be typed again,
unless --yes is given. `retry` continues afterwards.

Example:
  kubectl ghostship panic orders-add-note --yes";

const ABORT_HELP: &str = "\
After a panic or a failure it drops what was left; spec.panic is set to false then, when it is true.

Example:
  kubectl ghostship abort orders-add-note --wait";

const APPROVE_HELP: &str = "\
The stage is approved that waits for a person; `status` shows which. What it writes is the name of the
stage in the annotation ghostship.dev/approve. Who approved, and when, stays in the status.

Example:
  kubectl ghostship approve orders-add-note";

const RETRY_HELP: &str = "\
Begins another attempt after a failure, an abort or a panic, or ends the pause before the next one. What
it writes is a fresh value of the annotation ghostship.dev/retry; spec.panic and spec.abort are set to
false when they are true.

Example:
  kubectl ghostship retry orders-add-note";

const PLUGIN_HELP: &str = "\
Examples:
  kubectl ghostship status                          all migrations of the namespace
  kubectl ghostship watch orders-add-note -n shop   one of them, until it ends
  kubectl ghostship cut-over orders-add-note        let its postponed cut-over happen

The cluster is found by --kubeconfig and --context, else by KUBECONFIG, ~/.kube/config or the account of
the pod; the namespace by -n, else by the context.";

/// Looks at and steers schema migrations in a cluster.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-ghostship",
    bin_name = "kubectl ghostship",
    version,
    after_help = [PLUGIN_HELP, "\n\n", CODES].concat(),
    max_term_width = 100
)]
pub struct Plugin {
    /// What to do.
    #[command(subcommand)]
    pub command: PluginCommand,
    /// Logging, the same for all commands.
    #[command(flatten)]
    pub logging: Logging,
}

/// The commands of the plugin.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// A verb on a migration.
    #[command(flatten)]
    Verb(Verb),
    /// Show what a migration's worker found and decided before it began to copy.
    #[command(after_help = "Example:\n  kubectl ghostship plan orders-add-note")]
    Plan(NamedArguments),
    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  kubectl ghostship completion bash > \
                            /etc/bash_completion.d/kubectl-ghostship")]
    Completion {
        /// The shell.
        shell: Shell,
    },
}

/// The verbs on migrations in a cluster.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show one migration on one screen, or all of a namespace in a table.
    #[command(after_help = STATUS_HELP)]
    Status(ListArguments),
    /// Show a migration whenever it changes, until it ends.
    #[command(after_help = WATCH_HELP)]
    Watch(WatchArguments),
    /// Hold copying, verification and the cut-over; the copy is kept current.
    #[command(after_help = CODES)]
    Pause(ChangeArguments),
    /// Go on after a pause.
    #[command(after_help = CODES)]
    Resume(ChangeArguments),
    /// Let the cut-over wait for a permission.
    #[command(after_help = [POSTPONE_HELP, "\n\n", CODES].concat())]
    Postpone(ChangeArguments),
    /// Allow the cut-over.
    #[command(after_help = [CUT_OVER_HELP, "\n\n", CODES].concat())]
    CutOver(ChangeArguments),
    /// Stop at once and keep everything.
    #[command(after_help = [PANIC_HELP, "\n\n", CODES].concat())]
    Panic(PanicArguments),
    /// Stop and drop what the migration created; the table stays as it is.
    #[command(after_help = [ABORT_HELP, "\n\n", CODES].concat())]
    Abort(ChangeArguments),
    /// Let the stage pass that waits for a person.
    #[command(after_help = [APPROVE_HELP, "\n\n", CODES].concat())]
    Approve(ChangeArguments),
    /// Begin another attempt.
    #[command(after_help = [RETRY_HELP, "\n\n", CODES].concat())]
    Retry(ChangeArguments),
    /// List the migrations that have ended, newest first; with NAME, one of them and its way.
    #[command(after_help = "Example:\n  kubectl ghostship history -A -o json")]
    History(ListArguments),
}

/// Where migrations are.
#[derive(Clone, Debug, Default, Args)]
pub struct Place {
    /// Namespace; that of the context when absent.
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// File that says how the cluster is reached.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context in that file.
    #[arg(long)]
    pub context: Option<String>,
}

/// One migration, to be shown.
#[derive(Clone, Debug, Args)]
pub struct NamedArguments {
    /// Name of the SchemaMigration.
    pub name: String,
    /// Where it is.
    #[command(flatten)]
    pub place: Place,
    /// How it is shown.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
}

/// One migration or all, to be shown.
#[derive(Clone, Debug, Args)]
pub struct ListArguments {
    /// Name of the SchemaMigration; all when absent.
    pub name: Option<String>,
    /// All namespaces.
    #[arg(short = 'A', long, conflicts_with_all = ["name", "namespace"])]
    pub all_namespaces: bool,
    /// Where they are.
    #[command(flatten)]
    pub place: Place,
    /// How they are shown.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
}

/// One migration, to be watched.
#[derive(Clone, Debug, Args)]
pub struct WatchArguments {
    /// Which one, and how it is shown.
    #[command(flatten)]
    pub named: NamedArguments,
    /// Give up after this time, for example 30m; never when absent.
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<String>,
}

/// One migration, to be changed.
#[derive(Clone, Debug, Args)]
pub struct ChangeArguments {
    /// Which one, and how it is shown afterwards.
    #[command(flatten)]
    pub named: NamedArguments,
    /// Wait until the status shows the effect.
    #[arg(long)]
    pub wait: bool,
    /// How long --wait waits, for example 30s or 1h.
    #[arg(long, value_name = "DURATION", default_value = "5m", requires = "wait")]
    pub timeout: String,
}

/// One migration, to be stopped at once.
#[derive(Clone, Debug, Args)]
pub struct PanicArguments {
    /// Which one.
    #[command(flatten)]
    pub change: ChangeArguments,
    /// Do not ask.
    #[arg(short, long)]
    pub yes: bool,
}

/// How resources are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

impl From<Plugin> for Arguments {
    fn from(Plugin { command, logging }: Plugin) -> Self {
        let command = match command {
            PluginCommand::Verb(verb) => Command::Verb(verb),
            PluginCommand::Plan(NamedArguments { name, place, output }) => {
                let (name, file, account) = (Some(name), None, Account::default());
                Command::Plan(PlanArguments { name, file, account, place, output })
            }
            PluginCommand::Completion { shell } => Command::Completion { shell },
        };
        Self { command, logging }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::completion;

    #[test]
    fn the_command_line_is_consistent() {
        Plugin::command().debug_assert();
    }

    #[test]
    fn both_programs_take_the_same_verbs() {
        let verbs = [
            "status", "watch", "plan", "pause", "resume", "postpone", "cut-over", "panic", "abort",
            "retry", "approve", "history",
        ];
        for verb in verbs {
            let typed = [verb, "one", "-n", "shop", "--context", "c", "-o", "yaml"];
            let whole = |program: &'static str| [&[program], typed.as_slice()].concat();
            let plugin = Plugin::try_parse_from(whole("kubectl-ghostship")).unwrap();
            let ghostship = Arguments::try_parse_from(whole("ghostship")).unwrap();
            let (one, other) = (Arguments::from(plugin).command, ghostship.command);
            match (one, other) {
                (Command::Plan(one), Command::Plan(other)) => assert_eq!(one.name, other.name),
                (one, other) => assert_eq!(format!("{one:?}"), format!("{other:?}")),
            }
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let cases: [&[&str]; 5] = [
            &["status", "one", "-A"],
            &["status", "-A", "-n", "shop"],
            &["pause"],
            &["pause", "one", "--timeout", "5s"],
            &["watch"],
        ];
        for typed in cases {
            let whole = ["kubectl-ghostship"].iter().chain(typed);
            assert!(Plugin::try_parse_from(whole).is_err(), "{typed:?}");
        }
    }

    #[test]
    fn both_programs_complete_their_verbs() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
            let scripts = [completion::<Arguments>(shell), completion::<Plugin>(shell)];
            for script in scripts {
                assert!(script.contains("cut-over") && script.contains("kubeconfig"), "{shell}");
            }
        }
    }
}
