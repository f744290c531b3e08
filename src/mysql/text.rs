//! Texts as literals for this module's questions to the dictionary. Pure.

/// A string literal that no `sql_mode` and no character in it can end early.
pub(super) fn literal(text: &str) -> String {
    if text.is_empty() { "''".to_owned() } else { format!("_utf8mb4 0x{}", hex::encode(text)) }
}

/// The part of a data file's name that stands for a database or table, when it is ASCII.
pub(super) fn file_name(name: &str) -> Option<String> {
    name.chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => Some(c.to_string()),
            c if c.is_ascii() => Some(format!("@{:04x}", u32::from(c))),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_literals_that_cannot_end_early() {
        assert_eq!(literal("a'\\"), "_utf8mb4 0x61275c");
        assert_eq!(literal(""), "''");
    }

    #[test]
    fn encodes_file_names_as_the_server_does() {
        let cases = [
            ("UpperCase_1", Some("UpperCase_1")),
            ("q'd-a.b", Some("q@0027d@002da@002eb")),
            ("back`tick", Some("back@0060tick")),
            ("p#P#q", Some("p@0023P@0023q")),
            ("$x", Some("@0024x")),
            ("é", None),
        ];
        for (name, expected) in cases {
            assert_eq!(file_name(name).as_deref(), expected, "{name}");
        }
    }
}
