//! One database for each service, and one transaction for each call.
//!
//! ```text
//!            a call of effect `read`                   a call of effect `write`
//!   role     ward_S_reader: SELECT only                ward_S_writer: rows, not tables
//!   sends    the guest's statements, nothing else      BEGIN, statements, seal, COMMIT
//! ```
//!
//! *Sealing* is one statement of the host's own at the end of a write. It appends the published events to the outbox,
//! records the consumed event and stores the answer under its idempotency key, all in the guest's transaction. It is also what
//! makes success true: PostgreSQL answers COMMIT after a failed statement with a silent rollback, but a statement after
//! a failed one fails.
//!
//! The guest cannot forge any of it. Ward's tables lie in a schema of their own that the writer's role cannot touch; it
//! may only call functions there, and those ask for a token that no guest knows (`schema.sql`).
//!
//! A transaction that is dropped, because the call was cancelled or timed out, closes its connection: the server stops
//! the statement and rolls back. Start reading at [`Work`].

mod database;
mod errors;
mod housekeeping;
mod idempotency;
mod migrate;
mod outbox;
mod pool;
mod provision;
mod pulse;
mod roles;
mod statement;
mod transaction;
mod uses;
mod values;
mod work;

pub use database::Database;
pub use errors::StoreError;
pub use housekeeping::housekeep;
pub use idempotency::{Answer, IdempotencyKey};
pub use migrate::{MigrateError, Migration, migrate, seeded_once};
pub use outbox::{Outbox, OutboxEvent};
pub use provision::{ProvisionError, provision};
pub use pulse::Pulse;
pub use roles::{RoleSecret, SecretError};
pub use uses::{InUse, Statements};
pub use work::{Consumed, Ended, Keyed, Published, Work, WorkLimits};
