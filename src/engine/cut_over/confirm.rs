//! Which table bears the source table's name: decided by InnoDB's table id on a session of its own. To read
//! an id the server looks at every table it has, and waits where DDL on any of them waits; under the lock
//! the numbers of the table spaces do instead.

use crate::engine::error::Doing;
use crate::engine::plan::Plan;
use crate::engine::reason::{Reason, Refusal};
use crate::engine::{Error, Result};
use crate::mysql::inspect;
use crate::mysql::session::Session;
use crate::schema::table::TableName;

/// The table that bears the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer {
    /// The table we started from: not swapped.
    Source,
    /// The table we made: swapped.
    Shadow,
}

/// A table that nobody else may change during a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// The table being changed.
    Source,
    /// The copy with the new definition.
    Shadow,
}

/// Looks which table bears the name.
///
/// # Errors
///
/// A refusal when it is neither: somebody else changed it.
pub async fn look(plan: &Plan, session: &mut Session) -> Result<Bearer> {
    let id = inspect::table_id(session, &plan.tables.source).await.doing("look up a table's id")?;
    bearer(id, plan.stored.source_id, plan.stored.shadow_id)
        .ok_or_else(|| Error::Blocked { refusal: Watched::Source.replaced(&plan.tables.source) })
}

fn bearer(id: Option<u64>, source: u64, shadow: u64) -> Option<Bearer> {
    match id? {
        id if id == source => Some(Bearer::Source),
        id if id == shadow => Some(Bearer::Shadow),
        _ => None,
    }
}

/// The table spaces of both tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spaces {
    source: u64,
    shadow: u64,
}

/// The table spaces that bear the names of both tables; `None` when one has no space of its own.
///
/// # Errors
///
/// When they cannot be read.
pub async fn spaces(plan: &Plan, session: &mut Session) -> Result<Option<Spaces>> {
    let doing = "look up a table's space";
    let source = inspect::space_id(session, &plan.tables.source).await.doing(doing)?;
    let shadow = inspect::space_id(session, &plan.tables.shadow).await.doing(doing)?;
    Ok(source.zip(shadow).map(|(source, shadow)| Spaces { source, shadow }))
}

/// Makes sure, right before the swap, that both tables are the ones we know and that the name for the
/// old table is free.
///
/// # Errors
///
/// A refusal that says what somebody else changed.
pub async fn expect_unchanged(plan: &Plan, session: &mut Session) -> Result<()> {
    expect_ids(plan, session).await?;
    expect_free_name(plan, session).await
}

async fn expect_ids(plan: &Plan, session: &mut Session) -> Result<()> {
    let tables = &plan.tables;
    let source = inspect::table_id(session, &tables.source).await.doing("look up a table's id")?;
    let shadow = inspect::table_id(session, &tables.shadow).await.doing("look up a table's id")?;
    if source != Some(plan.stored.source_id) {
        return Err(Error::Blocked { refusal: Watched::Source.replaced(&tables.source) });
    }
    if shadow != Some(plan.stored.shadow_id) {
        return Err(Error::Blocked { refusal: Watched::Shadow.replaced(&tables.shadow) });
    }
    Ok(())
}

/// Makes sure that the name for the old table is free.
///
/// # Errors
///
/// A refusal when it is taken.
pub async fn expect_free_name(plan: &Plan, session: &mut Session) -> Result<()> {
    let tables = &plan.tables;
    if inspect::table_exists(session, &tables.old).await.doing("look for the old table")? {
        return Err(Error::Blocked {
            refusal: Refusal {
                reason: Reason::NameTaken,
                message: format!("the table {} exists and is not ours", tables.old),
                remedy: format!("rename or drop {} and run the same command again", tables.old),
            },
        });
    }
    Ok(())
}

impl Watched {
    fn reason(self) -> Reason {
        match self {
            Self::Source => Reason::SourceChanged,
            Self::Shadow => Reason::ShadowChanged,
        }
    }

    /// The refusal when the table is gone or is not the one that is known.
    pub fn replaced(self, table: &TableName) -> Refusal {
        let what = match self {
            Self::Source => "the table that this migration began with",
            Self::Shadow => "the shadow table that this migration made",
        };
        Refusal::new(
            self.reason(),
            format!("{table} is not {what}"),
            "find out who renamed, dropped or re-created it; abort this migration and start a new one",
        )
    }

    /// The refusal when the table's definition is another than the copy began with.
    pub fn altered(self, table: &TableName) -> Refusal {
        let remedy = match self {
            Self::Source => "abort this migration and start it again from the new definition",
            Self::Shadow => "find out who altered it; abort this migration and start it again",
        };
        Refusal::new(
            self.reason(),
            format!("the definition of {table} was changed while the migration was under way"),
            remedy,
        )
    }
}

/// The refusal when an abort comes after the swap.
pub fn too_late(table: &TableName) -> Refusal {
    Refusal {
        reason: Reason::TooLate,
        message: format!("{table} has its new definition already: there is nothing to abort"),
        remedy: "set `abort: false` and run the same command again to finish the clean-up"
            .to_owned(),
    }
}

/// The next AUTO_INCREMENT value of a table.
///
/// # Errors
///
/// When it cannot be read.
pub async fn auto_increment(session: &mut Session, table: &TableName) -> Result<Option<u64>> {
    inspect::auto_increment(session, table).await.doing("read AUTO_INCREMENT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_has_its_own_reason() {
        let table = TableName::new("d", "t_gho");
        for (watched, reason) in
            [(Watched::Source, Reason::SourceChanged), (Watched::Shadow, Reason::ShadowChanged)]
        {
            assert_eq!(watched.replaced(&table).reason, reason);
            assert_eq!(watched.altered(&table).reason, reason);
        }
    }

    #[test]
    fn bearer_is_told_by_id_alone() {
        assert_eq!(bearer(Some(1), 1, 2), Some(Bearer::Source));
        assert_eq!(bearer(Some(2), 1, 2), Some(Bearer::Shadow));
        assert_eq!(bearer(Some(3), 1, 2), None);
        assert_eq!(bearer(None, 1, 2), None);
    }
}
