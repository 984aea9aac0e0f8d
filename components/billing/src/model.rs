//! Accounts, and who holds them.

use ward_sdk::Uuid;
use ward_sdk::fields::{is_plausible_email, is_storable};
use ward_sdk::time::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PatientId(pub Uuid);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub Uuid);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    pub patient_id: PatientId,
    pub status: Status,
    pub opened_at: Timestamp,
}

ward_sdk::shape! {
    /// What has become of an account.
    pub enum Status { Active = "active", Closed = "closed" }
}

/// For whom an account is opened. Only [`Holder::check`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    patient_id: PatientId,
    name: String,
    email: String,
}

impl Holder {
    /// All that is wrong, one sentence for each fault.
    pub fn check(patient_id: &str, name: &str, email: &str) -> Result<Self, Vec<String>> {
        let id = Uuid::try_parse(patient_id).ok();
        let (name, email) = (name.trim(), email.trim());
        let faults: Vec<String> = [
            (id.is_none(), "Patient id must be a UUID"),
            (name.is_empty(), "Name is required"),
            (!is_storable(name), "Name contains a character that is not allowed"),
            (email.is_empty(), "Email is required"),
            (!email.is_empty() && !is_plausible_email(email), "Email should be valid"),
        ]
        .into_iter()
        .filter(|(wrong, _)| *wrong)
        .map(|(_, message)| message.to_owned())
        .collect();
        match id {
            Some(id) if faults.is_empty() => {
                Ok(Self { patient_id: PatientId(id), name: name.to_owned(), email: email.to_owned() })
            }
            _ => Err(faults),
        }
    }

    pub fn patient_id(&self) -> PatientId {
        self.patient_id
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn email(&self) -> &str {
        &self.email
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "123e4567-e89b-12d3-a456-426614174000";

    #[test]
    fn a_holder_has_an_id_a_name_and_an_address() {
        let holder = Holder::check(ID, " John Doe ", "john.doe@example.com").unwrap();
        assert_eq!((holder.name(), holder.email()), ("John Doe", "john.doe@example.com"));
    }

    #[test]
    fn all_faults_are_said_at_once() {
        let faults = Holder::check("7", " ", "nobody").unwrap_err();
        assert_eq!(faults, ["Patient id must be a UUID", "Name is required", "Email should be valid"]);
        assert_eq!(Holder::check(ID, "John", "").unwrap_err(), ["Email is required"]);
        assert_eq!(Holder::check(ID, "a\0b", "a@b.c").unwrap_err(), ["Name contains a character that is not allowed"]);
    }

    #[test]
    fn a_status_reads_as_it_is_written() {
        for status in [Status::Active, Status::Closed] {
            assert_eq!(Status::of(status.text()), Some(status));
        }
        assert_eq!(Status::of("ACTIVE"), None);
    }
}
