//! Examples of accepted and refused texts, and properties that hold for any text.

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Alter, AlterError> {
    Alter::parse(text, "shop", "orders")
}

fn kinds(text: &str) -> Vec<ClauseKind> {
    let alter = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    alter.clauses().iter().map(|clause| clause.kind.clone()).collect()
}

fn reason(text: &str) -> &'static str {
    match parse(text) {
        Ok(alter) => panic!("{text} was accepted as {alter:?}"),
        Err(error) => error.reason(),
    }
}

/// Texts that are accepted, with the number of their clauses.
const ACCEPTED: &[(&str, usize)] = &[
    // Columns.
    ("ADD COLUMN note varchar(200), ADD INDEX (x)", 2),
    ("ADD a int", 1),
    ("ADD COLUMN a int FIRST", 1),
    ("ADD COLUMN a int unsigned NOT NULL DEFAULT 0 AFTER `b c`", 1),
    ("ADD (a int, b int)", 2),
    ("ADD COLUMN (a int, b varchar(3) DEFAULT ',)', INDEX (a), UNIQUE u (b))", 4),
    ("ADD `column` int, ADD COLUMN `index` int, ADD `primary` int", 3),
    ("ADD `a``b` int", 1),
    ("ADD größe int", 1),
    ("ADD vector int", 1),
    ("ADD period int, ADD system int, ADD comment text, ADD engine int", 4),
    ("ADD COLUMN a decimal(10,2) unsigned zerofill", 1),
    ("ADD COLUMN a double precision", 1),
    ("ADD COLUMN a national varchar(10)", 1),
    ("ADD COLUMN a nchar varying(10)", 1),
    ("ADD COLUMN a character varying(10) character set latin1 collate latin1_bin", 1),
    ("ADD COLUMN a char byte, ADD b char(3) binary, ADD c char(3) ascii, ADD d char(3) unicode", 4),
    ("ADD COLUMN a long varchar, ADD b long varbinary", 2),
    ("ADD COLUMN a char char set utf8mb4", 1),
    ("ADD COLUMN a enum('a,b','c)d') NOT NULL", 1),
    ("MODIFY c enum('a,b','c)d')", 1),
    ("MODIFY c set('x''y','z\\'w', \"q\"\"r\")", 1),
    ("ADD a enum(x'41', b'1', _utf8mb4'z')", 1),
    (
        "ADD COLUMN a bit(8) DEFAULT b'101', ADD b binary(2) DEFAULT x'4142', ADD c int DEFAULT 0x41",
        3,
    ),
    ("ADD COLUMN a json DEFAULT (json_array())", 1),
    ("ADD COLUMN a varchar(36) DEFAULT (uuid())", 1),
    ("ADD COLUMN a varchar(36) DEFAULT uuid()", 1),
    ("ADD COLUMN a varchar(9) DEFAULT 'a' 'b'", 1),
    ("ADD COLUMN a varchar(9) DEFAULT _latin1'a' COMMENT 'x; y'", 1),
    ("ADD COLUMN a varchar(9) DEFAULT _latin1 x'41'", 1),
    ("ADD COLUMN a varchar(9) DEFAULT N'a'", 1),
    (
        "ADD COLUMN a date DEFAULT DATE '2020-01-01', ADD b timestamp DEFAULT TIMESTAMP'2020-01-01 00:00:00'",
        2,
    ),
    (
        "ADD COLUMN a int DEFAULT -1, ADD b double DEFAULT 1.5e-3, ADD c double DEFAULT .5, ADD d double DEFAULT - -1.",
        4,
    ),
    ("ADD COLUMN a bool DEFAULT true", 1),
    (
        "ADD COLUMN a timestamp(6) NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)",
        1,
    ),
    ("ADD COLUMN a datetime DEFAULT now() ON UPDATE now()", 1),
    ("ADD COLUMN a int GENERATED ALWAYS AS (b + 1) STORED", 1),
    ("ADD COLUMN a int AS (b->>'$.x') VIRTUAL NOT NULL COMMENT \"it's\"", 1),
    ("ADD COLUMN a int CHECK (a > 0) NOT ENFORCED", 1),
    ("ADD COLUMN a int CONSTRAINT c CHECK (a > 0)", 1),
    ("ADD COLUMN a int CONSTRAINT CHECK (a > 0) ENFORCED", 1),
    ("ADD COLUMN a int UNIQUE KEY, ADD b int UNIQUE", 2),
    ("ADD COLUMN id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY", 1),
    ("ADD COLUMN id serial", 1),
    ("ADD COLUMN id bigint serial default value", 1),
    ("ADD COLUMN p point NOT NULL SRID 4326", 1),
    ("ADD COLUMN v vector(3)", 1),
    ("ADD COLUMN a int INVISIBLE, ADD b int VISIBLE", 2),
    ("ADD COLUMN a int COLUMN_FORMAT DYNAMIC", 1),
    ("ADD COLUMN a uuid, ADD b inet6", 2),
    ("ADD COLUMN sleep int", 1),
    ("DROP a", 1),
    ("DROP COLUMN a, DROP COLUMN `b` CASCADE, DROP c RESTRICT", 3),
    ("CHANGE a b int", 1),
    ("CHANGE COLUMN `a` `a` bigint FIRST", 1),
    ("MODIFY COLUMN a bigint NOT NULL AFTER b", 1),
    ("RENAME COLUMN a TO b", 1),
    ("ALTER COLUMN c SET DEFAULT 5", 1),
    ("ALTER c SET DEFAULT (1 + 2)", 1),
    ("ALTER c DROP DEFAULT", 1),
    ("ALTER COLUMN c SET INVISIBLE, ALTER d SET VISIBLE", 2),
    // Indexes and constraints.
    ("ADD INDEX (a)", 1),
    ("ADD INDEX i (a(10) DESC, b ASC) USING BTREE COMMENT 'c' INVISIBLE", 1),
    ("ADD INDEX i USING HASH (a) KEY_BLOCK_SIZE = 8", 1),
    ("ADD INDEX USING BTREE (a)", 1),
    ("ADD INDEX i TYPE BTREE (a)", 1),
    ("ADD KEY `i` (a)", 1),
    ("ADD INDEX ((lower(a)))", 1),
    ("ADD INDEX j ((cast(d->'$.tags' as char(20) array)))", 1),
    ("ADD INDEX i (sleep(5))", 1),
    ("ADD INDEX i (größe(5))", 1),
    ("ADD UNIQUE u (a)", 1),
    ("ADD UNIQUE (a), ADD UNIQUE INDEX (b), ADD UNIQUE KEY k (c)", 3),
    ("ADD CONSTRAINT c UNIQUE (a)", 1),
    ("ADD CONSTRAINT UNIQUE KEY u (a)", 1),
    ("ADD FULLTEXT KEY f (a) WITH PARSER ngram", 1),
    ("ADD FULLTEXT (a), ADD SPATIAL INDEX s (g)", 2),
    ("ADD VECTOR INDEX (v) M=8 DISTANCE=cosine", 1),
    ("ADD PRIMARY KEY (a, b)", 1),
    ("DROP PRIMARY KEY, ADD CONSTRAINT PRIMARY KEY USING BTREE (b)", 2),
    ("ADD CHECK (a > 0)", 1),
    ("ADD CONSTRAINT c CHECK (a in (1, 2)) NOT ENFORCED", 1),
    ("DROP INDEX i, DROP KEY j", 2),
    ("DROP FOREIGN KEY f", 1),
    ("DROP CHECK c, DROP CONSTRAINT d", 2),
    ("RENAME INDEX a TO b, RENAME KEY `c` TO d", 2),
    ("ALTER INDEX i INVISIBLE, ALTER INDEX j VISIBLE", 2),
    ("ALTER INDEX i NOT IGNORED", 1),
    ("ALTER CHECK c NOT ENFORCED", 1),
    ("ALTER CONSTRAINT c ENFORCED", 1),
    // Table options.
    ("ENGINE=InnoDB", 1),
    ("engine innodb", 1),
    ("ENGINE = 'InnoDB' ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8", 3),
    ("FORCE", 1),
    ("CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci", 1),
    ("CONVERT TO CHARSET latin1", 1),
    ("DEFAULT CHARACTER SET = utf8mb4 COLLATE utf8mb4_bin", 2),
    ("CHARSET utf8mb4, COLLATE = utf8mb4_bin", 2),
    ("AUTO_INCREMENT = 5", 1),
    ("COMMENT = 'x; y -- z /* w */ # v'", 1),
    ("COMMENT 'it''s \\' \\\\'", 1),
    ("COMPRESSION='zlib', ENCRYPTION='Y'", 2),
    ("STATS_PERSISTENT=1 STATS_AUTO_RECALC=DEFAULT STATS_SAMPLE_PAGES=20", 3),
    (
        "MAX_ROWS=100 MIN_ROWS=1, AVG_ROW_LENGTH=10 CHECKSUM=0 DELAY_KEY_WRITE=0 PACK_KEYS=DEFAULT",
        6,
    ),
    ("AUTOEXTEND_SIZE = 4M", 1),
    // Partitions.
    ("PARTITION BY HASH (id) PARTITIONS 8", 1),
    ("PARTITION BY LINEAR KEY ALGORITHM=2 (id)", 1),
    ("PARTITION BY KEY () PARTITIONS 4", 1),
    (
        "PARTITION BY RANGE (year(d)) (PARTITION p0 VALUES LESS THAN (2000), PARTITION p1 VALUES LESS THAN MAXVALUE)",
        1,
    ),
    (
        "PARTITION BY RANGE COLUMNS (a, b) (PARTITION p0 VALUES LESS THAN (1, MAXVALUE) ENGINE = InnoDB COMMENT = 'x' MAX_ROWS = 5)",
        1,
    ),
    ("PARTITION BY LIST (a) (PARTITION p VALUES IN (1, 2, NULL))", 1),
    (
        "PARTITION BY RANGE (a) SUBPARTITION BY HASH (b) SUBPARTITIONS 2 (PARTITION p VALUES LESS THAN (1) (SUBPARTITION s0, SUBPARTITION s1 STORAGE ENGINE InnoDB))",
        1,
    ),
    ("ADD PARTITION (PARTITION p2 VALUES LESS THAN (3000))", 1),
    ("ADD PARTITION PARTITIONS 2", 1),
    ("COALESCE PARTITION 2", 1),
    ("REORGANIZE PARTITION p0, p1 INTO (PARTITION p VALUES LESS THAN (5))", 1),
    ("REMOVE PARTITIONING", 1),
    // Whole statements, comments, blanks.
    ("ALTER TABLE orders ADD a int", 1),
    ("alter table `shop`.`orders` ADD a int;", 1),
    ("ALTER TABLE shop . orders ADD a int ; ", 1),
    ("-- why\nADD a int -- really\n, # and\n ADD/**/b/* x */int", 2),
    ("\tADD\r\nCOLUMN\u{b}a\u{c}int", 1),
    ("ADD a int DEFAULT (1--/**/1), DROP b", 2),
    ("ADD a int DEFAULT (5 --2)", 1),
    ("ADD a int /* /*!50000 */", 1),
];

/// Texts that are refused, with the reason.
const REFUSED: &[(&str, &str)] = &[
    ("", "InvalidSpec"),
    (" \n\t ", "InvalidSpec"),
    ("-- nothing", "InvalidSpec"),
    ("/* nothing */ ;", "InvalidSpec"),
    ("ALTER TABLE orders", "InvalidSpec"),
    // Not understood.
    ("ADD", "AlterSyntax"),
    ("ADD a", "AlterSyntax"),
    ("ADD COLUMN int", "AlterSyntax"),
    ("ADD a int,", "AlterSyntax"),
    (", ADD a int", "AlterSyntax"),
    ("ADD a int,, ADD b int", "AlterSyntax"),
    ("ADD a int)", "AlterSyntax"),
    ("ADD INDEX (a", "AlterSyntax"),
    ("ADD a enum('x)", "AlterSyntax"),
    ("COMMENT 'a\\'", "AlterSyntax"),
    ("ADD `a int", "AlterSyntax"),
    ("ADD a int /* open", "AlterSyntax"),
    ("ADD a int /*/", "AlterSyntax"),
    ("ADD '' int", "AlterSyntax"),
    ("ADD `` int", "AlterSyntax"),
    ("ADD \"a\" int", "AlterSyntax"),
    ("ADD a int\0", "AlterSyntax"),
    ("COMMENT 'a\0b'", "AlterSyntax"),
    ("ADD a int \u{1}", "AlterSyntax"),
    ("ADD\u{a0}COLUMN a int", "AlterSyntax"),
    ("ADD a int DEFAULT @x", "AlterSyntax"),
    ("ADD a int DEFAULT \\N", "AlterSyntax"),
    ("ADD $$a$$ int", "AlterSyntax"),
    ("ADD a int DEFAULT {d '2020-01-01'}", "AlterSyntax"),
    ("ADD a nosuchtype", "AlterSyntax"),
    ("ADD a int(select)) x", "AlterSyntax"),
    ("ADD a decimal((1))", "AlterSyntax"),
    ("ADD a int SURPRISE", "AlterSyntax"),
    ("ADD a int AFTER b c", "AlterSyntax"),
    ("ADD a int DEFAULT b", "AlterSyntax"),
    ("ADD a int DEFAULT b.c", "AlterSyntax"),
    ("ADD a int ON UPDATE sleep(5)", "AlterSyntax"),
    ("ADD ((a int))", "AlterSyntax"),
    ("ADD (COLUMN a int)", "AlterSyntax"),
    ("ADD (a int), ", "AlterSyntax"),
    ("ADD (a int) b", "AlterSyntax"),
    ("ADD INDEX i (a b)", "AlterSyntax"),
    ("ADD INDEX i ()", "AlterSyntax"),
    ("DROP TABLE x", "AlterSyntax"),
    ("DROP a b", "AlterSyntax"),
    ("DROP a DROP b", "AlterSyntax"),
    ("CHANGE a int", "AlterSyntax"),
    ("CREATE INDEX i ON orders (a)", "AlterSyntax"),
    ("TRUNCATE TABLE orders", "AlterSyntax"),
    ("SELECT 1", "AlterSyntax"),
    ("ALTER COLUMN c SET DEFAULT", "AlterSyntax"),
    ("ALTER INDEX i", "AlterSyntax"),
    ("CONVERT TO CHARACTER SET", "AlterSyntax"),
    ("COMMENT = x", "AlterSyntax"),
    ("AUTO_INCREMENT = 'x'", "AlterSyntax"),
    ("PARTITION BY RANGE (a) (p0 VALUES LESS THAN (1))", "AlterSyntax"),
    ("ALTER TABLE 'orders' ADD a int", "AlterSyntax"),
    // More than one statement, other tables.
    ("ADD a int; DROP TABLE x", "AlterNotAllowed"),
    ("ADD a int;;", "AlterNotAllowed"),
    ("ADD a int DEFAULT (1;2)", "AlterNotAllowed"),
    ("ALTER TABLE items ADD a int", "AlterNotAllowed"),
    ("ALTER TABLE other.orders ADD a int", "AlterNotAllowed"),
    ("ALTER TABLE Orders ADD a int", "AlterNotAllowed"),
    ("RENAME TO x", "AlterNotAllowed"),
    ("RENAME AS x", "AlterNotAllowed"),
    ("RENAME = other.x", "AlterNotAllowed"),
    ("RENAME x", "AlterNotAllowed"),
    ("ADD a int, RENAME other.x", "AlterNotAllowed"),
    ("ADD a int RENAME TO other.x", "AlterNotAllowed"),
    // Comments that a server obeys.
    ("ADD a int /*!50000 , RENAME TO other.x */", "AlterNotAllowed"),
    ("/*! ADD a int */", "AlterNotAllowed"),
    ("ADD a int /*M! , DROP b */", "AlterNotAllowed"),
    ("ADD a int /*M!100100 , DROP b */", "AlterNotAllowed"),
    ("/*+ MAX_EXECUTION_TIME(1) */ ADD a int", "AlterNotAllowed"),
    // The algorithm.
    ("ADD a int, ALGORITHM=INPLACE", "AlterNotAllowed"),
    ("ADD a int, LOCK=NONE", "AlterNotAllowed"),
    ("ADD INDEX i (a) ALGORITHM INPLACE", "AlterNotAllowed"),
    ("ALTER ONLINE TABLE orders ADD a int", "AlterNotAllowed"),
    ("ALTER IGNORE TABLE orders ADD a int", "AlterNotAllowed"),
    // Clauses that reach further.
    ("EXCHANGE PARTITION p WITH TABLE other.x", "AlterNotAllowed"),
    ("DISCARD TABLESPACE", "AlterNotAllowed"),
    ("IMPORT TABLESPACE", "AlterNotAllowed"),
    ("DISCARD PARTITION p TABLESPACE", "AlterNotAllowed"),
    ("DATA DIRECTORY='/x'", "AlterNotAllowed"),
    ("INDEX DIRECTORY='/x'", "AlterNotAllowed"),
    ("ENGINE=InnoDB DATA DIRECTORY='/x'", "AlterNotAllowed"),
    ("ENGINE=InnoDB, TABLESPACE = mysql", "AlterNotAllowed"),
    ("TABLESPACE ts STORAGE DISK", "AlterNotAllowed"),
    ("UNION=(a, b)", "AlterNotAllowed"),
    ("CONNECTION='mysql://x'", "AlterNotAllowed"),
    ("COMMENT='x' CONNECTION='mysql://x'", "AlterNotAllowed"),
    ("INSERT_METHOD=LAST", "AlterNotAllowed"),
    ("PASSWORD='x'", "AlterNotAllowed"),
    ("ENGINE_ATTRIBUTE='{}'", "AlterNotAllowed"),
    ("SECONDARY_ENGINE=rapid", "AlterNotAllowed"),
    ("SECONDARY_ENGINE=NULL, FORCE", "AlterNotAllowed"),
    ("SECONDARY_LOAD", "AlterNotAllowed"),
    ("ENGINE=BLACKHOLE", "AlterNotAllowed"),
    ("ENGINE=MyISAM", "AlterNotAllowed"),
    ("ENGINE `memory`", "AlterNotAllowed"),
    ("FORCE, ENGINE='FEDERATED'", "AlterNotAllowed"),
    ("ADD a int STORAGE DISK", "AlterNotAllowed"),
    ("ADD a int ENGINE_ATTRIBUTE '{}'", "AlterNotAllowed"),
    ("ADD a text COMPRESSED", "AlterNotAllowed"),
    ("ADD a int NOT SECONDARY", "AlterNotAllowed"),
    ("ADD a int WITHOUT SYSTEM VERSIONING", "AlterNotAllowed"),
    ("ADD COLUMN IF NOT EXISTS a int", "AlterNotAllowed"),
    ("DROP COLUMN IF EXISTS a", "AlterNotAllowed"),
    ("CHANGE COLUMN IF EXISTS a b int", "AlterNotAllowed"),
    ("ALTER TABLE IF EXISTS orders ADD a int", "AlterNotAllowed"),
    ("ADD SYSTEM VERSIONING", "AlterNotAllowed"),
    ("DROP SYSTEM VERSIONING", "AlterNotAllowed"),
    ("ADD PERIOD FOR SYSTEM_TIME (a, b)", "AlterNotAllowed"),
    ("WITH VALIDATION", "AlterNotAllowed"),
    ("ADD a int, WITHOUT VALIDATION", "AlterNotAllowed"),
    ("DISABLE KEYS", "AlterNotAllowed"),
    ("ENABLE KEYS", "AlterNotAllowed"),
    ("WAIT 5 ADD a int", "AlterNotAllowed"),
    ("ALTER TABLE orders NOWAIT ADD a int", "AlterNotAllowed"),
    ("ORDER BY a, b", "AlterNotAllowed"),
    // Partitions.
    ("DROP PARTITION p0", "AlterNotAllowed"),
    ("TRUNCATE PARTITION p0", "AlterNotAllowed"),
    ("OPTIMIZE PARTITION ALL", "AlterNotAllowed"),
    ("CONVERT PARTITION p TO TABLE other.x", "AlterNotAllowed"),
    ("COALESCE PARTITION NO_WRITE_TO_BINLOG 4", "AlterNotAllowed"),
    ("ADD a int PARTITION BY HASH (id)", "AlterNotAllowed"),
    ("ADD a int, PARTITION BY HASH (id)", "AlterNotAllowed"),
    ("ENGINE=InnoDB PARTITION BY HASH (id)", "AlterNotAllowed"),
    ("PARTITION BY HASH (id), ADD a int", "AlterNotAllowed"),
    ("ADD a int REMOVE PARTITIONING", "AlterNotAllowed"),
    ("REMOVE PARTITIONING, ADD a int", "AlterNotAllowed"),
    ("ADD PARTITION (PARTITION p VALUES LESS THAN (1) DATA DIRECTORY = '/x')", "AlterNotAllowed"),
    ("PARTITION BY HASH (id) (PARTITION p TABLESPACE = x)", "AlterNotAllowed"),
    ("PARTITION BY HASH (id) (PARTITION p ENGINE = MEMORY)", "AlterNotAllowed"),
    ("PARTITION BY SYSTEM_TIME (PARTITION p CURRENT)", "AlterNotAllowed"),
    ("PARTITION BY RANGE (sleep(1)) (PARTITION p VALUES LESS THAN (1))", "AlterNotAllowed"),
    // Expressions.
    ("ADD a text DEFAULT (load_file('/etc/passwd'))", "AlterNotAllowed"),
    ("ADD a int DEFAULT (SLEEP (5))", "AlterNotAllowed"),
    ("ADD a int DEFAULT sleep(5)", "AlterNotAllowed"),
    ("ADD a int DEFAULT (`sleep`(5))", "AlterNotAllowed"),
    ("ADD a int DEFAULT (slEEp/**/(5))", "AlterNotAllowed"),
    ("ADD a int DEFAULT (benchmark(1e9, md5(1)))", "AlterNotAllowed"),
    ("ADD a int AS (get_lock('x', 5))", "AlterNotAllowed"),
    ("ADD a int DEFAULT ((SELECT 1))", "AlterNotAllowed"),
    ("ADD a int DEFAULT ((TABLE t))", "AlterNotAllowed"),
    ("ADD a int DEFAULT (shop.f(1))", "AlterNotAllowed"),
    ("ADD a int DEFAULT (slééep(1))", "AlterNotAllowed"),
    ("ADD a int DEFAULT nextval(s)", "AlterNotAllowed"),
    ("ALTER c SET DEFAULT (sleep(1))", "AlterNotAllowed"),
    ("ADD INDEX i ((sleep(1)))", "AlterNotAllowed"),
    ("ADD CHECK (a > (select 1))", "AlterNotAllowed"),
    ("ADD (a int, b int DEFAULT (sleep(1)))", "AlterNotAllowed"),
    // Foreign keys.
    ("ADD FOREIGN KEY (a) REFERENCES x (b)", "ForeignKeys"),
    ("ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES other.x (b)", "ForeignKeys"),
    ("ADD COLUMN a int REFERENCES other.t(x)", "ForeignKeys"),
    ("ADD (a int, FOREIGN KEY (a) REFERENCES x (b))", "ForeignKeys"),
];

#[test]
fn realistic_texts_are_accepted() {
    for (text, clauses) in ACCEPTED {
        assert_eq!(kinds(text).len(), *clauses, "{text}");
    }
}

#[test]
fn everything_else_is_refused() {
    for (text, expected) in REFUSED {
        assert_eq!(reason(text), *expected, "{text}");
    }
}

#[test]
fn splitting_and_joining_keep_every_accepted_text() {
    for (text, _) in ACCEPTED {
        let once = parse(text).unwrap();
        let again = parse(&once.to_sql()).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(again, once, "{text}");
    }
}

#[test]
fn columns_are_named() {
    let alter = parse(
        "CHANGE a b int, CHANGE c C int, RENAME COLUMN `d``d` TO e, CHANGE Ä ä int, DROP x, DROP COLUMN `y`,
         ADD z int, ADD COLUMN (`column` int, w int, INDEX (w)), MODIFY m int",
    )
    .unwrap();
    let rename = |old: &str, new: &str| Rename { old: old.into(), new: new.into() };
    assert_eq!(alter.column_renames(), [rename("a", "b"), rename("d`d", "e")]);
    assert_eq!(alter.dropped_columns(), ["x", "y"]);
    assert_eq!(alter.added_columns(), ["z", "column", "w"]);
    assert!(!alter.is_partition_change());
    assert!(parse("REMOVE PARTITIONING").unwrap().is_partition_change());
}

#[test]
fn clauses_have_their_kinds() {
    let index =
        |name: Option<&str>, kind| ClauseKind::AddIndex { name: name.map(Into::into), kind };
    let option = |name: &str| ClauseKind::TableOption { name: name.into() };
    assert_eq!(kinds("ADD UNIQUE u (a)"), [index(Some("u"), IndexKind::Unique)]);
    assert_eq!(kinds("ADD CONSTRAINT c UNIQUE (a)"), [index(Some("c"), IndexKind::Unique)]);
    assert_eq!(kinds("ADD FULLTEXT (a)"), [index(None, IndexKind::FullText)]);
    assert_eq!(kinds("ADD INDEX (a)"), [index(None, IndexKind::Plain)]);
    assert_eq!(kinds("ADD PRIMARY KEY (a)"), [ClauseKind::AddPrimaryKey]);
    assert_eq!(
        kinds("ALTER `check` SET DEFAULT 1"),
        [ClauseKind::AlterColumn { name: "check".into() }]
    );
    assert_eq!(
        kinds("default character set utf8mb4 collate utf8mb4_bin"),
        [option("DEFAULT CHARACTER SET"), option("COLLATE")]
    );
}

#[test]
fn the_text_for_the_server_has_no_comments() {
    let cases = [
        ("ALTER TABLE orders /* a */ ADD\n a  int -- b", "ADD a int"),
        ("add(a int,b int default 1)", "add a int, add b int default 1"),
        ("ADD a int DEFAULT (1--/**/1)", "ADD a int DEFAULT (1- - 1)"),
        ("COMMENT='a  /* b */'", "COMMENT='a  /* b */'"),
        ("ENGINE=InnoDB COMMENT 'x'", "ENGINE=InnoDB, COMMENT 'x'"),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text).unwrap().to_sql(), expected, "{text}");
    }
}

#[test]
fn messages_name_the_place_and_no_values() {
    let cases = [
        ("ADD a int, FOO b", "cannot parse alter at position 12 near \"FOO\""),
        ("ADD ä int SURPRISE x", "cannot parse alter at position 11 near \"SURPRISE\""),
        ("ADD a int 'secret'", "cannot parse alter at position 11 near \"'…'\""),
        ("ADD a int SURPRISE'secret'", "cannot parse alter at position 11 near \"SURPRISE\""),
        ("ADD a", "cannot parse alter at position 6 near \"end of text\""),
        ("ALTER TABLE x.y FORCE", "statement names x.y but the target is shop.orders"),
        ("LOCK=NONE", "LOCK is not allowed because ghostship chooses the algorithm"),
        ("ENGINE=InnoDB DATA DIRECTORY '/x'", "clause DATA DIRECTORY is not allowed"),
        ("ADD a int DEFAULT (`Sleep`(5))", "SLEEP is not allowed in an expression"),
    ];
    for (text, expected) in cases {
        let error = parse(text).unwrap_err();
        assert_eq!(error.to_string(), expected, "{text}");
        let remedy = error.remedy();
        let plain = !remedy.ends_with('.') && remedy.starts_with(|c: char| c.is_ascii_lowercase());
        assert!(plain, "{text}: {remedy}");
    }
}

#[test]
fn the_length_is_counted_in_characters() {
    let text = |fill: usize| format!("COMMENT '{}'", "ä".repeat(fill));
    assert!(parse(&text(MAX_CHARACTERS - 10)).is_ok());
    assert_eq!(parse(&text(MAX_CHARACTERS - 9)), Err(AlterError::ExceedLength));
}

#[test]
fn the_digest_sees_names_in_quotes_and_values() {
    let digest = |text: &str| parse(text).unwrap().digest();
    assert_eq!(digest("ADD a int").len(), 64);
    assert_eq!(digest("ADD a int"), digest("alter table orders add/**/A INT;"));
    assert_eq!(digest("ADD a varchar(20)"), digest("ADD a varchar ( 20 )"));
    assert_ne!(digest("ADD `a` int"), digest("ADD `A` int"));
    assert_ne!(digest("COMMENT 'a'"), digest("COMMENT 'A'"));
    assert_ne!(digest("COMMENT 'a b'"), digest("COMMENT 'a  b'"));
    assert_ne!(digest("ADD a enum('a','b')"), digest("ADD a enum('a,b')"));
    assert_ne!(digest("ADD a char(9) DEFAULT 'a' 'b'"), digest("ADD a char(9) DEFAULT 'a''b'"));
}

/// Another spelling of the blanks, comments and letter case outside quotes.
fn respell(text: &str, choices: &[u8]) -> String {
    const BLANKS: [&str; 6] = [" ", "\n", "\t \r", "/* , ' ( */", " -- ` ; '\n", "#)\n"];
    let mut choices = choices.iter().copied().cycle();
    let mut spelled = String::new();
    let mut after_free = true;
    for token in lexer::tokens(text).unwrap() {
        let choice = usize::from(choices.next().unwrap_or_default());
        // Operators and the parts of a number stay together.
        let free = token.kind != TokenKind::Symbol || "(),=;".contains(token.text);
        let splittable = free && after_free && token.kind != TokenKind::Text;
        if spelled.ends_with("--") {
            // A blank here would open a comment.
            spelled.push_str("/**/");
        } else if token.spaced || (choice % 2 == 0 && splittable) {
            spelled.push_str(BLANKS[choice % BLANKS.len()]);
        }
        after_free = free;
        let is_table = token.is_word("shop") || token.is_word("orders");
        match token.kind {
            TokenKind::Word if choice % 3 == 0 && !is_table => {
                spelled.push_str(&token.text.to_ascii_uppercase());
            }
            _ => spelled.push_str(token.text),
        }
    }
    spelled
}

/// A text out of pieces that are likely to confuse.
fn hostile() -> impl Strategy<Value = String> {
    const PIECES: [&str; 40] = [
        "ADD ",
        "DROP ",
        "a",
        "`b`",
        " int ",
        ",",
        "(",
        ")",
        "'",
        "\"",
        "`",
        "\\",
        "/*",
        "*/",
        "/*!",
        "--",
        "-- ",
        "#",
        "\n",
        ";",
        "-",
        ".",
        "=",
        "COMMENT ",
        "'x'",
        "\"y\"",
        "DEFAULT ",
        "1",
        "ENGINE=InnoDB ",
        "RENAME ",
        "TO ",
        "PARTITION ",
        "INDEX ",
        "CHECK",
        "ä",
        "\u{a0}",
        "\0",
        "DATA DIRECTORY ",
        "e+",
        "_u",
    ];
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..24)
        .prop_map(|pieces| pieces.concat())
}

fn accepted() -> impl Strategy<Value = &'static str> {
    let texts: Vec<&str> = ACCEPTED.iter().map(|(text, _)| *text).collect();
    prop::sample::select(texts)
}

fn combinable() -> impl Strategy<Value = Alter> {
    let alters: Vec<_> = ACCEPTED.iter().map(|(text, _)| parse(text).unwrap()).collect();
    let free = alters.into_iter().filter(|alter| !alter.is_partition_change()).collect::<Vec<_>>();
    prop::sample::select(free)
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _parsed = parse(&text);
        let _tokens = lexer::tolerant_tokens(&text);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _parsed = parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn what_is_accepted_of_hostile_text_is_a_fixed_point(text in hostile()) {
        if let Ok(once) = parse(&text) {
            prop_assert_eq!(parse(&once.to_sql()), Ok(once));
        }
    }

    #[test]
    fn spelling_leaves_digest_and_kinds(
        text in accepted(), choices in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let spelled = respell(text, &choices);
        let (one, other) = (parse(text).unwrap(), parse(&spelled));
        prop_assert_eq!(Ok(one.digest()), other.as_ref().map(Alter::digest).map_err(Clone::clone), "{}", spelled);
        prop_assert_eq!(one.clauses().len(), other.unwrap().clauses().len());
    }

    #[test]
    fn joined_texts_keep_their_clauses(one in combinable(), other in combinable()) {
        let joined = parse(&format!("{}, {}", one.to_sql(), other.to_sql())).unwrap();
        let expected: Vec<_> = one.clauses().iter().chain(other.clauses()).cloned().collect();
        prop_assert_eq!(joined.clauses(), expected);
    }

    #[test]
    fn a_string_makes_no_clause(value in "[^\0]{0,40}", double in any::<bool>()) {
        let quote = if double { '"' } else { '\'' };
        let escaped = value.replace('\\', "\\\\").replace(quote, &format!("{quote}{quote}"));
        let text = format!("ADD a int COMMENT {quote}{escaped}{quote}, DROP b");
        let alter = parse(&text).unwrap();
        prop_assert_eq!(alter.clauses().len(), 2);
        prop_assert_eq!(alter.to_sql(), text.clone());
        let comment = lexer::tokens(&text).unwrap().iter().find_map(Token::string);
        prop_assert_eq!(comment, Some(value));
    }

    #[test]
    fn a_quoted_name_makes_no_clause(name in "[^\0]{1,40}") {
        let alter = parse(&format!("DROP `{}`, ADD x int", name.replace('`', "``"))).unwrap();
        prop_assert_eq!(alter.dropped_columns(), vec![name]);
        prop_assert_eq!(alter.added_columns(), vec!["x".to_owned()]);
    }
}
