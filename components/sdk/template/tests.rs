//! The domain with a store in memory.

use std::cell::RefCell;

use ward_sdk::testing::{Foretells, Foretold};

use super::*;

#[derive(Default)]
struct Fake {
    items: RefCell<Vec<Item>>,
    foretold: Foretold,
}

impl Ports for Fake {
    fn insert(&self, item: &Item) -> Result<(), StoreError> {
        self.items.borrow_mut().push(item.clone());
        Ok(())
    }
{{#http}}

    fn find(&self, id: Uuid) -> Result<Option<Item>, StoreError> {
        Ok(self.items.borrow().iter().find(|item| item.id == id).cloned())
    }
{{/http}}
{{#events}}

    fn added(&self, _: &Item) -> Result<(), StoreError> {
        Ok(())
    }
{{/events}}
}

impl Foretells for Fake {
    fn foretold(&self) -> &Foretold {
        &self.foretold
    }
}

#[test]
fn keeps_what_it_is_given() {
    let fake = Fake::default();
    let item = keep(&fake, "hello".to_owned().into(), "ada".to_owned()).unwrap();
    assert_eq!(*fake.items.borrow(), [item]);
}
{{#http}}

#[test]
fn an_item_without_text_is_refused() {
    use ward_sdk::http::Request;
    let request = Request { body: b"{}".to_vec(), ..Request::test("add{{Name}}Item") };
    assert_eq!(service().handle(&Fake::default(), &request).status, 400);
}
{{/http}}
