//! What PostgreSQL's errors mean for a call: for the guest, for the host, and for the connection.

use sqlx::error::DatabaseError;

use crate::bindings::ward::store::sql;

/// Why a call cannot be committed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another call was in the way, or the connection was gone before anything was committed. Nothing was done: the call
    /// may be run again.
    #[error("the call has to be run again ({0})")]
    Again(String),
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    #[error("no connection became free in database.acquire_timeout_ms")]
    Saturated,
    #[error("a statement took longer than database.statement_timeout_ms, and was cancelled")]
    Slow,
    /// The guest ended well after a statement that had failed.
    #[error("a statement of the call had failed, so nothing can be committed")]
    Broken,
    /// The connection was lost while the transaction was being committed.
    #[error("the answer to COMMIT was lost, so it is not known whether the call was done")]
    Unknown,
    /// The component has no grant for a database.
    #[error("no database: the service has no grant \"sql\"")]
    NoDatabase,
}

/// A failed statement.
pub struct Fault {
    /// What becomes of the call, whatever the guest says.
    pub kept: StoreError,
    /// What the guest may know.
    pub told: sql::Error,
    /// The connection is of no use any more.
    pub closes: bool,
}

impl Fault {
    pub fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => Self::of_server(&**error),
            sqlx::Error::Encode(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                Self::guest(sql::Error::Invalid("a parameter or a column has another type than the statement's".into()))
            }
            sqlx::Error::PoolTimedOut => Self::host(StoreError::Saturated),
            sqlx::Error::Io(_) => Self { closes: true, ..Self::host(StoreError::Again("connection lost".into())) },
            _ => Self { closes: true, ..Self::host(StoreError::Unavailable(error.to_string())) },
        }
    }

    /// Of a statement in a call that may write: a server that takes no writes is a standby, and not the statement's fault.
    pub fn of_write(error: &sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(DatabaseError::code);
        if code.as_deref() == Some("25006") { Self::of_host(error) } else { Self::of(error) }
    }

    /// Of what a guest has no part in, such as the way to a connection.
    pub fn of_host(error: &sqlx::Error) -> Self {
        match Self::of(error) {
            Self { kept: StoreError::Broken, .. } => {
                Self { closes: true, ..Self::host(StoreError::Unavailable(error.to_string())) }
            }
            fault => fault,
        }
    }

    fn guest(told: sql::Error) -> Self {
        Self { kept: StoreError::Broken, told, closes: false }
    }

    fn host(kept: StoreError) -> Self {
        Self { kept, told: sql::Error::Unavailable, closes: false }
    }

    fn of_server(error: &dyn DatabaseError) -> Self {
        let code = error.code().unwrap_or_default();
        let violation = |kind| {
            let name = error.constraint().unwrap_or_default().to_owned();
            Self::guest(sql::Error::Constraint(sql::Constraint { kind, name }))
        };
        match &*code {
            "23505" => violation(sql::Violation::Unique),
            "23503" => violation(sql::Violation::ForeignKey),
            "23502" => violation(sql::Violation::NotNull),
            "23514" => violation(sql::Violation::Check),
            "23P01" => violation(sql::Violation::Exclusion),
            "40001" | "40P01" => Self::host(StoreError::Again(code.into_owned())),
            "55P03" => Self::host(StoreError::Unavailable("a lock did not become free in lock_timeout".into())),
            "57014" => Self::host(StoreError::Slow),
            "42501" | "25006" => Self::guest(sql::Error::Forbidden(format!(
                "{} ({code}): in a call described as read only SELECT works; a write may change rows of the \
                 component's own tables",
                error.message()
            ))),
            "25P02" => Self::guest(sql::Error::Aborted),
            // A migration changed what a statement prepared on this connection returns; on another one it is prepared anew.
            "0A000" if error.message().contains("cached plan") => Self {
                closes: true,
                ..Self::host(StoreError::Again("a statement was prepared before a migration".into()))
            },
            "53400" => Self::guest(sql::Error::TooMany(format!(
                "database.temp_file_mb is passed ({code}): sort, group or join less at once"
            ))),
            // The memory of one process. What all of them share has another message, and is nobody's fault.
            "53200" if error.message() == "out of memory" => Self {
                closes: true,
                ..Self::guest(sql::Error::TooMany(format!(
                    "PostgreSQL does not have the memory that the statement needs ({code}): ask for less at once"
                )))
            },
            _ => Self::of_class(&code, error.message()),
        }
    }

    fn of_class(code: &str, message: &str) -> Self {
        match code.get(..2) {
            // The server or the link is going away; before a COMMIT that is the same as never having begun.
            Some("08" | "57") => Self { closes: true, ..Self::host(StoreError::Again(code.to_owned())) },
            Some("53" | "58" | "XX") => Self::host(StoreError::Unavailable(format!("PostgreSQL error {code}"))),
            Some("42" | "0A") => Self::guest(sql::Error::Invalid(format!("{message} ({code})"))),
            // The messages of other errors may quote the data.
            _ => Self::guest(sql::Error::Invalid(format!("a value or a rule does not fit ({code})"))),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match Fault::of(&error) {
            // The host's own statement broke a rule of its own: two calls with one idempotency key met.
            Fault { told: sql::Error::Constraint(constraint), .. } => Self::Again(constraint.name),
            Fault { told: sql::Error::Invalid(text) | sql::Error::Forbidden(text), .. } => Self::Unavailable(text),
            Fault { kept, .. } => kept,
        }
    }
}
