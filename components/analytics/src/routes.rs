//! Analytics over REST. The live numbers are the same answer, which the host gives again when something was counted.

use serde_json::{Value, json};
use ward_sdk::http::{Request, Response};
use ward_sdk::problem::Problem;
use ward_sdk::time::write_date;

use crate::ports::Ports;
use crate::summary::{Summary, summary};

pub fn handle(ports: &impl Ports, request: &Request) -> Response {
    let answer = match request.operation.as_str() {
        "getSummary" | "followSummary" => get(ports),
        _ => Err(Problem::new(404)),
    };
    answer.unwrap_or_else(Response::from)
}

fn get(ports: &impl Ports) -> Result<Response, Problem> {
    Ok(Response::json(200, &body(&summary(ports)?)))
}

fn body(Summary { totals, days }: &Summary) -> Value {
    let days: Vec<_> =
        days.iter().map(|day| json!({ "day": write_date(day.day), "registered": day.registered })).collect();
    json!({
        "patients": { "registered": totals.registered, "active": totals.active, "deleted": totals.deleted },
        "accounts": { "opened": totals.accounts_opened },
        "perDay": days,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::count::{account_opened, deleted, registered};
    use crate::testing::{Fake, day, id};

    #[test]
    fn the_summary_and_the_live_numbers_are_one_answer() {
        let fake = Fake::default();
        registered(&fake, id(1), day("2026-02-28")).unwrap();
        registered(&fake, id(2), day("2026-03-01")).unwrap();
        deleted(&fake, id(2)).unwrap();
        account_opened(&fake, id(1)).unwrap();
        for operation in ["getSummary", "followSummary"] {
            let response = handle(&fake, &Request::test(operation));
            assert_eq!(response.status, 200);
            assert_eq!(
                serde_json::from_slice::<Value>(&response.body).unwrap(),
                json!({
                    "patients": { "registered": 2, "active": 1, "deleted": 1 },
                    "accounts": { "opened": 1 },
                    "perDay": [{ "day": "2026-02-28", "registered": 1 }, { "day": "2026-03-01", "registered": 1 }]
                })
            );
        }
    }

    #[test]
    fn nothing_counted_yet_is_zeros() {
        let response = handle(&Fake::default(), &Request::test("getSummary"));
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(body["patients"], json!({ "registered": 0, "active": 0, "deleted": 0 }));
        assert_eq!(body["perDay"], json!([]));
    }

    #[test]
    fn a_store_that_cannot_be_reached_is_a_503() {
        let fake = Fake { broken: true, ..Fake::default() };
        assert_eq!(handle(&fake, &Request::test("getSummary")).status, 503);
    }
}
