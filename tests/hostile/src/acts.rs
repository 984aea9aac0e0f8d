//! What it does, by the name in the path: `POST /hostile/write/mark-and-panic?name=…`.
#![cfg_attr(not(target_family = "wasm"), expect(dead_code, reason = "lives in a component only"))]

use std::hint::black_box;

use ward_sdk::events::{Disposition, Event, publish};
use ward_sdk::http::{Request, Response};
use ward_sdk::ports::StoreError;
use ward_sdk::{host, log, params, sql};

use crate::canary;

/// A test gives a copy of the component another behaviour by overwriting these bytes in the artifact.
static MODE: [u8; 24] = *b"ward-hostile-mode:normal";

fn behaves(mode: &str) -> bool {
    black_box(&MODE).ends_with(mode.as_bytes())
}

pub fn probe() -> Result<(), StoreError> {
    if behaves("probes") {
        mark("probed")?;
    }
    if behaves("unwell") {
        return Err(StoreError::Failed("it does not feel well".to_owned()));
    }
    Ok(())
}

/// Before it says what it is.
pub fn before_describing() {
    if behaves("hangs!") {
        black_box(loop_for_ever());
    }
    if behaves("panics") {
        panic();
    }
}

/// Does it let administrators in, and nobody else?
pub fn is_strict() -> bool {
    behaves("strict")
}

/// Does it hear nothing any more?
pub fn is_deaf() -> bool {
    behaves("deaf!!")
}

/// A path, or a document with paths, as it has them; a greedy one wants what is billing's.
pub fn placed(text: &str) -> String {
    let greedy = behaves("greedy");
    if greedy { text.replace("/hostile/read/", "/api/billing/accounts/") } else { text.to_owned() }
}

pub fn act(request: &Request) -> Response {
    if behaves("traps!") {
        panic();
    }
    if behaves("errors") {
        return Response::empty(500);
    }
    if behaves("stalls") {
        black_box(loop_for_ever());
    }
    if behaves("slowly") {
        // A quarter of a second, and more on a slow machine.
        for turn in 0..150_000_000_u64 {
            black_box(turn);
        }
    }
    let name = query(request, "name");
    let done = match named(request) {
        "nothing" => Ok(0),
        "clock" => Ok(clock()),
        "spin" => spin(),
        "memory" => memory(),
        "allocation" => Ok(black_box(Vec::<u8>::with_capacity(black_box(1 << 30))).capacity() as i64),
        "panic" => Ok(panic()),
        "destructor" => Ok(destructor()),
        "recursion" => Ok(recursion(1)),
        "huge" => return Response::json(200, &"x".repeat(2 << 20)),
        "header" => return Response::empty(200).header("x-evil", "a\r\nWard-Status: 299"),
        "status" => return Response::empty(999),
        "clock-flood" => clock_flood(),
        "log-flood" => Ok(log_flood()),
        "log-giant" => Ok(log_giant()),
        "statement-flood" => statement_flood(),
        "statement-giant" => sql::query(&format!("select 1 -- {}", "x".repeat(100_000)), params![]).map(|_| 0),
        "parameter-giant" => sql::query("select length($1)", params!["x".repeat(2 << 20)]).map(|_| 0),
        "result-giant" => sql::query("select repeat('x', 10000000)", params![]).map(|_| 0),
        "row-fits" => row_fits(),
        "row-giant" => sql::query("select repeat('x', 30000000)", params![]).map(|_| 0),
        "row-monster" => sql::query("select repeat('x', 1000000000)", params![]).map(|_| 0),
        "row-unread" => sql::execute("select repeat('x', 30000000)", params![]).map(|_| 0),
        "error-giant" => sql::query("select cast(repeat('x', 20000000) as int)", params![]).map(|_| 0),
        "heap" => {
            sql::query("select length(string_agg(repeat('x', 100000), '')) from generate_series(1, 5000)", params![])
                .map(|_| 0)
        }
        "spill" => {
            sql::query("select count(distinct i::text) from generate_series(1, 10000000) i", params![]).map(|_| 0)
        }
        "rows" => sql::query("select generate_series(1, 100000)", params![]).map(|_| 0),
        "rows-by-and-by" => rows_by_and_by(),
        "event-giant" => publish("hostile.happened", "a".to_owned(), 1, &vec![0_u8; 1 << 20]).map(|()| 0),
        "event-flood" => event_flood(),
        "event-unknown" => publish("somebody.elses", "a".to_owned(), 1, &Vec::<u8>::new()).map(|()| 0),
        "event" => publish("hostile.happened", name, 1, &Vec::<u8>::new()).map(|()| 0),
        "canary-write" => Ok(canary::write()),
        "canary-read" => Ok(canary::read()),
        "mark" => mark(&name),
        "count" => count(&name),
        "mark-and-panic" => mark(&name).map(|_| panic()),
        "mark-and-spin" => mark(&name).map(|_| loop_for_ever()),
        "mark-and-fail" => return mark(&name).map_or_else(Response::from_error, |_| Response::empty(409)),
        "mark-and-swallow" => mark(&name).map(|_| swallow()),
        "statement" => return statement(&query(request, "sql")),
        "read-then-mark" => read_then_mark(&name),
        "entries" => entries(),
        _ => return Response::empty(404),
    };
    done.map_or_else(Response::from_error, |number| Response::json(200, &number))
}

/// A wrong statement, where no route is concerned.
pub fn slip() -> Result<(), StoreError> {
    if behaves("faulty") { sql::execute("delete from nowhere", params![]).map(drop) } else { Ok(()) }
}

/// An event, whose subject says what shall happen.
pub fn receive(event: &Event) -> Result<(), Disposition> {
    if event.subject == "panic" {
        panic();
    }
    if behaves("reject") {
        return Err(Disposition::Reject("it takes none".to_owned()));
    }
    slip()?;
    mark(&event.subject).map(drop).map_err(Disposition::from)
}

trait FromError {
    fn from_error(error: StoreError) -> Self;
}

impl FromError for Response {
    fn from_error(error: StoreError) -> Self {
        let mut response = Response::json(500, &error.to_string());
        if error == StoreError::Unavailable {
            response.status = 503;
        }
        response
    }
}

fn query(request: &Request, name: &str) -> String {
    request.parameter(name).unwrap_or_default().to_owned()
}

/// The misdeed that the path names.
pub fn named(request: &Request) -> &str {
    request.path_parameters.first().map_or("", |(_, act)| act)
}

fn mark(name: &str) -> Result<i64, StoreError> {
    let statement =
        "insert into mark (name, count) values ($1, 1) on conflict (name) do update set count = mark.count + 1";
    sql::execute(statement, params![name.to_owned()])?;
    Ok(0)
}

fn count(name: &str) -> Result<i64, StoreError> {
    let rows = sql::query("select coalesce(sum(count), 0) from mark where name = $1", params![name.to_owned()])?;
    rows.one::<(i64,)>().map(|(count,)| count)
}

fn entries() -> Result<i64, StoreError> {
    sql::query("select count(*) from entry", params![])?.one::<(i64,)>().map(|(count,)| count)
}

/// Write skew: each sees what the others have not written yet. Only SERIALIZABLE notices.
fn read_then_mark(name: &str) -> Result<i64, StoreError> {
    let before = entries()?;
    sql::execute("insert into entry (name) values ($1)", params![name.to_owned()])?;
    Ok(before)
}

/// A hundred, until it is refused.
fn rows_by_and_by() -> Result<i64, StoreError> {
    loop {
        sql::query("select generate_series(1, 100)", params![])?;
    }
}

/// Results of a MiB, again and again on the same connection: in one row, and in many.
fn row_fits() -> Result<i64, StoreError> {
    for rows in [1, 2, 64, 1, 3, 1] {
        let statement = "select repeat('x', $1) from generate_series(1, $2)";
        sql::query(statement, params![(1 << 20) / rows, rows])?;
    }
    Ok(0)
}

/// Breaks a rule, and keeps quiet about it.
fn swallow() -> i64 {
    let _ = sql::execute("insert into mark (name, count) values ('swallowed', -1)", params![]);
    0
}

fn statement(text: &str) -> Response {
    match sql::query(text, params![]) {
        Ok(_) => Response::json(200, &"done"),
        Err(error) => Response::json(400, &error.to_string()),
    }
}

/// Until it is refused.
fn statement_flood() -> Result<i64, StoreError> {
    loop {
        sql::query("select 1", params![])?;
    }
}

fn event_flood() -> Result<i64, StoreError> {
    loop {
        publish("hostile.happened", "a".to_owned(), 1, &Vec::<u8>::new())?;
    }
}

/// For the bench: what host calls add to a call.
fn clock() -> i64 {
    for _ in 0..100 {
        black_box(host::now());
    }
    100
}

fn clock_flood() -> Result<i64, StoreError> {
    loop {
        black_box(host::now());
    }
}

fn log_flood() -> i64 {
    for _ in 0..5000 {
        log::error("a flood", &[("of", "lines")]);
    }
    0
}

fn log_giant() -> i64 {
    log::error(&"x".repeat(1 << 20), &[]);
    0
}

fn spin() -> Result<i64, StoreError> {
    Ok(loop_for_ever())
}

fn loop_for_ever() -> i64 {
    let mut number = 0_u64;
    loop {
        number = black_box(number.wrapping_add(1));
        if number == u64::MAX {
            return 0;
        }
    }
}

fn memory() -> Result<i64, StoreError> {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(vec![1; 1 << 20]);
        if hoard.len() > 1 << 20 {
            return Ok(black_box(&hoard).len() as i64);
        }
    }
}

#[expect(clippy::panic, reason = "what it is for")]
fn panic() -> i64 {
    panic!("on purpose")
}

/// Panics while it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic();
    }
}

fn destructor() -> i64 {
    drop(black_box(Bomb));
    0
}

#[expect(unconditional_recursion, reason = "what it is for")]
fn recursion(depth: i64) -> i64 {
    black_box(recursion(black_box(depth + 1)) + 1)
}
