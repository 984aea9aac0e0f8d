//! {{name}}: say here what it is for.

mod store;

use ward_sdk::Uuid;
{{#events}}
use ward_sdk::events::{Disposition, Event};
{{/events}}
use ward_sdk::host::Host;
use ward_sdk::ports::{Clock, Ids, StoreError};
{{#http}}
use ward_sdk::problem::Problem;
{{/http}}
{{#events}}
use ward_sdk::prost::Message;
{{/events}}
{{#http}}
use ward_sdk::service::{Caller, Created, Json, Path, Service, get, post};
{{/http}}
{{^http}}
use ward_sdk::service::Service;
{{/http}}
use ward_sdk::shape::Text;
use ward_sdk::time::Timestamp;

ward_sdk::shape! {
    /// What is asked for.
    pub struct NewItem {
        /// What it says.
        pub text: Text<200>,
    }
}

ward_sdk::shape! {
    /// What is kept.
    pub struct Item {
        pub id: Uuid,
        pub text: Text<200>,
        pub added_by: String,
        pub added_at: Timestamp,
    }
}
{{#events}}

/// The events `{{name}}.wanted`, which is heard, and `{{name}}.added`, which is published.
#[derive(Clone, PartialEq, Message)]
#[prost(prost_path = "ward_sdk::prost")]
pub struct Said {
    #[prost(string, tag = "1")]
    pub text: String,
}
{{/events}}

/// What it needs from outside: the host in the component, a fake in tests.
pub trait Ports: Clock + Ids + 'static {
    fn insert(&self, item: &Item) -> Result<(), StoreError>;
{{#http}}

    fn find(&self, id: Uuid) -> Result<Option<Item>, StoreError>;
{{/http}}
{{#events}}

    fn added(&self, item: &Item) -> Result<(), StoreError>;
{{/events}}
}

pub fn service<P: Ports>() -> Service<P> {
    Service::new("{{name}}", env!("CARGO_PKG_VERSION"))
        .title("{{name}}", "Say here what it is for.")
{{#http}}
        .route(post("/api/{{name}}", "add{{Name}}Item", add).summary("Add an item"))
        .route(get("/api/{{name}}/{id}", "get{{Name}}Item", show).summary("An item"))
{{/http}}
{{#events}}
        .hear("add-wanted", "{{name}}.wanted", add_wanted)
        .publishes(&["{{name}}.added"])
{{/events}}
        .migration("items", include_str!("../migrations/1_items.sql"))
}

ward_sdk::service!(service, Host; {{doors}});
{{#http}}

fn add(ports: &impl Ports, Caller(by): Caller, Json(new): Json<NewItem>) -> Result<Created<Item>, Problem> {
    let item = keep(ports, new.text, by)?;
    Ok(Created { location: format!("/api/{{name}}/{}", item.id), body: item })
}

fn show(ports: &impl Ports, Path(id): Path<Uuid>) -> Result<Json<Item>, Problem> {
    ports.find(id)?.map(Json).ok_or_else(|| Problem::not_found("There is no such item."))
}
{{/http}}
{{#events}}

fn add_wanted(ports: &impl Ports, wanted: Said, event: &Event) -> Result<(), Disposition> {
    keep(ports, wanted.text.into(), event.source.clone())?;
    Ok(())
}
{{/events}}

fn keep(ports: &impl Ports, text: Text<200>, added_by: String) -> Result<Item, StoreError> {
    let item = Item { id: ports.next(), text, added_by, added_at: ports.now() };
    ports.insert(&item)?;
{{#events}}
    ports.added(&item)?;
{{/events}}
    ward_sdk::info!("added", item = item.id);
    Ok(item)
}

#[cfg(test)]
mod tests;
