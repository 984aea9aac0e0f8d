//! The doors of the component, and its calls to others.

use ward_sdk::Uuid;
use ward_sdk::description::Component;
use ward_sdk::export::{Described, Seeded, Served};
use ward_sdk::http::{Request, Response};
use ward_sdk::ports::StoreError;
use ward_sdk::time::write_date;

use self::bindings::clinic::billing::accounts;
use self::bindings::exports::clinic::patient::patients::{self, Error};
use crate::account::Account;
use crate::find::find;
use crate::model::{Patient, PatientId};
use crate::ports::Accounts;
use crate::store::{self, Host};
use crate::{description, routes, seed};

/// Generated from the contract that patient offers, and those that it uses.
mod bindings {
    #![expect(unsafe_code, reason = "generated: lifts and lowers values over the component's memory")]

    ward_sdk::wit_bindgen::generate!({
        path: "../../wit",
        inline: "package clinic:guest; world patient {
            import clinic:billing/accounts@0.1.0;
            export clinic:patient/patients@0.1.0;
        }",
        world: "clinic:guest/patient",
        generate_all,
        with: { "ward:call/errors@0.1.0": ward_sdk::bindings::failures::ward::call::errors },
        runtime_path: "ward_sdk::wit_bindgen::rt",
    });

    use super::Patients;
    export!(Patients with_types_in self);
}

struct Patients;

ward_sdk::export!(Patients: described, served, seeded);

impl Described for Patients {
    fn describe() -> Component {
        description::describe()
    }

    fn probe() -> Result<(), StoreError> {
        store::probe()
    }
}

impl Served for Patients {
    fn handle(request: Request) -> Response {
        routes::handle(&Host, &request)
    }
}

impl Seeded for Patients {
    fn seed() -> Result<(), StoreError> {
        seed::seed(&Host)
    }
}

impl patients::Guest for Patients {
    fn get(id: String) -> Result<patients::Patient, Error> {
        ward_sdk::start();
        let id = Uuid::try_parse(&id).map_err(|_| Error::Invalid("Id must be a UUID".to_owned()))?;
        let patient = find(&Host, PatientId(id)).map_err(|error| Error::Call(error.into()))?;
        patient.map(Into::into).ok_or(Error::NotFound)
    }
}

impl From<Patient> for patients::Patient {
    fn from(patient: Patient) -> Self {
        Self {
            id: patient.id.0.to_string(),
            name: patient.details.name,
            email: patient.details.email,
            date_of_birth: write_date(patient.details.date_of_birth),
            version: patient.version,
        }
    }
}

impl Accounts for Host {
    fn account(&self, id: PatientId) -> Account {
        match accounts::get(&id.0.to_string()) {
            Ok(accounts::Account { id, status: accounts::Status::Active, .. }) => Account::Open { id },
            Ok(accounts::Account { id, status: accounts::Status::Closed, .. }) => Account::Closed { id },
            Err(accounts::Error::NotFound) => Account::None,
            Err(accounts::Error::Invalid(_)) => Account::Unavailable { reason: "refused" },
            Err(accounts::Error::Call(failure)) => Account::Unavailable { reason: failure.reason() },
        }
    }
}
