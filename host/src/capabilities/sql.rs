//! `ward:store/sql`: statements on the call's own transaction.

use wasmtime::component::{HasSelf, Linker};

use super::CallState;
use crate::bindings::ward::store::sql::{self, Error, Rows, Value};

impl sql::Host for CallState {
    async fn query(&mut self, statement: String, parameters: Vec<Value>) -> Result<Rows, Error> {
        self.work.query(statement, parameters).await
    }

    async fn execute(&mut self, statement: String, parameters: Vec<Value>) -> Result<u64, Error> {
        self.work.execute(statement, parameters).await
    }
}

pub fn add_to_linker(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    sql::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}
