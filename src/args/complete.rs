//! What kubectl asks of `kubectl_complete-ghostship`: which words may follow those that were typed after
//! `kubectl ghostship`, the last of them unfinished. Shapes only; the names of migrations are known elsewhere.

use std::ffi::OsString;
use std::path::Path;

use clap::{Arg, ArgMatches, Command, CommandFactory};
use clap_complete::engine;

use super::verbs::{Place, Plugin};

/// The name under which kubectl calls for words.
pub(super) const PROGRAM: &str = "kubectl_complete-ghostship";
/// Cobra's directives: no file names, and besides no space behind the word.
const DIRECTIVES: (&str, &str) = (":4", ":6");

/// What may follow.
#[derive(Debug, Default)]
pub struct Completion {
    words: Vec<(String, String)>,
    /// Where the migrations are whose names may follow as well, and how the name begins.
    pub names: Option<(Place, String)>,
}

impl Completion {
    /// What may follow these words, the last of which is unfinished.
    pub fn of(typed: Vec<OsString>) -> Self {
        let typed = if typed.is_empty() { vec![OsString::new()] } else { typed };
        let names = awaits_name(&typed);
        let is_option = typed.last().is_some_and(|word| word.to_string_lossy().starts_with('-'));
        let last = typed.len();
        let whole = std::iter::once(OsString::from(PROGRAM)).chain(typed).collect();
        let found = engine::complete(&mut Plugin::command(), whole, last, Some(Path::new(".")));
        let words = found.unwrap_or_default().into_iter().map(|candidate| {
            let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
            let help = help.lines().next().unwrap_or_default().to_owned();
            (candidate.get_value().to_string_lossy().into_owned(), help)
        });
        // As kubectl does it for its own verbs: options only for whoever has typed a dash.
        let words = words.filter(|(word, _)| is_option || !word.starts_with('-'));
        Self { words: words.collect(), names }
    }

    /// The lines that kubectl reads, with these names of migrations.
    pub fn lines(&self, names: &[String]) -> String {
        let words = self.words.iter().map(|(word, help)| match help.is_empty() {
            true => format!("{word}\n"),
            false => format!("{word}\t{help}\n"),
        });
        let names = names.iter().map(|name| format!("{name}\n"));
        let goes_on = self.words.iter().any(|(word, _)| word.ends_with(['/', '=']));
        let directive = if goes_on { DIRECTIVES.1 } else { DIRECTIVES.0 };
        names.chain(words).chain([directive.to_owned()]).collect()
    }
}

/// Whether the unfinished word is the name of a migration, and where that is.
fn awaits_name(typed: &[OsString]) -> Option<(Place, String)> {
    let (unfinished, before) = typed.split_last()?;
    let unfinished = unfinished.to_str().filter(|word| !word.starts_with('-'))?;
    let whole = std::iter::once(OsString::from(PROGRAM)).chain(before.iter().cloned());
    let mut command = Plugin::command().ignore_errors(true);
    let matches = command.try_get_matches_from_mut(whole).ok()?;
    let (verb, matches) = matches.subcommand()?;
    let verb = command.find_subcommand(verb)?;
    let is_value =
        before.last().and_then(|word| word.to_str()).is_some_and(|word| asks(verb, word));
    let is_open = matches.try_get_one::<String>("name").is_ok_and(|name| name.is_none());
    (is_open && !is_value).then(|| (place(matches), unfinished.to_owned()))
}

/// Whether a word is an option whose value follows.
fn asks(verb: &Command, word: &str) -> bool {
    let bears = |arg: &&Arg| {
        let long = arg.get_long().is_some_and(|long| word == format!("--{long}"));
        long || arg.get_short().is_some_and(|short| word == format!("-{short}"))
    };
    verb.get_arguments().find(bears).is_some_and(|arg| arg.get_action().takes_values())
}

fn place(matches: &ArgMatches) -> Place {
    let text = |name: &str| matches.try_get_one::<String>(name).ok().flatten().cloned();
    Place {
        namespace: text("namespace"),
        kubeconfig: matches.try_get_one("kubeconfig").ok().flatten().cloned(),
        context: text("context"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completion(typed: &[&str]) -> Completion {
        Completion::of(typed.iter().map(OsString::from).collect())
    }

    fn words(typed: &[&str]) -> Vec<String> {
        completion(typed).words.into_iter().map(|(word, _)| word).collect()
    }

    #[test]
    fn verbs_options_and_values_are_offered() {
        let rows: [(&[&str], &[&str], &[&str]); 8] = [
            (&[], &["status", "cut-over", "completion"], &["run", "worker", "controller"]),
            (&[""], &["status", "pause"], &["run"]),
            (&["pa"], &["pause", "panic"], &["status"]),
            (&["cut-over", "one", "--wa"], &["--wait"], &["--yes"]),
            (&["panic", "one", "--y"], &["--yes"], &["--wait"]),
            (&["status", "-o", ""], &["text", "json", "yaml"], &["status"]),
            (&["status", "--output", "j"], &["json"], &["text"]),
            (&["completion", "b"], &["bash"], &["zsh"]),
        ];
        for (typed, offered, others) in rows {
            let words = words(typed);
            let has = |word: &&str| words.iter().any(|one| one == *word);
            assert!(offered.iter().all(has) && !others.iter().any(has), "{typed:?}: {words:?}");
        }
    }

    #[test]
    fn names_are_offered_where_a_name_belongs() {
        let rows: [(&[&str], Option<(Option<&str>, Option<&str>, &str)>); 11] = [
            (&[""], None),
            (&["status", ""], Some((None, None, ""))),
            (&["pause", "ord"], Some((None, None, "ord"))),
            (&["pause", "-n", "shop", "ord"], Some((Some("shop"), None, "ord"))),
            (
                &["plan", "--namespace=shop", "--context", "c", ""],
                Some((Some("shop"), Some("c"), "")),
            ),
            (&["retry", "--wait", ""], Some((None, None, ""))),
            (&["pause", "-n", ""], None),
            (&["pause", "--timeout", ""], None),
            (&["pause", "one", ""], None),
            (&["pause", "--wa"], None),
            (&["completion", ""], None),
        ];
        for (typed, expected) in rows {
            let found = completion(typed).names;
            let told = found.as_ref().map(|(place, begin)| {
                (place.namespace.as_deref(), place.context.as_deref(), begin.as_str())
            });
            assert_eq!(told, expected, "{typed:?}");
        }
    }

    #[test]
    fn lines_are_as_cobra_reads_them() {
        let told = completion(&["pau"]).lines(&[]);
        assert!(told.starts_with("pause\tHold copying") && told.ends_with("\n:4"), "{told}");
        assert_eq!(completion(&["pause", ""]).lines(&["one".to_owned()]), "one\n:4");
        let folder = Completion { words: vec![("/tmp/".to_owned(), String::new())], names: None };
        assert_eq!(folder.lines(&[]), "/tmp/\n:6");
    }
}
