//! Users for trying Ward out: one for each role, all with the password `password123`. Development only.

use ward_sdk::Uuid;
use ward_sdk::ports::StoreError;

use crate::model::{Email, Role, User, UserId};
use crate::ports::{Credentials, Ports};

const PASSWORD_HASH: &str = "$2b$12$7hoRZfJrRKD2nIm2vHLs7OBETy.LWenXXMLKf99W8M4PUwO6KB7fu";

/// The first one is the user that clients of the old system know.
const USERS: [(u128, &str, Role); 4] = [
    (0x223e4567_e89b_12d3_a456_426614174006, "testuser@test.com", Role::Admin),
    (0x223e4567_e89b_12d3_a456_426614174007, "clinician@test.com", Role::Clinician),
    (0x223e4567_e89b_12d3_a456_426614174008, "billing@test.com", Role::Billing),
    (0x223e4567_e89b_12d3_a456_426614174009, "reader@test.com", Role::Reader),
];

pub fn seed(ports: &impl Ports) -> Result<(), StoreError> {
    let now = ports.now();
    for (id, email, role) in USERS {
        let user = User { id: UserId(Uuid::from_u128(id)), email: Email::fold(email), role };
        ports.insert(&Credentials { user, password_hash: PASSWORD_HASH.to_owned() }, now)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Users;
    use crate::testing::Fake;

    #[test]
    fn has_the_user_of_the_old_system_and_one_for_each_role() {
        let fake = Fake::default();
        seed(&fake).unwrap();
        seed(&fake).unwrap();
        let known = fake.find(&Email::fold("testuser@test.com")).unwrap().unwrap();
        assert_eq!(known.user.id.0.to_string(), "223e4567-e89b-12d3-a456-426614174006");
        assert_eq!(known.user.role, Role::Admin);
        assert_eq!(fake.count(), Role::ALL.len());
    }
}
