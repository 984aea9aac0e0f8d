//! A service, declared once: its routes, what it hears, what it publishes, its schema. Dispatch, the description that the host asks for and the
//! OpenAPI document all come from this one declaration.
//!
//! ```ignore
//! pub fn service<P: Ports>() -> Service<P> {
//!     Service::new("library", env!("CARGO_PKG_VERSION"))
//!         .title("Library", "Books that are lent.")
//!         .route(get("/api/loans/{id}", "getLoan", show).roles(&["ADMIN"]).summary("A loan"))
//!         .route(post("/api/loans", "lend", lend).roles(&["ADMIN"]).summary("Lend a book"))
//!         .hear("close-loans", "reader.gone", close)
//!         .publishes(&["book.lent"])
//!         .migration("loans", include_str!("../migrations/1_loans.sql"))
//! }
//!
//! ward_sdk::service!(service, Host; served, subscribed);
//! ```
//!
//! `P` is what the service needs from outside: the host in a component, a fake in a test. A handler takes it by reference, then up to three of
//! [`Path`], [`Query`], [`Json`], [`Caller`] and [`Request`], and returns something that is a [`Reply`].

mod document;
mod extract;
mod reply;

use prost::Message;

use crate::description::{Access, Component, Effect, Function, function, migrations, owned, roles, subscription};
use crate::events::{self, Disposition, Event};
use crate::fields::Faults;
use crate::http::{Request, Response};
use crate::ports::StoreError;
use crate::problem::Problem;

pub use document::Operation;
pub use extract::{Caller, Extract, Path, PathShape, Query};
pub use reply::{Created, Json, NoContent, Page, Reply};

type Handle<P> = Box<dyn Fn(&P, &Request) -> Response>;
type Hear<P> = Box<dyn Fn(&P, &Event) -> Result<(), Disposition>>;

/// What a component is.
pub struct Service<P> {
    name: &'static str,
    version: &'static str,
    title: &'static str,
    summary: &'static str,
    routes: Vec<Route<P>>,
    heard: Vec<Heard<P>>,
    functions: Vec<Function>,
    publishes: &'static [&'static str],
    migrations: Vec<(&'static str, &'static str)>,
    probe: fn(&P) -> Result<(), StoreError>,
}

/// One way in over REST.
pub struct Route<P> {
    method: &'static str,
    path: &'static str,
    operation: &'static str,
    effect: Effect,
    access: Option<&'static [&'static str]>,
    is_live: bool,
    summary: &'static str,
    problems: Vec<(u16, &'static str)>,
    handle: Handle<P>,
    describe: fn(&mut Operation),
}

struct Heard<P> {
    subscription: &'static str,
    kind: &'static str,
    hear: Hear<P>,
}

/// A function of a component's own that answers requests.
pub trait Handler<P, Arguments>: 'static {
    fn call(&self, ports: &P, request: &Request) -> Result<Response, Problem>;

    fn describe(operation: &mut Operation);
}

macro_rules! handler {
    ($($argument:ident)*) => {
        impl<P, F, R, $($argument),*> Handler<P, ($($argument,)*)> for F
        where
            F: Fn(&P, $($argument),*) -> R + 'static,
            R: Reply,
            $($argument: Extract,)*
        {
            #[expect(non_snake_case, reason = "the arguments are named like their types")]
            fn call(&self, ports: &P, request: &Request) -> Result<Response, Problem> {
                let mut faults = Faults::default();
                $(let $argument = <$argument as Extract>::extract(request, &mut faults)?;)*
                if !faults.is_empty() {
                    return Err(Problem::invalid(faults));
                }
                match ($($argument,)*) {
                    ($(Some($argument),)*) => self(ports, $($argument),*).into_response(),
                    _ => Err(Problem::new(400)),
                }
            }

            fn describe(operation: &mut Operation) {
                $(<$argument as Extract>::describe(operation);)*
                R::describe(operation);
            }
        }
    };
}

handler!(A);
handler!(A B);
handler!(A B C);

/// Without anything of the request.
impl<P, F, R> Handler<P, ()> for F
where
    F: Fn(&P) -> R + 'static,
    R: Reply,
{
    fn call(&self, ports: &P, _: &Request) -> Result<Response, Problem> {
        self(ports).into_response()
    }

    fn describe(operation: &mut Operation) {
        R::describe(operation);
    }
}

/// A GET that only reads. `operation` is its name in the OpenAPI document.
pub fn get<P, A, H: Handler<P, A>>(path: &'static str, operation: &'static str, handler: H) -> Route<P> {
    route("GET", path, operation, Effect::Read, handler)
}

pub fn post<P, A, H: Handler<P, A>>(path: &'static str, operation: &'static str, handler: H) -> Route<P> {
    route("POST", path, operation, Effect::Write, handler)
}

pub fn put<P, A, H: Handler<P, A>>(path: &'static str, operation: &'static str, handler: H) -> Route<P> {
    route("PUT", path, operation, Effect::Write, handler)
}

pub fn patch<P, A, H: Handler<P, A>>(path: &'static str, operation: &'static str, handler: H) -> Route<P> {
    route("PATCH", path, operation, Effect::Write, handler)
}

pub fn delete<P, A, H: Handler<P, A>>(path: &'static str, operation: &'static str, handler: H) -> Route<P> {
    route("DELETE", path, operation, Effect::Write, handler)
}

fn route<P, A, H: Handler<P, A>>(
    method: &'static str,
    path: &'static str,
    operation: &'static str,
    effect: Effect,
    handler: H,
) -> Route<P> {
    Route {
        method,
        path,
        operation,
        effect,
        access: None,
        is_live: false,
        summary: "",
        problems: Vec::new(),
        handle: Box::new(move |ports, request| handler.call(ports, request).unwrap_or_else(Response::from)),
        describe: H::describe,
    }
}

impl<P> Route<P> {
    /// With a token of one of these roles. Without this call any valid token will do.
    pub fn roles(mut self, names: &'static [&'static str]) -> Self {
        self.access = Some(names);
        self
    }

    /// One line for the OpenAPI document.
    pub fn summary(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// A refusal of its own, for the OpenAPI document; those of extractors and of the gateway are there already.
    pub fn problem(mut self, status: u16, description: &'static str) -> Self {
        self.problems.push((status, description));
        self
    }

    /// In one transaction at SERIALIZABLE, for rules that no constraint can hold.
    pub fn serializable(mut self) -> Self {
        self.effect = Effect::WriteSerializable;
        self
    }

    /// As server-sent events: the answer anew whenever the service committed something that changed it. For GET.
    pub fn live(mut self) -> Self {
        self.is_live = true;
        self
    }
}

impl<P: 'static> Service<P> {
    pub fn new(name: &'static str, version: &'static str) -> Self {
        Self {
            name,
            version,
            title: name,
            summary: "",
            routes: Vec::new(),
            heard: Vec::new(),
            functions: Vec::new(),
            publishes: &[],
            migrations: Vec::new(),
            probe: |_| Ok(()),
        }
    }

    /// Heads the OpenAPI document.
    pub fn title(mut self, title: &'static str, summary: &'static str) -> Self {
        (self.title, self.summary) = (title, summary);
        self
    }

    pub fn route(mut self, route: Route<P>) -> Self {
        self.routes.push(route);
        self
    }

    /// Hears events of a type. The name stands for the place in the stream, so it is never changed; several types under one name are heard
    /// in order. A message that cannot be decoded goes to the dead letters.
    pub fn hear<M, H>(mut self, subscription: &'static str, kind: &'static str, handler: H) -> Self
    where
        M: Message + Default,
        H: Fn(&P, M, &Event) -> Result<(), Disposition> + 'static,
    {
        let hear: Hear<P> = Box::new(move |ports, event| handler(ports, events::read(event)?, event));
        self.heard.push(Heard { subscription, kind, hear });
        self
    }

    /// The event types that it publishes.
    pub fn publishes(mut self, kinds: &'static [&'static str]) -> Self {
        self.publishes = kinds;
        self
    }

    /// A function of an interface that it exports, named with its package: `clinic:billing/accounts`.
    pub fn function(mut self, interface: &str, name: &str, effect: Effect) -> Self {
        self.functions.push(function(interface, name, effect));
        self
    }

    /// The next step of its schema; steps are numbered in the order of these calls.
    pub fn migration(mut self, name: &'static str, statements: &'static str) -> Self {
        self.migrations.push((name, statements));
        self
    }

    /// A cheap real check that it can serve, made before it gets its first call.
    pub fn probe(mut self, probe: fn(&P) -> Result<(), StoreError>) -> Self {
        self.probe = probe;
        self
    }

    /// Answers a request.
    pub fn handle(&self, ports: &P, request: &Request) -> Response {
        match self.routes.iter().find(|route| route.operation == request.operation) {
            Some(route) => (route.handle)(ports, request),
            None => Problem::new(404).into(),
        }
    }

    /// Takes in an event.
    pub fn receive(&self, ports: &P, subscription: &str, event: &Event) -> Result<(), Disposition> {
        let mut heard = self.heard.iter().filter(|heard| heard.subscription == subscription);
        match heard.find(|heard| heard.kind == event.type_) {
            Some(heard) => (heard.hear)(ports, event),
            None => Err(Disposition::Reject("no handler for this type".to_owned())),
        }
    }

    /// Says to the compiler of which ports it is.
    #[doc(hidden)]
    pub fn is_of(&self, _: &P) {}

    pub fn check(&self, ports: &P) -> Result<(), StoreError> {
        (self.probe)(ports)
    }

    /// What the host is told.
    pub fn describe(&self) -> Component {
        let mut subscriptions: Vec<crate::description::Subscription> = Vec::new();
        for heard in &self.heard {
            match subscriptions.iter_mut().find(|known| known.name == heard.subscription) {
                Some(known) => known.event_types.push(heard.kind.to_owned()),
                None => subscriptions.push(subscription(heard.subscription, &[heard.kind])),
            }
        }
        Component {
            name: self.name.to_owned(),
            version: self.version.to_owned(),
            documentation: self.name.to_owned(),
            openapi: document::write(self).to_string(),
            routes: self.routes.iter().map(Route::described).collect(),
            functions: self.functions.clone(),
            subscriptions,
            publishes: owned(self.publishes),
            migrations: migrations(&self.migrations),
        }
    }
}

impl<P> Route<P> {
    fn described(&self) -> crate::description::Route {
        let access = self.access.map_or(Access::Authenticated, roles);
        let mut described = crate::description::route(self.operation, self.method, self.path, self.effect, access);
        described.live = self.is_live;
        described
    }
}

/// Makes a component of a service: `service!(FUNCTION, PORTS; DOORS)`, where the function returns the [`Service`](crate::service::Service), the
/// ports are its value in a component, and the doors are `served` if it has routes, `subscribed` if it hears events. Natively it is nothing.
#[macro_export]
macro_rules! service {
    ($service:path, $ports:expr $(; $($door:ident),+)?) => {
        /// Natively it is held against its ports, and that is all.
        #[cfg(not(target_family = "wasm"))]
        const _: fn() = || $service().is_of(&$ports);

        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Doors;

            impl $crate::export::Described for Doors {
                fn describe() -> $crate::description::Component {
                    let service = $service();
                    service.is_of(&$ports);
                    service.describe()
                }

                fn probe() -> Result<(), $crate::ports::StoreError> {
                    $service().check(&$ports)
                }
            }

            impl $crate::export::Served for Doors {
                fn handle(request: $crate::http::Request) -> $crate::http::Response {
                    $service().handle(&$ports, &request)
                }
            }

            impl $crate::export::Subscribed for Doors {
                fn receive(
                    subscription: &str,
                    event: $crate::events::Event,
                ) -> Result<(), $crate::events::Disposition> {
                    $service().receive(&$ports, subscription, &event)
                }
            }

            $crate::export!(Doors: described $(, $($door),+)?);
        };
    };
}

#[cfg(test)]
mod tests;
