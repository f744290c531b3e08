//! The dry run: what would happen, what is in the way, how long it would take. Changes nothing on the
//! server but a short-lived empty table, on which the server applies the user's ALTER.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::error::Doing;
use super::meter::as_f64;
use super::outcome::PlanReport;
use super::phase::PhaseKind;
use super::plan::Tables;
use super::preflight::{self, Definitions, Facts, Verdict};
use super::reason::Refusal;
use super::request::{Request, Strategy};
use super::{Error, Failure, Result, instant, prepare};
use crate::mysql::connect::Role;
use crate::mysql::session::Session;
use crate::schema::alter::Alter;
use crate::schema::table::{Table, TableName};
use crate::sql::checksum::Comparison;
use crate::sql::ddl;

/// Statements on an empty table.
const SHORT: Duration = Duration::from_secs(60);
/// Bytes of data and indexes that are copied and verified per second, as measured on two cores; real
/// machines are faster, loaded ones slower.
const BYTES_PER_SECOND: f64 = 40.0 * 1024.0 * 1024.0;

/// Finds out what a run would do.
///
/// # Errors
///
/// When the server cannot be asked. Refusals are part of the report.
pub async fn plan(
    request: Request,
    stop: CancellationToken,
) -> std::result::Result<PlanReport, Failure> {
    let work = async {
        let mut session = request.connect.connect(Role::Inspect).await.doing("reach the server")?;
        let report = preview(&mut session, &request).await;
        session.close().await;
        report
    };
    let report = if stop.is_cancelled() { Err(Error::Stopped) } else { work.await };
    report.map_err(|error| Failure::of(error, &request, PhaseKind::Preflight))
}

async fn preview(session: &mut Session, request: &Request) -> Result<PlanReport> {
    let facts = preflight::inspect(session, request).await?;
    let mut report = blank(request, &facts);
    let verdict = preflight::check(&facts, request);
    add_warnings(&mut report, &verdict.warnings);
    add_refusals(&mut report, &verdict.refusals);
    let Some(source) = facts.source.as_ref() else { return Ok(report) };
    let alter = match Alter::parse(&request.alter, &source.name.database, &source.name.table) {
        Ok(alter) => alter,
        Err(error) => {
            add_refusals(&mut report, &[preflight::alter_refused(&error)]);
            return Ok(report);
        }
    };
    let mut verdict = Verdict::default();
    preflight::check_alter(&alter, request, &mut verdict);
    add_refusals(&mut report, &verdict.refusals);
    if !report.refusals.is_empty() {
        return Ok(report);
    }
    let request = Request { table: source.name.clone(), ..request.clone() };
    match try_alter(session, &request, (&facts, source, &alter), &mut report).await {
        Err(Error::Refused { refusals }) => add_refusals(&mut report, &refusals),
        other => other?,
    }
    Ok(report)
}

/// Applies the ALTER to an empty table and judges the result; the table is dropped whatever happens.
async fn try_alter(
    session: &mut Session,
    request: &Request,
    (facts, source, alter): (&Facts, &Table, &Alter),
    report: &mut PlanReport,
) -> Result<()> {
    let helper = |name: &String| TableName::new(&source.name.database, name);
    let tables = Tables {
        source: source.name.clone(),
        shadow: helper(&facts.names.preview),
        old: helper(&facts.names.old),
        control: helper(&facts.names.control),
    };
    let made = prepare::make_shadow(session, &tables, alter).await;
    let judged = match made {
        Ok(shadow) => judge(session, request, (source, &shadow, &tables, alter), report).await,
        Err(error) => Err(error),
    };
    let drop = ddl::drop_table(&tables.shadow);
    session.execute(&drop, SHORT).await.doing("drop the preview table")?;
    judged
}

async fn judge(
    session: &mut Session,
    request: &Request,
    (source, shadow, tables, alter): (&Table, &Table, &Tables, &Alter),
    report: &mut PlanReport,
) -> Result<()> {
    report.definition_after =
        ddl::renamed(&shadow.definition, &shadow.name.table, &source.name.table);
    let definitions = preflight::check_definitions(request, source, shadow)
        .map_err(|refusals| Error::Refused { refusals })?;
    add_warnings(report, &definitions.warnings);
    describe(report, &definitions);
    let instant = match request.strategy {
        Strategy::Copy => false,
        Strategy::Auto | Strategy::Instant => instant::is_possible(session, tables, alter).await?,
    };
    if instant {
        "Instant".clone_into(&mut report.strategy);
    } else {
        report.estimated_time = Some(estimate(source.size_bytes));
    }
    Ok(())
}

fn blank(request: &Request, facts: &Facts) -> PlanReport {
    let source = facts.source.as_ref();
    let names = &facts.names;
    PlanReport {
        source: source.map_or_else(|| request.table.clone(), |table| table.name.clone()),
        strategy: "Copy".to_owned(),
        key: String::new(),
        helpers: vec![names.shadow.clone(), names.old.clone(), names.control.clone()],
        definition_before: source.map(|table| table.definition.clone()).unwrap_or_default(),
        definition_after: String::new(),
        warnings: Vec::new(),
        refusals: Vec::new(),
        estimated_rows: source.map_or(0, |table| table.estimated_rows),
        size_bytes: source.map_or(0, |table| table.size_bytes),
        estimated_time: None,
    }
}

fn describe(report: &mut PlanReport, definitions: &Definitions) {
    report.key = definitions.pair.source_key.to_string();
    let unverified = Comparison::of(&definitions.pair.mapping).unverified;
    if !unverified.is_empty() {
        let columns = unverified.join(", ");
        report.warnings.push(format!("verification cannot compare these columns: {columns}"));
    }
    if !definitions.pair.source_key.is_ordered() {
        report.warnings.push(
            "only the server can order this key, so changes are applied by one lane".to_owned(),
        );
    }
}

fn add_warnings(report: &mut PlanReport, warnings: &[Refusal]) {
    report.warnings.extend(warnings.iter().map(Refusal::to_string));
}

fn add_refusals(report: &mut PlanReport, refusals: &[Refusal]) {
    if !refusals.is_empty() {
        "Refused".clone_into(&mut report.strategy);
    }
    report.refusals.extend(refusals.iter().map(|refusal| {
        (refusal.reason.to_string(), refusal.message.clone(), refusal.remedy.clone())
    }));
}

fn estimate(size_bytes: u64) -> Duration {
    Duration::from_secs_f64(as_f64(size_bytes) / BYTES_PER_SECOND + 1.0)
}
