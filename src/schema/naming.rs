//! Names of the helper tables. They derive from the source table's name, fit 64 characters and sort
//! after it in byte order, because metadata locks are taken in the order of names.

use sha2::{Digest, Sha256};

/// The longest name the server accepts, in characters.
const NAME_LIMIT: usize = 64;

/// Suffix of the shadow table.
const SHADOW: &str = "_gho";
/// Suffix of the old table.
const OLD: &str = "_del";
/// Suffix of the short-lived empty table that `plan` tries the ALTER on.
const PREVIEW: &str = "_ghp";
/// Suffix of the control table.
const CONTROL: &str = "_ghc";

/// Names of the helper tables of one source table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelperNames {
    /// The copy with the new definition.
    pub shadow: String,
    /// The former source table after the swap.
    pub old: String,
    /// The control table.
    pub control: String,
    /// The short-lived empty table of `plan`.
    pub preview: String,
}

impl HelperNames {
    /// Derives the names; `old_taken` tells which names the old table cannot have, because an
    /// earlier migration's old table is still kept under them.
    pub fn of(source: &str, old_taken: &[String]) -> Self {
        let mut old = helper(source, OLD);
        let mut round = 1;
        while old_taken.contains(&old) {
            round += 1;
            old = helper(source, &format!("{OLD}{round}"));
        }
        let [shadow, control, preview] =
            [SHADOW, CONTROL, PREVIEW].map(|suffix| helper(source, suffix));
        Self { shadow, old, control, preview }
    }

    /// Whether every helper sorts after the source table, also when the server folds case.
    pub fn sort_after(&self, source: &str) -> bool {
        [&self.shadow, &self.old, &self.control]
            .into_iter()
            .all(|name| name.as_str() > source && name.to_lowercase() > source.to_lowercase())
    }
}

/// `source` with a suffix; when that is too long, a cut name with a hash behind a prefix that sorts
/// after every name with the same first character.
fn helper(source: &str, suffix: &str) -> String {
    let plain = format!("{source}{suffix}");
    if plain.chars().count() <= NAME_LIMIT {
        return plain;
    }
    let hash = hex::encode(Sha256::digest(source.as_bytes()));
    let hash: String = hash.chars().take(12).collect();
    let prefix =
        if source.chars().next().is_some_and(|first| first < '~') { "~" } else { "\u{ffee}" };
    let room = NAME_LIMIT - 2 - hash.len() - suffix.chars().count();
    let cut: String = source.chars().take(room).collect();
    format!("{prefix}{cut}_{hash}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helpers_fit_and_sort_after_their_source() {
        let long =
            ["o".repeat(64), "Z".repeat(61), "é".repeat(64), "表".repeat(63), "~".repeat(64)];
        for source in long.iter().map(String::as_str).chain(["t", "Orders", "z", "a b", "表"]) {
            let names = HelperNames::of(source, &[]);
            assert!(names.sort_after(source), "{names:?}");
            for name in [&names.shadow, &names.old, &names.control] {
                assert!(name.chars().count() <= 64, "{name}");
            }
            assert_ne!(names.shadow, names.control);
        }
    }

    #[test]
    fn long_names_with_a_common_start_get_different_helpers() {
        let one = HelperNames::of(&format!("{}a", "o".repeat(63)), &[]);
        let two = HelperNames::of(&format!("{}b", "o".repeat(63)), &[]);
        assert_ne!(one.shadow, two.shadow);
    }

    #[test]
    fn old_name_that_is_taken_is_passed_over() {
        let taken = ["t_del".to_owned(), "t_del2".to_owned()];
        assert_eq!(HelperNames::of("t", &taken).old, "t_del3");
    }
}
