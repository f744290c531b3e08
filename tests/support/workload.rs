//! Hostile workloads as data: the table, the change, the sessions and what a transaction does. Each
//! transaction does the same to the table `t` and, last, to its mirror `m`, which is never migrated.

use super::history::Write;
use super::random::Random;

/// Keys of a table lie between 1 and this, for each row of the start.
const KEYS_PER_ROW: i64 = 2;

/// Named, because the changed table has one more.
const MIXED_COLUMNS: &str = "(id, ticket, doc, body, n)";

/// One workload.
#[derive(Debug)]
pub(crate) struct Workload {
    /// Its name in test names.
    pub(crate) name: &'static str,
    /// Definition of `t`, all between the parentheses and after them.
    pub(crate) columns: &'static str,
    /// The SELECT that fills the table from `n (i)`, the numbers from 1.
    pub(crate) fill: &'static str,
    /// The change.
    pub(crate) alter: &'static str,
    /// The columns that only the changed table has.
    pub(crate) added: &'static [&'static str],
    /// What a client's session starts with: the client's number chooses one.
    pub(crate) sessions: &'static [&'static str],
    /// A row's key in one spelling.
    pub(crate) key: &'static str,
    /// A query whose one value must never change; empty for none.
    pub(crate) invariant: &'static str,
    /// A query for keys and versions that must never go back for one reader; empty for none.
    pub(crate) versions: &'static str,
    /// The next transaction.
    pub(crate) next: fn(&mut Random, Draw) -> Transaction,
}

/// What a transaction is drawn from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw {
    /// Rows of the start.
    pub(crate) rows: i64,
    /// A number that no other transaction has; each write uses one of the four from here.
    pub(crate) ticket: u64,
}

/// Statements with `{t}` for the table; each must affect at least so many rows.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    /// How it begins.
    pub(crate) begin: Vec<String>,
    /// What it does, to `t` first and then to `m`.
    pub(crate) body: Vec<(String, u64)>,
    /// How it ends.
    pub(crate) finish: Vec<String>,
    /// What ends it after an error.
    pub(crate) give_up: Vec<String>,
    /// What it writes when it ends as it wants to; nothing when it rolls back.
    pub(crate) writes: Vec<Write>,
    /// What would be found if its rollback did not count.
    pub(crate) undone: Vec<Write>,
}

impl Transaction {
    fn plain(body: Vec<(String, u64)>, writes: Vec<Write>) -> Self {
        Self {
            begin: vec!["BEGIN".to_owned()],
            body,
            finish: vec!["COMMIT".to_owned()],
            give_up: vec!["ROLLBACK".to_owned()],
            writes,
            undone: Vec::new(),
        }
    }

    /// The same, but rolled back at the end.
    fn rolled_back(mut self) -> Self {
        self.finish = vec!["ROLLBACK".to_owned()];
        self.undone = std::mem::take(&mut self.writes);
        self
    }

    /// The same as an XA transaction, which commits or rolls back after its PREPARE.
    fn xa(mut self, id: u64, verb: &str) -> Self {
        let xid = format!("'hostile-{id}'");
        self.begin = vec![format!("XA START {xid}")];
        let end = format!("XA END {xid}");
        let prepare = format!("XA PREPARE {xid}");
        self.finish = vec![end.clone(), prepare, format!("XA {verb} {xid}")];
        self.give_up = vec![end, format!("XA ROLLBACK {xid}")];
        if verb == "ROLLBACK" {
            self.undone = std::mem::take(&mut self.writes);
        }
        self
    }
}

/// All workloads.
pub(crate) const ALL: [Workload; 7] =
    [REGISTERS, BANK, SWAP, CHURN, CHURN_COMPOSITE, CHURN_TEXT, MIXED];

const REGISTERS: Workload = Workload {
    name: "registers",
    columns: "id INT PRIMARY KEY, ver INT NOT NULL, ticket BIGINT UNSIGNED NOT NULL, pad CHAR(60) NOT NULL",
    fill: "SELECT i, 0, 0, REPEAT(CHAR(97 + i % 26), 60) FROM n",
    alter: "MODIFY ver BIGINT NOT NULL, ADD COLUMN added INT NOT NULL DEFAULT 7, ADD INDEX (ver)",
    added: &["added"],
    sessions: &[""],
    key: "id",
    invariant: "",
    versions: "SELECT id, ver FROM t WHERE id BETWEEN {from} AND {from} + 40",
    next: |random, draw| {
        let id = random.between(1, draw.rows);
        let ticket = draw.ticket;
        let read = format!("SELECT ver INTO @v FROM {{t}} WHERE id = {id}");
        let set = format!(
            "UPDATE {{t}} SET ver = @v + 1, ticket = {ticket} WHERE id = {id} AND ver = @v"
        );
        Transaction::plain(vec![(read, 0), (set, 1)], vec![(id.to_string(), Some(ticket))])
    },
};

const BANK: Workload = Workload {
    name: "bank",
    columns: "id BIGINT UNSIGNED PRIMARY KEY, balance INT NOT NULL, ticket BIGINT UNSIGNED NOT NULL, pad CHAR(40) NOT NULL",
    fill: "SELECT i, 100, 0, '' FROM n",
    alter: "ADD COLUMN added VARCHAR(20) NULL AFTER balance, MODIFY balance DECIMAL(12) NOT NULL",
    added: &["added"],
    sessions: &[""],
    key: "id",
    invariant: "SELECT SUM(balance) FROM t",
    versions: "",
    next: |random, draw| {
        let (low, high) = two_of(random, draw.rows);
        let (from, to) = if random.below(2) == 0 { (low, high) } else { (high, low) };
        let amount = random.between(1, 50);
        let (ticket, other) = (draw.ticket, draw.ticket + 1);
        let body = vec![
            (format!("SELECT balance INTO @b FROM {{t}} WHERE id = {low} FOR UPDATE"), 0),
            (format!("SELECT balance INTO @b FROM {{t}} WHERE id = {high} FOR UPDATE"), 0),
            (
                format!(
                    "UPDATE {{t}} SET balance = balance - {amount}, ticket = {ticket} WHERE id = {from}"
                ),
                1,
            ),
            (
                format!(
                    "UPDATE {{t}} SET balance = balance + {amount}, ticket = {other} WHERE id = {to}"
                ),
                1,
            ),
        ];
        let transfer = Transaction::plain(
            body,
            vec![(from.to_string(), Some(ticket)), (to.to_string(), Some(other))],
        );
        if random.below(8) == 0 { transfer.rolled_back() } else { transfer }
    },
};

const SWAP: Workload = Workload {
    name: "swap",
    columns: "id INT PRIMARY KEY, u INT NULL UNIQUE, code VARCHAR(20) NULL UNIQUE, ticket BIGINT UNSIGNED NOT NULL",
    fill: "SELECT i, i * 3, CONCAT('Code ', i), 0 FROM n",
    alter: "ADD COLUMN added INT NOT NULL DEFAULT 7",
    added: &["added"],
    sessions: &[""],
    key: "id",
    invariant: "SELECT CONCAT(COUNT(DISTINCT u), ' ', SUM(u), ' ', COUNT(DISTINCT code), ' ', BIT_XOR(CRC32(code))) FROM t",
    versions: "",
    next: |random, draw| {
        let (one, two) = two_of(random, draw.rows);
        let column = if random.below(2) == 0 { "u" } else { "code" };
        let (ticket, other) = (draw.ticket, draw.ticket + 1);
        let body = vec![
            (format!("SELECT {column} INTO @a FROM {{t}} WHERE id = {one} FOR UPDATE"), 0),
            (format!("SELECT {column} INTO @b FROM {{t}} WHERE id = {two} FOR UPDATE"), 0),
            (format!("UPDATE {{t}} SET {column} = NULL WHERE id = {one}"), 1),
            (format!("UPDATE {{t}} SET {column} = @a, ticket = {other} WHERE id = {two}"), 1),
            (format!("UPDATE {{t}} SET {column} = @b, ticket = {ticket} WHERE id = {one}"), 1),
        ];
        let writes = vec![(one.to_string(), Some(ticket)), (two.to_string(), Some(other))];
        Transaction::plain(body, writes)
    },
};

const CHURN: Workload = Workload {
    name: "churn",
    columns: "id INT PRIMARY KEY, ticket BIGINT UNSIGNED NOT NULL, pad CHAR(40) NOT NULL",
    fill: "SELECT i * 2, 0, '' FROM n",
    alter: "ADD COLUMN added INT NOT NULL DEFAULT 7, MODIFY id BIGINT NOT NULL",
    added: &["added"],
    sessions: &[""],
    key: "id",
    invariant: "",
    versions: "",
    next: |random, draw| {
        let spell = |key: i64, _: &mut Random| (format!("id = {key}"), format!("{key}"));
        churn(random, draw, ("id", spell))
    },
};

const CHURN_COMPOSITE: Workload = Workload {
    name: "churn_composite",
    columns: "a SMALLINT NOT NULL, b DATE NOT NULL, ticket BIGINT UNSIGNED NOT NULL, pad CHAR(40) NOT NULL, PRIMARY KEY (a, b)",
    fill: "SELECT i * 2 % 37, DATE_ADD('2020-01-01', INTERVAL i * 2 DIV 37 DAY), 0, '' FROM n",
    alter: "ADD COLUMN added INT NOT NULL DEFAULT 7, ADD INDEX (b)",
    added: &["added"],
    sessions: &[""],
    key: "a + 37 * DATEDIFF(b, '2020-01-01')",
    invariant: "",
    versions: "",
    next: |random, draw| {
        let spell = |key: i64, _: &mut Random| {
            let (a, day) = (key % 37, key / 37);
            let b = format!("DATE_ADD('2020-01-01', INTERVAL {day} DAY)");
            (format!("a = {a} AND b = {b}"), format!("{a}, {b}"))
        };
        churn(random, draw, ("a, b", spell))
    },
};

const CHURN_TEXT: Workload = Workload {
    name: "churn_text",
    columns: "k VARCHAR(40) PRIMARY KEY, ticket BIGINT UNSIGNED NOT NULL, pad CHAR(40) NOT NULL",
    fill: "SELECT CONCAT('Clé ', i * 2), 0, '' FROM n",
    alter: "ADD COLUMN added INT NOT NULL DEFAULT 7",
    added: &["added"],
    sessions: &[""],
    key: "SUBSTRING_INDEX(k, ' ', -1)",
    invariant: "",
    versions: "",
    next: |random, draw| {
        let spell = |key: i64, random: &mut Random| {
            let forms = ["cle", "Clé", "CLÉ", "clÈ", "cLê", "c\u{6c}e\u{301}"];
            let form = forms[random.below(forms.len())];
            (format!("k = '{form} {key}'"), format!("'{form} {key}'"))
        };
        churn(random, draw, ("k", spell))
    },
};

const MIXED: Workload = Workload {
    name: "mixed",
    columns: "id INT PRIMARY KEY, ticket BIGINT UNSIGNED NOT NULL, doc JSON NOT NULL, body BLOB NULL, n INT NOT NULL",
    fill: "SELECT i * 2, 0, JSON_OBJECT('n', i, 'text', REPEAT('x', 90)), REPEAT('b', i % 300), i FROM n",
    alter: "ADD COLUMN added INT NOT NULL DEFAULT 7, MODIFY n BIGINT NOT NULL",
    added: &["added"],
    sessions: &[
        "SET SESSION binlog_transaction_compression = ON",
        "SET SESSION binlog_row_image = MINIMAL",
        "SET SESSION binlog_row_image = NOBLOB",
        "SET SESSION binlog_row_value_options = PARTIAL_JSON",
        "SET SESSION binlog_row_image = MINIMAL, SESSION binlog_row_value_options = PARTIAL_JSON, SESSION binlog_transaction_compression = ON",
        "",
    ],
    key: "id",
    invariant: "",
    versions: "",
    next: mixed,
};

/// Two different numbers from 1 to `high`, the smaller one first.
fn two_of(random: &mut Random, high: i64) -> (i64, i64) {
    let one = random.between(1, high);
    let two = (one - 1 + random.between(1, high - 1)) % high + 1;
    (one.min(two), one.max(two))
}

/// Inserts, deletes, deletes and inserts again, changes, and moves keys. `spell` writes a key as a
/// condition and as values.
fn churn(
    random: &mut Random,
    draw: Draw,
    (columns, spell): (&str, impl Fn(i64, &mut Random) -> (String, String)),
) -> Transaction {
    let key = random.between(1, draw.rows * KEYS_PER_ROW);
    let ticket = draw.ticket;
    let (is_key, values) = spell(key, random);
    let put = (key.to_string(), Some(ticket));
    let gone = (key.to_string(), None);
    let delete = (format!("DELETE FROM {{t}} WHERE {is_key}"), 1);
    let insert = |values: &str| {
        (format!("INSERT INTO {{t}} ({columns}, ticket, pad) VALUES ({values}, {ticket}, 'in')"), 1)
    };
    match random.below(6) {
        0 => Transaction::plain(vec![insert(&values)], vec![put]),
        1 => Transaction::plain(vec![delete], vec![gone]),
        2 => {
            let again = spell(key, random).1;
            Transaction::plain(vec![delete, insert(&again)], vec![put])
        }
        3 => {
            let update = format!("UPDATE {{t}} SET ticket = {ticket}, pad = 'up' WHERE {is_key}");
            Transaction::plain(vec![(update, 1)], vec![put])
        }
        4 => {
            let body = vec![insert(&values), delete];
            Transaction::plain(body, vec![gone])
        }
        _ => moved(random, draw, key, &(columns, spell)),
    }
}

fn moved(
    random: &mut Random,
    draw: Draw,
    key: i64,
    (columns, spell): &(&str, impl Fn(i64, &mut Random) -> (String, String)),
) -> Transaction {
    let to = random.between(1, draw.rows * KEYS_PER_ROW);
    let (from, (_, values)) = (spell(key, random).0, spell(to, random));
    let columns = columns.split(", ");
    let set: Vec<String> =
        columns.zip(values.splitn(2, ", ")).map(|(c, v)| format!("{c} = {v}")).collect();
    let ticket = draw.ticket;
    let update = format!("UPDATE {{t}} SET {}, ticket = {ticket} WHERE {from}", set.join(", "));
    let mut writes = vec![(to.to_string(), Some(ticket))];
    if to != key {
        writes.push((key.to_string(), None));
    }
    Transaction::plain(vec![(update, 1)], writes)
}

fn mixed(random: &mut Random, draw: Draw) -> Transaction {
    let key = random.between(1, draw.rows * KEYS_PER_ROW - 4);
    let ticket = draw.ticket;
    let put = (key.to_string(), Some(ticket));
    let json = format!(
        "UPDATE {{t}} SET doc = JSON_SET(doc, '$.n', {ticket}), ticket = {ticket} WHERE id = {key}"
    );
    let row = |key: i64, ticket: u64| {
        format!("({key}, {ticket}, JSON_OBJECT('n', {key}), REPEAT('i', 20), {key})")
    };
    match random.below(9) {
        0 => Transaction::plain(vec![(json, 1)], vec![put]).xa(ticket, "COMMIT"),
        1 => Transaction::plain(vec![(json, 1)], vec![put]).xa(ticket, "ROLLBACK"),
        2 => savepoints(key, ticket),
        3 => {
            let body = format!(
                "UPDATE {{t}} SET body = REPEAT('u', {ticket} % 900), ticket = {ticket} WHERE id = {key}"
            );
            Transaction::plain(vec![(body, 1)], vec![put])
        }
        4 => {
            let rows = format!(
                "REPLACE INTO {{t}} {MIXED_COLUMNS} VALUES {}, {}",
                row(key, ticket),
                row(key + 1, ticket + 1)
            );
            let writes = vec![put, ((key + 1).to_string(), Some(ticket + 1))];
            Transaction::plain(vec![(rows, 2)], writes)
        }
        5 => {
            let upsert = format!(
                "INSERT INTO {{t}} {MIXED_COLUMNS} VALUES {} ON DUPLICATE KEY UPDATE ticket = {ticket}, n = n + 1",
                row(key, ticket)
            );
            Transaction::plain(vec![(upsert, 1)], vec![put])
        }
        6 => {
            let delete = (format!("DELETE FROM {{t}} WHERE id = {key}"), 1);
            Transaction::plain(vec![delete], vec![(key.to_string(), None)]).xa(ticket, "COMMIT")
        }
        7 => {
            let from = "FROM (SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2) AS feed";
            let select = format!(
                "INSERT INTO {{t}} {MIXED_COLUMNS} SELECT {key} + d, {ticket} + d, JSON_ARRAY(d), NULL, d {from}"
            );
            let clear = format!("DELETE FROM {{t}} WHERE id BETWEEN {key} AND {key} + 2");
            let number =
                |d: u64| ((key + i64::try_from(d).unwrap_or(0)).to_string(), Some(ticket + d));
            Transaction::plain(vec![(clear, 0), (select, 3)], (0..3).map(number).collect())
        }
        _ => Transaction::plain(vec![(json, 1)], vec![put]).rolled_back(),
    }
}

fn savepoints(key: i64, ticket: u64) -> Transaction {
    let update =
        |number: u64| format!("UPDATE {{t}} SET n = n + 1, ticket = {number} WHERE id = {key}");
    let body = vec![
        (update(ticket + 1), 1),
        ("SAVEPOINT inner_{t}".to_owned(), 0),
        (update(ticket + 2), 1),
        (format!("DELETE FROM {{t}} WHERE id = {key} + 1"), 0),
        ("ROLLBACK TO SAVEPOINT inner_{t}".to_owned(), 0),
        (update(ticket), 1),
    ];
    Transaction::plain(body, vec![(key.to_string(), Some(ticket))])
}
