//! The doors of the component.

use ward_sdk::description::Component;
use ward_sdk::export::{Described, Failure, Seeded, Served};
use ward_sdk::host;
use ward_sdk::http::{Request, Response};
use ward_sdk::ports::StoreError;

use self::bindings::exports::clinic::auth::users::{self, Error, NewUser};
use crate::add::{AddError, add};
use crate::model::Role;
use crate::store::{self, Host};
use crate::{description, routes, seed};

/// Generated from the contract that auth offers.
mod bindings {
    #![expect(unsafe_code, reason = "generated: lifts and lowers values over the component's memory")]

    ward_sdk::wit_bindgen::generate!({
        path: "../../wit",
        inline: "package clinic:guest; world auth { export clinic:auth/users@0.1.0; }",
        world: "clinic:guest/auth",
        with: { "ward:call/errors@0.1.0": ward_sdk::bindings::failures::ward::call::errors },
        runtime_path: "ward_sdk::wit_bindgen::rt",
    });

    use super::Auth;
    export!(Auth with_types_in self);
}

struct Auth;

ward_sdk::export!(Auth: described, served, seeded);

impl Described for Auth {
    fn describe() -> Component {
        description::describe()
    }

    fn probe() -> Result<(), StoreError> {
        store::probe()
    }
}

impl Served for Auth {
    fn handle(request: Request) -> Response {
        routes::handle(&Host, &request)
    }
}

impl Seeded for Auth {
    fn seed() -> Result<(), StoreError> {
        seed::seed(&Host)
    }
}

impl users::Guest for Auth {
    /// For operators, who call without a principal, and for administrators.
    fn add(user: NewUser) -> Result<String, Error> {
        ward_sdk::start();
        if host::principal().is_some_and(|principal| principal.role != Role::Admin.name()) {
            return Err(Error::Call(Failure::Refused));
        }
        match add(&Host, &user.email, &user.password, &user.role) {
            Ok(id) => Ok(id.0.to_string()),
            Err(AddError::Invalid(faults)) => Err(Error::Invalid(faults)),
            Err(AddError::Exists) => Err(Error::Exists),
            Err(AddError::Overloaded(_)) => Err(Error::Call(Failure::Overloaded)),
            Err(AddError::Store(error)) => Err(Error::Call(error.into())),
        }
    }
}
