//! The ports, in the host's terms.

use ward_proto::clinic_events::BillingAccountOpened;
use ward_sdk::host::Host;
use ward_sdk::ports::StoreError;
use ward_sdk::sql::{FromRow, Value};
use ward_sdk::{events, params, sql};

use crate::model::{Account, AccountId, Holder, PatientId};
use crate::ports::{Accounts, Publisher};
use crate::service::ACCOUNT_OPENED;

const INSERT: &str = "\
insert into accounts (id, patient_id, status, holder_name, holder_email, opened_at)
values ($1, $2, $3, $4, $5, $6)
on conflict on constraint accounts_one_per_patient do nothing";

const FIND: &str = "select id, patient_id, status, opened_at from accounts where patient_id = $1";

const PROBE: &str = "select id from accounts limit 1";

impl Accounts for Host {
    fn insert(&self, account: &Account, holder: &Holder) -> Result<bool, StoreError> {
        let parameters = params![
            account.id.0,
            account.patient_id.0,
            account.status,
            holder.name(),
            holder.email(),
            account.opened_at,
        ];
        Ok(sql::execute(INSERT, parameters)? == 1)
    }

    fn find(&self, patient_id: PatientId) -> Result<Option<Account>, StoreError> {
        sql::query(FIND, params![patient_id.0])?.first()
    }

    fn probe(&self) -> Result<(), StoreError> {
        sql::query(PROBE, params![]).map(drop)
    }
}

impl FromRow for Account {
    fn from_row(cells: Vec<Value>) -> Result<Self, StoreError> {
        let (id, patient_id, status, opened_at) = FromRow::from_row(cells)?;
        Ok(Self { id: AccountId(id), patient_id: PatientId(patient_id), status, opened_at })
    }
}

impl Publisher for Host {
    /// An account changes once so far: it is opened.
    fn account_opened(&self, account: &Account) -> Result<(), StoreError> {
        let (account_id, patient_id) = (account.id.0.to_string(), account.patient_id.0.to_string());
        events::publish(ACCOUNT_OPENED, patient_id.clone(), 1, &BillingAccountOpened { account_id, patient_id })
    }
}
