//! SQL files of the cases. Statements end with `;` at the end of a line. A workload consists of entries
//! separated by blank lines; the statements of an entry run in order on one connection. Placeholders
//! are filled anew each time: `{int:1..4000}`, `{pick:a|b|c}` and `{hex:16}` (so many random bytes);
//! `{tag}` is one random word for all statements of an entry.

use super::random::Random;

/// The statements of a file, comments (`--` at the start of a line) and empty ones left out.
pub(crate) fn split(text: &str) -> Vec<String> {
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("-- ")).collect();
    let joined = kept.join("\n");
    let parts = joined.split(";\n").map(|part| part.trim().trim_end_matches(';').trim());
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// The entries of a workload file.
pub(crate) fn entries(text: &str) -> Vec<Vec<String>> {
    text.split("\n\n").map(split).filter(|entry| !entry.is_empty()).collect()
}

/// The statements of an entry with their placeholders filled.
pub(crate) fn fill_entry(entry: &[String], random: &mut Random) -> Vec<String> {
    let tag = format!("{:016x}", random.bits());
    entry.iter().map(|statement| fill(&statement.replace("{tag}", &tag), random)).collect()
}

/// The statement with its placeholders filled; text in braces that is no placeholder stays.
fn fill(statement: &str, random: &mut Random) -> String {
    let mut filled = String::new();
    let mut rest = statement;
    while let Some((before, from_brace)) =
        rest.split_at_checked(rest.find('{').unwrap_or(rest.len()))
    {
        filled.push_str(before);
        let Some(inside) = from_brace.strip_prefix('{') else {
            break;
        };
        match inside.split_once('}').and_then(|(word, after)| Some((value(word, random)?, after))) {
            Some((value, after)) => {
                filled.push_str(&value);
                rest = after;
            }
            None => {
                filled.push('{');
                rest = inside;
            }
        }
    }
    filled
}

fn value(placeholder: &str, random: &mut Random) -> Option<String> {
    let (kind, argument) = placeholder.split_once(':')?;
    match kind {
        "int" => {
            let (low, high) = argument.split_once("..")?;
            Some(random.between(low.parse().ok()?, high.parse().ok()?).to_string())
        }
        "pick" => {
            let choices: Vec<&str> = argument.split('|').collect();
            choices.get(random.below(choices.len())).map(|&choice| choice.to_owned())
        }
        "hex" => {
            let count: usize = argument.parse().ok()?;
            Some((0..count).map(|_| format!("{:02X}", random.bits() >> 56)).collect())
        }
        _ => None,
    }
}
