//! What can be told only when the server has applied the ALTER to the empty shadow table: the migration
//! key, what connects the definitions, and which conversions would lose something.

use super::{Reason, Refusal, Request, Verdict};
use crate::schema::conversion::{Conversion, KeyChange, conversion, key_change};
use crate::schema::key::{MigrationKey, SharedKey};
use crate::schema::mapping::{ColumnPair, Mapping};
use crate::schema::table::{Column, ColumnType, Generation, Index, IndexPart, Table, same_name};
use crate::sql::conflict::{OtherUnique, UniqueColumn};
use crate::sql::sync::Pair;

/// What connects the source table with the shadow table.
#[derive(Clone, Debug)]
pub struct Definitions {
    /// Both tables, their key and the column pairs.
    pub pair: Pair,
    /// Unique indexes of the shadow table besides the migration key.
    pub other_uniques: Vec<OtherUnique>,
    /// What is worth knowing.
    pub warnings: Vec<Refusal>,
}

/// Connects the two definitions.
///
/// # Errors
///
/// All refusals at once: no usable key, conversions that lose something and are not accepted, new
/// columns without a value.
pub fn check_definitions(
    request: &Request,
    source: &Table,
    shadow: &Table,
) -> Result<Definitions, Vec<Refusal>> {
    let mut verdict = Verdict::default();
    let mapping = Mapping::between(source, shadow, &request.renames);
    for pair in &mapping.pairs {
        check_conversion(pair, request, &mut verdict);
    }
    check_new_columns(source, shadow, &mapping, request, &mut verdict);
    if is_rebuild(source, shadow) {
        verdict.warn(
            Reason::NoStructuralChange,
            "the ALTER leaves the definition as it is: the table is only rebuilt",
            "correct the ALTER when that is not what is wanted",
        );
    }
    match shared_key(source, shadow, &mapping, request) {
        Err(refusal) => verdict.refusals.insert(0, refusal),
        Ok(key) if verdict.refusals.is_empty() => {
            let other_uniques = other_uniques((source, shadow), &key, &mapping);
            let (source, shadow) = (source.name.clone(), shadow.name.clone());
            let (source_key, shadow_key) = (key.source, key.shadow);
            let pair = Pair { source, shadow, source_key, shadow_key, mapping };
            return Ok(Definitions { pair, other_uniques, warnings: verdict.warnings });
        }
        Ok(_) => {}
    }
    Err(verdict.refusals)
}

/// The best key whose columns keep keys distinct and in order. In the shadow table its values are
/// written and read in the form that the source table gives them.
fn shared_key(
    source: &Table,
    shadow: &Table,
    mapping: &Mapping,
    request: &Request,
) -> Result<SharedKey, Refusal> {
    let mut candidates = source.clone();
    let mut reasons = Vec::new();
    loop {
        let mut key = match MigrationKey::choose(&candidates, shadow, &request.renames) {
            Ok(key) => key,
            Err(none) => {
                let nothing_left =
                    !reasons.is_empty() && candidates.indexes.iter().all(|i| !i.unique);
                if !nothing_left {
                    reasons.extend(none.reasons);
                }
                return Err(no_key(source, &reasons));
            }
        };
        let Some(reason) = unsafe_change(&key, mapping) else {
            for (column, of_source) in key.shadow.columns.iter_mut().zip(&key.source.columns) {
                column.kind = of_source.kind.clone();
            }
            return Ok(key);
        };
        reasons.push(reason);
        candidates.indexes.retain(|index| index.name != key.source.index);
    }
}

fn no_key(source: &Table, reasons: &[String]) -> Refusal {
    let remedy = if source.indexes.iter().any(|index| index.unique) {
        "keep a NOT NULL unique key as it is, or split the change: add the new key first, drop the old \
         one in a second migration"
    } else {
        "add a primary key with the server's own ALTER TABLE first"
    };
    let message =
        format!("no unique key identifies the rows before and after: {}", reasons.join("; "));
    Refusal::new(Reason::NoUsableKey, message, remedy)
}

/// Why this key must not be used, if so.
fn unsafe_change(key: &SharedKey, mapping: &Mapping) -> Option<String> {
    key.source.columns.iter().find_map(|column| {
        let index = &key.source.index;
        let Some(pair) = mapping.pairs.iter().find(|p| same_name(&p.source.name, &column.name))
        else {
            return Some(format!("key {index} has column {}, which is not copied", column.name));
        };
        match key_change(&pair.source, &pair.shadow) {
            KeyChange::Safe => None,
            KeyChange::Unsafe { why } => Some(format!(
                "key {index} cannot be used with column {} changed: {why}",
                column.name
            )),
        }
    })
}

fn check_conversion(pair: &ColumnPair, request: &Request, verdict: &mut Verdict) {
    let name = &pair.source.name;
    let (from, to) = (&pair.source.type_text, &pair.shadow.type_text);
    let (reason, message, remedy) = match conversion(&pair.source, &pair.shadow) {
        Conversion::Unchanged | Conversion::Widening | Conversion::Checked => return,
        Conversion::Silent { why } => (
            Reason::LossyChange,
            format!("column {name} changes from {from} to {to}, and without an error {why}"),
            "accept it with acceptLossy, or choose a type that holds every value",
        ),
        Conversion::NeedsTimeZone => (
            Reason::NeedsTimeZone,
            format!("column {name} changes from {from} to {to}, which depends on a time zone"),
            "accept UTC for both with acceptLossy, or fill a new column by yourself",
        ),
        Conversion::Impossible => {
            return verdict.refuse(
                Reason::DataDoesNotFit,
                format!(
                    "column {name} changes from {from} to {to}, which the server cannot convert"
                ),
                "add a column of the new type and fill it by yourself",
            );
        }
    };
    if request.accept_lossy {
        verdict.warn(reason, message, "nothing, as it is accepted");
    } else {
        verdict.refuse(reason, message, remedy);
    }
}

/// Columns that get no value from the source table: new ones, and those that become generated.
fn check_new_columns(
    source: &Table,
    shadow: &Table,
    mapping: &Mapping,
    request: &Request,
    verdict: &mut Verdict,
) {
    let filled = |column: &Column| mapping.pairs.iter().any(|p| p.shadow.name == column.name);
    for column in shadow.columns.iter().filter(|column| !filled(column)) {
        let name = &column.name;
        let stored = source.column(name).is_some_and(|old| old.generation == Generation::None);
        match column.generation {
            Generation::None if !column.nullable && !column.has_default => verdict.refuse(
                Reason::LossyChange,
                format!(
                    "new column {name} is NOT NULL without a default, and rows have no value for it"
                ),
                "give the column a default, or allow NULL",
            ),
            Generation::Stored | Generation::Virtual if stored && !request.accept_lossy => {
                verdict.refuse(
                    Reason::LossyChange,
                    format!(
                        "column {name} becomes a generated one, and its values are computed anew"
                    ),
                    "accept it with acceptLossy, or add the generated column under another name",
                );
            }
            Generation::None | Generation::Stored | Generation::Virtual => {}
        }
    }
}

/// The unique indexes besides the key.
fn other_uniques(
    (source, shadow): (&Table, &Table),
    key: &SharedKey,
    mapping: &Mapping,
) -> Vec<OtherUnique> {
    let other = |index: &&Index| index.unique && index.name != key.shadow.index;
    let columns = |index: &Index| -> Option<Vec<UniqueColumn>> {
        index.parts.iter().map(|part| unique_column(source, shadow, part, mapping)).collect()
    };
    let describe = |index: &Index| OtherUnique {
        index: index.name.clone(),
        columns: columns(index).unwrap_or_default(),
    };
    shadow.indexes.iter().filter(other).map(describe).collect()
}

fn unique_column(
    source: &Table,
    shadow: &Table,
    part: &IndexPart,
    mapping: &Mapping,
) -> Option<UniqueColumn> {
    let name = part.column.as_deref()?;
    let copied = mapping.pairs.iter().find(|pair| same_name(&pair.shadow.name, name)).cloned();
    // A generated column is not copied, but it has its value in the source table too.
    let generated = || {
        let (source, shadow) = (source.column(name)?.clone(), shadow.column(name)?.clone());
        Some(ColumnPair { source, shadow })
    };
    let pair = copied.or_else(generated)?;
    // Whether two values become one can only be told beforehand when the conversion changes none.
    let keeps_values = matches!(
        conversion(&pair.source, &pair.shadow),
        Conversion::Unchanged | Conversion::Widening
    );
    let both_text = |pair: &ColumnPair| {
        let text = |column: &Column| matches!(column.column_type, ColumnType::Text { .. });
        text(&pair.source) && text(&pair.shadow)
    };
    (keeps_values || both_text(&pair)).then_some(UniqueColumn { pair, prefix: part.prefix })
}

/// Whether the definitions are the same but for the name and the next AUTO_INCREMENT value.
fn is_rebuild(source: &Table, shadow: &Table) -> bool {
    let body = |table: &Table| -> Vec<String> {
        let body = table.definition.split_once('\n').map_or("", |(_, body)| body);
        let words = body.split_whitespace();
        words.filter(|word| !word.starts_with("AUTO_INCREMENT=")).map(str::to_owned).collect()
    };
    !source.definition.is_empty() && body(source) == body(shadow)
}

#[cfg(test)]
mod tests;
