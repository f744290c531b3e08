//! The administrator's checks before the swap: each a SELECT whose first value has to be the expected one.
//! The value that was found is shown to nobody: it may be one of a row.

use std::time::Duration;

use tokio::time::timeout;

use super::stage::Check;
use crate::mysql::connect::{ConnectOptions, Role};
use crate::mysql::error::Error;
use crate::mysql::health;

/// An answer that takes longer is none; the server ends the query then.
const LIMIT: Duration = Duration::from_secs(30);

/// The first check that does not hold, in words; `None` when all do. One that cannot be asked does not
/// hold.
pub async fn unmet(connect: &ConnectOptions, checks: &[Check]) -> Option<String> {
    for check in checks {
        let words = match timeout(LIMIT, ask(connect, check)).await {
            Ok(Ok(value)) if holds(check, value.as_deref()) => continue,
            Ok(Ok(_)) => format!("answers something else than {:?}", check.expect),
            Ok(Err(error)) => format!("cannot be asked: {error}"),
            Err(_) => format!("took longer than {} seconds", LIMIT.as_secs()),
        };
        return Some(format!("the check {:?} to hold: it {words}", check.name));
    }
    None
}

async fn ask(connect: &ConnectOptions, check: &Check) -> Result<Option<String>, Error> {
    let mut session = connect.connect(Role::Inspect).await?;
    let value = health::ask_text(&mut session, &check.query, LIMIT).await?;
    session.close().await;
    Ok(value)
}

/// As texts, or as numbers when both are: `0` is `0.00`.
fn holds(check: &Check, value: Option<&str>) -> bool {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let expected = check.expect.as_str();
    value.is_some_and(|value| {
        value == expected || number(value).is_some_and(|value| number(expected) == Some(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_as_texts_or_as_numbers() {
        let rows = [
            ("0", Some("0"), true),
            ("0", Some("0.00"), true),
            ("0", Some("1"), false),
            ("0", Some(""), false),
            ("0", None, false),
            ("ready", Some("ready"), true),
            ("ready", Some("Ready"), false),
            ("1e1", Some("10"), true),
        ];
        for (expect, value, expected) in rows {
            let (name, query) = ("one".to_owned(), String::new());
            let check = Check { name, query, expect: expect.to_owned() };
            assert_eq!(holds(&check, value), expected, "{expect} {value:?}");
        }
    }
}
