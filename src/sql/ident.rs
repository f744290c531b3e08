//! Identifiers as SQL text.

use crate::schema::table::TableName;

/// The name between backticks, with its own backticks doubled. NUL bytes, which no server accepts in a name, are
/// left out: the statement then names nothing that exists.
pub fn quote(name: &str) -> String {
    let inner: String = name.chars().filter(|letter| *letter != '\0').collect();
    format!("`{}`", inner.replace('`', "``"))
}

/// Database and table, both quoted.
pub fn quote_table(name: &TableName) -> String {
    format!("{}.{}", quote(&name.database), quote(&name.table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted() {
        for (name, expected) in
            [("a", "`a`"), ("a`b", "`a``b`"), ("`", "````"), ("a\0`", "`a```"), ("ä.b", "`ä.b`")]
        {
            assert_eq!(quote(name), expected);
        }
        assert_eq!(quote_table(&TableName::new("d`", "t")), "`d```.`t`");
    }
}
