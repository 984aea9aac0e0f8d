//! The OpenAPI document of a service, made of its declaration.

use serde_json::{Map, Value, json};

use super::{Route, Service};
use crate::shape::Field;

/// An operation while its handler's arguments and its reply describe themselves.
pub struct Operation {
    path: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    responses: Map<String, Value>,
    named: Map<String, Value>,
}

impl Operation {
    /// The named schemas of the document.
    pub fn named(&mut self) -> &mut Map<String, Value> {
        &mut self.named
    }

    /// The names are those in the braces of the path.
    pub fn path(&mut self, schemas: Vec<Value>) {
        let names = self.path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
        for (name, schema) in names.zip(schemas) {
            self.parameters.push(json!({"name": name, "in": "path", "required": true, "schema": schema}));
        }
        self.problem(404, "There is nothing with this id.");
    }

    pub fn query(&mut self, fields: Vec<Field>) {
        let fields = fields.into_iter().map(|field| {
            let Field { name, description, schema, is_required } = field;
            json!({"name": name, "in": "query", "required": is_required, "description": description, "schema": schema})
        });
        self.parameters.extend(fields);
        self.problem(400, "The request is not valid; `errors` names every fault.");
    }

    pub fn body(&mut self, schema: Value) {
        self.body = Some(json!({"required": true, "content": {"application/json": {"schema": schema}}}));
        self.problem(400, "The request is not valid; `errors` names every fault.");
    }

    pub fn reply(&mut self, status: u16, schema: Option<Value>) {
        let mut response = json!({"description": described(status)});
        if let (Some(schema), Some(members)) = (schema, response.as_object_mut()) {
            members.insert("content".to_owned(), json!({"application/json": {"schema": schema}}));
        }
        self.responses.insert(status.to_string(), response);
    }

    fn problem(&mut self, status: u16, description: &str) {
        let content = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
        self.responses.insert(status.to_string(), json!({"description": description, "content": content}));
    }
}

fn described(status: u16) -> &'static str {
    match status {
        201 => "Made.",
        204 => "Done.",
        _ => "The answer.",
    }
}

pub fn write<P>(service: &Service<P>) -> Value {
    let (mut paths, mut named) = (Map::new(), Map::from_iter([("Problem".to_owned(), problem())]));
    for route in &service.routes {
        let operation = operation(route, service.name, &mut named);
        let place = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(place) = place.as_object_mut() {
            place.insert(route.method.to_lowercase(), operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": service.title, "version": service.version, "description": service.summary},
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "schemas": named,
        },
    })
}

fn operation<P>(route: &Route<P>, tag: &str, named: &mut Map<String, Value>) -> Value {
    let mut operation = Operation {
        path: route.path,
        parameters: Vec::new(),
        body: None,
        responses: Map::new(),
        named: std::mem::take(named),
    };
    (route.describe)(&mut operation);
    operation.problem(401, "No token, or one that is not valid (any more).");
    operation.problem(503, "The service cannot answer now. Try again after the seconds in `Retry-After`.");
    if route.access.is_some() {
        operation.problem(403, "The token's role may not do this.");
    }
    for (status, description) in &route.problems {
        operation.problem(*status, description);
    }
    *named = operation.named;
    let description = match route.access {
        Some(roles) => format!("Roles: {}.", roles.join(", ")),
        None => "Any role.".to_owned(),
    };
    let mut written = json!({
        "operationId": route.operation,
        "summary": route.summary,
        "description": description,
        "tags": [tag],
        "security": [{"bearer": []}],
        "parameters": operation.parameters,
        "responses": operation.responses,
    });
    if let (Some(body), Some(members)) = (operation.body, written.as_object_mut()) {
        members.insert("requestBody".to_owned(), body);
    }
    written
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "RFC 9457.",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "errors": {
                "type": "object",
                "description": "By field, what is wrong with it.",
                "additionalProperties": {"type": "array", "items": {"type": "string"}},
            },
        },
    })
}
