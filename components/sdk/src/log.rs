//! Lines for the operator. Grant: `log`.
//!
//! Name the id of a record, never its content. The macros take fields of any type that can be displayed:
//!
//! ```ignore
//! ward_sdk::info!("lent", loan = loan.id, days = 14);
//! ```

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

/// A line at one level; for the macros.
#[doc(hidden)]
#[macro_export]
macro_rules! log_line {
    ($level:ident, $message:literal $(, $field:ident = $value:expr)* $(,)?) => {
        $crate::log::$level($message, &[$((stringify!($field), &$value.to_string())),*])
    };
}

/// A line for whoever debugs: `debug!("message", field = value)`.
#[macro_export]
macro_rules! debug {
    ($($line:tt)+) => { $crate::log_line!(debug, $($line)+) };
}

/// A line for the operator: `info!("message", field = value)`.
#[macro_export]
macro_rules! info {
    ($($line:tt)+) => { $crate::log_line!(info, $($line)+) };
}

/// Something that somebody should look at: `warn!("message", field = value)`.
#[macro_export]
macro_rules! warn {
    ($($line:tt)+) => { $crate::log_line!(warn, $($line)+) };
}

/// Something that failed: `error!("message", field = value)`.
#[macro_export]
macro_rules! error {
    ($($line:tt)+) => { $crate::log_line!(error, $($line)+) };
}

fn line(level: Level, message: &str, fields: &[(&str, &str)]) {
    // Outside a component, in its native tests, nobody listens.
    if cfg!(target_family = "wasm") {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        write(level, message, &fields);
    }
}
