//! The ports, in the host's terms.

use ward_sdk::host::Host;
{{#http}}
use ward_sdk::Uuid;
{{/http}}
use ward_sdk::params;
use ward_sdk::ports::StoreError;
{{#http}}
use ward_sdk::sql::{execute, query};
{{/http}}
{{^http}}
use ward_sdk::sql::execute;
{{/http}}

{{#events}}
use crate::Said;
{{/events}}
use crate::{Item, Ports};

const INSERT: &str = "insert into items (id, text, added_by, added_at) values ($1, $2, $3, $4)";
{{#http}}
const FIND: &str = "select id, text, added_by, added_at from items where id = $1";

ward_sdk::row!(Item { id, text, added_by, added_at });
{{/http}}

impl Ports for Host {
    fn insert(&self, item: &Item) -> Result<(), StoreError> {
        execute(INSERT, params![item.id, &item.text, &item.added_by, item.added_at]).map(drop)
    }
{{#http}}

    fn find(&self, id: Uuid) -> Result<Option<Item>, StoreError> {
        query(FIND, params![id])?.first()
    }
{{/http}}
{{#events}}

    fn added(&self, item: &Item) -> Result<(), StoreError> {
        let said = Said { text: item.text.to_string() };
        ward_sdk::events::publish("{{name}}.added", item.id.to_string(), 1, &said)
    }
{{/events}}
}
