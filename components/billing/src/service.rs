//! Billing as the host and its clients see it.

use ward_proto::clinic_events::PatientRegistered;
use ward_sdk::description::Effect;
use ward_sdk::events::{Disposition, Event};
use ward_sdk::service::{Service, get};

use crate::open::{OpenError, open};
use crate::ports::Ports;
use crate::routes;

pub const ACCOUNT_OPENED: &str = "billing.account.opened";
pub const PATIENT_REGISTERED: &str = "patient.registered";

const ABOUT: &str = "The billing accounts of patients. An account is opened by itself when a patient is registered, a moment after the registration was answered.";

pub fn service<P: Ports + 'static>() -> Service<P> {
    Service::new("billing", env!("CARGO_PKG_VERSION"))
        .title("Billing", ABOUT)
        .route(
            get("/api/billing/accounts/{patientId}", "getAccount", routes::get)
                .roles(&["ADMIN", "BILLING"])
                .summary("A patient's billing account")
                .problem(404, "The patient has no account (yet), or there is no such patient."),
        )
        .function("clinic:billing/accounts", "open", Effect::Write)
        .function("clinic:billing/accounts", "get", Effect::Read)
        .hear("open-account", PATIENT_REGISTERED, hear_registered)
        .publishes(&[ACCOUNT_OPENED])
        .migration("accounts", include_str!("../migrations/1_accounts.sql"))
        .probe(P::probe)
}

fn hear_registered(ports: &impl Ports, patient: PatientRegistered, _: &Event) -> Result<(), Disposition> {
    match open(ports, &patient.patient_id, &patient.name, &patient.email) {
        Ok(_) => Ok(()),
        Err(OpenError::Invalid(faults)) => Err(Disposition::Reject(faults.join("; "))),
        Err(OpenError::Store(error)) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fake, JOHN};
    use ward_sdk::description::openapi_mismatches;

    #[test]
    fn every_route_is_documented_and_no_other() {
        assert_eq!(openapi_mismatches(&service::<Fake>().describe()), Vec::<String>::new());
    }

    #[test]
    fn a_registration_opens_an_account_and_one_that_makes_no_sense_goes_to_the_dead_letters() {
        let fake = Fake::default();
        let event = Event {
            id: String::new(),
            type_: PATIENT_REGISTERED.to_owned(),
            source: String::new(),
            subject: JOHN.to_owned(),
            time: 0,
            version: 1,
            data: Vec::new(),
        };
        let refused = hear_registered(&fake, PatientRegistered::default(), &event);
        assert!(matches!(refused, Err(Disposition::Reject(_))));
        let patient = PatientRegistered {
            patient_id: JOHN.to_owned(),
            name: "John Doe".to_owned(),
            email: "john.doe@example.com".to_owned(),
            ..Default::default()
        };
        hear_registered(&fake, patient, &event).unwrap();
        assert_eq!(fake.opened().len(), 1);
    }
}
