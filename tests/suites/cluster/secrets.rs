//! Passwords and row values appear in no resource but the Secret, in no event and in no log: both are
//! planted, in a migration that succeeds and in one that fails because of a value.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;

use super::{End, STEP, trial};
use crate::support::shop::Shop;

/// The planted value.
const VALUE: &str = "canary-5d1e-value";
/// Its key, which no writer uses.
const KEY: u64 = 9_000_000_001;

pub(super) fn trials() -> Vec<Trial> {
    vec![trial("secrets_are_told_nowhere", secrets)]
}

async fn secrets(shop: &mut Shop) -> Result<End> {
    let mut client = shop.scene.database.connect().await?;
    client.exec(&format!("INSERT INTO t VALUES ({KEY}, NULL, 7, '{VALUE}')")).await?;
    client.close().await?;
    shop.scene.registers.add(KEY, (None, 7, VALUE.to_owned()));
    let narrow = json!("MODIFY tag VARCHAR(5) NOT NULL, ADD COLUMN note INT NULL");
    shop.apply(&shop.migration("narrow", 0).with("/alter", narrow).0)?;
    shop.wait_for_reason("narrow", "DataDoesNotFit", STEP).await?;
    let said = everything(shop)?;
    shop.patch("narrow", &json!({"abort": true}))?;
    shop.delete("narrow")?;
    shop.wait_until_gone("narrow", STEP).await?;
    shop.apply(&shop.migration("one", 0).0)?;
    shop.wait_for_phase("one", "Succeeded", STEP).await?;
    let said = said + &everything(shop)?;
    for word in ["DataDoesNotFit", "Succeeded", "\"level\":\"DEBUG\"", "kind: Event", "kind: Job"] {
        ensure!(said.contains(word), "void: {word} is not in what was said");
    }
    expect_silent(shop, &said)?;
    for planted in forms(shop) {
        let found = expect_silent(shop, &format!("{said}\nwith {planted}."));
        ensure!(found.is_err(), "the search is blind for {planted}");
    }
    Ok(End::Written)
}

/// All objects of the namespace but its Secrets, and all logs.
fn everything(shop: &Shop) -> Result<String> {
    let kinds = ["api-resources", "--verbs=list", "--namespaced", "-o", "name"];
    let kinds = crate::support::cluster::kubectl(&kinds)?;
    let kinds: Vec<_> = kinds.lines().filter(|kind| *kind != "secrets").collect();
    let mut said =
        shop.kubectl(&["get", &kinds.join(","), "-o", "yaml", "--show-managed-fields"])?;
    for pod in shop.kubectl(&["get", "pods", "-o", "name"])?.lines() {
        said += &shop.kubectl(&["logs", pod])?;
    }
    Ok(said + &shop.operator.log()?)
}

/// The secrets as they are, and in the encodings in which they are stored or sent.
fn forms(shop: &Shop) -> Vec<String> {
    let password = &shop.scene.database.password;
    [password.as_str(), VALUE]
        .into_iter()
        .flat_map(|text| [text.to_owned(), hex::encode(text), base64(text)])
        .collect()
}

fn expect_silent(shop: &Shop, said: &str) -> Result<()> {
    for form in forms(shop) {
        let line = said.lines().find(|line| line.to_lowercase().contains(&form.to_lowercase()));
        let shown: String = line.unwrap_or_default().chars().take(600).collect();
        ensure!(line.is_none(), "a secret was said: {shown}");
    }
    Ok(())
}

/// As a Secret holds it.
fn base64(text: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |bytes: &[u8]| {
        let bits = bytes.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        let bits = bits << (8 * (3 - bytes.len()));
        let letter = |at: usize| LETTERS.get(bits >> (18 - 6 * at) & 63).copied().map(char::from);
        (0..4)
            .map(|at| if at <= bytes.len() { letter(at).unwrap_or('=') } else { '=' })
            .collect::<String>()
    };
    text.as_bytes().chunks(3).map(group).collect()
}
