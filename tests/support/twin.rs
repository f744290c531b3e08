//! The strongest oracle: the same rows and the same ALTER, carried out by the server itself on a twin
//! table of the same name in another database, while nobody writes. The migrated table has to equal it
//! in every row and in its definition.

use anyhow::{Context, Result, bail};

use super::case::Case;
use super::client::{Client, ident, literal};
use super::compare::{self, Dump};
use super::database::Database;

/// What a case's table has to be after the change, and what it was before.
#[derive(Debug)]
pub(crate) struct Twin {
    /// The rows before the change.
    pub(crate) origin: Dump,
    /// The rows after the change, as the server's own ALTER leaves them.
    pub(crate) expected: Dump,
    /// The definition after the change.
    pub(crate) definition: String,
    /// The next AUTO_INCREMENT value before the change.
    pub(crate) counter_before: Option<u64>,
    /// The next AUTO_INCREMENT value after the server's own ALTER.
    pub(crate) counter_after: Option<u64>,
}

impl Twin {
    /// Builds the twin from the table as it is now; nobody may write meanwhile.
    pub(crate) async fn build(database: &Database, case: &Case) -> Result<Self> {
        let table = case.table.as_str();
        let mut source = database.connect().await?;
        let mut twin = database.connect_twin().await?;
        prepare(&mut twin).await?;
        let ignored = case.setting_values("ignore");
        let origin = Dump::read(&mut source, table, &ignored).await?;
        let counter_before = compare::auto_increment(&mut source, table).await?;
        twin.exec(&compare::full_definition(&mut source, table).await?).await?;
        copy_rows(&mut twin, &database.name, table).await?;
        twin.exec(&case.statement()).await.context("the server's own ALTER of the twin")?;
        let built = Self {
            origin,
            expected: Dump::read(&mut twin, table, &ignored).await?,
            definition: compare::definition(&mut twin, table).await?,
            counter_before,
            counter_after: compare::auto_increment(&mut twin, table).await?,
        };
        source.close().await?;
        twin.close().await?;
        Ok(built)
    }

    /// Fails unless the case's table has the twin's definition, rows and next id.
    pub(crate) async fn expect_migrated(&self, database: &Database, case: &Case) -> Result<()> {
        let mut client = database.connect().await?;
        let definition = compare::definition(&mut client, &case.table).await?;
        if definition != self.definition {
            bail!("the definition is\n{definition}\nexpected\n{}", self.definition);
        }
        let rows = Dump::read(&mut client, &case.table, &case.setting_values("ignore")).await?;
        rows.expect_equal(&self.expected, "the migrated table against its twin")?;
        let counter = compare::auto_increment(&mut client, &case.table).await?;
        client.close().await?;
        self.expect_counter(counter, case)
    }

    /// Fails unless the old table has the rows of before the change.
    pub(crate) async fn expect_old(
        &self,
        database: &Database,
        case: &Case,
        old: &str,
    ) -> Result<()> {
        let mut client = database.connect().await?;
        let rows = Dump::read(&mut client, old, &case.setting_values("ignore")).await?;
        client.close().await?;
        rows.expect_equal(&self.origin, "the old table against the source before the swap")
    }

    fn expect_counter(&self, counter: Option<u64>, case: &Case) -> Result<()> {
        // Ids that were given out and deleted must not be given out again.
        let wanted = self.counter_after.map(|after| after.max(self.counter_before.unwrap_or(0)));
        if counter != wanted {
            bail!("the next id of {} is {counter:?}, expected {wanted:?}", case.table);
        }
        Ok(())
    }
}

async fn prepare(twin: &mut Client) -> Result<()> {
    let mode = "STRICT_TRANS_TABLES,STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO";
    twin.exec(&format!("SET SESSION sql_mode = '{mode}', time_zone = '+00:00'")).await.map(drop)
}

async fn copy_rows(twin: &mut Client, from: &str, table: &str) -> Result<()> {
    let query = format!(
        "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() \
         AND TABLE_NAME = {} AND GENERATION_EXPRESSION = '' ORDER BY ORDINAL_POSITION",
        literal(table)
    );
    let names = twin.texts(&query).await?;
    let list = names.iter().map(|name| ident(name)).collect::<Vec<_>>().join(", ");
    let table = ident(table);
    let insert = format!("INSERT INTO {table} ({list}) SELECT {list} FROM {}.{table}", ident(from));
    twin.exec(&insert).await.map(drop)
}
