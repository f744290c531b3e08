//! Reads the tree: the files below a folder, and Rust files split into code and string literals.
//! Knows just enough of Rust's grammar to tell code, comments, strings and unit tests apart.

use std::fs;
use std::path::{Path, PathBuf};

/// A Rust file of `src`, without its unit tests.
pub struct Source {
    /// Path below the root of the checkout.
    pub path: String,
    /// Module names from the crate's root on: `["engine", "cut_over", "swap"]`.
    pub module: Vec<String>,
    /// The code; comments are gone, and of strings only the quotes are left.
    pub code: String,
    /// Contents of the string literals.
    pub strings: Vec<String>,
}

impl Source {
    /// The module below the crate's root, such as `engine`; empty for `lib.rs`.
    pub fn top(&self) -> &str {
        self.module.first().map_or("", String::as_str)
    }

    /// Whether the code contains a word, not as a part of a longer name.
    pub fn names(&self, word: &str) -> bool {
        occurrences(&self.code, word).any(|at| is_word(&self.code, at, word.len()))
    }
}

/// The root of the checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file, by its path below the root.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files below some folders of the root, and the files at the root; sorted, as paths below it.
/// Generated and locked files are left out, and so is what has no text.
pub fn files(folders: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in folders {
        walk(&root().join(folder), &mut found);
    }
    found.sort();
    let with_text = |path: PathBuf| {
        let text = fs::read_to_string(&path).ok()?;
        let path = path.strip_prefix(root()).ok()?.to_string_lossy().into_owned();
        Some((path, text))
    };
    found.into_iter().filter_map(with_text).collect()
}

/// The files at the root, as `files` gives them.
pub fn root_files() -> Vec<(String, String)> {
    let entries = fs::read_dir(root()).expect("the checkout is readable");
    let names = entries.flatten().filter(|entry| entry.path().is_file());
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let mut found: Vec<_> = names
        .filter_map(|name| fs::read_to_string(root().join(&name)).ok().map(|text| (name, text)))
        .collect();
    found.sort();
    found
}

/// The Rust files of `src` that are no unit tests.
pub fn sources() -> Vec<Source> {
    let found = files(&["src"]).into_iter().filter(|(path, _)| path.ends_with(".rs"));
    let found: Vec<_> = found.collect();
    let tests = test_modules(&found);
    let found = found.into_iter().filter(|(path, _)| !tests.contains(path));
    let found: Vec<_> = found.map(|(path, text)| parse(path, &text)).collect();
    assert!(found.len() > 50, "only {} files found below src", found.len());
    found
}

/// Where the unit tests begin that stand in the file itself; its end when there are none.
pub fn unit_tests(text: &str) -> usize {
    let inline = |at: &usize| text[*at..].lines().nth(1).is_some_and(|line| line.ends_with('{'));
    occurrences(text, "#[cfg(test)]\nmod ").find(inline).unwrap_or(text.len())
}

/// The files that are unit tests: modules that other files declare for tests alone.
fn test_modules(all: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in all {
        for at in occurrences(text, "#[cfg(test)]\nmod ").map(|at| at + "#[cfg(test)]\nmod ".len())
        {
            let Some(name) = text[at..].lines().next().and_then(|line| line.strip_suffix(';'))
            else {
                continue;
            };
            let folder = path.trim_end_matches("mod.rs").trim_end_matches(".rs");
            found.push(format!("{}/{name}.rs", folder.trim_end_matches('/')));
        }
    }
    found
}

/// The code of a Rust file: comments are gone, and of strings only the quotes are left.
pub fn code_of(text: &str) -> String {
    split(text).0
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn parse(path: String, text: &str) -> Source {
    let (code, strings) = split(&text[..unit_tests(text)]);
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let names = inner.split('/').filter(|name| !["mod", "lib", "main"].contains(name));
    let module = names.map(str::to_owned).collect();
    Source { path, module, code, strings }
}

/// Code without comments and with empty strings, and the strings.
fn split(text: &str) -> (String, Vec<String>) {
    let (mut code, mut strings) = (String::new(), Vec::new());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(literal) = string_at(rest, code.chars().next_back()) {
            strings.push(literal.content);
            code.push_str("\"\"");
            literal.length
        } else {
            let length = char_literal_at(rest).unwrap_or(first.len_utf8());
            code.push_str(&rest[..length]);
            length
        };
        rest = &rest[skipped..];
    }
    (code, strings)
}

struct Literal {
    content: String,
    length: usize,
}

fn string_at(rest: &str, before: Option<char>) -> Option<Literal> {
    if rest.starts_with('"') {
        return Some(plain_string(rest));
    }
    if before.is_some_and(|last| last.is_alphanumeric() || last == '_') || !rest.starts_with('r') {
        return None;
    }
    let hashes = rest[1..].chars().take_while(|&one| one == '#').count();
    let inner = rest[1 + hashes..].strip_prefix('"')?;
    let end = inner.find(&format!("\"{}", "#".repeat(hashes)))?;
    Some(Literal { content: inner[..end].to_owned(), length: end + 2 * hashes + 3 })
}

fn plain_string(rest: &str) -> Literal {
    let mut escaped = false;
    for (at, one) in rest.char_indices().skip(1) {
        match one {
            '"' if !escaped => return Literal { content: rest[1..at].to_owned(), length: at + 1 },
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    panic!("a string does not end: {rest:.60}")
}

/// The length of a character literal that would otherwise look like the start of a string.
fn char_literal_at(rest: &str) -> Option<usize> {
    ["'\"'", "'\\\"'", "'\\''", "'\\\\'", "'/'"]
        .into_iter()
        .find(|literal| rest.starts_with(literal))
        .map(str::len)
}

/// Where a text occurs in another one.
pub fn occurrences<'a>(text: &'a str, wanted: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(wanted).map(|(at, _)| at)
}

/// Whether what stands at a place is not a part of a longer name.
pub fn is_word(text: &str, at: usize, length: usize) -> bool {
    let in_name = |one: char| one.is_alphanumeric() || one == '_';
    !text[..at].chars().next_back().is_some_and(in_name)
        && !text[at + length..].chars().next().is_some_and(in_name)
}
