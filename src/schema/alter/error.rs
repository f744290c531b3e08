//! Why an `alter` text is refused: one sentence of cause, one of remedy, and a stable reason token.
//! Never quotes string literals of the text, because they may be values.

use thiserror::Error;

/// Why the text is not one ALTER that may run on a shadow table.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AlterError {
    /// Nothing but blanks and comments.
    #[error("alter must not be empty")]
    FindNothing,
    /// More than 65 536 characters.
    #[error("alter is longer than 65 536 characters")]
    ExceedLength,
    /// Not understood from this place on.
    #[error("cannot parse alter at position {position} near \"{near}\"")]
    Parse {
        /// Character in the text, the first is 1.
        position: usize,
        /// The token at that place, shortened; strings are shown as `'…'`.
        near: String,
    },
    /// A second statement behind a semicolon.
    #[error("exactly one ALTER is allowed")]
    RepeatStatement,
    /// A full statement for another table than the migration's.
    #[error("statement names {named} but the target is {target}")]
    NameOtherTable {
        /// The table in the text.
        named: String,
        /// The table of the migration.
        target: String,
    },
    /// RENAME TO or RENAME AS.
    #[error("renaming the table is not supported")]
    RenameTable,
    /// An executable comment or an optimizer hint.
    #[error("version comments and hints are not allowed in alter")]
    HideInComment,
    /// ALGORITHM or LOCK.
    #[error("{clause} is not allowed because ghostship chooses the algorithm")]
    ChooseAlgorithm {
        /// The keyword.
        clause: String,
    },
    /// A storage engine other than InnoDB.
    #[error("only the storage engine InnoDB is supported")]
    ChangeEngine,
    /// A partition change beside other clauses.
    #[error("a partition change cannot be combined with other clauses")]
    MixPartitioning,
    /// A clause that would reach beyond the table, lose rows, or mean nothing on a shadow table.
    #[error("clause {clause} is not allowed")]
    UseClause {
        /// The keywords of the clause.
        clause: String,
    },
    /// A function or subquery in an expression that reads other data or waits.
    #[error("{function} is not allowed in an expression")]
    CallFunction {
        /// The function or keyword.
        function: String,
    },
    /// A new foreign key.
    #[error("adding a foreign key is not supported")]
    AddForeignKey,
}

impl AlterError {
    /// The stable token for conditions and exit messages.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::FindNothing | Self::ExceedLength => "InvalidSpec",
            Self::Parse { .. } => "AlterSyntax",
            Self::AddForeignKey => "ForeignKeys",
            Self::RepeatStatement
            | Self::NameOtherTable { .. }
            | Self::RenameTable
            | Self::HideInComment
            | Self::ChooseAlgorithm { .. }
            | Self::ChangeEngine
            | Self::MixPartitioning
            | Self::UseClause { .. }
            | Self::CallFunction { .. } => "AlterNotAllowed",
        }
    }

    /// What the user can do about it, one sentence.
    pub fn remedy(&self) -> String {
        match self {
            Self::FindNothing => "write the clauses of one ALTER TABLE, for example ADD COLUMN note int",
            Self::ExceedLength => "split the change into several migrations",
            Self::Parse { .. } => {
                "correct the clause; names that are keywords or hold special characters need backticks"
            }
            Self::RepeatStatement => "use one migration for each statement",
            Self::NameOtherTable { .. } => {
                "give only the clauses, or name the target's table as the server spells it"
            }
            Self::RenameTable => "rename the table with a RENAME TABLE of your own after the migration",
            Self::HideInComment => "write the clause without the comment, or leave it out",
            Self::ChooseAlgorithm { .. } => "leave the ALGORITHM and LOCK clauses out",
            Self::ChangeEngine => "use ENGINE=InnoDB or leave the clause out",
            Self::MixPartitioning => "split it into one migration for the partitions and one for the rest",
            Self::UseClause { .. } => "leave the clause out, or run it on the server yourself",
            Self::CallFunction { .. } => "use an expression over columns and literals only",
            Self::AddForeignKey => "leave the foreign key out of the migration",
        }
        .to_owned()
    }
}
