//! Billing over REST.

use serde::Serialize;
use ward_sdk::http::{Request, Response};
use ward_sdk::problem::Problem;

use crate::find::find;
use crate::model::{Account, AccountId, PatientId, Status};
use crate::ports::Ports;

pub fn handle(ports: &impl Ports, request: &Request) -> Response {
    let answer = match request.operation.as_str() {
        "getAccount" => get(ports, request),
        _ => Err(Problem::new(404)),
    };
    answer.unwrap_or_else(Response::from)
}

fn get(ports: &impl Ports, request: &Request) -> Result<Response, Problem> {
    let account = find(ports, request.id("patientId")?)?;
    let account = account.ok_or_else(|| Problem::not_found("The patient has no billing account."))?;
    Ok(Response::json(200, &Body::from(account)))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    id: AccountId,
    patient_id: PatientId,
    status: Status,
    opened_at: String,
}

impl From<Account> for Body {
    fn from(account: Account) -> Self {
        Self {
            id: account.id,
            patient_id: account.patient_id,
            status: account.status,
            opened_at: account.opened_at.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open::open;
    use crate::testing::{Fake, JOHN};

    fn get_account(fake: &Fake, id: &str) -> Response {
        let mut request = Request::test("getAccount");
        request.path_parameters = vec![("patientId".to_owned(), id.to_owned())];
        handle(fake, &request)
    }

    #[test]
    fn shows_the_account() {
        let fake = Fake::default();
        open(&fake, JOHN, "John Doe", "john.doe@example.com").unwrap();
        let response = get_account(&fake, JOHN);
        assert_eq!(response.status, 200);
        assert_eq!(
            String::from_utf8(response.body).unwrap(),
            r#"{"id":"00000000-0000-0000-0000-000000000001","patientId":"123e4567-e89b-12d3-a456-426614174000","status":"active","openedAt":"1970-01-01T00:00:01.000000Z"}"#
        );
    }

    #[test]
    fn a_patient_without_account_and_an_id_that_is_none_are_not_found() {
        let fake = Fake::default();
        assert_eq!(get_account(&fake, JOHN).status, 404);
        assert_eq!(get_account(&fake, "7").status, 404);
    }

    #[test]
    fn an_unavailable_store_is_a_503() {
        let fake = Fake::broken();
        assert_eq!(get_account(&fake, JOHN).status, 503);
    }
}
