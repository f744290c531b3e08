//! Which column of the shadow table gets its values from which column of the source table.

use super::table::{Column, Generation, Table, same_name};

/// A column pair: values flow from `source` to `shadow`.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnPair {
    /// Column of the source table.
    pub source: Column,
    /// Column of the shadow table.
    pub shadow: Column,
}

/// All column pairs, in the order of the shadow table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mapping {
    /// Pairs whose shadow column is written by us.
    pub pairs: Vec<ColumnPair>,
}

impl Mapping {
    /// Pairs the columns of two definitions by name, through the given renames (old, new).
    /// Generated columns of the shadow table are left out: the server computes them.
    pub fn between(source: &Table, shadow: &Table, renames: &[(String, String)]) -> Self {
        let pairs = shadow
            .columns
            .iter()
            .filter(|column| column.generation == Generation::None)
            .filter_map(|column| {
                let name = source_name(&column.name, renames)?;
                let source = source.column(name)?;
                Some(ColumnPair { source: source.clone(), shadow: column.clone() })
            })
            .collect();
        Self { pairs }
    }

    /// The name that a source column has in the shadow table.
    pub fn shadow_name(&self, source: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|pair| same_name(&pair.source.name, source))
            .map(|pair| pair.shadow.name.as_str())
    }
}

/// The source column behind a shadow column; `None` when a rename took that name away.
fn source_name<'a>(shadow: &'a str, renames: &'a [(String, String)]) -> Option<&'a str> {
    if let Some((old, _)) = renames.iter().find(|(_, new)| same_name(new, shadow)) {
        return Some(old);
    }
    let renamed_away = renames.iter().any(|(old, _)| same_name(old, shadow));
    (!renamed_away).then_some(shadow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::table::{ColumnType, TableName};

    fn table(columns: &[&str]) -> Table {
        let column = |name: &&str| Column {
            name: (*name).to_owned(),
            column_type: ColumnType::Integer { bytes: 4, unsigned: false },
            type_text: "int".to_owned(),
            nullable: true,
            has_default: true,
            generation: Generation::None,
            auto_increment: false,
            invisible: false,
        };
        Table {
            name: TableName::new("d", "t"),
            engine: "InnoDB".to_owned(),
            columns: columns.iter().map(column).collect(),
            indexes: Vec::new(),
            definition: String::new(),
            estimated_rows: 0,
            size_bytes: 0,
            auto_increment: None,
        }
    }

    fn pairs(source: &[&str], shadow: &[&str], renames: &[(&str, &str)]) -> Vec<String> {
        let renames: Vec<_> =
            renames.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned())).collect();
        Mapping::between(&table(source), &table(shadow), &renames)
            .pairs
            .iter()
            .map(|pair| format!("{}>{}", pair.source.name, pair.shadow.name))
            .collect()
    }

    #[test]
    fn columns_pair_by_name_and_through_renames() {
        assert_eq!(pairs(&["a", "b"], &["b", "A", "n"], &[]), ["b>b", "a>A"]);
        assert_eq!(pairs(&["a", "b"], &["b", "a"], &[("a", "b"), ("b", "a")]), ["a>b", "b>a"]);
        assert_eq!(pairs(&["a"], &["c", "a"], &[("a", "c")]), ["a>c"]);
    }
}
