//! Patients for trying Ward out. All invented; the first one is the one that clients of the old system know.

use ward_sdk::Uuid;
use ward_sdk::ports::StoreError;
use ward_sdk::time::read_date;

use crate::model::{Act, Details, Duplicates, Patient, PatientId};
use crate::ports::Ports;
use crate::register::add;

/// Id, name, e-mail, address, date of birth, registered date.
const PATIENTS: [(u128, &str, &str, &str, &str, &str); 15] = [
    (0x000, "John Doe", "john.doe@example.com", "123 Main St, Springfield", "1985-06-15", "2024-01-10"),
    (0x001, "Jane Smith", "jane.smith@example.com", "456 Elm St, Shelbyville", "1990-09-23", "2023-12-01"),
    (0x002, "Alice Johnson", "alice.johnson@example.com", "789 Oak St, Capital City", "1978-03-12", "2022-06-20"),
    (0x003, "Bob Brown", "bob.brown@example.com", "321 Pine St, Springfield", "1982-11-30", "2023-05-14"),
    (0x004, "Emily Davis", "emily.davis@example.com", "654 Maple St, Shelbyville", "1995-02-05", "2024-03-01"),
    (0x005, "Michael Green", "michael.green@example.com", "987 Cedar St, Springfield", "1988-07-25", "2024-02-15"),
    (0x006, "Sarah Taylor", "sarah.taylor@example.com", "123 Birch St, Shelbyville", "1992-04-18", "2023-08-25"),
    (0x007, "David Wilson", "david.wilson@example.com", "456 Ash St, Capital City", "1975-01-11", "2022-10-10"),
    (0x008, "Laura White", "laura.white@example.com", "789 Palm St, Springfield", "1989-09-02", "2024-04-20"),
    (0x009, "James Harris", "james.harris@example.com", "321 Cherry St, Shelbyville", "1993-11-15", "2023-06-30"),
    (0x010, "Emma Moore", "emma.moore@example.com", "654 Spruce St, Capital City", "1980-08-09", "2023-01-22"),
    (0x011, "José Martínez", "jose.martinez@example.com", "987 Redwood St, Springfield", "1984-05-03", "2024-05-12"),
    (0x012, "Sophia Clark", "sophia.clark@example.com", "123 Hickory St, Shelbyville", "1991-12-25", "2022-11-11"),
    (0x013, "Daniel O'Brien", "daniel.obrien@example.com", "456 Cypress St, Capital City", "1976-06-08", "2023-09-19"),
    (0x014, "Isabella Walker", "isabella.walker@example.com", "789 Willow St, Springfield", "1987-10-17", "2024-03-29"),
];

const FIRST_ID: u128 = 0x123e4567_e89b_12d3_a456_426614174000;

pub fn seed(ports: &impl Ports) -> Result<(), StoreError> {
    let act = Act { by: "seed".to_owned(), at: ports.now() };
    for (number, name, email, address, birth, registered) in PATIENTS {
        let (Some(date_of_birth), Some(registered_date)) = (read_date(birth), read_date(registered)) else {
            return Err(StoreError::Failed("the example data has a wrong date".to_owned()));
        };
        let (name, email, address) = (name.to_owned(), email.to_owned(), address.to_owned());
        let details = Details { name, email, address, date_of_birth };
        let id = PatientId(Uuid::from_u128(FIRST_ID + number));
        add(ports, &Patient { id, details, registered_date, version: 1 }, Duplicates::Refuse, &act)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Patients;
    use crate::testing::Fake;

    #[test]
    fn has_fifteen_patients_and_publishes_them() {
        let fake = Fake::default();
        seed(&fake).unwrap();
        seed(&fake).unwrap();
        assert_eq!(fake.published().len(), 15);
        let john = PatientId(Uuid::try_parse("123e4567-e89b-12d3-a456-426614174000").unwrap());
        assert_eq!(fake.find(john).unwrap().unwrap().details.name, "John Doe");
        let last = PatientId(Uuid::try_parse("123e4567-e89b-12d3-a456-426614174014").unwrap());
        assert_eq!(fake.find(last).unwrap().unwrap().details.name, "Isabella Walker");
    }
}
