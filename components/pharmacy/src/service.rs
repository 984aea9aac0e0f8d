//! Pharmacy as the host and its clients see it.

use ward_sdk::service::{Service, get, post};

use crate::events::{CANCELLED, DISPENSED, ISSUED, PATIENT_DELETED};
use crate::ports::Ports;
use crate::prescribe::prescribe;
use crate::read::{list, show};
use crate::settle::{cancel, dispense, hear_patient_deleted};

const PRESCRIBERS: &[&str] = &["ADMIN", "CLINICIAN"];
const READERS: &[&str] = &["ADMIN", "CLINICIAN", "READER"];

const GONE: &str = "There is no such patient, or not any more.";
const NOT_ACTIVE: &str = "It was dispensed or cancelled already.";

pub fn service<P: Ports>() -> Service<P> {
    Service::new("pharmacy", env!("CARGO_PKG_VERSION"))
        .title("Pharmacy", "What was prescribed to patients. A patient's active prescriptions are cancelled when the patient is deleted.")
        .route(get("/api/prescriptions", "listPrescriptions", list).roles(READERS).summary("A patient's prescriptions"))
        .route(
            post("/api/prescriptions", "prescribe", prescribe)
                .roles(PRESCRIBERS)
                .summary("Prescribe")
                .problem(409, "The patient has too many active prescriptions.")
                .problem(422, GONE),
        )
        .route(get("/api/prescriptions/{id}", "getPrescription", show).roles(READERS).summary("A prescription"))
        .route(
            post("/api/prescriptions/{id}/dispense", "dispense", dispense)
                .roles(PRESCRIBERS)
                .summary("Say that it was dispensed")
                .problem(409, NOT_ACTIVE),
        )
        .route(
            post("/api/prescriptions/{id}/cancel", "cancelPrescription", cancel)
                .roles(PRESCRIBERS)
                .summary("Cancel it")
                .problem(409, NOT_ACTIVE),
        )
        .hear("cancel-prescriptions", PATIENT_DELETED, hear_patient_deleted)
        .publishes(&[ISSUED, DISPENSED, CANCELLED])
        .migration("prescriptions", include_str!("../migrations/1_prescriptions.sql"))
        .probe(|ports| ports.count_active(ward_sdk::Uuid::nil()).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fake, JOHN};
    use ward_sdk::description::openapi_mismatches;
    use ward_sdk::http::Request;

    #[test]
    fn every_route_is_documented_and_no_other() {
        assert_eq!(openapi_mismatches(&service::<Fake>().describe()), Vec::<String>::new());
    }

    #[test]
    fn all_faults_of_a_prescription_are_said_at_once() {
        let body = br#"{"patientId": "7", "drug": " ", "dose": 5}"#.to_vec();
        let response = service().handle(&Fake::default(), &Request { body, ..Request::test("prescribe") });
        assert_eq!(response.status, 400);
        let text = String::from_utf8(response.body).unwrap();
        for field in ["patientId", "drug", "dose"] {
            assert!(text.contains(&format!("\"{field}\":[")), "{text}");
        }
    }

    #[test]
    fn a_prescription_is_shown_as_it_is_documented() {
        let fake = Fake::default();
        let id = fake.prescribed(JOHN);
        let path_parameters = vec![("id".to_owned(), id.to_string())];
        let response = service().handle(&fake, &Request { path_parameters, ..Request::test("getPrescription") });
        assert_eq!(
            String::from_utf8(response.body).unwrap(),
            r#"{"id":"00000000-0000-0000-0000-000000000001","patientId":"123e4567-e89b-12d3-a456-426614174000","drug":"Amoxicillin 500 mg","dose":"1-1-1, seven days","status":"active","prescribedBy":"doc@test.com","prescribedAt":"1970-01-01T00:00:01.000000Z","endedBy":null,"endedAt":null,"reason":null,"version":1}"#
        );
    }
}
