create table patients (
    id uuid primary key,
    -- Grows by one with every change; 1 when registered.
    version bigint not null,
    name text not null,
    email text not null,
    address text not null,
    date_of_birth date not null,
    registered_date date not null,
    -- A deleted patient keeps its row, and is gone from every list.
    deleted_at timestamptz,
    -- The name folded (no case, punctuation, diacritics), as it is sorted; its parts in alphabetical order; the e-mail
    -- in lower case. Made by the component from the columns above.
    sort_name text collate "C" not null,
    identity text collate "C" not null,
    email_key text collate "C" not null,
    -- Zero for a patient who was registered as the only one of this name and birthday; its own id for one whose twin
    -- somebody allowed, or who came to look like another by a later change.
    twin uuid not null
);

-- Of two equal registrations at once one wins. Also finds the candidates of a duplicate.
create unique index patients_once on patients (identity, date_of_birth, twin) where deleted_at is null;

-- A page of any list is a walk along one of these.
create index patients_by_name on patients (sort_name, id) where deleted_at is null;
create index patients_by_email on patients (email_key, sort_name, id) where deleted_at is null;
create index patients_by_birth on patients (date_of_birth, sort_name, id) where deleted_at is null;

-- Search by name: a row for each part of the name of each patient that is not deleted. No foreign key: it follows
-- `patients` in the same statements, and its loss would lose nothing.
create table name_parts (
    part text collate "C" not null,
    sort_name text collate "C" not null,
    patient_id uuid not null,
    constraint name_parts_once primary key (patient_id, part)
);

create index name_parts_in_order on name_parts (part, sort_name, patient_id);

-- What every patient was after every change, by whom. Never changed.
create table patient_history (
    patient_id uuid not null constraint patient_history_of references patients (id),
    version bigint not null,
    change text not null constraint patient_history_change check (change in ('registered', 'updated', 'deleted')),
    changed_at timestamptz not null,
    changed_by text not null,
    name text not null,
    email text not null,
    address text not null,
    date_of_birth date not null,
    registered_date date not null,
    constraint patient_history_once primary key (patient_id, version)
);
