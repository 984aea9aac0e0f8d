//! What PostgreSQL's errors mean for a call.

use crate::bindings::ward::store::sql;

/// Why the store could not do what the *host* asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else was faster; the call may be run again.
    #[error("the transaction met another one ({0})")]
    Conflict(String),
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The guest ended well after a statement that had failed.
    #[error("a statement of the call had failed, so nothing can be committed")]
    Broken,
    /// The component has no grant for a database.
    #[error("no database: the service has no grant \"sql\"")]
    NoDatabase,
}

/// What the guest is told of a failed statement, and what the host keeps of it.
pub enum Fault {
    /// Goes to the guest; the transaction is broken.
    Guest(sql::Error),
    /// The call shall be run again, whatever the guest says.
    Conflict(String),
    /// The call fails, whatever the guest says.
    Unavailable(String),
}

impl Fault {
    pub fn of(error: &sqlx::Error) -> Self {
        let sqlx::Error::Database(database) = error else {
            return Self::other(error);
        };
        let code = database.code().unwrap_or_default();
        let violation = |kind| {
            let name = database.constraint().unwrap_or_default().to_owned();
            Self::Guest(sql::Error::Constraint(sql::Constraint { kind, name }))
        };
        match &*code {
            "23505" => violation(sql::Violation::Unique),
            "23503" => violation(sql::Violation::ForeignKey),
            "23502" => violation(sql::Violation::NotNull),
            "23514" => violation(sql::Violation::Check),
            "23P01" => violation(sql::Violation::Exclusion),
            "40001" | "40P01" => Self::Conflict(code.into_owned()),
            "42501" | "25006" => Self::Guest(sql::Error::Forbidden(format!(
                "{} ({code}): in a call described as read only SELECT works; a write may change rows of the \
                 component's own tables",
                database.message()
            ))),
            "25P02" => Self::Guest(sql::Error::Aborted),
            // The messages of data errors quote the data.
            _ if code.starts_with("22") => Self::Guest(sql::Error::Invalid(format!("a value does not fit ({code})"))),
            _ if code.starts_with("42") || code.starts_with("0A") => {
                Self::Guest(sql::Error::Invalid(format!("{} ({code})", database.message())))
            }
            _ => Self::Unavailable(format!("PostgreSQL error {code}")),
        }
    }

    fn other(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Encode(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Guest(
                sql::Error::Invalid("a parameter or a column has another type than the statement's".into()),
            ),
            sqlx::Error::PoolTimedOut => {
                Self::Unavailable("no connection became free in database.acquire_timeout_ms".into())
            }
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match Fault::of(&error) {
            Fault::Conflict(code) => Self::Conflict(code),
            Fault::Unavailable(text) => Self::Unavailable(text),
            Fault::Guest(sql::Error::Aborted) => Self::Broken,
            // The host's own statement broke a rule of its own: two calls with one idempotency key met.
            Fault::Guest(sql::Error::Constraint(constraint)) => Self::Conflict(constraint.name),
            Fault::Guest(other) => Self::Unavailable(format!("{other:?}")),
        }
    }
}
