//! A patient as clients see one.

use serde::Serialize;
use ward_sdk::time::write_date;

use crate::account::Account;
use crate::model::{Patient, PatientId};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Body<'a> {
    id: PatientId,
    name: &'a str,
    email: &'a str,
    address: &'a str,
    date_of_birth: String,
    registered_date: String,
    /// Where the client asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<Account>,
}

impl<'a> Body<'a> {
    pub fn of(patient: &'a Patient) -> Self {
        let Patient { id, details, registered_date, .. } = patient;
        Self {
            id: *id,
            name: &details.name,
            email: &details.email,
            address: &details.address,
            date_of_birth: write_date(details.date_of_birth),
            registered_date: write_date(*registered_date),
            account: None,
        }
    }

    pub fn with(self, account: Account) -> Self {
        Self { account: Some(account), ..self }
    }
}
