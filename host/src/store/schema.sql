-- Ward's own tables in the database of a service. Run by `ward provision` as the role that owns the schema `ward`; safe to repeat.
--
-- The component's roles have no right to any of these tables. They may call the functions, which run with the owner's
-- rights and want a token that only hosts know.

create table if not exists ward.token (token text primary key);
insert into ward.token
select gen_random_uuid()::text || gen_random_uuid()::text
where not exists (select from ward.token);

-- Events that were committed and are not yet in the stream, in the order of their commits per subject.
create table if not exists ward.outbox (
    seq bigint generated always as identity primary key,
    id uuid not null,
    type text not null,
    subject text not null,
    version bigint not null,
    at timestamptz not null default clock_timestamp(),
    traceparent text not null,
    data bytea not null
);

-- Events that were consumed.
create table if not exists ward.inbox (
    subscription text not null,
    event uuid not null,
    at timestamptz not null default now(),
    primary key (subscription, event)
);
create index if not exists inbox_at on ward.inbox (at);

-- Answers under idempotency keys. `digest` is of function, principal and key, `fingerprint` of the request.
create table if not exists ward.idempotency (
    digest bytea primary key,
    fingerprint bytea not null,
    head text not null,
    body bytea not null,
    at timestamptz not null default now()
);
create index if not exists idempotency_at on ward.idempotency (at);

-- Steps of the component's schema that were run.
create table if not exists ward.migrations (
    version integer primary key,
    name text not null,
    checksum bytea not null,
    at timestamptz not null default now()
);

-- Statements that versions of the component have run, by the digest of the artifact.
create table if not exists ward.statements (
    digest text not null,
    statement text not null,
    at timestamptz not null default now()
);
create unique index if not exists statements_once on ward.statements (digest, md5(statement));

-- Whether the example data was written.
create table if not exists ward.seeded (at timestamptz not null default now());

-- Begins a call with an idempotency key: 'running' while another holds the key, 'stored' if it was answered, else 'new'. The
-- digest cannot be guessed, since the token is part of it. The first number keeps these locks apart from all others of Ward.
create or replace function ward.open(wanted bytea, lock_key integer) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if not pg_try_advisory_xact_lock(1, lock_key) then
        return 'running';
    elsif exists (select from ward.idempotency i where i.digest = wanted) then
        return 'stored';
    end if;
    return 'new';
end $$;

-- Runs a step of the schema as whoever calls it. Inside a function nothing can end the transaction, nor change the time-out of
-- the statement that is under way; and what a step selects stays here.
create or replace function ward.run(step text) returns void language plpgsql as $$ begin execute step; end $$;

-- The answer that was stored.
create or replace function ward.answer(wanted bytea)
returns table (fingerprint bytea, head text, body bytea)
language sql security definer set search_path = pg_catalog, pg_temp as $$
    select i.fingerprint, i.head, i.body from ward.idempotency i where i.digest = wanted
$$;

-- Ends a write: everything that must commit with it. Answers 'repeated' when the event was consumed before.
create or replace function ward.seal(
    host_token text,
    key_digest bytea, key_fingerprint bytea, answer_head text, answer_body bytea,
    consumed_subscription text, consumed_event uuid,
    ids uuid[], types text[], subjects text[], versions bigint[], payloads bytea[], trace text
) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if not exists (select from ward.token t where t.token = host_token) then
        raise insufficient_privilege using message = 'ward.seal is for the host alone';
    end if;
    if consumed_event is not null then
        insert into ward.inbox (subscription, event) values (consumed_subscription, consumed_event)
        on conflict do nothing;
        if not found then
            return 'repeated';
        end if;
    end if;
    if ids is not null then
        insert into ward.outbox (id, type, subject, version, data, traceparent)
        select e.id, e.type, e.subject, e.version, e.data, trace
        from unnest(ids, types, subjects, versions, payloads) with ordinality
            as e (id, type, subject, version, data, place)
        order by e.place;
    end if;
    if key_digest is not null then
        insert into ward.idempotency (digest, fingerprint, head, body)
        values (key_digest, key_fingerprint, answer_head, answer_body);
    end if;
    return 'sealed';
end $$;

revoke all on function ward.open(bytea, integer) from public;
revoke all on function ward.answer(bytea) from public;
revoke all on function ward.seal(text, bytea, bytea, text, bytea, text, uuid, uuid[], text[], text[], bigint[], bytea[], text) from public;
