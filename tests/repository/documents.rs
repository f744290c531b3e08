//! What is written twice stays the same: generated files, and documents that list what code defines.

use std::process::Command;

use ghostship::engine::reason::Reason;

use super::source::{files, read, sources};
use super::{Rule, Violations};

/// The rules of this file.
pub const RULES: &[Rule] = &[
    ("generated_files_are_current", generated_files_are_current),
    ("copies_of_files_are_current", copies_of_files_are_current),
    ("the_docs_list_the_reasons", the_docs_list_the_reasons),
    ("every_reason_can_be_raised", every_reason_can_be_raised),
    ("the_docs_list_every_exit_code", the_docs_list_every_exit_code),
    ("links_between_documents_lead_somewhere", links_between_documents_lead_somewhere),
];

fn ghostship(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_ghostship")).args(arguments).output();
    let output = output.expect("ghostship can be started");
    assert!(output.status.success(), "ghostship {arguments:?}: {}", output.status);
    String::from_utf8(output.stdout).expect("ghostship prints UTF-8")
}

/// `make crds` writes what this compares: one file per kind, each a document of `ghostship crds`.
fn generated_files_are_current() -> Violations {
    let printed = ghostship(&["crds"]);
    let written: Vec<_> = files(&["crds"]).into_iter().map(|(_, text)| text).collect();
    let mut documents: Vec<_> = printed.split("---\n").filter(|one| !one.is_empty()).collect();
    let mut held: Vec<_> = written.iter().map(|text| text.trim_start_matches("---\n")).collect();
    documents.sort_unstable();
    held.sort_unstable();
    let same = !documents.is_empty()
        && documents.iter().map(|one| one.trim_end()).eq(held.iter().map(|one| one.trim_end()));
    if same {
        Vec::new()
    } else {
        vec!["crds/ differs from `ghostship crds`: run `make crds`".into()]
    }
}

/// The chart and the kustomizations hold copies, because neither may look outside its own folder.
fn copies_of_files_are_current() -> Violations {
    let copies = [
        ("crds/", "charts/ghostship/files/crds/", "make crds"),
        ("crds/", "config/crd/", "make crds"),
        ("config/monitoring/alerts.yaml", "charts/ghostship/files/alerts.yaml", "make chart-files"),
        (
            "config/monitoring/dashboard.json",
            "charts/ghostship/files/dashboard.json",
            "make chart-files",
        ),
    ];
    let all = files(&["charts", "config", "crds"]);
    let under = |prefix: &str| {
        let found = all.iter().filter_map(|(path, text)| Some((path.strip_prefix(prefix)?, text)));
        found.filter(|(name, _)| *name != "kustomization.yaml").collect::<Vec<_>>()
    };
    let stale = copies.iter().filter(|(original, copy, _)| under(original) != under(copy));
    stale
        .map(|(original, copy, remedy)| format!("{copy} differs from {original}: run `{remedy}`"))
        .collect()
}

/// Exactly the tokens, each once, in the first column of a table.
fn the_docs_list_the_reasons() -> Violations {
    let document = read("docs/reasons.md");
    let listed: Vec<_> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(token, _)| token)
        .collect();
    let times = |token: &str| listed.iter().filter(|one| **one == token).count();
    let known = Reason::ALL.iter().map(|reason| reason.as_str());
    let missing = known
        .filter(|token| times(token) != 1)
        .map(|token| format!("docs/reasons.md: lists {token} {} times", times(token)));
    let unknown = listed
        .iter()
        .filter(|token| !Reason::ALL.iter().any(|reason| reason.as_str() == **token))
        .map(|token| format!("docs/reasons.md: there is no reason {token}"));
    missing.chain(unknown).collect()
}

/// Some module other than the one that defines them names each, as a variant or by its token.
fn every_reason_can_be_raised() -> Violations {
    let mut others = sources();
    others.retain(|source| source.path != "src/engine/reason.rs");
    let raised = |token: &str| {
        let variant = format!("Reason::{token}");
        others
            .iter()
            .any(|source| source.names(&variant) || source.strings.iter().any(|text| text == token))
    };
    let tokens = Reason::ALL.iter().map(|reason| reason.as_str());
    let unused = tokens.filter(|token| !raised(token));
    unused.map(|token| format!("src/: nothing raises {token}")).collect()
}

fn the_docs_list_every_exit_code() -> Violations {
    let codes: Vec<String> = ["run", "pause"].into_iter().flat_map(listed_codes).collect();
    let documents: Vec<_> = files(&["docs"]).into_iter().map(|(_, text)| text).collect();
    let listed = |code: &String| {
        let rows = [format!("| {code} |"), format!("| `{code}` |")];
        documents
            .iter()
            .any(|text| text.lines().any(|line| rows.iter().any(|row| line.starts_with(row))))
    };
    let missing = codes.into_iter().filter(|code| !listed(code));
    missing.map(|code| format!("docs/: no table lists the exit code {code}")).collect()
}

fn listed_codes(command: &str) -> Vec<String> {
    let help = ghostship(&[command, "--help"]);
    let lines = help.lines().skip_while(|line| !line.starts_with("Exit codes:")).skip(1);
    let lines = lines.take_while(|line| !line.trim().is_empty());
    let codes = lines.filter_map(|line| line.split_whitespace().next());
    let codes: Vec<_> =
        codes.filter(|code| code.parse::<u8>().is_ok()).map(str::to_owned).collect();
    assert!(codes.len() > 5, "`ghostship {command} --help` lists its exit codes: {codes:?}");
    codes
}

fn links_between_documents_lead_somewhere() -> Violations {
    let root_documents = super::source::root_files();
    let all = files(&["docs", "e2e", "benches", "tests"]).into_iter().chain(root_documents);
    let mut found = Vec::new();
    for (path, text) in all.filter(|(path, _)| path.ends_with(".md")) {
        let folder = super::source::root().join(&path);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            let file = target.split('#').next().unwrap_or_default();
            if !folder.parent().is_some_and(|parent| parent.join(file).exists()) {
                found.push(format!("{path}: links to {target}, which is not there"));
            }
        }
    }
    found
}
