//! The strongest oracle for a table that is written all the while: the acknowledged rows in a twin table
//! of the first definition, changed by the server's own ALTER. In: the writers, the table that keeps the
//! first definition, the change. Must not know: who made the change that is judged.

use anyhow::{Context, Result, ensure};

use super::client::{ident, literal};
use super::compare::{self, Dump};
use super::database::Database;
use super::registers::{Registers, Rows, TABLE};

/// Rows of one INSERT.
const AT_ONCE: usize = 1000;

/// Fails unless the changed table equals its twin in definition and rows, while the writers are held.
/// `origin` is the table that has the first definition, `alter` the change.
pub(crate) async fn expect_equal(
    database: &Database,
    registers: &Registers,
    (origin, alter): (&str, &str),
) -> Result<()> {
    let held = registers.hold().await;
    let (mut changed, mut twin) = (database.connect().await?, database.connect_twin().await?);
    let like = format!("CREATE TABLE {TABLE} LIKE {}.{}", ident(&database.name), ident(origin));
    twin.exec(&like).await?;
    for insert in inserts(&registers.rows()) {
        twin.exec(&insert).await?;
    }
    twin.exec(&format!("ALTER TABLE {TABLE} {alter}")).await.context("the server's own ALTER")?;
    let found = compare::definition(&mut changed, TABLE).await?;
    let wanted = compare::definition(&mut twin, TABLE).await?;
    ensure!(found == wanted, "the definition is\n{found}\nexpected\n{wanted}");
    let rows = Dump::read(&mut changed, TABLE, &[]).await?;
    let wanted = Dump::read(&mut twin, TABLE, &[]).await?;
    changed.close().await?;
    twin.close().await?;
    drop(held);
    rows.expect_equal(&wanted, "the changed table against its twin")
}

fn inserts(rows: &Rows) -> Vec<String> {
    let rows: Vec<String> = rows
        .iter()
        .map(|(id, (unique, version, tag))| {
            let unique = unique.map_or("NULL".to_owned(), |unique| unique.to_string());
            format!("({id}, {unique}, {version}, {})", literal(tag))
        })
        .collect();
    let begin = format!("INSERT INTO {TABLE} (id, u, version, tag) VALUES");
    rows.chunks(AT_ONCE).map(|chunk| format!("{begin} {}", chunk.join(", "))).collect()
}
