//! The doors of the component.

use ward_proto::clinic_events::PatientRegistered;
use ward_sdk::Uuid;
use ward_sdk::description::Component;
use ward_sdk::events::{self, Disposition, Event};
use ward_sdk::export::{Described, Served, Subscribed};
use ward_sdk::http::{Request, Response};
use ward_sdk::ports::StoreError;

use self::bindings::exports::clinic::billing::accounts::{self, Error, Holder};
use crate::find::find;
use crate::model::{Account, Status};
use crate::open::{OpenError, open};
use crate::store::{self, Host};
use crate::{description, routes};

/// Generated from the contract that billing offers.
mod bindings {
    #![expect(unsafe_code, reason = "generated: lifts and lowers values over the component's memory")]

    ward_sdk::wit_bindgen::generate!({
        path: "../../wit",
        inline: "package clinic:guest; world billing { export clinic:billing/accounts@0.1.0; }",
        world: "clinic:guest/billing",
        with: { "ward:call/errors@0.1.0": ward_sdk::bindings::failures::ward::call::errors },
        runtime_path: "ward_sdk::wit_bindgen::rt",
    });

    use super::Billing;
    export!(Billing with_types_in self);
}

struct Billing;

ward_sdk::export!(Billing: described, served, subscribed);

impl Described for Billing {
    fn describe() -> Component {
        description::describe()
    }

    fn probe() -> Result<(), StoreError> {
        store::probe()
    }
}

impl Served for Billing {
    fn handle(request: Request) -> Response {
        routes::handle(&Host, &request)
    }
}

impl Subscribed for Billing {
    fn receive(_: &str, event: Event) -> Result<(), Disposition> {
        let patient: PatientRegistered = events::read(&event)?;
        match open(&Host, &patient.patient_id, &patient.name, &patient.email) {
            Ok(_) => Ok(()),
            Err(OpenError::Invalid(faults)) => Err(Disposition::Reject(faults.join("; "))),
            Err(OpenError::Store(error)) => Err(error.into()),
        }
    }
}

impl accounts::Guest for Billing {
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
