//! What auth tells the host about itself.

use ward_sdk::description::{Access, Component, Effect, function, get, migrations, route};

pub fn describe() -> Component {
    Component {
        name: "auth".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        documentation: "auth".to_owned(),
        openapi: include_str!("../openapi.json").to_owned(),
        routes: vec![
            route("login", "POST", "/auth/login", Effect::Read, Access::Public),
            get("validateToken", "/auth/validate", Access::Authenticated),
        ],
        functions: vec![function("clinic:auth/users", "add", Effect::Write)],
        subscriptions: Vec::new(),
        publishes: Vec::new(),
        migrations: migrations(&[("users", include_str!("../migrations/1_users.sql"))]),
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
