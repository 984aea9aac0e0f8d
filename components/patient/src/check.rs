//! What a client must say about a patient. All faults at once, in the words that clients know from the old system.

use ward_sdk::Date;
use ward_sdk::fields::{Fields, is_plausible_email};
use ward_sdk::time::read_date;

use crate::model::Details;

const MOST_NAME_CHARACTERS: usize = 100;
const MOST_ADDRESS_CHARACTERS: usize = 500;
const MOST_YEARS: i32 = 140;

/// Nothing if there are faults, which stand in `fields` then. `today` is the clinic's day.
pub fn details(fields: &mut Fields, today: Date) -> Option<Details> {
    let name = name(fields);
    let email = email(fields);
    let address = address(fields);
    let date_of_birth = date_of_birth(fields, today);
    let details = Details { name: name?, email: email?, address: address?, date_of_birth: date_of_birth? };
    fields.faults.is_empty().then_some(details)
}

fn name(fields: &mut Fields) -> Option<String> {
    let name = fields.required("name", "Name")?;
    if name.chars().count() > MOST_NAME_CHARACTERS {
        fields.faults.add("name", "Name cannot exceed 100 characters");
    }
    Some(name)
}

fn email(fields: &mut Fields) -> Option<String> {
    let email = fields.required("email", "Email")?;
    if !is_plausible_email(&email) {
        fields.faults.add("email", "Email should be valid");
    }
    Some(email)
}

fn address(fields: &mut Fields) -> Option<String> {
    let address = fields.required("address", "Address")?;
    if address.chars().count() > MOST_ADDRESS_CHARACTERS {
        fields.faults.add("address", "Address cannot exceed 500 characters");
    }
    Some(address)
}

fn date_of_birth(fields: &mut Fields, today: Date) -> Option<Date> {
    let text = fields.required("dateOfBirth", "Date of birth")?;
    let fault = match read_date(&text) {
        None => "Date of birth must be a date like 1985-06-15",
        Some(date) if date > today => "Date of birth cannot be in the future",
        Some(date) if is_too_long_ago(date, today) => "Date of birth cannot be more than 140 years ago",
        Some(date) => return Some(date),
    };
    fields.faults.add("dateOfBirth", fault);
    None
}

fn is_too_long_ago(date: Date, today: Date) -> bool {
    (date.year() + MOST_YEARS, date.month() as u8, date.day()) < (today.year(), today.month() as u8, today.day())
}

/// Today, unless the client says otherwise.
pub fn registered_date(fields: &mut Fields, today: Date) -> Date {
    let Some(text) = fields.text("registeredDate", "Registered date") else {
        return today;
    };
    read_date(text.trim()).unwrap_or_else(|| {
        fields.faults.add("registeredDate", "Registered date must be a date like 2024-01-10");
        today
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use ward_sdk::fields::Faults;

    fn check(body: Value) -> Result<Details, Faults> {
        let Value::Object(object) = body else { panic!() };
        let mut fields = Fields::new(object);
        details(&mut fields, read_date("2026-03-01").unwrap()).ok_or(fields.faults)
    }

    fn john_with(field: &str, value: Value) -> Result<Details, Faults> {
        let mut body = json!({
            "name": "John Doe", "email": "john.doe@example.com", "address": "123 Main St", "dateOfBirth": "1985-06-15"
        });
        body[field] = value;
        check(body)
    }

    fn faults(field: &str, value: Value) -> Vec<String> {
        john_with(field, value).unwrap_err().on(field).to_vec()
    }

    #[test]
    fn accepts_the_old_systems_patient() {
        let details = john_with("name", json!("John Doe")).unwrap();
        assert_eq!((details.name.as_str(), details.email.as_str()), ("John Doe", "john.doe@example.com"));
    }

    #[test]
    fn nothing_at_all_has_every_fault() {
        let faults = check(json!({})).unwrap_err();
        assert_eq!(faults.on("name"), ["Name is required"]);
        assert_eq!(faults.on("email"), ["Email is required"]);
        assert_eq!(faults.on("address"), ["Address is required"]);
        assert_eq!(faults.on("dateOfBirth"), ["Date of birth is required"]);
        assert!(faults.on("registeredDate").is_empty());
    }

    #[test]
    fn blank_null_and_mistyped_fields_are_faults() {
        for (field, label) in
            [("name", "Name"), ("email", "Email"), ("address", "Address"), ("dateOfBirth", "Date of birth")]
        {
            for blank in [json!(""), json!("  \t"), json!(null)] {
                assert_eq!(faults(field, blank), [format!("{label} is required")]);
            }
            for mistyped in [json!(7), json!(true), json!(["x"]), json!({})] {
                assert_eq!(faults(field, mistyped), [format!("{label} must be a string")]);
            }
            assert_eq!(faults(field, json!("a\0b")), [format!("{label} contains a character that is not allowed")]);
        }
    }

    #[test]
    fn a_name_has_at_most_100_characters() {
        assert!(john_with("name", json!("ü".repeat(100))).is_ok());
        assert_eq!(faults("name", json!("ü".repeat(101))), ["Name cannot exceed 100 characters"]);
        assert!(john_with("name", json!("X")).is_ok());
    }

    #[test]
    fn an_address_has_at_most_500_characters() {
        assert!(john_with("address", json!("x".repeat(500))).is_ok());
        assert_eq!(faults("address", json!("x".repeat(501))), ["Address cannot exceed 500 characters"]);
    }

    #[test]
    fn an_email_should_be_valid() {
        assert_eq!(faults("email", json!("john.doe")), ["Email should be valid"]);
        assert_eq!(john_with("email", json!(" a@b.c ")).unwrap().email, "a@b.c");
    }

    #[test]
    fn a_date_of_birth_is_a_day_that_was() {
        for wrong in ["15.06.1985", "1985-6-15", "1985-02-30", "1985-06-15T00:00:00Z", "yesterday"] {
            assert_eq!(faults("dateOfBirth", json!(wrong)), ["Date of birth must be a date like 1985-06-15"]);
        }
        assert_eq!(faults("dateOfBirth", json!("2026-03-02")), ["Date of birth cannot be in the future"]);
        assert!(john_with("dateOfBirth", json!("2026-03-01")).is_ok());
        assert!(john_with("dateOfBirth", json!("1886-03-01")).is_ok());
        let fault = "Date of birth cannot be more than 140 years ago";
        assert_eq!(faults("dateOfBirth", json!("1886-02-28")), [fault]);
        assert_eq!(faults("dateOfBirth", json!("0001-01-01")), [fault]);
        assert!(john_with("dateOfBirth", json!("1904-02-29")).is_ok());
    }

    #[test]
    fn the_registered_date_is_today_unless_said_otherwise() {
        let today = read_date("2026-03-01").unwrap();
        let registered = |value: Value| {
            let mut fields = Fields::new([("registeredDate".to_owned(), value)].into_iter().collect());
            (registered_date(&mut fields, today), fields.faults.messages())
        };
        assert_eq!(registered(json!(null)), (today, vec![]));
        assert_eq!(registered(json!("2024-01-10")), (read_date("2024-01-10").unwrap(), vec![]));
        assert_eq!(registered(json!("soon")).1, ["Registered date must be a date like 2024-01-10"]);
        assert_eq!(registered(json!(7)).1, ["Registered date must be a string"]);
    }
}
