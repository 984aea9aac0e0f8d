//! Auth over REST.

use serde_json::json;
use ward_sdk::fields::Fields;
use ward_sdk::http::{Request, Response};
use ward_sdk::problem::Problem;

use crate::login::{LoginError, login};
use crate::model::Email;
use crate::ports::Ports;

pub fn handle(ports: &impl Ports, request: &Request) -> Response {
    let answer = match request.operation.as_str() {
        "login" => log_in(ports, request),
        "validateToken" => validate(request),
        _ => Err(Problem::new(404)),
    };
    answer.unwrap_or_else(Response::from)
}

fn log_in(ports: &impl Ports, request: &Request) -> Result<Response, Problem> {
    let (email, password) = credentials(request)?;
    let token = login(ports, &email, &password)?;
    let body = json!({ "token": token.text, "tokenType": "Bearer", "expiresIn": token.expires_in_s });
    Ok(Response::json(200, &body).header("cache-control", "no-store"))
}

/// A password is taken as it is: its blanks count.
fn credentials(request: &Request) -> Result<(Email, String), Problem> {
    let mut fields = Fields::new(request.object()?);
    let email = fields.required("email", "Email");
    let password = fields.text("password", "Password").filter(|password| !password.is_empty());
    if password.is_none() && fields.faults.on("password").is_empty() {
        fields.faults.add("password", "Password is required");
    }
    match (email, password) {
        (Some(email), Some(password)) => Ok((Email::fold(&email), password)),
        _ => Err(Problem::invalid(fields.faults)),
    }
}

/// The gateway has verified the token; what remains is to say whose it is.
fn validate(request: &Request) -> Result<Response, Problem> {
    let principal = request.principal.as_ref().ok_or_else(unauthorized)?;
    Ok(Response::json(200, &json!({ "subject": principal.subject, "role": principal.role })))
}

fn unauthorized() -> Problem {
    Problem::new(401).header("www-authenticate", "Bearer")
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Refused => unauthorized().detail("The e-mail address or the password is wrong."),
            LoginError::Overloaded(_) => Self::unavailable(),
            LoginError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fake;
    use ward_sdk::http::Principal;

    fn post(fake: &Fake, body: &str) -> (u16, serde_json::Value) {
        let response = handle(fake, &Request { body: body.into(), ..Request::test("login") });
        (response.status, serde_json::from_slice(&response.body).unwrap())
    }

    #[test]
    fn a_login_gives_a_bearer_token() {
        let (status, body) = post(&Fake::seeded(), r#"{"email":"testuser@test.com","password":"password123"}"#);
        assert_eq!(status, 200);
        let expected =
            json!({ "token": "token of testuser@test.com as ADMIN", "tokenType": "Bearer", "expiresIn": 36000 });
        assert_eq!(body, expected);
    }

    #[test]
    fn refusals_look_alike() {
        let fake = Fake::seeded();
        let unknown = post(&fake, r#"{"email":"invalid_user@test.com","password":"wrongpassword"}"#);
        let wrong = post(&fake, r#"{"email":"testuser@test.com","password":"wrongpassword"}"#);
        assert_eq!(unknown.0, 401);
        assert_eq!(unknown, wrong);
    }

    #[test]
    fn missing_fields_are_named_all_at_once() {
        let (status, body) = post(&Fake::seeded(), "{}");
        assert_eq!(status, 400);
        let expected = json!({ "email": ["Email is required"], "password": ["Password is required"] });
        assert_eq!(body["errors"], expected);
        let (_, body) = post(&Fake::seeded(), r#"{"email": 7, "password": ["x"]}"#);
        let expected = json!({ "email": ["Email must be a string"], "password": ["Password must be a string"] });
        assert_eq!(body["errors"], expected);
    }

    #[test]
    fn a_broken_body_is_a_400() {
        assert_eq!(post(&Fake::seeded(), "{").0, 400);
        assert_eq!(post(&Fake::seeded(), "").0, 400);
    }

    #[test]
    fn overload_is_a_503() {
        let fake = Fake { overloaded: true, ..Fake::seeded() };
        assert_eq!(post(&fake, r#"{"email":"testuser@test.com","password":"password123"}"#).0, 503);
    }

    #[test]
    fn validate_says_whose_the_token_is() {
        let principal = Principal { subject: "testuser@test.com".to_owned(), role: "ADMIN".to_owned() };
        let request = Request { principal: Some(principal), ..Request::test("validateToken") };
        let response = handle(&Fake::default(), &request);
        assert_eq!(response.status, 200);
        assert_eq!(String::from_utf8(response.body).unwrap(), r#"{"role":"ADMIN","subject":"testuser@test.com"}"#);
        assert_eq!(handle(&Fake::default(), &Request::test("validateToken")).status, 401);
    }
}
