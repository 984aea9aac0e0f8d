-- One account for each patient, for ever: the constraint is what makes `open` safe to repeat.
create table accounts (
    id uuid primary key,
    patient_id uuid not null constraint accounts_one_per_patient unique,
    status text not null constraint accounts_status check (status in ('active', 'closed')),
    -- Who pays, as it was said when the account was opened.
    holder_name text not null,
    holder_email text not null,
    opened_at timestamptz not null
);
