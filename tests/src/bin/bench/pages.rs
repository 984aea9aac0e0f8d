//! A page of a list, and how many patients there are besides. It should not matter.

use std::time::Duration;

use clinic_patient::list::Position;
use clinic_patient::model::PatientId;
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor, PgPool};
use uuid::Uuid;

use super::duel::Duel;
use super::load::Load;
use super::options::Extent;
use super::report::{Section, median, number, range};
use super::requests;

const COLUMNS: [&str; 7] = ["patients", "page", "conn.", "requests/s", "p50 ms", "p99 ms", "CPU us, PostgreSQL"];

pub async fn measure(duel: &Duel, extent: &Extent) -> Section {
    let note = "A page of 50 in the order of names, at the beginning and from the middle on. To cost the same at \
                1,000,000 patients as at 1,000.";
    let mut section = Section::new("A page of 50", note, &COLUMNS);
    let database = duel.system.database("patient").await;
    let sizes: &[u32] = if extent.quick { &[15, 1_000, 10_000] } else { &[15, 1_000, 10_000, 1_000_000] };
    for size in sizes {
        fill(&database, *size).await;
        let middle = middle(&database, *size).await;
        for (name, path) in [
            ("first", "/api/patients?limit=50".to_owned()),
            ("middle", format!("/api/patients?limit=50&cursor={middle}")),
        ] {
            for connections in [1, 8] {
                page(duel, extent, *size, name, &path, connections, &mut section).await;
            }
        }
    }
    section
}

async fn page(
    duel: &Duel,
    extent: &Extent,
    size: u32,
    name: &str,
    path: &str,
    connections: usize,
    section: &mut Section,
) {
    let load = Load {
        address: duel.address().to_owned(),
        connections,
        requests: requests::same(requests::get(path, &duel.token)),
        status: 200,
        every: None,
        warm_up: Duration::from_millis(500),
        length: extent.length,
    };
    let mut samples = Vec::new();
    for _ in 0..extent.rounds.min(3) {
        samples.push(load.run(&duel.processes).await);
    }
    let errors: usize = samples.iter().map(|sample| sample.errors).sum();
    assert_eq!(errors, 0, "{:?}", samples[0].error);
    let [rates, p50, p99, cpu] = [
        samples.iter().map(|sample| sample.requests_per_s()).collect::<Vec<_>>(),
        samples.iter().map(|sample| sample.percentile_ms(50.0)).collect(),
        samples.iter().map(|sample| sample.percentile_ms(99.0)).collect(),
        samples.iter().filter_map(|sample| sample.cpu_us_per_request("postgres")).collect(),
    ];
    let cells = [
        size.to_string(),
        name.to_owned(),
        connections.to_string(),
        range(&rates),
        number(median(&p50)),
        number(median(&p99)),
        number(median(&cpu)),
    ];
    let data = json!({"patients": size, "page": name, "connections": connections, "requests_per_s": rates,
        "p50_ms": p50, "p99_ms": p99, "postgres_cpu_us": cpu});
    section.row(&cells, data);
}

/// Exactly so many, as if each had been registered. Names are made of hexadecimal digits, so that they need no folding.
async fn fill(database: &PgPool, size: u32) {
    eprintln!("  making {size} patients");
    let patients = format!(
        "insert into patients (id, version, name, email, address, date_of_birth, registered_date,
                               sort_name, identity, email_key, twin)
         select gen_random_uuid(), 1, initcap(given) || ' ' || initcap(family), family || '@example.com',
                '12 Square, Springfield', date '1930-01-01' + number % 30000, date '2024-11-28',
                given || ' ' || family, least(given, family) || ' ' || greatest(given, family), family || '@example.com',
                '00000000-0000-0000-0000-000000000000'
         from (select number, 'k' || substr(md5((number % 5000)::text), 1, 6) as given,
                      'm' || substr(md5(number::text), 1, 10) as family
               from generate_series(1, {size}) as number) as names"
    );
    for statement in [
        "truncate patients, name_parts, patient_history",
        &patients,
        "insert into name_parts (part, sort_name, patient_id)
         select part, sort_name, id from patients, unnest(string_to_array(sort_name, ' ')) as part",
        "insert into patient_history (patient_id, version, change, changed_at, changed_by,
                                      name, email, address, date_of_birth, registered_date)
         select id, version, 'registered', now(), 'bench', name, email, address, date_of_birth, registered_date
         from patients",
        "vacuum analyze",
    ] {
        database.execute(sqlx::raw_sql(AssertSqlSafe(statement))).await.unwrap();
    }
}

/// The cursor of the patient in the middle.
async fn middle(database: &PgPool, size: u32) -> String {
    let query = "select sort_name, id from patients order by sort_name, id offset $1 limit 1";
    let (sort_name, id): (String, Uuid) =
        sqlx::query_as(query).bind(i64::from(size / 2)).fetch_one(database).await.unwrap();
    Position { part: String::new(), sort_name, id: PatientId(id) }.to_cursor()
}
