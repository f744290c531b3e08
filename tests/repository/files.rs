//! What every file keeps: a module doc, a bearable length, the project's names, nothing unfinished,
//! and no words that tie the tree to one machine.

use super::source::{code_of, files, is_word, occurrences, root_files, sources, unit_tests};
use super::{Rule, Violations};

/// The rules of this file.
pub const RULES: &[Rule] = &[
    ("every_file_says_what_it_is_for", every_file_says_what_it_is_for),
    ("no_file_is_longer_than_800_lines", no_file_is_longer_than_800_lines),
    ("names_follow_the_glossary", names_follow_the_glossary),
    ("nothing_is_left_for_later", nothing_is_left_for_later),
    ("lint_exceptions_state_their_reason", lint_exceptions_state_their_reason),
    ("tests_wait_for_facts", tests_wait_for_facts),
    ("the_tree_names_no_machine", the_tree_names_no_machine),
];

const RUST: &[&str] = &["src", "tests", "examples"];
const ALL: &[&str] =
    &[".ci", "benches", "charts", "config", "crds", "docs", "e2e", "examples", "src", "tests"];
const LONGEST: usize = 800;
const SUFFIXES: [&str; 7] = ["Manager", "Helper", "Util", "Utils", "Handler", "Service", "Info"];

/// The one file that may sleep: it looks for a fact again and again, with a deadline.
const WAITS: &str = "tests/support/wait.rs";

fn rust_files() -> impl Iterator<Item = (String, String)> {
    files(RUST).into_iter().filter(|(path, _)| path.ends_with(".rs"))
}

fn every_file_says_what_it_is_for() -> Violations {
    let silent = rust_files().filter(|(_, text)| !text.starts_with("//! "));
    silent.map(|(path, _)| format!("{path}: does not begin with a module doc")).collect()
}

fn no_file_is_longer_than_800_lines() -> Violations {
    let long = rust_files().filter(|(_, text)| text.lines().count() > LONGEST);
    long.map(|(path, text)| format!("{path}: {} lines", text.lines().count())).collect()
}

fn names_follow_the_glossary() -> Violations {
    let mut found = Vec::new();
    for source in &sources() {
        let code = &source.code;
        if code.contains("fn get_") {
            found.push(format!("{}: a function's name begins with get_", source.path));
        }
        let kinds = ["struct ", "enum ", "trait ", "type "];
        for at in kinds.iter().flat_map(|kind| occurrences(code, kind).map(|at| at + kind.len())) {
            let name: String = code[at..].chars().take_while(|one| one.is_alphanumeric()).collect();
            if SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
                found.push(format!("{}: the type's name {name} says too little", source.path));
            }
        }
    }
    found
}

fn nothing_is_left_for_later() -> Violations {
    let words = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"]].map(|parts| parts.concat());
    let mut found = Vec::new();
    for (path, text) in files(ALL) {
        for word in &words {
            if occurrences(&text, word).any(|at| is_word(&text, at, word.len())) {
                found.push(format!("{path}: contains {word}"));
            }
        }
        if path.ends_with(".rs") && code_of(&text).contains("#[ignore") {
            found.push(format!("{path}: ignores a test"));
        }
    }
    found
}

fn lint_exceptions_state_their_reason() -> Violations {
    let mut found = Vec::new();
    for (path, text) in rust_files() {
        let code = code_of(&text);
        if code.contains("#[allow(") || code.contains("#![allow(") {
            found.push(format!("{path}: allows a lint instead of expecting it"));
        }
        for at in occurrences(&code, "#[expect(") {
            if !code[at..].split(")]").next().is_some_and(|inner| inner.contains("reason = ")) {
                found.push(format!("{path}: expects a lint without a reason"));
            }
        }
    }
    found
}

fn tests_wait_for_facts() -> Violations {
    let in_tests = |(path, text): (String, String)| {
        let unit = unit_tests(&text);
        let whole = path.starts_with("tests/") || path.ends_with("tests.rs");
        let tests = code_of(if whole { &text } else { &text[unit..] });
        let sleeps = occurrences(&tests, "sleep(").any(|at| is_word(&tests, at, "sleep".len()));
        (path != WAITS && sleeps).then(|| format!("{path}: a test sleeps"))
    };
    rust_files().filter_map(in_tests).collect()
}

fn the_tree_names_no_machine() -> Violations {
    let words = [
        ["crates", ".io"],
        ["deb.debian", ".org"],
        ["pypi", ".org"],
        ["registry.npmjs", ".org"],
        ["proxy.golang", ".org"],
        ["maven", ".org"],
        ["/wo", "rk/"],
        ["/home", "/"],
        ["/roo", "t/"],
    ]
    .map(|parts| parts.concat());
    let mut found = Vec::new();
    for (path, text) in files(ALL).into_iter().chain(root_files()) {
        // The lock file names the source of each package.
        if path != "Cargo.lock" && path != ".git" {
            let begins =
                |at: usize| text[..at].chars().next_back().is_none_or(|one| !one.is_alphanumeric());
            let named = words.iter().filter(|word| occurrences(&text, word).any(begins));
            found.extend(named.map(|word| format!("{path}: names {word}")));
        }
    }
    found
}
