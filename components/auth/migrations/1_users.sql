-- The people who may log in. Times and hashes come from the host.
create table users (
    id uuid primary key,
    -- Trimmed and in lower case: that is how a login compares.
    email text not null constraint users_email unique,
    password_hash text not null,
    role text not null constraint users_role check (role in ('ADMIN', 'CLINICIAN', 'BILLING', 'READER')),
    created_at timestamptz not null
);
