//! Is this somebody whom we know already? Graded, with reasons; a person decides.
//!
//! | name | date of birth | e-mail | grade |
//! |---|---|---|---|
//! | same | same | same | certain |
//! | same | same | | probable |
//! | one letter off | same | same | probable |
//! | same | | same | possible |
//!
//! Families share e-mail addresses, and twins birthdays besides, so neither counts without the name. Certain and
//! probable ones stop a registration; possible ones (father and son, a mistyped date) are shown beside those, and stop nothing.

use serde::Serialize;

use crate::model::{Details, Patient, PatientId};
use crate::name::is_one_letter_off;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    Certain,
    Probable,
    Possible,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    SameName,
    SimilarName,
    SameDateOfBirth,
    SameEmail,
}

/// Somebody who may be the same person. By id only: who may see the data asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Candidate {
    pub id: PatientId,
    pub grade: Grade,
    pub reasons: Vec<Reason>,
}

/// The likely ones first. Empty if nothing stops the registration.
pub fn candidates(new: &Details, known: &[Patient]) -> Vec<Candidate> {
    let mut candidates: Vec<_> = known.iter().filter_map(|patient| compare(new, patient)).collect();
    candidates.sort_by_key(|candidate| candidate.grade);
    let stops = candidates.first().is_some_and(|first| first.grade < Grade::Possible);
    if stops { candidates } else { Vec::new() }
}

fn compare(new: &Details, known: &Patient) -> Option<Candidate> {
    let (one, other) = (new.folded_name().identity(), known.details.folded_name().identity());
    let same_name = one == other;
    let similar_name = is_one_letter_off(&one, &other);
    let same_birth = new.date_of_birth == known.details.date_of_birth;
    let same_email = new.email_key() == known.details.email_key();
    let grade = match (same_name, same_birth, same_email) {
        (true, true, true) => Grade::Certain,
        (true, true, false) => Grade::Probable,
        (false, true, true) if similar_name => Grade::Probable,
        (true, false, true) => Grade::Possible,
        _ => return None,
    };
    let reasons = [
        (same_name, Reason::SameName),
        (similar_name, Reason::SimilarName),
        (same_birth, Reason::SameDateOfBirth),
        (same_email, Reason::SameEmail),
    ];
    let reasons = reasons.into_iter().filter(|(holds, _)| *holds).map(|(_, reason)| reason).collect();
    Some(Candidate { id: known.id, grade, reasons })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{details, patient};

    fn grade(name: &str, email: &str, birth: &str) -> Option<Grade> {
        let known = patient(1, "José García", "jose@example.com", "1985-06-15");
        compare(&details(name, email, birth), &known).map(|candidate| candidate.grade)
    }

    #[test]
    fn grades_by_what_is_the_same() {
        assert_eq!(grade("jose garcia", "JOSE@example.com", "1985-06-15"), Some(Grade::Certain));
        assert_eq!(grade("García, José", "jose@example.com", "1985-06-15"), Some(Grade::Certain));
        assert_eq!(grade("José García", "other@example.com", "1985-06-15"), Some(Grade::Probable));
        assert_eq!(grade("José Garcia", "jose@example.com", "1985-06-16"), Some(Grade::Possible));
        assert_eq!(grade("Josi García", "jose@example.com", "1985-06-15"), Some(Grade::Probable));
    }

    #[test]
    fn families_and_strangers_are_no_duplicates() {
        assert_eq!(grade("Ana García", "jose@example.com", "1987-01-01"), None);
        assert_eq!(grade("Ana García", "jose@example.com", "1985-06-15"), None, "twins");
        assert_eq!(grade("José García", "other@example.com", "1985-06-16"), None);
        assert_eq!(
            grade("Josi García", "other@example.com", "1985-06-15"),
            None,
            "one fuzzy field needs two sure ones"
        );
    }

    #[test]
    fn possible_ones_alone_stop_nothing() {
        let son = patient(1, "John Doe", "doe@example.com", "2010-01-01");
        let same = patient(2, "John Doe", "doe@example.com", "1985-06-15");
        let new = details("John Doe", "doe@example.com", "1985-06-15");
        assert!(candidates(&new, std::slice::from_ref(&son)).is_empty());
        let both = candidates(&new, &[son.clone(), same.clone()]);
        assert_eq!(both.iter().map(|candidate| candidate.id).collect::<Vec<_>>(), [same.id, son.id]);
        assert_eq!(both[0].reasons, [Reason::SameName, Reason::SameDateOfBirth, Reason::SameEmail]);
    }
}
