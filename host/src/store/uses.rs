//! Which statements a version of a component runs, so that no migration takes from it what it needs while it serves.
//!
//! What was run once is remembered in the service's own database (`ward.statements`), by the artifact's digest: so a host that has just
//! begun knows what others have seen. A migration is held against it inside its own transaction. Each statement must still be
//! understood by PostgreSQL, with parameters and columns of the same kinds, and no table may ask for a column that an
//! older INSERT cannot know of. What a version never ran anywhere is not protected, and neither is a CHECK that old rows pass
//! and new ones do not.

use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Column, Connection, Either, Executor, SqlSafeStr, Statement, TypeInfo};

use super::Database;

/// Different statements of one version that are remembered.
const MOST: usize = 1000;

/// The statements of one version, as this host has seen them.
pub struct Statements {
    database: Arc<Database>,
    digest: String,
    hasher: RandomState,
    seen: RwLock<HashSet<u64>>,
}

impl Statements {
    pub fn new(database: Arc<Database>, digest: &str) -> Arc<Self> {
        let (hasher, seen) = (RandomState::new(), RwLock::default());
        Arc::new(Self { database, digest: digest.to_owned(), hasher, seen })
    }

    /// Takes note of a statement; the first time, in the database as well, which nobody waits for.
    pub fn note(&self, text: &str) {
        let hash = self.hasher.hash_one(text);
        let known = self.seen.read().unwrap_or_else(PoisonError::into_inner).contains(&hash);
        if known {
            return;
        }
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if seen.len() < MOST && seen.insert(hash) {
            tokio::spawn(remember(self.database.clone(), self.digest.clone(), text.to_owned()));
        }
    }
}

async fn remember(database: Arc<Database>, digest: String, text: String) {
    let statement = "insert into ward.statements (digest, statement) values ($1, $2)
        on conflict (digest, md5(statement)) do update set at = now()";
    if let Err(error) = sqlx::query(statement).bind(digest).bind(text).execute(&database.host).await {
        tracing::debug!(%error, "a statement could not be remembered");
    }
}

/// A version that a migration must leave able to work.
#[derive(Debug, Clone)]
pub struct InUse {
    pub generation: u64,
    pub digest: String,
}

/// What a version needs, as it is before a migration.
pub struct Needs {
    generation: u64,
    statements: Vec<(String, Shape)>,
}

/// The kinds of a statement's parameters and columns, in order.
type Shape = (Vec<String>, Vec<String>);

impl Needs {
    /// Of all versions; statements that fail already are none's need.
    pub async fn of(lock: &mut PgConnection, owner: &mut PgConnection, versions: &[InUse]) -> sqlx::Result<Vec<Self>> {
        let mut needs = Vec::new();
        for version in versions {
            let known: Vec<String> = sqlx::query_scalar("select statement from ward.statements where digest = $1")
                .bind(&version.digest)
                .fetch_all(&mut *lock)
                .await?;
            let mut statements = Vec::new();
            for text in known {
                if let Ok(shape) = shape(owner, &text).await {
                    statements.push((text, shape));
                }
            }
            needs.push(Self { generation: version.generation, statements });
        }
        Ok(needs)
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The first statement that would not work any more, and why.
    pub async fn broken(&self, owner: &mut PgConnection) -> Option<(u64, String)> {
        for (text, before) in &self.statements {
            let problem = match shape(owner, text).await {
                Err(sqlx::Error::Database(error)) => error.message().to_owned(),
                Ok(after) if after != *before => changed(before, &after),
                _ => continue,
            };
            return Some((self.generation, format!("{problem}, in \"{}\"", beginning(text))));
        }
        None
    }
}

async fn shape(connection: &mut PgConnection, text: &str) -> sqlx::Result<Shape> {
    // What is prepared is remembered by its text, and would hide what has changed.
    connection.clear_cached_statements().await?;
    let prepared = connection.prepare(AssertSqlSafe(text.to_owned()).into_sql_str()).await?;
    let parameters = match prepared.parameters() {
        Some(Either::Left(kinds)) => kinds.iter().map(|kind| of_kind(kind.name())).collect(),
        _ => Vec::new(),
    };
    let columns = prepared.columns().iter();
    let columns = columns.map(|column| format!("{} {}", column.name(), of_kind(column.type_info().name())));
    Ok((parameters, columns.collect()))
}

/// What a component cannot tell apart has one name.
fn of_kind(name: &str) -> String {
    match name {
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "UNKNOWN" => "TEXT",
        "TEXT[]" | "VARCHAR[]" => "TEXT[]",
        "INT2" | "INT4" => "INT4",
        other => other,
    }
    .to_owned()
}

fn changed(before: &Shape, after: &Shape) -> String {
    let all = |shape: &Shape| shape.0.iter().chain(&shape.1).cloned().collect::<Vec<_>>();
    let (before, after) = (all(before), all(after));
    let place = before.iter().zip(&after).find(|(before, after)| before != after);
    match place {
        Some((before, after)) => format!("{before} became {after}"),
        None => "other columns or parameters".to_owned(),
    }
}

fn beginning(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(120).collect()
}

/// Columns that must be given in every INSERT, as `table.column`.
pub async fn demanded(owner: &mut PgConnection) -> sqlx::Result<BTreeSet<(String, String)>> {
    let columns: Vec<(String, String)> = sqlx::query_as(
        "select c.relname::text, a.attname::text from pg_attribute a join pg_class c on c.oid = a.attrelid
         where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and a.attnum > 0
             and not a.attisdropped and a.attnotnull and not a.atthasdef and a.attidentity = ''",
    )
    .fetch_all(owner)
    .await?;
    Ok(columns.into_iter().collect())
}

/// The tables that there are.
pub async fn tables(owner: &mut PgConnection) -> sqlx::Result<BTreeSet<String>> {
    let names: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')",
    )
    .fetch_all(owner)
    .await?;
    Ok(names.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(parameters: &[&str], columns: &[&str]) -> Shape {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        (owned(parameters), owned(columns))
    }

    #[test]
    fn says_what_became_of_a_column() {
        let before = shape(&["UUID"], &["id UUID", "name TEXT"]);
        assert_eq!(changed(&before, &shape(&["UUID"], &["id UUID", "name INT8"])), "name TEXT became name INT8");
        assert_eq!(changed(&before, &shape(&["UUID"], &["id UUID"])), "other columns or parameters");
    }

    #[test]
    fn what_a_component_cannot_tell_apart_is_the_same() {
        assert_eq!(of_kind("VARCHAR"), of_kind("TEXT"));
        assert_ne!(of_kind("INT8"), of_kind("INT4"));
    }
}
