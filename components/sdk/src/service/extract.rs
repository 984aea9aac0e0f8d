//! What a handler can take from a request.

use uuid::Uuid;

use super::document::Operation;
use crate::fields::Faults;
use crate::http::Request;
use crate::problem::Problem;
use crate::shape::{Fieldset, Place, Shape};

use super::Json;

pub trait Extract: Sized {
    /// None after faults were added, so that those of the other arguments are found as well; a problem where no other fault matters.
    fn extract(request: &Request, faults: &mut Faults) -> Result<Option<Self>, Problem>;

    fn describe(operation: &mut Operation);
}

/// The parameters of the path, in their order. One that does not fit belongs to nothing, so it is a 404.
#[derive(Debug, Clone, PartialEq)]
pub struct Path<T>(pub T);

/// One parameter, or two or three of them.
pub trait PathShape: Sized {
    fn read(parameters: &[(String, String)]) -> Option<Self>;

    fn schemas() -> Vec<serde_json::Value>;
}

impl PathShape for Uuid {
    fn read(parameters: &[(String, String)]) -> Option<Self> {
        one(parameters.first())
    }

    fn schemas() -> Vec<serde_json::Value> {
        vec![schema::<Self>()]
    }
}

impl PathShape for String {
    fn read(parameters: &[(String, String)]) -> Option<Self> {
        one(parameters.first())
    }

    fn schemas() -> Vec<serde_json::Value> {
        vec![schema::<Self>()]
    }
}

impl<A: Shape, B: Shape> PathShape for (A, B) {
    fn read(parameters: &[(String, String)]) -> Option<Self> {
        Some((one(parameters.first())?, one(parameters.get(1))?))
    }

    fn schemas() -> Vec<serde_json::Value> {
        vec![schema::<A>(), schema::<B>()]
    }
}

fn one<T: Shape>(parameter: Option<&(String, String)>) -> Option<T> {
    T::parse(&parameter?.1, &Place::default(), &mut Faults::default())
}

fn schema<T: Shape>() -> serde_json::Value {
    T::schema(&mut serde_json::Map::new())
}

impl<T: PathShape> Extract for Path<T> {
    fn extract(request: &Request, _: &mut Faults) -> Result<Option<Self>, Problem> {
        let read = T::read(&request.path_parameters);
        read.map(|read| Some(Self(read))).ok_or_else(|| Problem::not_found("There is nothing with this id."))
    }

    fn describe(operation: &mut Operation) {
        operation.path(T::schemas());
    }
}

/// The query, as a [`shape!`](crate::shape!).
#[derive(Debug, Clone, PartialEq)]
pub struct Query<T>(pub T);

impl<T: Fieldset> Extract for Query<T> {
    fn extract(request: &Request, faults: &mut Faults) -> Result<Option<Self>, Problem> {
        Ok(T::parse_query(&request.query, faults).map(Self))
    }

    fn describe(operation: &mut Operation) {
        let fields = T::fields(operation.named());
        operation.query(fields);
    }
}

/// The body, as a [`shape!`](crate::shape!).
impl<T: Shape> Extract for Json<T> {
    fn extract(request: &Request, faults: &mut Faults) -> Result<Option<Self>, Problem> {
        let value = serde_json::Value::Object(request.object()?);
        Ok(T::read(value, &Place::default(), faults).map(Self))
    }

    fn describe(operation: &mut Operation) {
        let schema = T::schema(operation.named());
        operation.body(schema);
    }
}

/// Who asks: the e-mail address of a user, or the name of a trusted system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(pub String);

impl Extract for Caller {
    fn extract(request: &Request, _: &mut Faults) -> Result<Option<Self>, Problem> {
        Ok(Some(Self(request.subject().to_owned())))
    }

    fn describe(_: &mut Operation) {}
}

/// All of it, for what the others do not give: headers, conditions, cursors.
impl Extract for Request {
    fn extract(request: &Request, _: &mut Faults) -> Result<Option<Self>, Problem> {
        Ok(Some(request.clone()))
    }

    fn describe(_: &mut Operation) {}
}
