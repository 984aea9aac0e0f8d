//! Who is it, and may they?

use std::sync::Arc;

use axum::http::{HeaderMap, header};

use super::problem::{self, Problem};
use crate::engine::Access;
use crate::security::{Principal, Tokens};

/// The principal of a request, if the route lets them in.
pub fn admit(access: &Access, headers: &HeaderMap, tokens: &Tokens) -> Result<Option<Arc<Principal>>, Problem> {
    if matches!(access, Access::Public) {
        // A token that is sent along is of no use here, and must not make the request fail.
        return Ok(None);
    }
    let Some(token) = bearer(headers) else {
        return Err(problem::unauthenticated("Send a token: Authorization: Bearer …"));
    };
    let principal =
        tokens.verify(token).map_err(|rejected| problem::unauthenticated(format!("Not accepted: {rejected}.")))?;
    match access {
        Access::Roles(roles) if !access.lets_in(Some(&principal)) => Err(problem::forbidden(&principal.role, roles)),
        _ => Ok(Some(principal)),
    }
}

/// The token of the request, whatever it is worth.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
