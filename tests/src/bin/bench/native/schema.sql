-- What the yardstick keeps beside the patients; as Ward's own tables (host/src/store/schema.sql).
create table outbox (
    seq bigint generated always as identity primary key,
    id uuid not null,
    type text not null,
    subject text not null,
    version bigint not null,
    at timestamptz not null default clock_timestamp(),
    traceparent text not null,
    data bytea not null
);
create table idempotency (
    digest bytea primary key,
    fingerprint bytea not null,
    location text not null,
    body bytea not null,
    at timestamptz not null default now()
);
create index idempotency_at on idempotency (at);
