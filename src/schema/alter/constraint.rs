//! CHECK constraints under other names: `CREATE TABLE ... LIKE` gives the copies names of its own, so
//! clauses that name a constraint of the source table have to name its copy. Pure.

use super::{Alter, Clause, ClauseKind};

impl Alter {
    /// The same changes for a table whose constraints have other names. Both texts are definitions as
    /// the server prints them; constraints correspond when their conditions are the same.
    pub fn for_copy(&self, original: &str, copy: &str) -> Self {
        let names = renamed_checks(original, copy);
        let renamed = |clause: &Clause| with_name_of_copy(clause, &names);
        let clauses = self.clauses.iter().map(renamed).collect();
        Self { clauses, digest: self.digest.clone() }
    }
}

fn with_name_of_copy(clause: &Clause, names: &[(String, String)]) -> Clause {
    let copy = |name: &str| {
        let found = names.iter().find(|(original, _)| original.eq_ignore_ascii_case(name));
        found.map(|(_, copy)| format!("`{}`", copy.replace('`', "``")))
    };
    let renamed = match &clause.kind {
        ClauseKind::DropCheck { name } => copy(name).map(|name| format!("DROP CHECK {name}")),
        ClauseKind::DropConstraint { name } => {
            copy(name).map(|name| format!("DROP CONSTRAINT {name}"))
        }
        ClauseKind::AlterCheck { name } => copy(name).map(|name| {
            let not =
                if clause.text.to_uppercase().ends_with("NOT ENFORCED") { "NOT " } else { "" };
            format!("ALTER CHECK {name} {not}ENFORCED")
        }),
        _ => None,
    };
    let text = renamed.unwrap_or_else(|| clause.text.clone());
    Clause { kind: clause.kind.clone(), text }
}

/// Pairs of a constraint's name and the name of its copy.
fn renamed_checks(original: &str, copy: &str) -> Vec<(String, String)> {
    let mut copies = checks(copy);
    let mut pairs = Vec::new();
    for (name, condition) in checks(original) {
        if let Some(at) = copies.iter().position(|(_, other)| *other == condition) {
            pairs.push((name, copies.remove(at).0));
        }
    }
    pairs
}

/// Name and condition of each CHECK constraint; the server prints one a line.
fn checks(definition: &str) -> Vec<(String, String)> {
    let check = |line: &str| {
        let rest = line.trim().strip_prefix("CONSTRAINT `")?;
        let (name, condition) = rest.split_once("` CHECK ")?;
        Some((name.replace("``", "`"), condition.trim_end_matches(',').to_owned()))
    };
    definition.lines().filter_map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_name_the_copies_of_constraints() {
        let original = "CREATE TABLE `t` (\n  `a` int,\n  CONSTRAINT `big` CHECK ((`a` > 9)),\n  \
                        CONSTRAINT `t_chk_1` CHECK ((`a` < 99))\n)";
        let copy = "CREATE TABLE `g` (\n  `a` int,\n  CONSTRAINT `g_chk_1` CHECK ((`a` < 99)),\n  \
                    CONSTRAINT `g_chk_2` CHECK ((`a` > 9))\n)";
        let cases = [
            ("DROP CHECK big", "DROP CHECK `g_chk_2`"),
            ("DROP CONSTRAINT t_chk_1", "DROP CONSTRAINT `g_chk_1`"),
            ("ALTER CHECK `big` NOT ENFORCED", "ALTER CHECK `g_chk_2` NOT ENFORCED"),
            ("ALTER CHECK big ENFORCED", "ALTER CHECK `g_chk_2` ENFORCED"),
            ("DROP CHECK unknown", "DROP CHECK unknown"),
            ("ADD COLUMN b INT", "ADD COLUMN b INT"),
        ];
        for (text, expected) in cases {
            let alter = Alter::parse(text, "d", "t").unwrap();
            assert_eq!(alter.for_copy(original, copy).to_sql(), expected);
        }
    }
}
