//! How commands talk: results go to standard output, as JSON with `--json`; everything else goes to standard error. Colours
//! are for terminals, and for nobody who has set `NO_COLOR`. Exit codes say what kind of failure it was ([`Exit`]).
//!
//! A command flattens [`Format`] into its arguments, prints with [`json`], [`line`] or a [`Table`], shows a [`Progress`] for
//! what may take longer than a second, and ends with [`Exit::because`] where another code than 1 says more.

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde::Serialize;
use ward_proto::call::FailureKind;

use crate::bus::{BusError, RegistryError};
use crate::calls::Failure;

/// The option that every command has which prints something.
#[derive(Args, Debug, Clone, Copy)]
pub struct Format {
    /// Print JSON, for programs.
    #[arg(long)]
    pub json: bool,
}

pub const HEADING: Style = Style::new().bold();
pub const FAINT: Style = Style::new().dimmed();
pub const GOOD: Style = AnsiColor::Green.on_default();
pub const WARNING: Style = AnsiColor::Yellow.on_default();
pub const BAD: Style = AnsiColor::Red.on_default();

/// `text` in a style; [`line`] takes it away again where nobody sees colours.
pub fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// A line of the result. Ends the program quietly when nobody reads any more (`ward … | head`).
pub fn line(text: impl Display) {
    if let Err(error) = writeln!(anstream::stdout().lock(), "{text}")
        && error.kind() == ErrorKind::BrokenPipe
    {
        std::process::exit(0);
    }
}

/// A line beside the result: what was done, a warning.
pub fn note(text: impl Display) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// A whole result as JSON.
pub fn json(value: &(impl Serialize + ?Sized)) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// One of many results, on a line of its own.
pub fn json_line(value: &(impl Serialize + ?Sized)) -> anyhow::Result<()> {
    line(serde_json::to_string(value)?);
    Ok(())
}

/// Which side of its column a text stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
}

/// Columns as wide as what stands in them. Cells may be painted.
pub struct Table {
    columns: Vec<(&'static str, Side)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(columns: &[(&'static str, Side)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub fn print(&self) {
        for text in self.lines() {
            line(text);
        }
    }

    fn lines(&self) -> Vec<String> {
        let widths: Vec<usize> = (0..self.columns.len()).map(|column| self.width(column)).collect();
        let heading = self.columns.iter().map(|(name, _)| paint(HEADING, name));
        let all = std::iter::once(heading.collect()).chain(self.rows.iter().cloned());
        all.map(|cells: Vec<String>| self.aligned(&cells, &widths)).collect()
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| visible(cell));
        let heading = self.columns.get(column).map_or(0, |(name, _)| name.len());
        cells.max().unwrap_or(0).max(heading)
    }

    fn aligned(&self, cells: &[String], widths: &[usize]) -> String {
        let padded = cells.iter().zip(&self.columns).zip(widths).map(|((cell, (_, side)), width)| {
            let space = " ".repeat(width.saturating_sub(visible(cell)));
            match side {
                Side::Left => format!("{cell}{space}"),
                Side::Right => format!("{space}{cell}"),
            }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

/// Characters that are seen of a painted text.
fn visible(text: &str) -> usize {
    anstream::adapter::strip_str(text).to_string().chars().count()
}

/// How long something may take before people are told about it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Says on standard error what is waited for, once it takes longer than a second; until it is dropped. On a terminal with the
/// seconds, and gone afterwards.
pub struct Progress(tokio::task::JoinHandle<()>, bool);

impl Progress {
    pub fn of(what: impl Into<String>) -> Self {
        let (what, began) = (what.into(), Instant::now());
        let is_terminal = std::io::stderr().is_terminal();
        let task = tokio::spawn(async move {
            tokio::time::sleep(PATIENCE).await;
            if !is_terminal {
                return note(format_args!("{what} …"));
            }
            loop {
                eprint!("\r\x1b[K{what} … {} s", began.elapsed().as_secs());
                tokio::time::sleep(PATIENCE).await;
            }
        });
        Self(task, is_terminal)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.abort();
        if self.1 {
            eprint!("\r\x1b[K");
        }
    }
}

/// What the exit code says. 0 is success; clap uses 2 for options that it does not understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Refused, or it failed.
    Failed = 1,
    /// The command was used wrongly: unknown names, arguments of the wrong type, a configuration that does not hold.
    Usage = 2,
    /// NATS, or what was called, cannot be reached now, or not any more.
    Unreachable = 3,
    /// No answer in time; whether it was done is not known.
    TimedOut = 4,
    /// Too much to do; nothing was done.
    Overloaded = 5,
    /// The component crashed; everything was rolled back.
    Trapped = 6,
}

/// An error with an exit code of its own.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Ended {
    exit: Exit,
    message: String,
}

impl Exit {
    pub fn because(self, message: impl Display) -> anyhow::Error {
        Ended { exit: self, message: message.to_string() }.into()
    }

    /// The code of a call that was not answered.
    pub fn of_failure(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Refused => Self::Usage,
            FailureKind::Unavailable => Self::Unreachable,
            FailureKind::DeadlineExceeded => Self::TimedOut,
            FailureKind::Overloaded => Self::Overloaded,
            FailureKind::Trapped => Self::Trapped,
            FailureKind::Failed => Self::Failed,
        }
    }

    fn of(error: &anyhow::Error) -> Self {
        if let Some(ended) = error.downcast_ref::<Ended>() {
            return ended.exit;
        }
        if let Some(failure) = error.downcast_ref::<Failure>() {
            return Self::of_failure(failure.kind);
        }
        let registry = match error.downcast_ref::<BusError>() {
            Some(BusError::Registry(registry)) => Some(registry),
            Some(BusError::Connect { .. } | BusError::Subscribe(_) | BusError::Unconfirmed(_)) => {
                return Self::Unreachable;
            }
            _ => error.downcast_ref::<RegistryError>(),
        };
        match registry {
            Some(RegistryError::Failed { .. }) => Self::Unreachable,
            _ if error.is::<ward_config::ConfigError>() => Self::Usage,
            _ => Self::Failed,
        }
    }
}

/// Says why a command failed, and with which code it ends.
pub fn failed(error: &anyhow::Error) -> ExitCode {
    note(format_args!("{}: {error:#}", paint(BAD, "ward")));
    ExitCode::from(Exit::of(error) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_seen() {
        let mut table = Table::new(&[("NAME", Side::Left), ("CALLS", Side::Right)]);
        table.row([paint(GOOD, "a"), "1".to_owned()]);
        table.row(["stock-and-more".to_owned(), "1234567".to_owned()]);
        let plain: Vec<String> =
            table.lines().iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        assert_eq!(
            plain,
            [
                format!("{:<14}  {:>7}", "NAME", "CALLS"),
                format!("{:<14}  {:>7}", "a", "1"),
                "stock-and-more  1234567".to_owned(),
            ]
        );
    }

    #[test]
    fn each_kind_of_failure_has_its_code() {
        let of = |kind| Exit::of(&Failure::new(kind, "m").into()) as u8;
        assert_eq!(FailureKind::ALL.map(of), [3, 4, 5, 6, 2, 1]);
        assert_eq!(Exit::of(&Exit::Usage.because("m")), Exit::Usage);
        assert_eq!(Exit::of(&anyhow::anyhow!("m")), Exit::Failed);
    }
}
