//! What billing tells the host about itself.

use ward_sdk::description::{Component, Effect, function, get, migrations, owned, roles, subscription};

pub const ACCOUNT_OPENED: &str = "billing.account.opened";
pub const PATIENT_REGISTERED: &str = "patient.registered";

pub fn describe() -> Component {
    Component {
        name: "billing".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        documentation: "billing".to_owned(),
        openapi: include_str!("../openapi.json").to_owned(),
        routes: vec![get("getAccount", "/api/billing/accounts/{patientId}", roles(&["ADMIN", "BILLING"]))],
        functions: vec![
            function("clinic:billing/accounts", "open", Effect::Write),
            function("clinic:billing/accounts", "get", Effect::Read),
        ],
        subscriptions: vec![subscription("open-account", &[PATIENT_REGISTERED])],
        publishes: owned(&[ACCOUNT_OPENED]),
        migrations: migrations(&[("accounts", include_str!("../migrations/1_accounts.sql"))]),
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
