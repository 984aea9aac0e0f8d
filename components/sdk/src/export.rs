//! The doors of a component, and the interfaces between components. A [`crate::service!`] opens its doors by itself; a component that is more than
//! that implements the traits here for one empty type and names them in [`crate::export!`]:
//!
//! ```ignore
//! struct Billing;
//! ward_sdk::export!(Billing: described, served, subscribed);
//! ```
//!
//! The interfaces of other services that it calls, and its own that others call (`clinic:…`), stand in a world of the component's own `wit/`;
//! [`crate::contracts!`] makes Rust of them.

use crate::bindings::failures::ward::call::errors;
use crate::description::Component;
use crate::events::{Disposition, Event};
use crate::http::{Request, Response};
use crate::ports::StoreError;
use crate::problem::Problem;

pub use errors::Failure;

/// Door `described`: every component.
pub trait Described {
    fn describe() -> Component;

    /// A cheap real check that the component can serve; the text of an error is shown to the operator.
    fn probe() -> Result<(), StoreError>;
}

/// Door `served`: components with routes.
pub trait Served {
    fn handle(request: Request) -> Response;
}

/// Door `subscribed`: components with subscriptions.
pub trait Subscribed {
    fn receive(subscription: &str, event: Event) -> Result<(), Disposition>;
}

/// Door `seeded`: components with example data.
pub trait Seeded {
    fn seed() -> Result<(), StoreError>;
}

/// A service interface has one case for all that its own errors do not name. The reason is logged here.
impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        crate::log::error("a call failed in the store", &[("reason", &error.to_string())]);
        Self::Failed
    }
}

/// What a caller of a REST route can be told when another service did not answer. The reason is logged.
impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        crate::error!("another service did not answer", failure = failure.reason());
        match failure {
            Failure::Refused => Self::new(500),
            _ => Self::unavailable(),
        }
    }
}

impl Failure {
    /// As the contract names it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::DeadlineExceeded => "deadline-exceeded",
            Self::Overloaded => "overloaded",
            Self::Trapped => "trapped",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Makes a module `contracts` of a WIT world: the interfaces that it imports are functions to call, those that it exports are traits to
/// implement for the type that is named last. The folders are searched for the packages, the world's own last.
///
/// ```ignore
/// ward_sdk::contracts!("clinic:library-component/library" in "../../wit", "wit"; Library);
/// use contracts::clinic::readers::readers;
/// use contracts::exports::clinic::library::loans;
/// ```
///
/// A component that implements an interface does this in a module that exists for its own target only
/// (`#[cfg(target_family = "wasm")]`): natively it would not link.
#[macro_export]
macro_rules! contracts {
    ($world:literal in $($folder:literal),+ $(; $component:ident)?) => {
        #[expect(unsafe_code, reason = "generated: lifts and lowers values over the component's memory")]
        mod contracts {
            ward_sdk::wit_bindgen::generate!({
                path: [$($folder),+],
                world: $world,
                generate_all,
                with: { "ward:call/errors@0.1.0": ward_sdk::bindings::failures::ward::call::errors },
                runtime_path: "ward_sdk::wit_bindgen::rt",
            });

            $(use super::$component;
            export!($component with_types_in self);)?
        }
    };
}

/// Opens the doors named: `export!(Type: described, served, subscribed, seeded)`.
#[macro_export]
macro_rules! export {
    ($component:ident: $($door:ident),+) => {
        $($crate::export_door!($component, $door);)+
    };
}

/// One door of [`export!`].
#[doc(hidden)]
#[macro_export]
macro_rules! export_door {
    ($component:ident, described) => {
        impl $crate::bindings::described::exports::ward::component::description::Guest for $component {
            fn describe() -> $crate::description::Component {
                $crate::start();
                <Self as $crate::export::Described>::describe()
            }

            fn probe() -> Result<(), String> {
                $crate::start();
                <Self as $crate::export::Described>::probe().map_err(|error| error.to_string())
            }
        }
        $crate::bindings::described::export_described!($component);
    };
    ($component:ident, served) => {
        impl $crate::bindings::served::exports::ward::http::handler::Guest for $component {
            fn handle(request: $crate::http::Request) -> $crate::http::Response {
                $crate::start();
                <Self as $crate::export::Served>::handle(request)
            }
        }
        $crate::bindings::served::export_served!($component);
    };
    ($component:ident, subscribed) => {
        impl $crate::bindings::subscribed::exports::ward::events::subscriber::Guest for $component {
            fn receive(subscription: String, event: $crate::events::Event) -> Result<(), $crate::events::Disposition> {
                $crate::start();
                <Self as $crate::export::Subscribed>::receive(&subscription, event)
            }
        }
        $crate::bindings::subscribed::export_subscribed!($component);
    };
    ($component:ident, seeded) => {
        impl $crate::bindings::seeded::exports::ward::component::seed::Guest for $component {
            fn seed() -> Result<(), String> {
                $crate::start();
                <Self as $crate::export::Seeded>::seed().map_err(|error| error.to_string())
            }
        }
        $crate::bindings::seeded::export_seeded!($component);
    };
}
