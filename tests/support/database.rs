//! A fresh database with an account of its own for one test, both dropped at the end.

use anyhow::Result;

use super::client::{Client, ident, literal};
use super::server::Server;

/// The database of one test, its twin database, and the account that the tool under test uses.
pub(crate) struct Database {
    /// Where the source table is.
    pub(crate) name: String,
    /// Where the twin of the oracle is.
    pub(crate) twin: String,
    /// The tool's account; nobody else uses it.
    pub(crate) account: String,
    /// Its password.
    pub(crate) password: String,
    url: String,
}

impl Database {
    /// Creates both databases, dropping what an earlier run left, and the account.
    pub(crate) async fn create(server: &Server, label: &str) -> Result<Self> {
        let label: String =
            label.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
        let short: String = label.chars().take(50).collect();
        let digest = crc32fast::hash(label.as_bytes());
        let database = Self {
            name: format!("gs_{short}"),
            twin: format!("gs_{short}_twin"),
            account: format!("gs_{digest:08x}"),
            password: format!("pw-{digest:08x}-{}", std::process::id()),
            url: server.url().to_owned(),
        };
        database.remove().await?;
        let mut client = Client::connect(&database.url, None).await?;
        for name in [&database.name, &database.twin] {
            client.exec(&format!("CREATE DATABASE {}", ident(name))).await?;
        }
        let (account, password) =
            (literal_name(&database.account), literal_name(&database.password));
        client.exec(&format!("CREATE USER {account}@'%' IDENTIFIED BY {password}")).await?;
        client.exec(&format!("GRANT ALL PRIVILEGES ON *.* TO {account}@'%'")).await?;
        client.close().await?;
        Ok(database)
    }

    /// A session of root in the database.
    pub(crate) async fn connect(&self) -> Result<Client> {
        Client::connect(&self.url, Some(&self.name)).await
    }

    /// A session of root in the twin database.
    pub(crate) async fn connect_twin(&self) -> Result<Client> {
        Client::connect(&self.url, Some(&self.twin)).await
    }

    /// The tables of the database, views included, in order.
    pub(crate) async fn tables(&self) -> Result<Vec<String>> {
        let mut client = self.connect().await?;
        let query = format!(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} ORDER BY 1",
            literal(&self.name)
        );
        let names = client.texts(&query).await?;
        client.close().await?;
        Ok(names)
    }

    /// Drops both databases and the account.
    pub(crate) async fn remove(&self) -> Result<()> {
        let mut client = Client::connect(&self.url, None).await?;
        client.exec("SET SESSION lock_wait_timeout = 10").await?;
        for name in [&self.name, &self.twin] {
            client.exec(&format!("DROP DATABASE IF EXISTS {}", ident(name))).await?;
        }
        let account = literal_name(&self.account);
        client.exec(&format!("DROP USER IF EXISTS {account}@'%'")).await?;
        client.close().await
    }
}

fn literal_name(name: &str) -> String {
    format!("'{name}'")
}
