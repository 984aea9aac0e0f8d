create table mark (
    name text primary key,
    count integer not null default 0 check (count >= 0)
);
create table entry (
    name text not null
);
