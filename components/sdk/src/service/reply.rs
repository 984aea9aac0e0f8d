//! What a handler can return.

use serde::Serialize;

use super::document::Operation;
use crate::http::{Request, Response};
use crate::problem::Problem;
use crate::shape::Shape;

pub trait Reply {
    fn into_response(self) -> Result<Response, Problem>;

    fn describe(operation: &mut Operation);
}

/// 200 with a body.
#[derive(Debug, Clone, PartialEq)]
pub struct Json<T>(pub T);

/// 201 with what was made, and where it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Created<T> {
    pub location: String,
    pub body: T,
}

/// 204.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoContent;

/// 200 with a part of a list, and a `Link` to the next part if there is one.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The next part is asked for by the same request with this `cursor`.
    pub fn of(items: Vec<T>, cursor: Option<&str>, request: &Request) -> Self {
        Self { items, next: cursor.map(|cursor| request.link_to_next(cursor)) }
    }
}

impl<T: Shape + Serialize> Reply for Page<T> {
    fn into_response(self) -> Result<Response, Problem> {
        let response = Response::json(200, &self.items);
        Ok(self.next.iter().fold(response, |response, link| response.header("link", link)))
    }

    fn describe(operation: &mut Operation) {
        let schema = Vec::<T>::schema(operation.named());
        operation.reply(200, Some(schema));
    }
}

impl<T: Shape + Serialize> Reply for Json<T> {
    fn into_response(self) -> Result<Response, Problem> {
        Ok(Response::json(200, &self.0))
    }

    fn describe(operation: &mut Operation) {
        let schema = T::schema(operation.named());
        operation.reply(200, Some(schema));
    }
}

impl<T: Shape + Serialize> Reply for Created<T> {
    fn into_response(self) -> Result<Response, Problem> {
        Ok(Response::json(201, &self.body).header("location", &self.location))
    }

    fn describe(operation: &mut Operation) {
        let schema = T::schema(operation.named());
        operation.reply(201, Some(schema));
    }
}

impl Reply for NoContent {
    fn into_response(self) -> Result<Response, Problem> {
        Ok(Response::empty(204))
    }

    fn describe(operation: &mut Operation) {
        operation.reply(204, None);
    }
}

/// As it is; the document says only that there is an answer.
impl Reply for Response {
    fn into_response(self) -> Result<Response, Problem> {
        Ok(self)
    }

    fn describe(operation: &mut Operation) {
        operation.reply(200, None);
    }
}

impl<R: Reply> Reply for Result<R, Problem> {
    fn into_response(self) -> Result<Response, Problem> {
        self?.into_response()
    }

    fn describe(operation: &mut Operation) {
        R::describe(operation);
    }
}
