-- One row for each patient whose prescriptions were ever touched. Whoever prescribes or cancels for a patient locks it, so that a patient who is
-- deleted meanwhile keeps no active prescription.
create table patients (
    id uuid primary key,
    gone boolean not null
);

create table prescriptions (
    id uuid primary key,
    patient_id uuid not null references patients,
    drug text not null,
    dose text not null,
    status text not null constraint prescriptions_status check (status in ('active', 'dispensed', 'cancelled')),
    prescribed_by text not null,
    prescribed_at timestamptz not null,
    -- Who ended it, when and why: a prescription is never deleted.
    ended_by text,
    ended_at timestamptz,
    reason text,
    version bigint not null,
    constraint prescriptions_ended check ((status = 'active') = (ended_at is null))
);

-- Lists of a patient, the newest first: ids sort by time.
create index prescriptions_by_patient on prescriptions (patient_id, id desc);
