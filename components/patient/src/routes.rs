//! Patients over REST: requests in, the domain's answers out.

use serde_json::json;
use ward_sdk::fields::{Faults, Fields, is_storable};
use ward_sdk::http::{Paging, Request, Response, etag};
use ward_sdk::problem::Problem;
use ward_sdk::time::read_date;

use crate::body::Body;
use crate::change::ChangeError;
use crate::check;
use crate::delete::delete;
use crate::find::find;
use crate::list::{Position, Search, list};
use crate::model::{Duplicates, Patient, PatientId};
use crate::ports::Ports;
use crate::register::{RegisterError, Registration, register, today};
use crate::replace::replace;

const USUAL_PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 200;

pub fn handle(ports: &impl Ports, request: &Request) -> Response {
    let answer = match request.operation.as_str() {
        "listPatients" => get_list(ports, request),
        "registerPatient" => post(ports, request),
        "getPatient" => get(ports, request),
        "replacePatient" => put(ports, request),
        "deletePatient" => remove(ports, request),
        _ => Err(Problem::new(404)),
    };
    answer.unwrap_or_else(Response::from)
}

fn get_list(ports: &impl Ports, request: &Request) -> Result<Response, Problem> {
    let mut faults = Faults::default();
    let search = search(request, &mut faults);
    let paging = Paging::read(request, USUAL_PAGE, LARGEST_PAGE, &mut faults);
    let after = match &paging.cursor {
        None => Some(Position::start(&search)),
        Some(cursor) => Position::read_cursor(cursor, &search),
    };
    let Some(after) = after.filter(|_| faults.is_empty()) else {
        if paging.cursor.is_some() && faults.is_empty() {
            faults.add("cursor", "Cursor must be one that this search gave");
        }
        return Err(Problem::invalid(faults));
    };
    let page = list(ports, &search, &after, paging.limit)?;
    let body: Vec<_> = page.patients.iter().map(Body::of).collect();
    let response = Response::json(200, &body);
    Ok(match page.next {
        Some(next) => response.header("link", &request.link_to_next(&next.to_cursor())),
        None => response,
    })
}

fn search(request: &Request, faults: &mut Faults) -> Search {
    let date_of_birth = request.parameter("dateOfBirth").map(read_date);
    if date_of_birth == Some(None) {
        faults.add("dateOfBirth", "Date of birth must be a date like 1985-06-15");
    }
    let email = request.parameter("email");
    if email.is_some_and(|email| !is_storable(email)) {
        faults.add("email", "Email contains a character that is not allowed");
    }
    Search::new(request.parameter("name"), email, date_of_birth.flatten())
}

fn post(ports: &impl Ports, request: &Request) -> Result<Response, Problem> {
    let patient = register(ports, registration(ports, request)?, request.subject())?;
    let location = format!("/api/patients/{}", patient.id.0);
    Ok(shown(201, &patient, Body::of(&patient)).header("location", &location))
}

fn registration(ports: &impl Ports, request: &Request) -> Result<Registration, Problem> {
    let mut fields = Fields::new(request.object()?);
    let today = today(ports)?;
    let registered_date = check::registered_date(&mut fields, today);
    let duplicates = duplicates(request, &mut fields);
    match check::details(&mut fields, today) {
        Some(details) => Ok(Registration { details, registered_date, duplicates }),
        None => Err(Problem::invalid(fields.faults)),
    }
}

/// In the query or in the body.
fn duplicates(request: &Request, fields: &mut Fields) -> Duplicates {
    let in_body = fields.flag("allowDuplicate", "Allow duplicate").unwrap_or_default();
    let in_query = match request.parameter("allowDuplicate") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => {
            fields.faults.add("allowDuplicate", "Allow duplicate must be true or false");
            false
        }
    };
    if in_body || in_query { Duplicates::Allow } else { Duplicates::Refuse }
}

fn get(ports: &impl Ports, request: &Request) -> Result<Response, Problem> {
    let id = id(request)?;
    let include_account = match request.parameter("include") {
        None => false,
        Some("account") => true,
        Some(_) => return Err(Problem::invalid(Faults::of("include", "Include can only be account"))),
    };
    let patient = find(ports, id)?.ok_or_else(not_found)?;
    if include_account {
        // The account has no version, so nobody is told that nothing has changed.
        return Ok(shown(200, &patient, Body::of(&patient).with(ports.account(id))));
    }
    if request.has(patient.version) {
        return Ok(Response::empty(304).header("etag", &etag(patient.version)));
    }
    Ok(shown(200, &patient, Body::of(&patient)))
}

fn put(ports: &impl Ports, request: &Request) -> Result<Response, Problem> {
    let id = id(request)?;
    let mut fields = Fields::new(request.object()?);
    let Some(details) = check::details(&mut fields, today(ports)?) else {
        return Err(Problem::invalid(fields.faults));
    };
    let patient = replace(ports, id, details, |version| request.matches(version), request.subject())?;
    Ok(shown(200, &patient, Body::of(&patient)))
}

fn remove(ports: &impl Ports, request: &Request) -> Result<Response, Problem> {
    delete(ports, id(request)?, |version| request.matches(version), request.subject())?;
    Ok(Response::empty(204))
}

fn id(request: &Request) -> Result<PatientId, Problem> {
    request.id("id").map(PatientId).map_err(|_| not_found())
}

fn shown(status: u16, patient: &Patient, body: Body<'_>) -> Response {
    Response::json(status, &body).header("etag", &etag(patient.version))
}

fn not_found() -> Problem {
    Problem::not_found("There is no patient with this id.")
}

impl From<RegisterError> for Problem {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Store(error) => error.into(),
            RegisterError::Duplicate(candidates) => Problem::new(409)
                .named("urn:ward:problem:duplicate", "This looks like a patient who is registered already")
                .detail(
                    "Look at the candidates. If it is somebody else, send the request again with allowDuplicate=true.",
                )
                .member("candidates", json!(candidates)),
        }
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NotFound => not_found(),
            ChangeError::Stale => Problem::new(412).detail("The patient was changed in between. Read it again."),
            ChangeError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests;
