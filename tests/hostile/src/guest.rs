//! The doors of the component. It also calls itself over NATS, so that a test sees what a calling component is told.

use ward_sdk::description::{Access, Component, Effect, function, migrations, route};
use ward_sdk::export::{Described, Served};
use ward_sdk::http::{Request, Response};
use ward_sdk::ports::StoreError;

use self::bindings::clinic::hostile::acts as other;
use self::bindings::exports::clinic::hostile::acts::{self, Error};
use crate::acts::{act, named, probe};

mod bindings {
    #![expect(unsafe_code, reason = "generated: lifts and lowers values over the component's memory")]

    ward_sdk::wit_bindgen::generate!({
        path: "../../wit",
        inline: "package clinic:hostile@0.1.0;
            interface acts {
                use ward:call/errors@0.1.0.{failure};
                variant error { call(failure) }
                perform: func(act: string) -> result<u16, error>;
            }
            world guest { import acts; export acts; }",
        world: "clinic:hostile/guest",
        with: { "ward:call/errors@0.1.0": ward_sdk::bindings::failures::ward::call::errors },
        generate_all,
        runtime_path: "ward_sdk::wit_bindgen::rt",
    });

    use super::Hostile;
    export!(Hostile with_types_in self);
}

struct Hostile;

ward_sdk::export!(Hostile: described, served);

impl Described for Hostile {
    fn describe() -> Component {
        let open = |operation, method, effect| {
            route(operation, method, &format!("/hostile/{operation}/{{act}}"), effect, Access::Public)
        };
        Component {
            name: "hostile".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            documentation: "hostile".to_owned(),
            openapi: include_str!("../openapi.json").to_owned(),
            routes: vec![
                open("read", "GET", Effect::Read),
                open("write", "POST", Effect::Write),
                open("serial", "POST", Effect::WriteSerializable),
            ],
            functions: vec![function("clinic:hostile/acts", "perform", Effect::Write)],
            subscriptions: Vec::new(),
            publishes: Vec::new(),
            migrations: migrations(&[("marks", include_str!("../migrations/1_marks.sql"))]),
        }
    }

    fn probe() -> Result<(), StoreError> {
        probe()
    }
}

impl Served for Hostile {
    fn handle(request: Request) -> Response {
        match named(&request).strip_prefix("call-") {
            // What the callee's end is, as the caller is told.
            Some(act) => Response::json(200, &format!("{:?}", other::perform(act))),
            None => act(&request),
        }
    }
}

impl acts::Guest for Hostile {
    fn perform(name: String) -> Result<u16, Error> {
        let request = Request { path_parameters: vec![("act".to_owned(), name)], ..Request::test("perform") };
        Ok(act(&request).status)
    }
}
