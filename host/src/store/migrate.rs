//! The steps of a component's schema: once each, in order, under a lock that all hosts share, and only if the versions that serve
//! now can go on ([`super::uses`]).

use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::Database;
use super::uses::{self, InUse, Needs};
use crate::config;
use crate::memory::{TooLarge, bounded};

#[derive(Debug, Clone)]
pub struct Migration {
    pub version: u32,
    pub name: String,
    pub statements: String,
}

#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error("migrations must be numbered 1, 2, 3, …: found {found} where {expected} was expected")]
    Gap { expected: u32, found: u32 },
    #[error("migration {version} ({name}) was changed after it was run here; restore its text and add a new step")]
    Changed { version: u32, name: String },
    #[error("migration {version} ({name}) failed, and was rolled back: {source}")]
    Failed { version: u32, name: String, source: sqlx::Error },
    #[error(
        "migration {version} ({name}) would break generation {generation}, which still serves, and was rolled back: {problem}. \
         Do it in two steps: first deploy a version that does without what changes; once only that one serves, change it \
         in the version after"
    )]
    Breaks { version: u32, name: String, generation: u64, problem: String },
    #[error(
        "migration {version} ({name}) was stopped and rolled back: PostgreSQL answered with more than {} MiB at once; a \
         migration has no use for answers", MOST_ANSWERED >> 20
    )]
    Talkative { version: u32, name: String },
    #[error(
        "migration {version} ({name}) was rolled back: a database may have {MOST_TYPES} types (a table has two) and \
         {MOST_LABELS} values of enumerations"
    )]
    TooManyTypes { version: u32, name: String },
    #[error(
        "migration {version} ({name}) was rolled back: {rule}, and what a rule does is no statement of the component. Let the \
         component do it, or drop the rule"
    )]
    Rule { version: u32, name: String, rule: String },
    #[error(
        "another host migrates this database, or hangs while it does (`ward hosts`); it is tried again when that is over"
    )]
    Held,
    #[error("the database cannot be reached, or `ward provision` was not run: {0}")]
    Unavailable(#[from] sqlx::Error),
}

/// Bytes that PostgreSQL may answer a migration at once; nobody looks at them.
const MOST_ANSWERED: usize = 8 << 20;
/// Types of one database, and values of its enumerations. Each connection of a host keeps the description of each type that it has met.
const MOST_TYPES: i64 = 2_000;
const MOST_LABELS: i64 = 20_000;
/// Any constant will do; the lock is per database.
const MIGRATION_LOCK: i64 = 0x5741_5244_0002;
/// PostgreSQL's code of a `lock_timeout`.
const LOCK_NOT_AVAILABLE: &str = "55P03";
/// After so long without a word, beside a statement that runs, a host that has the lock or a transaction is taken for one that hangs.
const SILENCE: Duration = Duration::from_secs(60);

/// Runs the steps that were not run yet; returns how many.
pub async fn migrate(
    database: &Database,
    migrations: &[Migration],
    in_use: &[InUse],
    limits: &config::Swap,
) -> Result<usize, MigrateError> {
    for (expected, migration) in (1..).zip(migrations) {
        if migration.version != expected {
            return Err(MigrateError::Gap { expected, found: migration.version });
        }
    }
    let mut lock = locked(database, limits).await?;
    let outcome = run_missing(database, &mut lock, migrations, in_use, limits).await;
    // Ends the lock with the connection, whatever happened.
    let _ = lock.close().await;
    outcome
}

/// The lock that all hosts share, on a connection of its own, which ends it.
async fn locked(database: &Database, limits: &config::Swap) -> Result<PgConnection, MigrateError> {
    let mut lock = database.host.acquire().await?.detach();
    // A seed runs on another connection meanwhile.
    bound_silence(&mut lock, SILENCE + Duration::from_millis(limits.probe_timeout_ms)).await?;
    let wait = format!("set lock_timeout = {}", limits.migration_lock_timeout_ms);
    lock.execute(sqlx::raw_sql(AssertSqlSafe(wait))).await?;
    let locking = sqlx::query("select pg_advisory_lock($1)").bind(MIGRATION_LOCK).execute(&mut lock).await;
    match locking {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(LOCK_NOT_AVAILABLE) => {
            Err(MigrateError::Held)
        }
        locking => Ok(locking.map(|_| lock)?),
    }
}

/// PostgreSQL closes the connection, and so ends its lock, when its host hangs.
async fn bound_silence(lock: &mut PgConnection, longest: Duration) -> sqlx::Result<()> {
    let bound = format!("set idle_session_timeout = '{}s'", longest.as_secs());
    lock.execute(sqlx::raw_sql(AssertSqlSafe(bound))).await.map(drop)
}

async fn run_missing(
    database: &Database,
    lock: &mut PgConnection,
    migrations: &[Migration],
    in_use: &[InUse],
    limits: &config::Swap,
) -> Result<usize, MigrateError> {
    let done: Vec<(i32, Vec<u8>)> =
        sqlx::query_as("select version, checksum from ward.migrations order by version").fetch_all(&mut *lock).await?;
    for ((_, checksum), migration) in done.iter().zip(migrations) {
        if *checksum != self::checksum(migration) {
            return Err(MigrateError::Changed { version: migration.version, name: migration.name.clone() });
        }
    }
    let missing = migrations.get(done.len()..).unwrap_or_default();
    if missing.is_empty() {
        return Ok(0);
    }
    let is_provided: bool =
        sqlx::query_scalar("select to_regprocedure('ward.run(text)') is not null").fetch_one(&mut *lock).await?;
    if !is_provided {
        return Err(sqlx::Error::Protocol("there is no ward.run".to_owned()).into());
    }
    // The steps and the analysis after them, on the other connection.
    let work = Duration::from_secs(limits.migration_timeout_s) * (missing.len() + 1).try_into().unwrap_or(u32::MAX);
    bound_silence(lock, SILENCE + work).await?;
    let mut owner = PgConnection::connect_with(&database.owner).await?;
    let needs = Needs::of(lock, &mut owner, in_use).await?;
    for migration in missing {
        let (version, name) = (migration.version, &migration.name);
        let outcome = bounded(MOST_ANSWERED, step(&mut owner, migration, &needs, limits)).await;
        let outcome = outcome.map_err(|TooLarge| MigrateError::Talkative { version, name: name.clone() })?;
        let outcome = outcome.map_err(|source| MigrateError::Failed { version, name: name.clone(), source })?;
        match outcome {
            Step::Done => {}
            Step::Breaks(generation, problem) => {
                return Err(MigrateError::Breaks { version, name: name.clone(), generation, problem });
            }
            Step::TooManyTypes => return Err(MigrateError::TooManyTypes { version, name: name.clone() }),
            Step::Rule(rule) => return Err(MigrateError::Rule { version, name: name.clone(), rule }),
        }
    }
    if let Err(error) = analyze(&mut owner, limits).await {
        tracing::warn!(%error, "the tables were not analyzed after the migration; PostgreSQL does it by itself later");
    }
    let _ = owner.close().await;
    Ok(missing.len())
}

/// So that statements are not planned for the tables that were here before.
async fn analyze(owner: &mut PgConnection, limits: &config::Swap) -> sqlx::Result<()> {
    // It says of each table of others that it is skipped.
    let quiet = format!("set client_min_messages = error; set statement_timeout = '{}s'", limits.migration_timeout_s);
    owner.execute(sqlx::raw_sql(AssertSqlSafe(quiet))).await?;
    owner.execute("analyze").await.map(|_| ())
}

enum Step {
    Done,
    /// A generation that still serves would not work any more, and why.
    Breaks(u64, String),
    TooManyTypes,
    /// It has this rule, which could do in a call what no statement may, NOTIFY for one.
    Rule(String),
}

/// Runs a step, and commits it if all can live with it.
async fn step(
    owner: &mut PgConnection,
    migration: &Migration,
    needs: &[Needs],
    limits: &config::Swap,
) -> sqlx::Result<Step> {
    let (tables, demanded) = (uses::tables(owner).await?, uses::demanded(owner).await?);
    let mut transaction = owner.begin().await?;
    let bounds = format!(
        "set local lock_timeout = {}; set local statement_timeout = '{}s'; set local idle_in_transaction_session_timeout = '{}s'",
        limits.migration_lock_timeout_ms,
        limits.migration_timeout_s,
        SILENCE.as_secs()
    );
    transaction.execute(sqlx::raw_sql(AssertSqlSafe(bounds))).await?;
    sqlx::query("select ward.run($1)").bind(&migration.statements).execute(&mut *transaction).await?;
    // Names mean PostgreSQL's own from here on, whatever the step has made and set.
    transaction.execute("set local search_path = pg_catalog, public").await?;
    for one in needs {
        if let Some((generation, problem)) = one.broken(&mut transaction).await {
            return Ok(Step::Breaks(generation, problem));
        }
    }
    let new = uses::demanded(&mut transaction).await?;
    let demand = new.difference(&demanded).find(|(table, _)| tables.contains(table));
    if let (Some((table, column)), Some(generation)) = (demand, needs.first().map(Needs::generation)) {
        let problem = format!("{table}.{column} is demanded of every INSERT, and has no default");
        return Ok(Step::Breaks(generation, problem));
    }
    let counts = "select (select count(*) from pg_type where typnamespace = 'public'::regnamespace),
        (select count(*) from pg_enum)";
    let (types, labels): (i64, i64) = sqlx::query_as(counts).fetch_one(&mut *transaction).await?;
    if types > MOST_TYPES || labels > MOST_LABELS {
        return Ok(Step::TooManyTypes);
    }
    // A view is a rule for SELECT; PostgreSQL has rules of its own for its settings.
    let rules = "select format('%s has the rule %s', ev_class::regclass, quote_ident(rulename)) from pg_rewrite
        join pg_class on pg_class.oid = ev_class
        where ev_type <> '1' and relnamespace <> 'pg_catalog'::regnamespace limit 1";
    if let Some(rule) = sqlx::query_scalar(rules).fetch_optional(&mut *transaction).await? {
        return Ok(Step::Rule(rule));
    }
    sqlx::query("insert into ward.migrations (version, name, checksum) values ($1, $2, $3)")
        .bind(i32::try_from(migration.version).unwrap_or(i32::MAX))
        .bind(&migration.name)
        .bind(checksum(migration))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(Step::Done)
}

fn checksum(migration: &Migration) -> Vec<u8> {
    Sha256::digest(migration.statements.as_bytes()).to_vec()
}

/// Runs `seed` if it never ended well in this database. All hosts wait for the one that does it.
pub async fn seeded_once<E>(
    database: &Database,
    limits: &config::Swap,
    seed: impl Future<Output = Result<(), E>>,
) -> Result<Option<E>, MigrateError> {
    let mut lock = locked(database, limits).await?;
    let done: bool = sqlx::query_scalar("select exists (select from ward.seeded)").fetch_one(&mut lock).await?;
    let mut failed = None;
    if !done {
        match seed.await {
            Ok(()) => sqlx::query("insert into ward.seeded default values").execute(&mut lock).await.map(|_| ())?,
            Err(error) => failed = Some(error),
        }
    }
    let _ = lock.close().await;
    Ok(failed)
}
