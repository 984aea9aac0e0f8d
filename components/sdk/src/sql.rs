//! The service's own database: statements with typed parameters and typed rows. Grant: `sql`.
//!
//! ```ignore
//! let rows = sql::query("select id, name from patients where email = $1", params![email])?;
//! let (id, name): (Uuid, String) = rows.one()?;
//! ```
//!
//! A statement's text never contains a value: the host prepares each text once and keeps it. A parameter is of the type
//! that PostgreSQL infers for it, and `None` is NULL.

use ::time::{Date, Month};
use uuid::Uuid;

use crate::bindings::capabilities::ward::store::sql as host;
use crate::ports::StoreError;
use crate::time::Timestamp;

pub use host::Value;

/// Parameters of a statement.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::sql::Value::from($value)),*] };
}

/// Rows of a statement, in full.
pub fn query(statement: &str, parameters: &[Value]) -> Result<Rows, StoreError> {
    Ok(Rows(host::query(statement, parameters)?.rows))
}

/// Number of rows that a statement changed.
pub fn execute(statement: &str, parameters: &[Value]) -> Result<u64, StoreError> {
    Ok(host::execute(statement, parameters)?)
}

pub struct Rows(Vec<Vec<Value>>);

impl Rows {
    pub fn all<T: FromRow>(self) -> Result<Vec<T>, StoreError> {
        self.0.into_iter().map(T::from_row).collect()
    }

    /// The first row; nothing if there is none.
    pub fn first<T: FromRow>(self) -> Result<Option<T>, StoreError> {
        self.0.into_iter().next().map(T::from_row).transpose()
    }

    /// The row of a statement that always has one.
    pub fn one<T: FromRow>(self) -> Result<T, StoreError> {
        self.first()?.ok_or_else(|| StoreError::Failed("a row was expected, and none came".to_owned()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Tuples of cells are rows.
pub trait FromRow: Sized {
    fn from_row(cells: Vec<Value>) -> Result<Self, StoreError>;
}

macro_rules! tuple_from_row {
    ($($cell:ident)+) => {
        impl<$($cell: FromCell),+> FromRow for ($($cell,)+) {
            fn from_row(cells: Vec<Value>) -> Result<Self, StoreError> {
                let mut cells = cells.into_iter();
                let row = ($($cell::from_cell(cells.next().ok_or_else(|| misread("fewer columns than asked for"))?)?,)+);
                if cells.next().is_some() {
                    return Err(misread("more columns than asked for"));
                }
                Ok(row)
            }
        }
    };
}

tuple_from_row!(A);
tuple_from_row!(A B);
tuple_from_row!(A B C);
tuple_from_row!(A B C D);
tuple_from_row!(A B C D E);
tuple_from_row!(A B C D E F);
tuple_from_row!(A B C D E F G);
tuple_from_row!(A B C D E F G H);
tuple_from_row!(A B C D E F G H I);
tuple_from_row!(A B C D E F G H I J);

/// The cells of one row, in the order of its columns; for [`row!`](crate::row!).
#[doc(hidden)]
pub struct Cells(std::vec::IntoIter<Value>);

impl Cells {
    pub fn of(cells: Vec<Value>) -> Self {
        Self(cells.into_iter())
    }

    pub fn read<T: FromCell>(&mut self) -> Result<T, StoreError> {
        T::from_cell(self.0.next().ok_or_else(|| misread("fewer columns than asked for"))?)
    }

    pub fn end(mut self) -> Result<(), StoreError> {
        self.0.next().map_or(Ok(()), |_| Err(misread("more columns than asked for")))
    }
}

/// Makes a row of a struct: `row!(Loan { id, book_id })` reads the columns in this order.
#[macro_export]
macro_rules! row {
    ($name:ident { $($field:ident),+ $(,)? }) => {
        impl $crate::sql::FromRow for $name {
            fn from_row(cells: Vec<$crate::sql::Value>) -> Result<Self, $crate::ports::StoreError> {
                let mut cells = $crate::sql::Cells::of(cells);
                let row = Self { $($field: cells.read()?),+ };
                cells.end()?;
                Ok(row)
            }
        }
    };
}

pub trait FromCell: Sized {
    fn from_cell(cell: Value) -> Result<Self, StoreError>;
}

macro_rules! cell {
    ($type:ty, $case:ident($value:ident) => $read:expr) => {
        impl FromCell for $type {
            fn from_cell(cell: Value) -> Result<Self, StoreError> {
                let Value::$case($value) = cell else {
                    return Err(misread(concat!("a cell is not ", stringify!($case))));
                };
                $read
            }
        }
    };
}

cell!(bool, Boolean(value) => Ok(value));
cell!(i32, Int32(value) => Ok(value));
cell!(i64, Int64(value) => Ok(value));
cell!(f64, Float64(value) => Ok(value));
cell!(String, Text(value) => Ok(value));
cell!(Vec<u8>, Bytes(value) => Ok(value));
cell!(Vec<String>, TextList(value) => Ok(value));
cell!(Uuid, Uuid(value) => Ok(Uuid::from_u64_pair(value.0, value.1)));
cell!(Timestamp, Timestamp(value) => Ok(Timestamp(value)));
cell!(Date, Date(value) => read_date(value).ok_or_else(|| misread("a date is beyond the calendar")));

impl<T: FromCell> FromCell for Option<T> {
    fn from_cell(cell: Value) -> Result<Self, StoreError> {
        match cell {
            Value::Null => Ok(None),
            cell => T::from_cell(cell).map(Some),
        }
    }
}

macro_rules! parameter {
    ($type:ty, $value:ident => $write:expr) => {
        impl From<$type> for Value {
            fn from($value: $type) -> Self {
                $write
            }
        }
    };
}

parameter!(bool, value => Value::Boolean(value));
parameter!(i32, value => Value::Int32(value));
parameter!(i64, value => Value::Int64(value));
parameter!(f64, value => Value::Float64(value));
parameter!(&str, value => Value::Text(value.to_owned()));
parameter!(String, value => Value::Text(value));
parameter!(&String, value => Value::Text(value.clone()));
parameter!(Vec<String>, value => Value::TextList(value));
parameter!(&[String], value => Value::TextList(value.to_vec()));
parameter!(Uuid, value => Value::Uuid(value.as_u64_pair()));
parameter!(Timestamp, value => Value::Timestamp(value.0));
parameter!(Date, value => {
    Value::Date(host::Date { year: value.year(), month: value.month().into(), day: value.day() })
});

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

fn read_date(date: host::Date) -> Option<Date> {
    Date::from_calendar_date(date.year, Month::try_from(date.month).ok()?, date.day).ok()
}

fn misread(what: &str) -> StoreError {
    StoreError::Failed(what.to_owned())
}

impl From<host::Error> for StoreError {
    fn from(error: host::Error) -> Self {
        match error {
            host::Error::Constraint(constraint) => Self::Violated(constraint.name),
            host::Error::Forbidden(text) | host::Error::Invalid(text) | host::Error::TooMany(text) => {
                Self::Failed(text)
            }
            host::Error::Unavailable | host::Error::Aborted => Self::Unavailable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_by_type() {
        let id = Uuid::from_u128(7);
        let day = crate::time::read_date("1985-06-15").unwrap();
        let rows = Rows(vec![vec![id.into(), "Ann".into(), day.into(), Value::Null, Timestamp(9).into()]]);
        let row: (Uuid, String, Date, Option<String>, Timestamp) = rows.one().unwrap();
        assert_eq!(row, (id, "Ann".to_owned(), day, None, Timestamp(9)));
    }

    #[test]
    fn a_row_of_another_shape_is_a_fault() {
        let rows = || Rows(vec![vec![1_i64.into(), 2_i64.into()]]);
        assert!(rows().one::<(i64,)>().is_err());
        assert!(rows().one::<(i64, String)>().is_err());
        assert!(rows().one::<(i64, i64, i64)>().is_err());
        assert_eq!(rows().one::<(i64, i64)>(), Ok((1, 2)));
    }

    #[derive(Debug, PartialEq)]
    struct Pair {
        count: i64,
        name: String,
    }

    crate::row!(Pair { count, name });

    #[test]
    fn a_struct_is_a_row_of_its_columns() {
        let rows = |row: Vec<Value>| Rows(vec![row]).one::<Pair>();
        assert_eq!(rows(vec![7_i64.into(), "a".into()]), Ok(Pair { count: 7, name: "a".to_owned() }));
        assert!(rows(vec![7_i64.into()]).is_err());
        assert!(rows(vec![7_i64.into(), "a".into(), Value::Null]).is_err());
    }

    #[test]
    fn no_row_is_none_or_a_fault() {
        assert_eq!(Rows(vec![]).first::<(i64,)>(), Ok(None));
        assert!(Rows(vec![]).one::<(i64,)>().is_err());
        assert_eq!(Rows(vec![]).all::<(i64,)>(), Ok(vec![]));
    }
}
