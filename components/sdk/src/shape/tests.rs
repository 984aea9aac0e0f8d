//! An order, read and described.

use serde_json::json;
use uuid::Uuid;

use super::*;
use crate as ward_sdk;

crate::shape! {
    /// What was
    /// asked for.
    struct Order {
        /// Who.
        asked_by: Uuid,
        what: Text<5>,
        kind: Option<Kind>,
        lines: Vec<Line>,
    }
}

crate::shape! {
    struct Line { count: Between<1, 9> }
}

crate::shape! {
    /// How.
    enum Kind { Fast = "fast", Slow = "slow" }
}

const ID: &str = "123e4567-e89b-12d3-a456-426614174000";

fn read(value: Value) -> Result<Order, Value> {
    let mut faults = Faults::default();
    let order = Order::read(value, &Place::default(), &mut faults);
    assert_eq!(order.is_none(), !faults.is_empty(), "a fault for each refusal, and none else");
    order.ok_or_else(|| serde_json::to_value(&faults).unwrap())
}

#[test]
fn writes_what_it_read() {
    let body = json!({"askedBy": ID, "what": " a ", "kind": "slow", "lines": [{"count": 2}], "other": 1});
    let order = read(body).unwrap();
    let written = json!({"askedBy": ID, "what": "a", "kind": "slow", "lines": [{"count": 2}]});
    assert_eq!(serde_json::to_value(&order).unwrap(), written);
    assert_eq!(read(json!({"askedBy": ID, "what": "a", "kind": null, "lines": []})).unwrap().kind, None);
}

#[test]
fn says_all_faults_at_once_and_where() {
    let body = json!({"askedBy": 7, "what": "abcdef", "kind": "x", "lines": [{"count": 2}, {"count": 10}, {}, 3]});
    let expected = json!({
        "askedBy": ["Asked by must be a UUID"],
        "what": ["What must have at most 5 characters"],
        "kind": ["Kind must be one of: fast slow"],
        "lines[1].count": ["Count must be a whole number from 1 to 9"],
        "lines[2].count": ["Count is required"],
        "lines[3]": ["Lines[3] must be an object"],
    });
    assert_eq!(read(body).unwrap_err(), expected);
    let missing = read(json!({"what": " \t"})).unwrap_err();
    assert_eq!(
        missing,
        json!({"askedBy": ["Asked by is required"], "what": ["What is required"], "lines": ["Lines is required"]})
    );
    assert_eq!(read(json!([])).unwrap_err(), json!({"body": ["The body must be an object"]}));
    assert_eq!(
        read(json!({"askedBy": ID, "what": "\0", "lines": []})).unwrap_err()["what"],
        json!(["What contains a character that is not allowed"])
    );
}

#[test]
fn a_query_is_read_by_the_same_declaration() {
    let query = |count: &str| vec![("count".to_owned(), count.to_owned())];
    let mut faults = Faults::default();
    assert_eq!(Line::parse_query(&query(" 3 "), &mut faults).unwrap().count, Between(3));
    assert!(faults.is_empty());
    assert_eq!(Line::parse_query(&query(""), &mut faults), None);
    assert_eq!(faults.on("count"), ["Count is required"]);
}

#[test]
fn the_schema_is_that_of_the_fields() {
    let mut named = Map::new();
    assert_eq!(Order::schema(&mut named), json!({"$ref": "#/components/schemas/Order"}));
    assert_eq!(
        named["Order"],
        json!({
            "type": "object",
            "description": "What was asked for.",
            "required": ["askedBy", "what", "lines"],
            "properties": {
                "askedBy": {"type": "string", "format": "uuid", "description": "Who."},
                "what": {"type": "string", "minLength": 1, "maxLength": 5},
                "kind": {"$ref": "#/components/schemas/Kind"},
                "lines": {"type": "array", "items": {"$ref": "#/components/schemas/Line"}},
            },
        })
    );
    assert_eq!(named["Kind"], json!({"type": "string", "description": "How.", "enum": ["fast", "slow"]}));
}
