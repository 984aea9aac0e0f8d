//! What patients tell the host about themselves.

use ward_sdk::description::{Component, Effect, function, get, migrations, owned, roles, writing};

pub const REGISTERED: &str = "patient.registered";
pub const UPDATED: &str = "patient.updated";
pub const DELETED: &str = "patient.deleted";

const READERS: &[&str] = &["ADMIN", "CLINICIAN", "BILLING", "READER"];
const WRITERS: &[&str] = &["ADMIN", "CLINICIAN"];

pub fn describe() -> Component {
    Component {
        name: "patient".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        documentation: "patients".to_owned(),
        openapi: include_str!("../openapi.json").to_owned(),
        routes: vec![
            get("listPatients", "/api/patients", roles(READERS)),
            writing("registerPatient", "POST", "/api/patients", roles(WRITERS)),
            get("getPatient", "/api/patients/{id}", roles(READERS)),
            writing("replacePatient", "PUT", "/api/patients/{id}", roles(WRITERS)),
            writing("deletePatient", "DELETE", "/api/patients/{id}", roles(WRITERS)),
        ],
        functions: vec![function("clinic:patient/patients", "get", Effect::Read)],
        subscriptions: Vec::new(),
        publishes: owned(&[REGISTERED, UPDATED, DELETED]),
        migrations: migrations(&[("patients", include_str!("../migrations/1_patients.sql"))]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ward_sdk::description::openapi_mismatches;

    #[test]
    fn every_route_is_documented_and_no_other() {
        assert_eq!(openapi_mismatches(&describe()), Vec::<String>::new());
    }
}
