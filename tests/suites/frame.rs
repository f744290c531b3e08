//! The frame itself: servers of a test's own, and the small languages of the case files.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

use crate::support::client::Client;
use crate::support::random::Random;
use crate::support::server::Server;
use crate::support::settings::Settings;
use crate::support::statements;

/// One test per promise of the frame.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        super::trial("frame::killed_server_keeps_its_rows".to_owned(), killed_server),
        super::trial("frame::workload_placeholders_are_filled".to_owned(), placeholders),
        super::trial("frame::unknown_setting_is_an_error".to_owned(), unknown_setting),
    ]
}

async fn killed_server() -> Result<()> {
    let private = Server::private("frame", &["--max-connections=20"])?;
    let url = private.server().url().to_owned();
    let first = private.pid()?;
    let mut client = Client::connect(&url, None).await?;
    ensure!(
        client.texts("SELECT @@max_connections").await? == ["20"],
        "the option is not in force"
    );
    client.exec("CREATE DATABASE kept").await?;
    client.exec("CREATE TABLE kept.t (id INT PRIMARY KEY)").await?;
    client.exec("INSERT INTO kept.t VALUES (7)").await?;
    private.kill()?;
    ensure!(client.exec("INSERT INTO kept.t VALUES (8)").await.is_err(), "a killed server answers");
    private.restart()?;
    let mut client = Client::connect(&url, Some("kept")).await?;
    ensure!(client.texts("SELECT id FROM t").await? == ["7"], "the committed row is not there");
    ensure!(private.pid()? != first, "the process is the same");
    client.close().await
}

async fn placeholders() -> Result<()> {
    let mut random = Random::new(1);
    let entries =
        statements::entries("SET @a = {int:5..5};\nXA END '{tag}';\n\n-- note\nDO '{x}';\n");
    ensure!(entries.len() == 2, "two entries are {entries:?}");
    let [set, end] = &statements::fill_entry(&entries[0], &mut random)[..] else {
        anyhow::bail!("two statements are {:?}", entries[0]);
    };
    ensure!(set == "SET @a = 5", "the number is missing in {set}");
    ensure!(end.len() == "XA END ''".len() + 16, "the tag is missing in {end}");
    ensure!(statements::fill_entry(&entries[1], &mut random) == ["DO '{x}'"], "braces are kept");
    let hex = statements::fill_entry(&["{hex:3}{pick:a|b}".to_owned()], &mut random);
    ensure!(hex[0].len() == 7, "three bytes and a choice are {hex:?}");
    Ok(())
}

async fn unknown_setting() -> Result<()> {
    let settings = Settings::parse("one = \"a\"\nmany = [\"b\", 'c']\n# note\n", &["one", "many"])?;
    ensure!(settings.one("one") == Some("a") && settings.all("many") == ["b", "c"]);
    ensure!(Settings::parse("tow = 1", &["two"]).is_err(), "a typing error goes unseen");
    ensure!(Settings::parse("two = maybe", &["two"]).is_err(), "a bare word goes unseen");
    Ok(())
}
