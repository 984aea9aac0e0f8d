use super::*;
use crate::account::Account;
use crate::testing::Fake;
use serde_json::Value;
use ward_sdk::http::Principal;

const JOHN: &str =
    r#"{"name":"John Doe","email":"john.doe@example.com","address":"123 Main St","dateOfBirth":"1985-06-15"}"#;

fn request(operation: &str) -> Request {
    let principal = Principal { subject: "ann@clinic.org".to_owned(), role: "CLINICIAN".to_owned() };
    Request { path: "/api/patients".to_owned(), principal: Some(principal), ..Request::test(operation) }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn of(operation: &str, id: &str) -> Request {
    Request { path_parameters: pairs(&[("id", id)]), ..request(operation) }
}

fn post_body(fake: &Fake, body: &str) -> Response {
    handle(fake, &Request { body: body.into(), ..request("registerPatient") })
}

fn list_with(fake: &Fake, query: &[(&str, &str)]) -> Response {
    handle(fake, &Request { query: pairs(query), ..request("listPatients") })
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

fn json_of(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

fn names(response: &Response) -> Vec<String> {
    let Value::Array(patients) = json_of(response) else { panic!() };
    patients.iter().map(|patient| patient["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_registration_answers_with_the_patient_its_place_and_its_version() {
    let fake = Fake::default();
    let response = post_body(&fake, JOHN);
    assert_eq!(response.status, 201);
    let id = "00000000-0000-0000-0000-000000000001";
    assert_eq!(header(&response, "location"), Some(format!("/api/patients/{id}").as_str()));
    assert_eq!(header(&response, "etag"), Some("\"1\""));
    assert_eq!(
        json_of(&response),
        json!({
            "id": id, "name": "John Doe", "email": "john.doe@example.com", "address": "123 Main St",
            "dateOfBirth": "1985-06-15", "registeredDate": "2026-03-01"
        })
    );
    assert_eq!(fake.history(), [format!("registered {id} 1 by ann@clinic.org")]);
}

#[test]
fn all_faults_come_at_once_as_a_problem() {
    let response =
        post_body(&Fake::default(), r#"{"dateOfBirth": "tomorrow", "registeredDate": 7, "allowDuplicate": "yes"}"#);
    assert_eq!(response.status, 400);
    assert_eq!(header(&response, "content-type"), Some("application/problem+json"));
    assert_eq!(
        json_of(&response)["errors"],
        json!({
            "name": ["Name is required"], "email": ["Email is required"], "address": ["Address is required"],
            "dateOfBirth": ["Date of birth must be a date like 1985-06-15"],
            "registeredDate": ["Registered date must be a string"],
            "allowDuplicate": ["Allow duplicate must be true or false"]
        })
    );
}

#[test]
fn a_broken_body_is_a_400() {
    for body in ["", "{", "[]", "null"] {
        assert_eq!(post_body(&Fake::default(), body).status, 400, "{body}");
    }
}

#[test]
fn a_duplicate_is_a_409_with_candidates_until_it_is_allowed() {
    let fake = Fake::default();
    post_body(&fake, JOHN);
    let response = post_body(&fake, JOHN);
    assert_eq!(response.status, 409);
    let problem = json_of(&response);
    assert_eq!(
        problem["candidates"],
        json!([{
            "id": "00000000-0000-0000-0000-000000000001", "grade": "certain",
            "reasons": ["sameName", "sameDateOfBirth", "sameEmail"]
        }])
    );
    assert!(!problem.to_string().contains("Doe"), "a problem says nothing about a patient");

    let query = pairs(&[("allowDuplicate", "true")]);
    let allowed = Request { body: JOHN.into(), query, ..request("registerPatient") };
    assert_eq!(handle(&fake, &allowed).status, 201);
    let in_body = JOHN.replace('{', r#"{"allowDuplicate":true,"#);
    assert_eq!(post_body(&fake, &in_body).status, 201);
}

#[test]
fn a_patient_is_read_with_its_version() {
    let fake = Fake::default();
    let id = fake.register("John Doe", "john.doe@example.com", "1985-06-15").id.0.to_string();
    let response = handle(&fake, &of("getPatient", &id));
    assert_eq!((response.status, header(&response, "etag")), (200, Some("\"1\"")));
    assert!(json_of(&response).get("account").is_none());

    let known = Request { headers: pairs(&[("if-none-match", "\"1\"")]), ..of("getPatient", &id) };
    let response = handle(&fake, &known);
    assert_eq!((response.status, response.body.len(), header(&response, "etag")), (304, 0, Some("\"1\"")));
}

#[test]
fn an_unknown_id_and_one_that_is_none_are_404() {
    for operation in ["getPatient", "deletePatient"] {
        for id in ["00000000-0000-0000-0000-000000000099", "7", ""] {
            assert_eq!(handle(&Fake::default(), &of(operation, id)).status, 404, "{operation} {id}");
        }
    }
}

#[test]
fn the_account_comes_along_when_asked_for_and_its_absence_is_said() {
    for (account, expected) in [
        (Account::Open { id: "7".to_owned() }, json!({ "state": "open", "id": "7" })),
        (Account::Closed { id: "7".to_owned() }, json!({ "state": "closed", "id": "7" })),
        (Account::None, json!({ "state": "none" })),
        (Account::Unavailable { reason: "overloaded" }, json!({ "state": "unavailable", "reason": "overloaded" })),
    ] {
        let fake = Fake { account, ..Fake::default() };
        let id = fake.register("John Doe", "john.doe@example.com", "1985-06-15").id.0.to_string();
        let query = pairs(&[("include", "account")]);
        let headers = pairs(&[("if-none-match", "\"1\"")]);
        let response = handle(&fake, &Request { query, headers, ..of("getPatient", &id) });
        assert_eq!(response.status, 200);
        assert_eq!(json_of(&response)["account"], expected);
    }
    let query = pairs(&[("include", "history")]);
    assert_eq!(handle(&Fake::default(), &Request { query, ..of("getPatient", "7") }).status, 404);
}

#[test]
fn a_change_needs_the_current_version() {
    let fake = Fake::default();
    let id = fake.register("John Doe", "john.doe@example.com", "1985-06-15").id.0.to_string();
    let put = |tag: Option<&str>, body: &str| {
        let headers = tag.map(|tag| pairs(&[("if-match", tag)])).unwrap_or_default();
        handle(&fake, &Request { body: body.into(), headers, ..of("replacePatient", &id) })
    };
    let changed = JOHN.replace("123 Main St", "1 Elm St");
    assert_eq!(put(Some("\"9\""), &changed).status, 412);
    let response = put(Some("\"1\""), &changed);
    assert_eq!((response.status, header(&response, "etag")), (200, Some("\"2\"")));
    assert_eq!(json_of(&response)["address"], "1 Elm St");
    assert_eq!(put(None, JOHN).status, 200);
    assert_eq!(put(None, "{}").status, 400);
}

#[test]
fn a_deletion_may_be_repeated() {
    let fake = Fake::default();
    let id = fake.register("John Doe", "john.doe@example.com", "1985-06-15").id.0.to_string();
    let stale = Request { headers: pairs(&[("if-match", "\"9\"")]), ..of("deletePatient", &id) };
    assert_eq!(handle(&fake, &stale).status, 412);
    assert_eq!(handle(&fake, &of("deletePatient", &id)).status, 204);
    assert_eq!(handle(&fake, &of("deletePatient", &id)).status, 204);
    assert_eq!(handle(&fake, &of("getPatient", &id)).status, 404);
    assert_eq!(names(&list_with(&fake, &[])), Vec::<String>::new());
}

#[test]
fn a_list_is_a_root_array_with_a_link_to_more() {
    let fake = Fake::default();
    assert_eq!(json_of(&list_with(&fake, &[])), json!([]));
    for name in ["Cem", "Ann", "Bob"] {
        fake.register(name, "family@example.com", "1985-06-15");
    }
    let first = list_with(&fake, &[("email", "Family@Example.com"), ("limit", "2")]);
    assert_eq!(names(&first), ["Ann", "Bob"]);
    let link = header(&first, "link").unwrap();
    assert!(link.starts_with("</api/patients?email=Family%40Example.com&limit=2&cursor="), "{link}");
    assert!(link.ends_with(">; rel=\"next\""), "{link}");
    let cursor = link.split("cursor=").nth(1).unwrap().split('>').next().unwrap();
    let second = list_with(&fake, &[("email", "family@example.com"), ("limit", "2"), ("cursor", cursor)]);
    assert_eq!(names(&second), ["Cem"]);
    assert_eq!(header(&second, "link"), None);
    assert_eq!(header(&list_with(&fake, &[("limit", "3")]), "link"), None, "no empty last page");
}

#[test]
fn searches_combine() {
    let fake = Fake::default();
    fake.register("José Álvarez", "jose@example.com", "1985-06-15");
    fake.register("Joan Álvarez", "joan@example.com", "1990-01-01");
    fake.register("Jo Miller", "jo@example.com", "1985-06-15");
    assert_eq!(names(&list_with(&fake, &[("name", "jo")])), ["Jo Miller", "Joan Álvarez", "José Álvarez"]);
    assert_eq!(names(&list_with(&fake, &[("name", "alv JOSE")])), ["José Álvarez"]);
    assert_eq!(
        names(&list_with(&fake, &[("name", "jo"), ("dateOfBirth", "1985-06-15")])),
        ["Jo Miller", "José Álvarez"]
    );
    assert_eq!(names(&list_with(&fake, &[("name", "jo"), ("email", "joan@example.com")])), ["Joan Álvarez"]);
    assert_eq!(names(&list_with(&fake, &[("name", "  ")])).len(), 3);
}

#[test]
fn wrong_parameters_are_faults() {
    for (name, value) in
        [("limit", "0"), ("limit", "201"), ("cursor", "nonsense"), ("dateOfBirth", "1985"), ("email", "a\0@b")]
    {
        let response = list_with(&Fake::default(), &[(name, value)]);
        assert_eq!(response.status, 400, "{name}");
        assert!(json_of(&response)["errors"].get(name).is_some(), "{name}");
    }
}

#[test]
fn a_store_that_cannot_be_reached_is_a_503() {
    let fake = Fake { broken: true, ..Fake::default() };
    assert_eq!(list_with(&fake, &[]).status, 503);
    assert_eq!(post_body(&fake, JOHN).status, 503);
}
