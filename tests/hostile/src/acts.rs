//! What it does, by the name in the path: `POST /hostile/write/mark-and-panic?name=…`.
#![cfg_attr(not(target_family = "wasm"), expect(dead_code, reason = "lives in a component only"))]

use std::hint::black_box;

use ward_sdk::http::{Request, Response};
use ward_sdk::ports::StoreError;
use ward_sdk::{params, sql};

/// A test gives a copy of the component another behaviour by overwriting these bytes in the artifact.
static MODE: [u8; 24] = *b"ward-hostile-mode:normal";

pub fn probe() -> Result<(), StoreError> {
    if black_box(&MODE).ends_with(b"unwell") {
        return Err(StoreError::Failed("it does not feel well".to_owned()));
    }
    Ok(())
}

pub fn act(request: &Request) -> Response {
    if black_box(&MODE).ends_with(b"traps!") {
        panic();
    }
    if black_box(&MODE).ends_with(b"errors") {
        return Response::empty(500);
    }
    if black_box(&MODE).ends_with(b"slowly") {
        // A quarter of a second, and more on a slow machine.
        (0..150_000_000_u64).for_each(|turn| drop(black_box(turn)));
    }
    let name = query(request, "name");
    let done = match named(request) {
        "nothing" => Ok(0),
        "spin" => spin(),
        "memory" => memory(),
        "panic" => Ok(panic()),
        "recursion" => Ok(recursion(1)),
        "huge" => return Response::json(200, &"x".repeat(2 << 20)),
        "header" => return Response::empty(200).header("x-evil", "a\r\nWard-Status: 299"),
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

#[expect(unconditional_recursion, reason = "what it is for")]
fn recursion(depth: i64) -> i64 {
    black_box(recursion(black_box(depth + 1)) + 1)
}
