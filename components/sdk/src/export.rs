//! The doors of a component. A component implements the traits here for one empty type and names them in [`crate::export!`]:
//!
//! ```ignore
//! struct Billing;
//! ward_sdk::export!(Billing: described, served, subscribed);
//! ```
//!
//! A service interface of its own (`clinic:…`) it generates and exports itself, with [`crate::wit_bindgen`].

use crate::bindings::failures::ward::call::errors;
use crate::description::Component;
use crate::events::{Disposition, Event};
use crate::http::{Request, Response};
use crate::ports::StoreError;

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
