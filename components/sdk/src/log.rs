//! Lines for the operator. Grant: `log`.
//!
//! Name the id of a record, never its content.

use crate::bindings::capabilities::ward::host::log::{Level, write};

pub fn debug(message: &str, fields: &[(&str, &str)]) {
    line(Level::Debug, message, fields);
}

pub fn info(message: &str, fields: &[(&str, &str)]) {
    line(Level::Info, message, fields);
}

pub fn warn(message: &str, fields: &[(&str, &str)]) {
    line(Level::Warn, message, fields);
}

pub fn error(message: &str, fields: &[(&str, &str)]) {
    line(Level::Error, message, fields);
}

fn line(level: Level, message: &str, fields: &[(&str, &str)]) {
    // Outside a component, in its native tests, nobody listens.
    if cfg!(target_family = "wasm") {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        write(level, message, &fields);
    }
}
