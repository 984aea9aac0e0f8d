//! What hostile components try, numbered: each beside healthy traffic, each with the end that it must have. None of them ends
//! the host, fails a healthy request, leaves something for a later call, or keeps memory.

use futures_util::future::join_all;
use serde_json::Value;
use ward_tests::artifact::{self, Fault};
use ward_tests::clinic::JOHN;
use ward_tests::load::Load;
use ward_tests::machine::component;
use ward_tests::rest::{Answer, Rest};
use ward_tests::{Plan, System, eventually, malformed};

/// Number, name of the act, what it tries, and how it must end: the status, and a word of the answer.
const CALLS: [(u32, &str, &str, u16, &str); 34] = [
    (1, "spin", "an endless loop", 502, "trapped"),
    (2, "recursion", "endless recursion", 502, "trapped"),
    (3, "memory", "all memory there is", 502, "trapped"),
    (4, "allocation", "a gigabyte at once", 502, "trapped"),
    (5, "panic", "a panic", 502, "trapped"),
    (6, "destructor", "a panic in a destructor", 502, "trapped"),
    (7, "huge", "an answer of 2 MiB", 503, "failed"),
    (8, "header", "a header that ends the headers", 503, "failed"),
    (9, "status", "a status that does not exist", 503, "failed"),
    (10, "clock-flood", "host functions without end", 502, "trapped"),
    (11, "log-flood", "5,000 lines of log", 200, "0"),
    (12, "log-giant", "a line of a megabyte", 200, "0"),
    (13, "statement-flood", "statements without end", 500, "limits.statements"),
    (14, "statement-giant", "a statement of 100 KB", 500, "limits.statement_bytes"),
    (15, "parameter-giant", "a parameter of 2 MiB", 500, "limits.parameter_bytes"),
    (16, "result-giant", "a result of 10 MB", 500, "limits.result_bytes"),
    (17, "rows", "100,000 rows", 500, "limits.rows"),
    (18, "event-giant", "an event of a megabyte", 500, "limits.event_bytes"),
    (19, "event-flood", "events without end", 500, "limits.events"),
    (20, "event-unknown", "an event that is not granted", 500, "NotGranted"),
    (21, "take-giant", "a call with 2 MiB of parameters", 200, "Call(Failure::Refused)"),
    (22, "swell-giant", "a typed answer of 2 MiB", 200, "Call(Failure::Failed)"),
    (23, "hoard-giant", "8 MiB as single values", 200, "Call(Failure::Trapped)"),
    (24, "call-flood", "1,000 calls of one", 200, "Call(Failure::Refused)"),
    (25, "cycle", "a call that calls itself", 200, "Err("),
    (26, "mark-and-panic", "a write, and then a panic", 502, "trapped"),
    (27, "mark-and-swallow", "a success after a failed statement", 503, "failed"),
    (85, "row-giant", "a row of 30 MB", 500, "limits.result_bytes"),
    (86, "row-unread", "a row of 30 MB that it does not look at", 500, "limits.result_bytes"),
    (87, "row-monster", "a row of a gigabyte", 500, "memory that the statement needs"),
    (88, "heap", "500 MB in PostgreSQL's memory", 500, "memory that the statement needs"),
    (89, "spill", "more than there is room for in temporary files", 500, "database.temp_file_mb"),
    (93, "rows-by-and-by", "a hundred rows, again and again", 500, "limits.rows"),
    (90, "row-fits", "results that are just within the limit", 200, "0"),
];

/// The limits that the calls meet, by the label of their metric.
const COUNTED: [&str; 17] = [
    "memory_mb",
    "cpu_ms",
    "response_bytes",
    "transfer_bytes",
    "statements",
    "statement_bytes",
    "parameter_bytes",
    "rows",
    "result_bytes",
    "events",
    "event_bytes",
    "calls",
    "call_bytes",
    "outgoing",
    "log_lines",
    "log_bytes",
    "log_per_s",
];

/// Statements that leave a transaction, a session, a database or the server, or stay behind. Each is refused.
const STATEMENTS: [(u32, &str); 45] = [
    (28, "commit"),
    (29, "rollback"),
    (30, "begin read write"),
    (31, "set role postgres"),
    (32, "reset role"),
    (33, "set session authorization postgres"),
    (34, "set statement_timeout = 0"),
    (35, "select set_config('statement_timeout', '0', false)"),
    (36, "select pg_sleep(60)"),
    (37, "copy mark to program 'true'"),
    (38, "copy mark to '/tmp/ward-hostile'"),
    (39, "copy mark from '/etc/passwd'"),
    (40, "select * from ward.outbox"),
    (41, "select token from ward.token"),
    (42, "select * from patient.public.patient"),
    (43, "select * from dblink('dbname=patient', 'select 1') as t (a int)"),
    (44, "create extension dblink"),
    (45, "select 1; commit"),
    (46, "select pg_advisory_lock(1)"),
    (47, "select pg_try_advisory_lock_shared(1)"),
    (48, "discard all"),
    (49, "listen a"),
    (50, "notify a"),
    (51, "select pg_notify('a', 'b')"),
    (52, "create temp table t (a int)"),
    (53, "select 1 as a into temp t"),
    (54, "create table public.t (a int)"),
    (55, "prepare a as select 1"),
    (56, "deallocate all"),
    (57, "select lo_create(0)"),
    (58, "select lo_import('/etc/passwd')"),
    (59, "do $$ begin perform 1; end $$"),
    (60, "call a()"),
    (61, "select pg_terminate_backend(pid) from pg_stat_activity"),
    (62, "select pg_read_file('/etc/passwd')"),
    (63, "select pg_ls_dir('.')"),
    (64, "select rolpassword from pg_authid"),
    (65, "select query_to_xml('commit', true, true, '')"),
    (66, "select setseed(0.5)"),
    (67, "select lastval()"),
    (68, "select pg_logical_emit_message(false, 'a', repeat('x', 1000))"),
    (69, "lock table mark in access exclusive mode"),
    (70, "vacuum"),
    (71, "alter role current_user password 'a'"),
    (92, "select ward.run('set statement_timeout = 0')"),
];

/// Number, what is wrong with an artifact that somebody deploys, and a word of the refusal.
fn artifacts() -> Vec<(u32, &'static str, Vec<u8>, &'static str)> {
    let (good, other) = (std::fs::read(component("hostile")).unwrap(), std::fs::read(component("auth")).unwrap());
    vec![
        (72, "truncated", Fault::Truncated.apply(&good, &other, 1), "does not compile"),
        (73, "random bytes", malformed::noise(), "does not compile"),
        (74, "empty", Vec::new(), "does not compile"),
        (75, "a core module", malformed::core_module(), "does not compile"),
        (
            76,
            "another service, with imports that are not granted",
            Fault::OtherService.apply(&good, &other, 2),
            "needs the grant",
        ),
        (77, "an import that no host offers", malformed::unknown_import(), "is not granted"),
        (78, "a count of four billion", malformed::huge_count(), "count exceeds"),
        (79, "four gigabytes of memory", malformed::huge_memory(), "does not export"),
        (80, "a table of ten million", malformed::huge_table(), "table does not fit"),
        (81, "types nested 100,000 deep", malformed::deep_types(), "overflow"),
        (82, "a compile bomb", malformed::compile_bomb(), "compil"),
        (83, "a description without end", artifact::behaving(&good, "hangs!"), "longer than a second"),
        (84, "a panic in the description", artifact::behaving(&good, "panics"), "asking it what it is failed"),
        (91, "two memories, of which it could have a thousand", malformed::two_memories(), "linear memories"),
    ]
}

/// A system whose limits are reached soon; whose quarantine is not, since each act is to be seen.
async fn system() -> System {
    plan().start().await
}

fn plan() -> Plan {
    System::with()
        .hostile()
        .limits("hostile", "time_ms = 4000\nconcurrency = 4\nqueue = 2\nmemory_mb = 16")
        .set("WARD_LIMITS_CPU_MS", 1000)
        .set("WARD_LIMITS_STATEMENTS", 20)
        .set("WARD_LIMITS_ROWS", 500)
        .set("WARD_LIMITS_CALLS", 5)
        .set("WARD_LIMITS_OUTGOING", 3)
        .set("WARD_LIMITS_LOG_PER_S", 50)
        .set("WARD_LIMITS_RESULT_BYTES", 1 << 20)
        .set("WARD_DATABASE_TEMP_FILE_MB", 16)
        .set("WARD_QUARANTINE_CRASHES", 100_000)
        .set("WARD_ENGINE_COMPILE_TIMEOUT_S", 10)
        .set("WARD_ENGINE_COMPILE_MEMORY_MB", 600)
}

/// Requests of others, which must not notice anything.
async fn healthy(system: &System) -> Load {
    Load::gets(2, &system.admin().await, &format!("/api/patients/{JOHN}"), 200)
}

async fn nobody_noticed(load: Load) {
    load.goes_on_for(5).await;
    let (_, failures) = load.end().await;
    assert_eq!(failures, Vec::<String>::new());
}

async fn write_act(rest: &Rest, act: &str) -> Answer {
    rest.post(&format!("/hostile/write/{act}"), Value::Null).await
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Resident memory of the host in kB: now (`VmRSS`), or the most there was (`VmHWM`).
fn memory(system: &System, which: &str) -> u64 {
    let status = std::fs::read_to_string(of_host(system, "status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(which)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

fn of_host(system: &System, file: &str) -> String {
    format!("/proc/{}/{file}", system.hosts[0].server.id().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_act_of_a_component_harms_another_or_stays_behind() {
    let system = system().await;
    let (rest, load, host) = (system.rest(), healthy(&system).await, system.hosts[0].server.id());
    let mut rounds = Vec::new();
    for _round in 0..3 {
        for (number, act, tries, status, word) in CALLS {
            let answer = write_act(&rest, act).await;
            let text = answer.text();
            assert_eq!(answer.status, status, "{number} {act} ({tries}): {text}");
            assert!(text.contains(word), "{number} {act} ({tries}): {text}");
        }
        let left = write_act(&rest, "canary-write").await.expect(200).json().as_i64().unwrap();
        assert!(left > 4 << 17, "the call itself sees what it leaves: {left}");
        // As many at once as there may be, since one of them probably has the memory of that call.
        for answer in join_all((0..4).map(|_| rest.get("/hostile/read/canary-read"))).await {
            assert_eq!(answer.expect(200).json(), 0);
        }
        rounds.push(memory(&system, "VmRSS"));
    }
    // The first round has touched what the host keeps for later calls; what a later one took comes back.
    let most = rounds[0].max(rounds[1]) / 10 * 11;
    let back = format!("memory is back below {most} kB; after each round it was {rounds:?} kB");
    eventually(&back, async || (memory(&system, "VmRSS") <= most).then_some(())).await;
    for limit in COUNTED {
        assert_ne!(rest.refusals("hostile", limit).await, 0, "{limit}");
    }
    assert_eq!(rest.get("/hostile/read/count?name=").await.expect(200).json(), 0);
    nobody_noticed(load).await;
    assert_eq!(system.hosts[0].server.id(), host);
    system.end_broken();
}

/// As many at once as there are connections: neither the host nor PostgreSQL holds what they ask for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_takes_the_memory_of_others() {
    let system = plan().limits("hostile", "concurrency = 24\nmemory_mb = 16").start().await;
    let (rest, load) = (system.rest(), healthy(&system).await);
    let database = system.database("hostile").await;
    let began = async || -> i64 {
        // When a process of it dies, all others end, and a new checkpointer begins.
        let statement = "select pid::bigint from pg_stat_activity where backend_type = 'checkpointer'";
        sqlx::query_scalar(statement).fetch_one(&database).await.unwrap()
    };
    let (before, began_before) = (memory(&system, "VmRSS"), began().await);
    // From now on the most that there was counts anew.
    std::fs::write(of_host(&system, "clear_refs"), "5").unwrap();
    for act in ["row-giant", "row-unread", "error-giant", "row-monster", "heap", "spill"] {
        let (read, write) = (format!("/hostile/read/{act}"), format!("/hostile/write/{act}"));
        let reads = join_all((0..16).map(|_| rest.get(&read)));
        let writes = join_all((0..8).map(|_| rest.post(&write, Value::Null)));
        let (reads, writes) = tokio::join!(reads, writes);
        for answer in reads.iter().chain(&writes) {
            // Too large, too much at once, or too late: all of it hits these callers alone.
            assert!((500..505).contains(&answer.status), "{act}: {}", answer.text());
        }
    }
    let most = memory(&system, "VmHWM");
    assert!(most < before + 400_000, "the host had {before} kB, and then up to {most} kB");
    assert_eq!(began().await, began_before, "PostgreSQL did not start anew");
    nobody_noticed(load).await;
    system.end_broken();
}

/// PostgreSQL's messages quote values; what a component's statements ask for is nobody's business there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_failed_statement_is_in_the_log_of_the_database() {
    let system = system().await;
    let rest = system.rest();
    let path = format!("statement?sql={}", percent("select cast('Mabel-' || 'Grey' as int)"));
    rest.get(&format!("/hostile/read/{path}")).await.expect(400);
    write_act(&rest, &path).await.expect(400);
    let text = write_act(&rest, "error-giant").await.text();
    assert!(!text.contains("xxx"), "{text}");
    let log = system.postgres.server.log();
    assert!(!log.contains("Mabel-Grey") && !log.contains("xxx"), "{log}");
    system.end_broken();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_leaves_its_call() {
    let system = system().await;
    let (rest, load) = (system.rest(), healthy(&system).await);
    for (number, sql) in STATEMENTS {
        let path = format!("statement?sql={}", percent(sql));
        for answer in [rest.get(&format!("/hostile/read/{path}")).await, write_act(&rest, &path).await] {
            assert_eq!(answer.status, 400, "{number} {sql}: {}", answer.text());
        }
    }
    let database = system.database("hostile").await;
    let left =
        "select (select count(*) from pg_locks where locktype = 'advisory' and pid in (select pid from pg_stat_activity
            where usename in ('ward_hostile_writer', 'ward_hostile_reader')))
        + (select count(*) from pg_class where relpersistence = 't') + (select count(*) from pg_largeobject_metadata)
        + (select count(*) from pg_class where relname = 't')";
    let left: i64 = sqlx::query_scalar(left).fetch_one(&database).await.unwrap();
    assert_eq!(left, 0);
    nobody_noticed(load).await;
    system.end_broken();
}

/// Each instance takes all of a table that it gets; no call fails for it, and nothing of it stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_grows_to_its_limit_and_no_further() {
    let system = system().await;
    let (rest, load, good) = (system.rest(), healthy(&system).await, std::fs::read(component("hostile")).unwrap());
    let growing = malformed::with_growing_table(&good);
    system.deploy("hostile", artifact::write(system.folder(), "growing", &growing)).await;
    let calls = async || {
        for _ in 0..300 {
            rest.get("/hostile/read/nothing").await.expect(200);
        }
        memory(&system, "VmRSS")
    };
    let (first, last) = (calls().await, calls().await);
    let back = format!("memory is as after the first calls: {first} kB, and then {last} kB");
    eventually(&back, async || (memory(&system, "VmRSS") <= first / 10 * 11).then_some(())).await;
    let refused = rest.refusals("hostile", "table_elements").await;
    assert!(refused >= 600, "once for each call: {refused}");
    nobody_noticed(load).await;
    system.end_broken();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_artifact_takes_the_place_of_what_serves() {
    let system = system().await;
    let (rest, load) = (system.rest(), healthy(&system).await);
    for (number, wrong, bytes, reason) in artifacts() {
        let file = artifact::write(system.folder(), &format!("artifact-{number}"), &bytes);
        let output = system.try_command(&["deploy", "hostile", file.to_str().unwrap()]).await;
        let said = ward_tests::ward::said(&output);
        assert!(!output.status.success() && said.contains(reason), "{number} {wrong}: {said}");
        rest.get("/hostile/read/nothing").await.expect(200);
    }
    nobody_noticed(load).await;
    system.end_broken();
}
