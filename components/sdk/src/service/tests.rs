//! A small library, asked and described.

use std::cell::RefCell;

use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate as ward_sdk;
use crate::description::openapi_mismatches;
use crate::shape::{Between, Text};

type Shelf = RefCell<Vec<Book>>;

crate::shape! {
    struct Book { id: Uuid, title: Text<20> }
}

crate::shape! {
    struct NewBook { title: Text<20> }
}

crate::shape! {
    struct Wanted { limit: Option<Between<1, 10>> }
}

fn add(shelf: &Shelf, Query(wanted): Query<Wanted>, Json(new): Json<NewBook>) -> Result<Created<Book>, Problem> {
    let _ = wanted;
    let book = Book { id: Uuid::from_u128(7), title: new.title };
    shelf.borrow_mut().push(book.clone());
    Ok(Created { location: format!("/api/books/{}", book.id), body: book })
}

fn show(shelf: &Shelf, Path(id): Path<Uuid>) -> Result<Json<Book>, Problem> {
    let found = shelf.borrow().iter().find(|book| book.id == id).cloned();
    found.map(Json).ok_or_else(|| Problem::not_found("There is no such book."))
}

fn list(shelf: &Shelf) -> Json<Vec<Book>> {
    Json(shelf.borrow().clone())
}

fn gone(shelf: &Shelf, _: (), event: &Event) -> Result<(), Disposition> {
    shelf.borrow_mut().retain(|book| book.id.to_string() != event.subject);
    Ok(())
}

fn library() -> Service<Shelf> {
    Service::new("library", "0.1.0")
        .title("Library", "Books.")
        .route(get("/api/books", "listBooks", list).summary("All"))
        .route(post("/api/books", "addBook", add).roles(&["ADMIN"]).problem(409, "It is there."))
        .route(get("/api/books/{id}", "getBook", show).roles(&["ADMIN", "READER"]))
        .hear("sort-out", "book.gone", gone)
        .hear("sort-out", "book.burnt", gone)
        .publishes(&["book.added"])
}

fn ask(shelf: &Shelf, request: Request) -> (u16, Value) {
    let response = library().handle(shelf, &request);
    (response.status, serde_json::from_slice(&response.body).unwrap())
}

#[test]
fn a_request_reaches_its_handler_with_typed_arguments() {
    let shelf = Shelf::default();
    let adding = Request { body: br#"{"title": "Emma"}"#.to_vec(), ..Request::test("addBook") };
    let emma = json!({"id": Uuid::from_u128(7), "title": "Emma"});
    assert_eq!(ask(&shelf, adding), (201, emma.clone()));
    let path_parameters = vec![("id".to_owned(), Uuid::from_u128(7).to_string())];
    assert_eq!(ask(&shelf, Request { path_parameters, ..Request::test("getBook") }), (200, emma.clone()));
    assert_eq!(ask(&shelf, Request::test("listBooks")), (200, json!([emma])));
}

#[test]
fn faults_of_query_and_body_are_said_together() {
    let query = vec![("limit".to_owned(), "99".to_owned())];
    let request = Request { query, body: b"{}".to_vec(), ..Request::test("addBook") };
    let (status, problem) = ask(&Shelf::default(), request);
    assert_eq!(status, 400);
    assert_eq!(problem["errors"].as_object().unwrap().keys().collect::<Vec<_>>(), ["limit", "title"]);
}

#[test]
fn what_belongs_to_nothing_is_not_found() {
    let path_parameters = vec![("id".to_owned(), "7".to_owned())];
    assert_eq!(ask(&Shelf::default(), Request { path_parameters, ..Request::test("getBook") }).0, 404);
    assert_eq!(ask(&Shelf::default(), Request::test("burnBook")).0, 404);
}

#[test]
fn events_go_to_the_handler_of_their_type() {
    let shelf = Shelf::new(vec![Book { id: Uuid::from_u128(7), title: "Emma".to_owned().into() }]);
    let event = |kind: &str| Event {
        id: String::new(),
        type_: kind.to_owned(),
        source: String::new(),
        subject: Uuid::from_u128(7).to_string(),
        time: 0,
        version: 1,
        data: Vec::new(),
    };
    assert!(matches!(library().receive(&shelf, "sort-out", &event("book.lent")), Err(Disposition::Reject(_))));
    assert!(matches!(library().receive(&shelf, "other", &event("book.gone")), Err(Disposition::Reject(_))));
    library().receive(&shelf, "sort-out", &event("book.gone")).unwrap();
    assert!(shelf.borrow().is_empty());
}

#[test]
fn the_description_and_the_document_are_the_declaration() {
    let described = library().describe();
    assert_eq!(openapi_mismatches(&described), Vec::<String>::new());
    assert_eq!(described.subscriptions[0].event_types, ["book.gone", "book.burnt"]);
    assert!(matches!(described.routes[1].effect, Effect::Write));
    let document: Value = serde_json::from_str(&described.openapi).unwrap();
    let adding = &document["paths"]["/api/books"]["post"];
    assert_eq!(adding["description"], "Roles: ADMIN.");
    assert_eq!(adding["parameters"][0]["name"], "limit");
    let schema = &adding["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(schema["$ref"], "#/components/schemas/NewBook");
    let statuses: Vec<_> = adding["responses"].as_object().unwrap().keys().collect();
    assert_eq!(statuses, ["201", "400", "401", "403", "409", "503"]);
    let showing = &document["paths"]["/api/books/{id}"]["get"];
    assert_eq!(showing["parameters"][0]["schema"]["format"], "uuid");
    assert!(document["components"]["schemas"]["Book"].is_object());
}
