//! The state machine over binlog events: groups begin and end, keys of the source table and rows of the control
//! table come out. Everything that could hide a change is an error. Pure.

use std::collections::HashMap;

use thiserror::Error;

use crate::engine::backlog::pending::Mark;
use crate::mysql::binlog::{
    BinlogEvent, KeyReader, Layout, RowImageError, RowReader, Rows, Slot, Slots, StreamError,
    TableMap,
};
use crate::mysql::position::{Coordinates, Gtid, GtidSet, Position};
use crate::schema::key::{Key, MigrationKey};
use crate::schema::statement::{Statement, XaVerb, classify};
use crate::schema::table::{TableName, same_name};

/// How the statements of our own account begin.
const OWN: &str = "/* ghostship";
/// Table id of rows events that only end a statement.
const NO_TABLE: u64 = 0xFF_FFFF;
const KIND: usize = 0;
const ID: usize = 1;
const PAYLOAD: usize = 3;

/// The tables of one migration.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The table whose changed keys are wanted.
    pub source: TableName,
    /// Written by us; only its definition is watched.
    pub shadow: TableName,
    /// Its markers and heartbeats are wanted.
    pub control: TableName,
    /// The migration key of the source table.
    pub key: MigrationKey,
    /// How many columns the source table has in its row images.
    pub column_count: usize,
}

/// What a group of events left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndMark {
    /// The place behind the group.
    pub coordinates: Coordinates,
    /// Its identity, and those of groups right before it that it stands for; empty when the server
    /// works without GTIDs.
    pub gtids: GtidSet,
}

/// What the engine needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A transaction began to arrive. It is in the binlog, so it will become visible.
    Begin {
        /// Its identity; `None` when the server works without GTIDs.
        gtid: Option<Gtid>,
    },
    /// The running transaction is an XA transaction: its keys wait until it is known what becomes of it.
    XaStarted,
    /// Keys of rows of the source table that the running transaction changed.
    Keys(Vec<Key>),
    /// The transaction ended: positions may advance to here.
    End {
        /// Where.
        at: EndMark,
    },
    /// The keys since `Begin` belong to a prepared transaction and wait for its end.
    XaPrepared {
        /// Its identity.
        xid: String,
        /// Where.
        at: EndMark,
    },
    /// A prepared transaction was committed.
    XaCommitted {
        /// Its identity.
        xid: String,
        /// Where.
        at: EndMark,
    },
    /// A prepared transaction was rolled back.
    XaRolledBack {
        /// Its identity.
        xid: String,
        /// Where.
        at: EndMark,
    },
    /// A marker or heartbeat was written to the control table.
    Control {
        /// `marker` or `heartbeat`.
        kind: String,
        /// Its number.
        id: u64,
        /// What it says.
        payload: Vec<u8>,
    },
    /// The server is alive and has nothing new.
    Heartbeat,
}

/// Why following the binlog must stop.
#[derive(Debug, Error)]
pub enum ChangeError {
    /// The stream itself failed.
    #[error("cannot read the binlog stream")]
    ReadStream {
        /// What was seen.
        #[from]
        source: StreamError,
    },
    /// A row image cannot be read.
    #[error("cannot read a row of the binlog")]
    ReadRow {
        /// What was seen.
        #[from]
        source: RowImageError,
    },
    /// A statement changed rows of a watched table without row events.
    #[error("a session wrote {statement} in statement format")]
    StatementFormat {
        /// The statement's first word.
        statement: String,
    },
    /// The source table got another definition, or vanished.
    #[error("the table was changed by {statement}")]
    SourceChanged {
        /// The statement's first word, or what differs.
        statement: String,
    },
    /// The shadow or the control table got another definition, or vanished.
    #[error("a helper table was changed by {statement}")]
    HelperChanged {
        /// The statement's first word.
        statement: String,
    },
    /// A transaction has no end.
    #[error("a transaction ended in the binlog without COMMIT")]
    GtidAfterGtid,
    /// A binlog file ended inside a transaction.
    #[error("a binlog file ended inside a transaction")]
    RotateInsideTransaction,
    /// An event has no place where it stands.
    #[error("the binlog holds {event} where none may be")]
    UnexpectedEvent {
        /// What kind of event.
        event: &'static str,
    },
    /// Rows of a table that was not announced.
    #[error("the binlog holds rows of a table that it did not name")]
    RowsWithoutTableMap,
    /// The server reports that changes may be missing.
    #[error("the server reports that its binlog lacks changes")]
    Incident,
}

/// Turns events into changes.
pub struct Transactions {
    watched: Watched,
    state: State,
    tables: HashMap<u64, Role>,
    source: Option<(Vec<u8>, KeyReader)>,
    control: Option<(Vec<u8>, RowReader)>,
}

#[derive(Debug)]
enum State {
    /// Between groups.
    Idle,
    /// Behind the GTID of a group.
    Announced(Option<Gtid>),
    /// Behind BEGIN or XA START.
    Open { gtid: Option<Gtid>, xa: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Source,
    Control,
    Other,
}

impl EndMark {
    /// Moves a position behind this group.
    pub fn pass(&self, position: &mut Position) {
        position.coordinates.clone_from(&self.coordinates);
        if !self.gtids.is_empty() {
            position.gtids.get_or_insert_default().union(&self.gtids);
        }
    }
}

impl Mark for EndMark {
    fn absorb(&mut self, later: Self) {
        self.coordinates = later.coordinates;
        self.gtids.union(&later.gtids);
    }
}

impl Transactions {
    /// Starts between two groups.
    pub fn new(watched: Watched) -> Self {
        let tables = HashMap::new();
        Self { watched, state: State::Idle, tables, source: None, control: None }
    }

    /// What this event means; often nothing. After an error the attempt is over.
    pub fn accept(&mut self, event: BinlogEvent) -> Result<Vec<Change>, ChangeError> {
        match event {
            BinlogEvent::Gtid { gtid } => self.announce(gtid),
            BinlogEvent::Query { database, statement, end } => {
                self.query(&database, &statement, end)
            }
            BinlogEvent::Xid { end } => self.commit(end),
            BinlogEvent::XaPrepare { xid, one_phase, end } => self.prepare(xid, one_phase, end),
            BinlogEvent::TableMap(map) => self.map_table(&map).map(|()| Vec::new()),
            BinlogEvent::Rows(rows) => self.rows(&rows),
            BinlogEvent::Rotate { .. } => match self.state {
                State::Idle => Ok(Vec::new()),
                _ => Err(ChangeError::RotateInsideTransaction),
            },
            BinlogEvent::Heartbeat { .. } => Ok(vec![Change::Heartbeat]),
            BinlogEvent::Incident => Err(ChangeError::Incident),
            BinlogEvent::Other => Ok(Vec::new()),
        }
    }

    fn announce(&mut self, gtid: Option<Gtid>) -> Result<Vec<Change>, ChangeError> {
        if !matches!(self.state, State::Idle) {
            return Err(ChangeError::GtidAfterGtid);
        }
        self.tables.clear();
        self.state = State::Announced(gtid.clone());
        Ok(vec![Change::Begin { gtid }])
    }

    fn query(
        &mut self,
        database: &str,
        text: &str,
        end: Coordinates,
    ) -> Result<Vec<Change>, ChangeError> {
        if text.trim_start().starts_with(OWN) {
            return Ok(self.end_unless_open(end));
        }
        let statement = classify(text, database);
        match statement {
            Statement::Begin => self.open(false),
            Statement::Commit | Statement::Rollback => self.commit(end),
            Statement::Savepoint
            | Statement::RollbackTo
            | Statement::ReleaseSavepoint
            | Statement::Xa(XaVerb::End | XaVerb::Prepare, _) => Ok(Vec::new()),
            Statement::Xa(XaVerb::Start, _) => self.open(true),
            Statement::Xa(XaVerb::Commit | XaVerb::CommitOnePhase, xid) => {
                self.end_prepared(end, |at| Change::XaCommitted { xid, at })
            }
            Statement::Xa(XaVerb::Rollback, xid) => {
                self.end_prepared(end, |at| Change::XaRolledBack { xid, at })
            }
            Statement::Ddl { .. } | Statement::Dml { .. } | Statement::Other => {
                self.refuse_if_watched(&statement, database, text)?;
                Ok(self.end_unless_open(end))
            }
        }
    }

    /// A group opens; servers without GTID events announce nothing.
    fn open(&mut self, xa: bool) -> Result<Vec<Change>, ChangeError> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Announced(gtid) => {
                self.state = State::Open { gtid, xa };
                Ok(started(xa))
            }
            State::Idle => {
                self.tables.clear();
                self.state = State::Open { gtid: None, xa };
                Ok([Change::Begin { gtid: None }].into_iter().chain(started(xa)).collect())
            }
            State::Open { .. } => Err(ChangeError::UnexpectedEvent { event: "a nested BEGIN" }),
        }
    }

    /// COMMIT, ROLLBACK or the event that stands for a commit.
    fn commit(&mut self, end: Coordinates) -> Result<Vec<Change>, ChangeError> {
        match self.state {
            State::Idle => Err(ChangeError::UnexpectedEvent { event: "an end without a begin" }),
            _ => Ok(vec![Change::End { at: self.close(end) }]),
        }
    }

    fn prepare(
        &mut self,
        xid: String,
        one_phase: bool,
        end: Coordinates,
    ) -> Result<Vec<Change>, ChangeError> {
        if !matches!(self.state, State::Open { xa: true, .. }) {
            return Err(ChangeError::UnexpectedEvent { event: "an XA PREPARE without XA START" });
        }
        let at = self.close(end);
        Ok(vec![if one_phase { Change::End { at } } else { Change::XaPrepared { xid, at } }])
    }

    /// The end of a transaction prepared earlier is a group of its own; inside a group it ends that group.
    fn end_prepared(
        &mut self,
        end: Coordinates,
        change: impl FnOnce(EndMark) -> Change,
    ) -> Result<Vec<Change>, ChangeError> {
        match self.state {
            State::Open { .. } => self.commit(end),
            State::Announced(_) => Ok(vec![change(self.close(end))]),
            State::Idle => {
                let begin = Change::Begin { gtid: None };
                Ok(vec![begin, change(self.close(end))])
            }
        }
    }

    /// A statement outside BEGIN and COMMIT is a whole group.
    fn end_unless_open(&mut self, end: Coordinates) -> Vec<Change> {
        match self.state {
            State::Open { .. } => Vec::new(),
            State::Announced(_) => vec![Change::End { at: self.close(end) }],
            State::Idle => {
                let begin = Change::Begin { gtid: None };
                vec![begin, Change::End { at: self.close(end) }]
            }
        }
    }

    fn close(&mut self, coordinates: Coordinates) -> EndMark {
        let gtid = match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => None,
            State::Announced(gtid) | State::Open { gtid, .. } => gtid,
        };
        let mut gtids = GtidSet::default();
        if let Some(gtid) = &gtid {
            gtids.insert(gtid);
        }
        EndMark { coordinates, gtids }
    }

    /// Own statements are recognised before; everything else that may change a watched table is the
    /// end. A statement that is logged as text may change the source table through a view, a trigger or
    /// a function, so any in its database counts; a SELECT is logged only when a function in it writes.
    fn refuse_if_watched(
        &self,
        statement: &Statement,
        database: &str,
        text: &str,
    ) -> Result<(), ChangeError> {
        let Watched { source, shadow, control, .. } = &self.watched;
        let near = |names: &[String]| {
            same_name(database, &source.database) || names.contains(&source.database.to_lowercase())
        };
        match statement {
            Statement::Ddl { .. } if statement.touches(source) => {
                Err(ChangeError::SourceChanged { statement: verb(text) })
            }
            Statement::Ddl { .. } if statement.touches(shadow) || statement.touches(control) => {
                Err(ChangeError::HelperChanged { statement: verb(text) })
            }
            Statement::Dml { names } if near(names) || statement.touches(source) => {
                Err(ChangeError::StatementFormat { statement: verb(text) })
            }
            Statement::Other if verb(text) == "SELECT" => {
                Err(ChangeError::StatementFormat { statement: verb(text) })
            }
            _ => Ok(()),
        }
    }

    fn map_table(&mut self, map: &TableMap) -> Result<(), ChangeError> {
        if !matches!(self.state, State::Open { .. }) {
            return Err(ChangeError::UnexpectedEvent { event: "rows outside a transaction" });
        }
        let role = if map.table == self.watched.source {
            self.read_source(map.columns())?;
            Role::Source
        } else if map.table == self.watched.control {
            self.read_control(map.columns())?;
            Role::Control
        } else {
            Role::Other
        };
        self.tables.insert(map.table_id, role);
        Ok(())
    }

    fn read_source(&mut self, columns: &[u8]) -> Result<(), ChangeError> {
        if self.source.as_ref().is_some_and(|(known, _)| known == columns) {
            return Ok(());
        }
        let layout = Layout::parse(columns)?;
        if layout.column_count() != self.watched.column_count {
            let statement = "another number of columns".to_owned();
            return Err(ChangeError::SourceChanged { statement });
        }
        let reader = KeyReader::new(layout, &self.watched.key).map_err(source_changed)?;
        self.source = Some((columns.to_vec(), reader));
        Ok(())
    }

    fn read_control(&mut self, columns: &[u8]) -> Result<(), ChangeError> {
        if self.control.as_ref().is_none_or(|(known, _)| known != columns) {
            let reader = RowReader::new(Layout::parse(columns)?, vec![KIND, ID, PAYLOAD]);
            self.control = Some((columns.to_vec(), reader));
        }
        Ok(())
    }

    fn rows(&mut self, rows: &Rows) -> Result<Vec<Change>, ChangeError> {
        match self.tables.get(&rows.table_id) {
            Some(Role::Other) => Ok(Vec::new()),
            None if rows.table_id == NO_TABLE => Ok(Vec::new()),
            Some(Role::Source) => self.source_keys(rows),
            Some(Role::Control) => self.control_rows(rows),
            None => Err(ChangeError::RowsWithoutTableMap),
        }
    }

    fn source_keys(&self, rows: &Rows) -> Result<Vec<Change>, ChangeError> {
        let Some((_, reader)) = &self.source else {
            return Err(ChangeError::RowsWithoutTableMap);
        };
        let keys = reader.keys(rows.kind, rows.body())?;
        Ok(if keys.is_empty() { Vec::new() } else { vec![Change::Keys(keys)] })
    }

    fn control_rows(&self, rows: &Rows) -> Result<Vec<Change>, ChangeError> {
        let Some((_, reader)) = &self.control else {
            return Err(ChangeError::RowsWithoutTableMap);
        };
        let mut changes = Vec::new();
        reader.read(rows.kind, rows.body(), |_, after| {
            changes.extend(after.and_then(control_change));
            Ok(())
        })?;
        Ok(changes)
    }
}

/// The first word of a statement and nothing behind it, where values stand.
fn verb(text: &str) -> String {
    let letters = text.trim_start().chars().take_while(char::is_ascii_alphabetic);
    letters.take(16).collect::<String>().to_uppercase()
}

fn started(xa: bool) -> Vec<Change> {
    if xa { vec![Change::XaStarted] } else { Vec::new() }
}

fn source_changed(error: RowImageError) -> ChangeError {
    match error {
        RowImageError::UnexpectedType(column) => {
            ChangeError::SourceChanged { statement: format!("another type of column {column}") }
        }
        source => ChangeError::ReadRow { source },
    }
}

fn control_change(slots: &Slots<'_>) -> Option<Change> {
    match slots.as_slice() {
        [Slot::Value(kind @ (b"marker" | b"heartbeat")), Slot::Value(id), Slot::Value(payload)] => {
            let kind = String::from_utf8_lossy(kind).into_owned();
            let id = u64::from_le_bytes((*id).try_into().ok()?);
            Some(Change::Control { kind, id, payload: payload.to_vec() })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
