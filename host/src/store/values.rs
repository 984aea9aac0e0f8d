//! The guest's values to PostgreSQL's and back.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgRow, PgTypeInfo, PgValueRef};
use sqlx::{Arguments, Column, Decode, Encode, Postgres, Row, Type, TypeInfo, ValueRef};
use time::{Date, Month, OffsetDateTime};
use uuid::Uuid;

use crate::bindings::ward::store::sql;

/// JSONB's type id, a constant of PostgreSQL.
const JSONB: Oid = Oid(3802);

/// The parameters of a statement; an error names the parameter's place.
pub fn arguments(parameters: Vec<sql::Value>) -> Result<PgArguments, sql::Error> {
    let mut arguments = PgArguments::default();
    for (index, parameter) in parameters.into_iter().enumerate() {
        add(&mut arguments, parameter)
            .map_err(|message| sql::Error::Invalid(format!("parameter ${}: {message}", index + 1)))?;
    }
    Ok(arguments)
}

fn add(arguments: &mut PgArguments, value: sql::Value) -> Result<(), BoxDynError> {
    match value {
        sql::Value::Null => arguments.add(Null),
        sql::Value::Boolean(value) => arguments.add(value),
        sql::Value::Int32(value) => arguments.add(value),
        sql::Value::Int64(value) => arguments.add(value),
        sql::Value::Float64(value) => arguments.add(value),
        sql::Value::Text(value) => arguments.add(value),
        sql::Value::Bytes(value) => arguments.add(value),
        sql::Value::Uuid((high, low)) => arguments.add(Uuid::from_u64_pair(high, low)),
        sql::Value::Date(value) => arguments.add(date(value)?),
        sql::Value::Timestamp(micros) => arguments.add(instant(micros)?),
        sql::Value::Json(text) => arguments.add(Json(text)),
        sql::Value::TextList(values) => arguments.add(values),
    }
}

fn date(value: sql::Date) -> Result<Date, BoxDynError> {
    Ok(Date::from_calendar_date(value.year, Month::try_from(value.month)?, value.day)?)
}

fn instant(micros: i64) -> Result<OffsetDateTime, BoxDynError> {
    Ok(OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000)?)
}

/// Bytes of a parameter, as it is sent.
pub fn parameter_size(value: &sql::Value) -> usize {
    match value {
        sql::Value::Text(text) | sql::Value::Json(text) => text.len(),
        sql::Value::Bytes(bytes) => bytes.len(),
        sql::Value::TextList(texts) => texts.iter().map(|text| text.len() + 4).sum(),
        _ => 16,
    }
}

/// Bytes of a row's cells.
pub fn size(row: &PgRow) -> usize {
    let cells = (0..row.columns().len()).filter_map(|index| row.try_get_raw(index).ok());
    cells.map(|cell| cell.as_bytes().map_or(0, <[u8]>::len)).sum()
}

pub fn columns(row: &PgRow) -> Vec<String> {
    row.columns().iter().map(|column| column.name().to_owned()).collect()
}

pub fn cells(row: &PgRow) -> Result<Vec<sql::Value>, sql::Error> {
    (0..row.columns().len()).map(|index| cell(row, index)).collect()
}

fn cell(row: &PgRow, index: usize) -> Result<sql::Value, sql::Error> {
    let undecodable = |_| sql::Error::Invalid(format!("column {} could not be decoded", index + 1));
    let value = row.try_get_raw(index).map_err(undecodable)?;
    if value.is_null() {
        return Ok(sql::Value::Null);
    }
    let name = value.type_info().name().to_owned();
    Ok(match name.as_str() {
        "BOOL" => sql::Value::Boolean(get(value)?),
        "INT2" => sql::Value::Int32(i32::from(get::<i16>(value)?)),
        "INT4" => sql::Value::Int32(get(value)?),
        "INT8" => sql::Value::Int64(get(value)?),
        "FLOAT4" => sql::Value::Float64(f64::from(get::<f32>(value)?)),
        "FLOAT8" => sql::Value::Float64(get(value)?),
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "UNKNOWN" => sql::Value::Text(get(value)?),
        "BYTEA" => sql::Value::Bytes(get(value)?),
        "UUID" => sql::Value::Uuid(get::<Uuid>(value)?.as_u64_pair()),
        "DATE" => {
            let date: Date = get(value)?;
            sql::Value::Date(sql::Date { year: date.year(), month: date.month().into(), day: date.day() })
        }
        "TIMESTAMPTZ" => {
            let nanos = get::<OffsetDateTime>(value)?.unix_timestamp_nanos();
            sql::Value::Timestamp(i64::try_from(nanos / 1000).unwrap_or(i64::MAX))
        }
        "JSONB" | "JSON" => sql::Value::Json(get::<Json>(value)?.0),
        "TEXT[]" | "VARCHAR[]" => sql::Value::TextList(get(value)?),
        "VOID" => sql::Value::Null,
        other => {
            return Err(sql::Error::Invalid(format!(
                "column {} has the type {other}, which cannot be handed over: cast it, for example to text",
                index + 1
            )));
        }
    })
}

fn get<'r, T: Decode<'r, Postgres>>(value: PgValueRef<'r>) -> Result<T, sql::Error> {
    T::decode(value).map_err(|_| sql::Error::Invalid("a column could not be decoded".to_owned()))
}

/// NULL of whatever type the server infers.
struct Null;

impl Type<Postgres> for Null {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for Null {
    fn encode_by_ref(&self, _: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(IsNull::Yes)
    }
}

/// JSON as text, neither parsed nor written again on the way.
struct Json(String);

impl Type<Postgres> for Json {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(JSONB)
    }
}

impl Encode<'_, Postgres> for Json {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        // The version of the binary format.
        buffer.push(1);
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r, Postgres> for Json {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let bytes = value.as_bytes()?;
        let text = bytes.strip_prefix(&[1]).unwrap_or(bytes);
        Ok(Self(std::str::from_utf8(text)?.to_owned()))
    }
}
