//! The interface that other services call.

use ward_sdk::Uuid;
use ward_sdk::host::Host;

use self::contracts::exports::clinic::billing::accounts::{self, Error, Holder};
use crate::find::find;
use crate::model::{Account, Status};
use crate::open::{OpenError, open};

ward_sdk::contracts!("clinic:billing-component/billing" in "../../wit", "wit"; Accounts);

struct Accounts;

impl accounts::Guest for Accounts {
    fn open(holder: Holder) -> Result<accounts::Account, Error> {
        ward_sdk::start();
        match open(&Host, &holder.patient_id, &holder.name, &holder.email) {
            Ok(account) => Ok(account.into()),
            Err(OpenError::Invalid(faults)) => Err(Error::Invalid(faults)),
            Err(OpenError::Store(error)) => Err(Error::Call(error.into())),
        }
    }

    fn get(patient_id: String) -> Result<accounts::Account, Error> {
        ward_sdk::start();
        let invalid = || Error::Invalid(vec!["Patient id must be a UUID".to_owned()]);
        let patient_id = Uuid::try_parse(&patient_id).map_err(|_| invalid())?;
        let account = find(&Host, patient_id).map_err(|error| Error::Call(error.into()))?;
        account.map(Into::into).ok_or(Error::NotFound)
    }
}

impl From<Account> for accounts::Account {
    fn from(account: Account) -> Self {
        Self {
            id: account.id.0.to_string(),
            patient_id: account.patient_id.0.to_string(),
            status: match account.status {
                Status::Active => accounts::Status::Active,
                Status::Closed => accounts::Status::Closed,
            },
            opened_at: account.opened_at.to_string(),
        }
    }
}
