//! Which module may use which, and what may be named only in one place. The table of edges below is
//! the authority: `ARCHITECTURE.md` explains it.

use super::source::{Source, is_word, occurrences, sources};
use super::{Rule, Violations};

/// The rules of this file.
pub const RULES: &[Rule] = &[
    ("modules_use_only_what_they_may", modules_use_only_what_they_may),
    ("every_module_has_its_edges", every_module_has_its_edges),
    ("pure_modules_have_no_async", pure_modules_have_no_async),
    ("each_thing_is_named_in_its_place", each_thing_is_named_in_its_place),
    ("sql_text_is_in_its_modules", sql_text_is_in_its_modules),
];

/// For each module below the crate's root: the modules, or single paths, that it may use.
const EDGES: &[(&str, &[&str])] = &[
    ("schema", &[]),
    ("sql", &["schema"]),
    ("mysql", &["sql", "schema"]),
    ("engine", &["mysql", "sql", "schema", "http", "tasks", "failpoint"]),
    ("schedule", &[]),
    ("api", &["schedule"]),
    (
        "cli",
        &[
            "worker",
            "controller",
            "resolve",
            "engine",
            "hooks",
            "http::secret",
            "notify",
            "serve",
            "api",
            "schema",
            "mysql::connect",
            "args",
            "shutdown",
            "telemetry",
        ],
    ),
    ("worker", &["engine", "hooks", "mysql::connect", "resolve", "api", "probes", "shutdown"]),
    ("hooks", &["engine::stage", "api::hooks", "api::hook_jobs", "http"]),
    ("http", &[]),
    ("controller", &["api", "schema", "notify", "serve", "probes", "shutdown"]),
    ("notify", &["api::duration", "http"]),
    ("serve", &["api::legal", "api::validate"]),
    ("probes", &[]),
    ("resolve", &["engine", "mysql::connect", "schema", "api"]),
    ("args", &[]),
    ("bin", &[]),
    ("telemetry", &["args"]),
    ("shutdown", &[]),
    ("tasks", &[]),
    ("failpoint", &[]),
];

/// What may be named only in some files or folders, as a path in code or as a word.
const PLACES: &[(&str, &[&str])] = &[
    ("std::env", &["src/args.rs", "src/main.rs"]),
    ("tokio::spawn", &["src/tasks.rs"]),
    ("tokio::task::spawn", &["src/tasks.rs"]),
    ("spawn_blocking", &["src/tasks.rs"]),
    ("JoinSet", &["src/tasks.rs"]),
    ("std::thread", &["src/failpoint.rs"]),
    ("kube", &["src/api/", "src/cli/verbs/", "src/controller/", "src/worker/"]),
    ("schemars", &["src/api/"]),
    (
        "k8s_openapi",
        &["src/api/", "src/controller/", "src/worker/", "src/cli/manifest.rs", "src/cli/verbs/"],
    ),
    ("mysql_async", &["src/mysql/"]),
    ("mysql_common", &["src/mysql/"]),
    ("clap", &["src/args.rs", "src/args/", "src/bin/", "src/main.rs"]),
    ("axum", &["src/probes.rs", "src/serve/"]),
    ("prometheus", &["src/controller/", "src/worker/metrics.rs"]),
    ("reqwest", &["src/hooks/http.rs", "src/http/", "src/notify/"]),
    ("rustix", &["src/hooks/command.rs"]),
    ("tokio_rustls", &["src/serve/tls.rs"]),
    ("lettre", &["src/notify/"]),
    ("indicatif", &["src/cli/"]),
    ("println", &["src/cli/", "src/main.rs"]),
    ("eprintln", &["src/cli/", "src/main.rs"]),
];

const PURE: [&str; 2] = ["schema", "sql"];

/// Where SQL text may be; in `schema/alter` it is the user's own clauses, written back.
const SQL_FOLDERS: [&str; 3] = ["src/sql/", "src/mysql/", "src/schema/alter/"];

/// How statements begin.
const VERBS: [&str; 16] = [
    "SELECT ",
    "INSERT ",
    "UPDATE ",
    "DELETE ",
    "REPLACE ",
    "ALTER ",
    "CREATE ",
    "DROP ",
    "RENAME ",
    "LOCK ",
    "UNLOCK ",
    "SET ",
    "SHOW ",
    "KILL ",
    "TRUNCATE ",
    "FLUSH ",
];

/// What statements contain, in whatever piece of text they are built from.
const INNARDS: [&str; 5] = [" FROM ", " WHERE ", " VALUES ", " INTO ", " ORDER BY "];

fn modules_use_only_what_they_may() -> Violations {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| !source.top().is_empty()) {
        let Some((_, allowed)) = EDGES.iter().find(|(module, _)| *module == source.top()) else {
            continue;
        };
        for used in crate_paths(source) {
            let fits = |edge: &&str| used == **edge || used.starts_with(&format!("{edge}::"));
            if !fits(&source.top()) && !allowed.iter().any(fits) {
                found.push(format!("{}: uses crate::{used}", source.path));
            }
        }
    }
    found
}

fn every_module_has_its_edges() -> Violations {
    let mut modules: Vec<_> = sources().iter().map(|source| source.top().to_owned()).collect();
    modules.sort();
    modules.dedup();
    modules.retain(|module| !module.is_empty() && !EDGES.iter().any(|(known, _)| known == module));
    modules.iter().map(|module| format!("{module}: is not in the table of edges")).collect()
}

fn pure_modules_have_no_async() -> Violations {
    let all = sources();
    let pure = all.iter().filter(|source| PURE.contains(&source.top()));
    let asynchronous = pure.filter(|source| source.names("async") || source.names("await"));
    asynchronous.map(|source| format!("{}: is async", source.path)).collect()
}

fn each_thing_is_named_in_its_place() -> Violations {
    let mut found = Vec::new();
    for source in &sources() {
        for (name, places) in PLACES {
            if source.names(name) && !places.iter().any(|place| source.path.starts_with(place)) {
                found.push(format!("{}: names {name}, which belongs in {places:?}", source.path));
            }
        }
    }
    found
}

fn sql_text_is_in_its_modules() -> Violations {
    let mut found = Vec::new();
    for source in &sources() {
        if !SQL_FOLDERS.iter().any(|folder| source.path.starts_with(folder)) {
            let texts = source.strings.iter().filter(|text| looks_like_sql(text));
            found.extend(texts.map(|text| format!("{}: holds SQL: {text}", source.path)));
        }
    }
    found
}

fn looks_like_sql(text: &str) -> bool {
    VERBS.iter().any(|verb| text.trim_start().starts_with(verb))
        || (text.trim().contains(' ')
            && INNARDS.iter().any(|part| format!(" {text} ").contains(part)))
}

/// What a file names of its own crate, from the crate's root on: by `crate::` or by climbing with
/// `super::`. Of a group such as `crate::{a, b::c}` each member counts.
fn crate_paths(source: &Source) -> Vec<String> {
    let code = &source.code;
    let starts = occurrences(code, "crate::").filter(|&at| is_word(code, at, "crate".len()));
    let mut paths: Vec<String> =
        starts.flat_map(|at| members(&code[at + "crate::".len()..])).collect();
    let climb = "super::".repeat(source.module.len());
    let starts = occurrences(code, &climb).filter(|&at| is_word(code, at, "super".len()));
    paths.extend(starts.flat_map(|at| members(&code[at + climb.len()..])));
    paths
}

fn members(rest: &str) -> Vec<String> {
    let Some(group) = rest.strip_prefix('{') else { return vec![path_at(rest)] };
    let mut depth = 0_usize;
    let mut start = 0;
    let mut found = Vec::new();
    for (at, one) in group.char_indices() {
        match one {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                found.push(path_at(group[start..at].trim()));
                start = at + 1;
                if one == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    found.retain(|path| !path.is_empty());
    found
}

fn path_at(rest: &str) -> String {
    let end = rest.find(|one: char| !(one.is_alphanumeric() || one == '_' || one == ':'));
    rest[..end.unwrap_or(rest.len())].trim_end_matches(':').to_owned()
}
