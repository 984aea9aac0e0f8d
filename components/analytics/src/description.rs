//! What analytics tells the host about itself.

use ward_sdk::description::{Component, Route, get, migrations, roles, subscription};

pub const PATIENT_REGISTERED: &str = "patient.registered";
pub const PATIENT_DELETED: &str = "patient.deleted";
pub const ACCOUNT_OPENED: &str = "billing.account.opened";

const READERS: &[&str] = &["ADMIN", "CLINICIAN", "BILLING", "READER"];

pub fn describe() -> Component {
    Component {
        name: "analytics".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        documentation: "analytics".to_owned(),
        openapi: include_str!("../openapi.json").to_owned(),
        routes: vec![
            get("getSummary", "/api/analytics/summary", roles(READERS)),
            Route { live: true, ..get("followSummary", "/api/analytics/live", roles(READERS)) },
        ],
        functions: Vec::new(),
        subscriptions: vec![subscription("count", &[PATIENT_REGISTERED, PATIENT_DELETED, ACCOUNT_OPENED])],
        publishes: Vec::new(),
        migrations: migrations(&[("counts", include_str!("../migrations/1_counts.sql"))]),
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
