//! The doors of the component. It also calls itself over NATS, so that a test sees what a calling component is told.

use ward_sdk::description::{Access, Component, Effect, function, migrations, route, subscription};
use ward_sdk::events::{Disposition, Event};
use ward_sdk::export::{Described, Served, Subscribed};
use ward_sdk::http::{Request, Response};
use ward_sdk::ports::StoreError;

use self::bindings::clinic::hostile0_1_0::acts as other;
use self::bindings::exports::clinic::hostile0_1_0::acts::{self, Error};
use self::bindings::exports::clinic::hostile0_1_0::names as old_names;
use self::bindings::exports::clinic::hostile0_2_0::names;
use crate::acts::{act, before_describing, is_deaf, is_strict, named, placed, probe, receive, slip};

mod bindings {
    #![expect(unsafe_code, reason = "generated: lifts and lowers values over the component's memory")]

    ward_sdk::wit_bindgen::generate!({
        path: "../../wit",
        inline: "package clinic:hostile@0.1.0;
            interface acts {
                use ward:call/errors@0.1.0.{failure};
                variant error { call(failure) }
                perform: func(act: string) -> result<u16, error>;
                take: func(text: string) -> result<u32, error>;
                swell: func(bytes: u32) -> result<string, error>;
                hoard: func(bytes: u32) -> result<list<u8>, error>;
            }
            interface names {
                use ward:call/errors@0.1.0.{failure};
                variant error { call(failure) }
                name: func() -> result<string, error>;
            }
            world guest { import acts; export acts; export names; export clinic:hostile/names@0.2.0; }
            package clinic:hostile@0.2.0 {
                interface names {
                    use ward:call/errors@0.1.0.{failure};
                    variant error { call(failure) }
                    name: func(of: string) -> result<list<string>, error>;
                }
            }",
        world: "clinic:hostile/guest@0.1.0",
        with: { "ward:call/errors@0.1.0": ward_sdk::bindings::failures::ward::call::errors },
        generate_all,
        runtime_path: "ward_sdk::wit_bindgen::rt",
    });

    use super::Hostile;
    export!(Hostile with_types_in self);
}

struct Hostile;

ward_sdk::export!(Hostile: described, served, subscribed);

impl Described for Hostile {
    fn describe() -> Component {
        before_describing();
        let open = |operation, method, effect| {
            let access = if is_strict() { Access::Roles(vec!["ADMIN".to_owned()]) } else { Access::Public };
            route(operation, method, &placed(&format!("/hostile/{operation}/{{act}}")), effect, access)
        };
        Component {
            name: "hostile".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            documentation: "hostile".to_owned(),
            openapi: placed(include_str!("../openapi.json")),
            routes: vec![
                open("read", "GET", Effect::Read),
                open("write", "POST", Effect::Write),
                open("serial", "POST", Effect::WriteSerializable),
            ],
            functions: ["perform", "take", "swell", "hoard"]
                .map(|name| function("clinic:hostile/acts", name, Effect::Write))
                .into_iter()
                // In both of its versions.
                .chain([function("clinic:hostile/names", "name", Effect::Read)])
                .collect(),
            subscriptions: if is_deaf() { vec![] } else { vec![subscription("happened", &["hostile.happened"])] },
            publishes: vec!["hostile.happened".to_owned()],
            migrations: migrations(&crate::schema::steps()),
        }
    }

    fn probe() -> Result<(), StoreError> {
        probe()
    }
}

impl Served for Hostile {
    fn handle(request: Request) -> Response {
        // What the callee's end is, as the caller is told.
        let told = match named(&request) {
            "take-giant" => format!("{:?}", other::take(&"x".repeat(2 << 20))),
            "swell-giant" => format!("{:?}", other::swell(2 << 20).map(|text| text.len())),
            "hoard-giant" => format!("{:?}", other::hoard(8 << 20).map(|bytes| bytes.len())),
            "call-flood" => format!("{:?}", (0..1000).try_for_each(|_| other::take("").map(drop))),
            "cycle" => format!("{:?}", other::perform("cycle")),
            "mark-elsewhere-and-fail" => {
                let done = other::perform("mark");
                return Response::empty(if matches!(done, Ok(200)) { 409 } else { 500 });
            }
            name => match name.strip_prefix("call-") {
                Some(act) => format!("{:?}", other::perform(act)),
                None => return act(&request),
            },
        };
        Response::json(200, &told)
    }
}

impl Subscribed for Hostile {
    fn receive(_: &str, event: Event) -> Result<(), Disposition> {
        receive(&event)
    }
}

impl acts::Guest for Hostile {
    fn take(text: String) -> Result<u32, Error> {
        Ok(text.len() as u32)
    }

    fn swell(bytes: u32) -> Result<String, Error> {
        Ok("x".repeat(bytes as usize))
    }

    fn hoard(bytes: u32) -> Result<Vec<u8>, Error> {
        Ok(vec![7; bytes as usize])
    }

    fn perform(name: String) -> Result<u16, Error> {
        if name == "cycle" {
            let Err(other::Error::Call(failure)) = other::perform(&name) else { return Ok(200) };
            return Err(Error::Call(failure));
        }
        slip().map_err(|error| Error::Call(error.into()))?;
        let request = Request { path_parameters: vec![("act".to_owned(), name)], ..Request::test("perform") };
        Ok(act(&request).status)
    }
}

impl old_names::Guest for Hostile {
    fn name() -> Result<String, old_names::Error> {
        Ok("hostile".to_owned())
    }
}

impl names::Guest for Hostile {
    fn name(of: String) -> Result<Vec<String>, names::Error> {
        Ok(vec![of, "hostile".to_owned()])
    }
}
