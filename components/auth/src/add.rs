//! Adding a user.

use thiserror::Error;
use ward_sdk::ports::StoreError;

use crate::model::{Email, Password, Role, User, UserId};
use crate::ports::{Credentials, Overloaded, Ports};

#[derive(Debug, PartialEq, Error)]
pub enum AddError {
    /// One sentence for each fault.
    #[error("the user is not valid")]
    Invalid(Vec<String>),
    /// Somebody has the address.
    #[error("there is a user with this address")]
    Exists,
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub fn add(ports: &impl Ports, email: &str, password: &str, role: &str) -> Result<UserId, AddError> {
    let (email, password, role) = check(email, password, role).map_err(AddError::Invalid)?;
    let user = User { id: UserId(ports.next()), email, role };
    let id = user.id;
    let credentials = Credentials { user, password_hash: ports.hash(password.as_str())? };
    match ports.insert(&credentials, ports.now())? {
        true => Ok(id),
        false => Err(AddError::Exists),
    }
}

fn check(email: &str, password: &str, role: &str) -> Result<(Email, Password, Role), Vec<String>> {
    let role = Role::parse(role).ok_or("Role must be ADMIN, CLINICIAN, BILLING or READER");
    match (Email::check(email), Password::check(password), role) {
        (Ok(email), Ok(password), Ok(role)) => Ok((email, password, role)),
        (email, password, role) => {
            let faults = [email.err(), password.err(), role.err()];
            Err(faults.into_iter().flatten().map(str::to_owned).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::login;
    use crate::testing::Fake;

    #[test]
    fn a_new_user_can_log_in() {
        let fake = Fake::default();
        add(&fake, " New@Clinic.org ", "correct horse", "CLINICIAN").unwrap();
        let token = login(&fake, &Email::fold("new@clinic.org"), "correct horse").unwrap();
        assert_eq!(token.text, "token of new@clinic.org as CLINICIAN");
    }

    #[test]
    fn an_address_is_given_once() {
        let fake = Fake::default();
        add(&fake, "new@clinic.org", "correct horse", "READER").unwrap();
        assert_eq!(add(&fake, "NEW@clinic.org", "other password", "ADMIN"), Err(AddError::Exists));
    }

    #[test]
    fn all_faults_are_said_at_once() {
        let error = add(&Fake::default(), "nobody", "short", "root").unwrap_err();
        let expected = [
            "Email should be valid",
            "Password must have at least 12 characters",
            "Role must be ADMIN, CLINICIAN, BILLING or READER",
        ];
        assert_eq!(error, AddError::Invalid(expected.map(str::to_owned).to_vec()));
    }

    #[test]
    fn overload_is_said() {
        let fake = Fake { overloaded: true, ..Fake::default() };
        assert_eq!(add(&fake, "a@b.c", "correct horse", "ADMIN"), Err(AddError::Overloaded(Overloaded)));
    }
}
