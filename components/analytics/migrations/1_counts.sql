-- What was counted already: each patient's registration, deletion and account, so that an event that comes twice, late or
-- out of order changes nothing twice.
create table patients (
    id uuid primary key,
    -- Null as long as only the deletion is known.
    registered_day date,
    deleted boolean not null
);

create table accounts (
    patient_id uuid primary key
);

-- The counts, each spread over a few rows, so that events that come at the same time do not wait for one another, and
-- summed when they are read.
create table totals (
    bucket integer primary key,
    registered bigint not null,
    active bigint not null,
    deleted bigint not null,
    accounts_opened bigint not null
);

create table days (
    day date not null,
    bucket integer not null,
    registered bigint not null,
    constraint days_once primary key (day, bucket)
);
