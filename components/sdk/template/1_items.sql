create table items (
    id uuid primary key,
    text text not null,
    added_by text not null,
    added_at timestamptz not null
);
