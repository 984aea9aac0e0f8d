//! Makes the databases and roles of all services, as an administrator. Safe to repeat, and repeated after each upgrade of
//! the host. A running host needs no administrator.

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::roles::{Role, RoleSecret, SecretError, address};
use crate::config::{Config, ServiceName};

const SCHEMA: &str = include_str!("schema.sql");

#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("cannot reach PostgreSQL as an administrator (database.url): {0}")]
    Unreachable(sqlx::Error),
    #[error("not provisioned: {}", .0.join("; "))]
    Failed(Vec<String>),
}

/// Makes what every service of the configuration needs; one where that fails leaves the others theirs. `tell` gets a line for what an operator
/// should know.
pub async fn provision(config: &Config, secret: &RoleSecret, tell: impl Fn(String)) -> Result<(), ProvisionError> {
    let options = address(&config.database.url)?;
    let mut admin = PgConnection::connect_with(&options).await.map_err(ProvisionError::Unreachable)?;
    let mut failed = Vec::new();
    for service in config.all_services() {
        let inside = options.clone().database(service.name.as_str());
        if let Err(error) = one(&mut admin, inside, (config, secret), &service.name, &tell).await {
            failed.push(format!("{} ({error})", service.name));
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(ProvisionError::Failed(failed)) }
}

async fn one(
    admin: &mut PgConnection,
    inside: PgConnectOptions,
    (config, secret): (&Config, &RoleSecret),
    service: &ServiceName,
    tell: impl Fn(String),
) -> sqlx::Result<()> {
    roles(admin, config, secret, service).await?;
    if let Err(error) = bound_server(admin, config, service).await {
        tell(format!(
            "{service}: cannot bound temporary files and the server's log for the component's roles ({error}). A superuser can; \
             without it set temp_file_limit and log_min_messages = log for the whole server, or a component may fill the \
             disk, and its failed statements are in the log with values that they quote."
        ));
    }
    database(admin, service).await?;
    let mut inside = PgConnection::connect_with(&inside).await?;
    rights(&mut inside, service).await?;
    if let Err(error) = bar_functions(&mut inside, service).await {
        tell(format!(
            "{service}: cannot take languages and dangerous functions from the component's roles ({error}). A superuser can; \
             without it a component may sleep, hold advisory locks, and give its statements time without end."
        ));
    }
    Ok(())
}

async fn roles(
    admin: &mut PgConnection,
    config: &Config,
    secret: &RoleSecret,
    service: &ServiceName,
) -> sqlx::Result<()> {
    for role in Role::ALL {
        let name = role.name(service);
        let exists: bool = sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)")
            .bind(&name)
            .fetch_one(&mut *admin)
            .await?;
        // The password is hexadecimal and the name made of [a-z0-9_-], so neither can end the literal.
        let verb = if exists { "alter" } else { "create" };
        run(admin, format!("{verb} role \"{name}\" login password '{}'", secret.password(&name))).await?;
    }
    let timeout = config.database.statement_timeout_ms;
    for role in [Role::Writer, Role::Reader] {
        let name = role.name(service);
        run(admin, format!("alter role \"{name}\" set statement_timeout = {timeout}")).await?;
        // A call that was stopped closes its connection; the server looks this often while a statement runs.
        run(admin, format!("alter role \"{name}\" set client_connection_check_interval = 250")).await?;
        run(admin, format!("alter role \"{name}\" set idle_in_transaction_session_timeout = 60000")).await?;
        // For statements as short as a component's, compiling costs more than it saves.
        run(admin, format!("alter role \"{name}\" set jit = off")).await?;
    }
    run(admin, format!("alter role \"{}\" set default_transaction_read_only = on", Role::Reader.name(service))).await?;
    for role in Role::ALL {
        let name = role.name(service);
        // What a migration makes in `public` must not be taken for what is meant, by anybody but the component.
        if role == Role::Host {
            run(admin, format!("alter role \"{name}\" set search_path = pg_catalog")).await?;
        }
        // A host that vanished without a word gives up its locks after a while.
        for (setting, seconds) in [("idle", 10), ("interval", 5), ("count", 3)] {
            run(admin, format!("alter role \"{name}\" set tcp_keepalives_{setting} = {seconds}")).await?;
        }
    }
    for role in [Role::Host, Role::Owner] {
        run(admin, format!("grant \"{}\" to current_user", role.name(service))).await?;
    }
    Ok(())
}

/// What a component's statements may leave on the server's disk: so much in temporary files, and nothing in the log. A failed
/// statement's message quotes values, of any length; the component is told, and the host counts it.
async fn bound_server(admin: &mut PgConnection, config: &Config, service: &ServiceName) -> sqlx::Result<()> {
    for role in [Role::Owner, Role::Writer, Role::Reader] {
        let name = role.name(service);
        run(admin, format!("alter role \"{name}\" set log_min_messages = log")).await?;
        // A migration may sort a whole table, for an index.
        if role != Role::Owner {
            let limit = config.database.temp_file_mb;
            run(admin, format!("alter role \"{name}\" set temp_file_limit = '{limit}MB'")).await?;
        }
    }
    Ok(())
}

async fn database(admin: &mut PgConnection, service: &ServiceName) -> sqlx::Result<()> {
    let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(service.as_str())
        .fetch_one(&mut *admin)
        .await?;
    if !exists {
        run(admin, format!("create database \"{service}\"")).await?;
    }
    Ok(())
}

async fn rights(inside: &mut PgConnection, service: &ServiceName) -> sqlx::Result<()> {
    let [host, owner, writer, reader] = Role::ALL.map(|role| role.name(service));
    let text = format!(
        r#"
        alter database "{service}" owner to current_user;
        revoke all on database "{service}" from public;
        grant connect on database "{service}" to "{host}", "{owner}", "{writer}", "{reader}";
        alter schema public owner to "{owner}";
        revoke all on schema public from public;
        grant usage on schema public to "{writer}", "{reader}";
        alter default privileges for role "{owner}" in schema public
            grant select, insert, update, delete on tables to "{writer}";
        alter default privileges for role "{owner}" in schema public grant usage, select on sequences to "{writer}";
        alter default privileges for role "{owner}" in schema public grant select on tables to "{reader}";
        create schema if not exists ward authorization "{host}";
        grant usage on schema ward to "{writer}";
        set role "{host}";
        {SCHEMA}
        grant execute on all functions in schema ward to "{writer}";
        revoke execute on function ward.run from public, "{writer}";
        grant execute on function ward.run to "{owner}";
        grant usage on schema ward to "{owner}";
        grant insert on ward.migrations to "{owner}";
        reset role;
        "#
    );
    run(inside, text).await
}

/// What a SELECT could do beside selecting: change the session, sleep, hold locks for ever, wake listeners, fill the log,
/// or look at what an earlier call on the connection left (sequences, the seed of `random`). Nor may a migration leave functions
/// behind: in one, a call could do all that a session can, such as give itself time without end.
async fn bar_functions(inside: &mut PgConnection, service: &ServiceName) -> sqlx::Result<()> {
    let host = Role::Host.name(service);
    let owner = Role::Owner.name(service);
    let text = format!(
        r#"
        revoke usage on language sql, plpgsql from public;
        grant usage on language sql, plpgsql to "{host}";
        do $$ declare f regprocedure; begin
            for f in
                select oid::regprocedure from pg_proc
                where pronamespace = 'pg_catalog'::regnamespace and prokind = 'f'
                    and (proname in ('set_config', 'pg_notify', 'pg_cancel_backend', 'pg_terminate_backend',
                            'pg_sleep', 'pg_sleep_for', 'pg_sleep_until', 'setseed', 'lastval', 'currval',
                            'pg_logical_emit_message', 'query_to_xml', 'query_to_xmlschema',
                            'query_to_xml_and_xmlschema', 'cursor_to_xml')
                        or proname like 'pg\_advisory%' or proname like 'pg\_try\_advisory%' or proname like 'lo\_%')
            loop
                execute format('revoke execute on function %s from public, "{owner}"', f);
                execute format('grant execute on function %s to "{host}"', f);
            end loop;
        end $$;
        "#
    );
    run(inside, text).await
}

async fn run(connection: &mut PgConnection, text: String) -> sqlx::Result<()> {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(text))).await.map(|_| ())
}
