//! Users and their roles.

use ward_sdk::Uuid;
use ward_sdk::fields::is_plausible_email;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserId(pub Uuid);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub email: Email,
    pub role: Role,
}

/// A login's address: trimmed and in lower case, so that two spellings are one user.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Email(String);

impl Email {
    /// Any text can be asked for; only [`Email::check`] makes one that can be stored.
    pub fn fold(text: &str) -> Self {
        Self(text.trim().to_lowercase())
    }

    pub fn check(text: &str) -> Result<Self, &'static str> {
        let email = Self::fold(text);
        match email.0.as_str() {
            "" => Err("Email is required"),
            text if !is_plausible_email(text) => Err("Email should be valid"),
            _ => Ok(email),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a user may do; see `docs/roles.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Admin,
    Clinician,
    Billing,
    Reader,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Admin, Self::Clinician, Self::Billing, Self::Reader];

    /// As it stands in the store, in tokens and in routes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "ADMIN",
            Self::Clinician => "CLINICIAN",
            Self::Billing => "BILLING",
            Self::Reader => "READER",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// A password that a user may have. Printing it does not show it.
pub struct Password(String);

impl Password {
    pub const LEAST_CHARACTERS: usize = 12;
    /// bcrypt reads no more.
    pub const MOST_BYTES: usize = 72;

    pub fn check(text: &str) -> Result<Self, &'static str> {
        if text.chars().count() < Self::LEAST_CHARACTERS {
            return Err("Password must have at least 12 characters");
        }
        if text.len() > Self::MOST_BYTES {
            return Err("Password cannot exceed 72 bytes");
        }
        if text.contains('\0') {
            return Err("Password contains a character that is not allowed");
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Password")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_an_address_are_one() {
        assert_eq!(Email::check(" TestUser@Test.COM "), Ok(Email::fold("testuser@test.com")));
        assert_eq!(Email::check("  "), Err("Email is required"));
        assert_eq!(Email::check("testuser"), Err("Email should be valid"));
    }

    #[test]
    fn a_role_reads_as_it_is_written() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.name()), Some(role));
        }
        for wrong in ["admin", "", "ROOT", " ADMIN"] {
            assert_eq!(Role::parse(wrong), None);
        }
    }

    #[test]
    fn a_password_is_long_enough_and_not_cut() {
        assert!(Password::check("twelve chars").is_ok());
        assert!(Password::check(&"x".repeat(72)).is_ok());
        assert_eq!(Password::check("eleven char").unwrap_err(), "Password must have at least 12 characters");
        assert_eq!(Password::check(&"x".repeat(73)).unwrap_err(), "Password cannot exceed 72 bytes");
        assert_eq!(Password::check(&"ü".repeat(37)).unwrap_err(), "Password cannot exceed 72 bytes");
        assert!(Password::check("twelve\0chars").is_err());
    }

    #[test]
    fn a_password_is_not_printed() {
        assert_eq!(format!("{:?}", Password::check("twelve chars").unwrap()), "Password");
    }
}
