//! The component's schema, and what a next version may do to it.
#![cfg_attr(not(target_family = "wasm"), expect(dead_code, reason = "lives in a component only"))]

use std::hint::black_box;

/// A test gives a copy of the component another second step by overwriting these bytes in the artifact.
static NEXT: [u8; 24] = *b"ward-hostile-next:normal";

const STEPS: [(&str, &str); 13] = [
    ("drops!", "alter table mark drop column count"),
    ("retype", "alter table mark alter column count type bigint"),
    ("rename", "alter table mark rename to marks"),
    ("demand", "alter table entry add column author text not null"),
    ("fails!", "insert into mark (name, count) values ('bad', -1)"),
    ("floods", "select cast(repeat('x', 20000000) as int)"),
    ("commit", "alter table mark add column lost int; commit"),
    ("inside", "create function inside() returns int language sql as 'select 1'"),
    ("does-a", "do $$ begin perform set_config('statement_timeout', '0', false); end $$"),
    ("locks!", "select pg_advisory_lock(1)"),
    ("lasts!", "select count(*) from generate_series(1, 1000000000)"),
    ("a-rule", "create rule tells as on delete to mark do also notify others"),
    (
        "adds-a",
        "alter table mark add column author text not null default ''; create view marks as select name from mark",
    ),
];

pub fn steps() -> Vec<(&'static str, &'static str)> {
    let second = STEPS.iter().find(|(name, _)| black_box(&NEXT).ends_with(name.as_bytes()));
    [("marks", include_str!("../migrations/1_marks.sql"))].into_iter().chain(second.copied()).collect()
}
