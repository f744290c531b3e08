//! What is known about a table: its name, columns and indexes as the server's dictionary tells them.
//! Plain data, filled by `mysql::inspect`; questions about it are answered here, without I/O.

use std::fmt;

/// A table's name with its database, both as the server spells them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    /// The database (schema) that holds the table.
    pub database: String,
    /// The table itself.
    pub table: String,
}

impl TableName {
    /// Joins a database and a table name.
    pub fn new(database: impl Into<String>, table: impl Into<String>) -> Self {
        Self { database: database.into(), table: table.into() }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.database, self.table)
    }
}

/// A table as the dictionary describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Where it is.
    pub name: TableName,
    /// Storage engine, as `information_schema.TABLES` spells it.
    pub engine: String,
    /// All columns in ordinal order, invisible and generated ones included.
    pub columns: Vec<Column>,
    /// All indexes; the primary key, when there is one, comes first.
    pub indexes: Vec<Index>,
    /// `CREATE TABLE` text as the server prints it.
    pub definition: String,
    /// Rows as estimated by the dictionary.
    pub estimated_rows: u64,
    /// Bytes of data and indexes as estimated by the dictionary.
    pub size_bytes: u64,
    /// The next AUTO_INCREMENT value, when the table has such a column.
    pub auto_increment: Option<u64>,
}

impl Table {
    /// The column of that name; names of columns ignore case.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| same_name(&column.name, name))
    }

    /// The zero-based position of the column of that name in a row image.
    pub fn column_index(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| same_name(&column.name, name))
    }

    /// The index of that name; names of indexes ignore case.
    pub fn index(&self, name: &str) -> Option<&Index> {
        self.indexes.iter().find(|index| same_name(&index.name, name))
    }
}

/// Whether two column or index names are one to the server.
pub fn same_name(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// One column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Name as spelled in the definition.
    pub name: String,
    /// Its type.
    pub column_type: ColumnType,
    /// The type as `information_schema.COLUMNS.COLUMN_TYPE` prints it, for messages.
    pub type_text: String,
    /// Whether NULL is allowed.
    pub nullable: bool,
    /// Whether the server can fill it when an INSERT leaves it out: a default (also an expression or
    /// ON UPDATE), AUTO_INCREMENT, or an implicit NULL.
    pub has_default: bool,
    /// Whether it is generated, and how.
    pub generation: Generation,
    /// Whether it is AUTO_INCREMENT.
    pub auto_increment: bool,
    /// Whether `SELECT *` leaves it out.
    pub invisible: bool,
}

/// How a column gets its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// An ordinary column.
    None,
    /// `GENERATED ALWAYS AS ... STORED`.
    Stored,
    /// `GENERATED ALWAYS AS ... VIRTUAL`.
    Virtual,
}

/// The type of a column, with what is needed to decode, compare and convert its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// TINYINT to BIGINT; the size in bytes is 1, 2, 3, 4 or 8.
    Integer {
        /// Size in bytes.
        bytes: u8,
        /// Whether it is UNSIGNED.
        unsigned: bool,
    },
    /// DECIMAL(precision, scale).
    Decimal {
        /// All digits.
        precision: u8,
        /// Digits behind the point.
        scale: u8,
        /// Whether it is UNSIGNED.
        unsigned: bool,
    },
    /// FLOAT.
    Float,
    /// DOUBLE.
    Double,
    /// BIT(bits).
    Bit {
        /// Width, 1 to 64.
        bits: u8,
    },
    /// YEAR.
    Year,
    /// DATE.
    Date,
    /// TIME(fsp).
    Time {
        /// Digits of the fraction, 0 to 6.
        fsp: u8,
    },
    /// DATETIME(fsp).
    DateTime {
        /// Digits of the fraction, 0 to 6.
        fsp: u8,
    },
    /// TIMESTAMP(fsp).
    Timestamp {
        /// Digits of the fraction, 0 to 6.
        fsp: u8,
    },
    /// CHAR, VARCHAR and the TEXT family.
    Text {
        /// Which of them.
        kind: TextKind,
        /// The longest value in characters (CHAR, VARCHAR) or bytes (TEXT family).
        length: u64,
        /// Character set, for example `utf8mb4`.
        charset: String,
        /// Collation, for example `utf8mb4_0900_ai_ci`.
        collation: String,
    },
    /// BINARY(length).
    Binary {
        /// Length in bytes; shorter values are padded with zero bytes.
        length: u64,
    },
    /// VARBINARY(length).
    VarBinary {
        /// The longest value in bytes.
        length: u64,
    },
    /// TINYBLOB to LONGBLOB.
    Blob {
        /// The longest value in bytes.
        length: u64,
    },
    /// ENUM with its labels.
    Enum {
        /// Labels in order; the value 1 is the first.
        labels: Vec<String>,
        /// Character set of the labels.
        charset: String,
        /// Collation of the labels.
        collation: String,
    },
    /// SET with its labels.
    Set {
        /// Labels in order; bit 0 is the first.
        labels: Vec<String>,
        /// Character set of the labels.
        charset: String,
        /// Collation of the labels.
        collation: String,
    },
    /// JSON.
    Json,
    /// GEOMETRY and its subtypes.
    Geometry,
    /// VECTOR.
    Vector,
    /// A type that this version does not know; the dictionary's name for it.
    Other(String),
}

/// The character types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// CHAR.
    Char,
    /// VARCHAR.
    VarChar,
    /// TINYTEXT, TEXT, MEDIUMTEXT, LONGTEXT.
    Text,
}

/// One index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Name; `PRIMARY` for the primary key.
    pub name: String,
    /// Whether it forbids duplicates.
    pub unique: bool,
    /// Its parts in order.
    pub parts: Vec<IndexPart>,
    /// Whether the optimizer may use it.
    pub visible: bool,
    /// `BTREE`, `FULLTEXT`, `SPATIAL`, ...
    pub index_type: String,
}

impl Index {
    /// Whether it is the primary key.
    pub fn is_primary(&self) -> bool {
        self.name == "PRIMARY"
    }
}

/// One part of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexPart {
    /// The column, or `None` for an expression.
    pub column: Option<String>,
    /// The length in characters when only a prefix is indexed.
    pub prefix: Option<u64>,
    /// Whether the order is descending.
    pub descending: bool,
}
