//! Billing over REST.

use ward_sdk::Uuid;
use ward_sdk::problem::Problem;
use ward_sdk::service::{Json, Path};
use ward_sdk::time::Timestamp;

use crate::find::find;
use crate::model::{Account, Status};
use crate::ports::Ports;

pub fn get(ports: &impl Ports, Path(patient_id): Path<Uuid>) -> Result<Json<BillingAccount>, Problem> {
    let account = find(ports, patient_id)?;
    let account = account.ok_or_else(|| Problem::not_found("The patient has no billing account."))?;
    Ok(Json(account.into()))
}

ward_sdk::shape! {
    /// A patient's account.
    pub struct BillingAccount {
        pub id: Uuid,
        pub patient_id: Uuid,
        pub status: Status,
        pub opened_at: Timestamp,
    }
}

impl From<Account> for BillingAccount {
    fn from(account: Account) -> Self {
        Self {
            id: account.id.0,
            patient_id: account.patient_id.0,
            status: account.status,
            opened_at: account.opened_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use ward_sdk::http::{Request, Response};

    use crate::open::open;
    use crate::service::service;
    use crate::testing::{Fake, JOHN};

    fn get_account(fake: &Fake, id: &str) -> Response {
        let mut request = Request::test("getAccount");
        request.path_parameters = vec![("patientId".to_owned(), id.to_owned())];
        service().handle(fake, &request)
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
