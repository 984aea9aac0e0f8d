//! Lists and searches, a page at a time.
//!
//! A page begins after a position: the key that the list is sorted by, and the id. So a page costs the same wherever it
//! is, and what is inserted in between shifts nothing. Everybody, and who has an e-mail or a birthday, is sorted by name;
//! a search by name is sorted by the part that was found, so that whole parts come before beginnings, and then by name.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ward_sdk::ports::StoreError;
use ward_sdk::{Date, Uuid};

use crate::model::{Patient, PatientId, fold_email};
use crate::name::FoldedName;
use crate::ports::Patients;

/// More beginnings than anybody types.
const MOST_TERMS: usize = 8;

/// Whom to list: those to whom all of it applies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    terms: Vec<String>,
    email: Option<String>,
    pub date_of_birth: Option<Date>,
}

impl Search {
    pub fn new(name: Option<&str>, email: Option<&str>, date_of_birth: Option<Date>) -> Self {
        let mut terms = FoldedName::of(name.unwrap_or_default()).distinct_parts();
        terms.truncate(MOST_TERMS);
        Self { terms, email: email.map(fold_email), date_of_birth }
    }

    /// Each of these begins a part of the name.
    pub fn terms(&self) -> &[String] {
        &self.terms
    }

    /// Folded.
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    /// The beginning that is looked up, when nothing but the name is given: the longest, since it has the fewest hits.
    pub fn leading_term(&self) -> Option<&str> {
        let by_name_only = self.email.is_none() && self.date_of_birth.is_none();
        self.terms.iter().max_by_key(|term| term.len()).map(String::as_str).filter(|_| by_name_only)
    }
}

/// A place between two patients of a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The part of the name that was found; empty in lists that are sorted by name.
    pub part: String,
    pub sort_name: String,
    pub id: PatientId,
}

impl Position {
    /// Before everybody.
    pub fn start(search: &Search) -> Self {
        let part = search.leading_term().unwrap_or_default().to_owned();
        Self { part, sort_name: String::new(), id: PatientId(Uuid::nil()) }
    }

    /// For the client, who gives it back as it is.
    pub fn to_cursor(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}\n{}\n{}", self.part, self.sort_name, self.id.0.simple()))
    }

    /// Nothing for a text that is no cursor of this search.
    pub fn read_cursor(cursor: &str, search: &Search) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let mut lines = text.split('\n');
        let (part, sort_name, id) = (lines.next()?, lines.next()?, lines.next()?);
        let fits = match search.leading_term() {
            Some(term) => part.starts_with(term),
            None => part.is_empty(),
        };
        let clean = fits && !text.contains('\0') && lines.next().is_none();
        let id = PatientId(Uuid::try_parse(id).ok()?);
        clean.then(|| Self { part: part.to_owned(), sort_name: sort_name.to_owned(), id })
    }
}

pub struct Page {
    pub patients: Vec<Patient>,
    /// Where the next page begins; nothing if this is the last.
    pub next: Option<Position>,
}

/// Asks for one more than the page has, so that there is never an empty page at the end.
pub fn list(ports: &impl Patients, search: &Search, after: &Position, limit: u32) -> Result<Page, StoreError> {
    let mut found = ports.list(search, after, limit.saturating_add(1))?;
    let shown = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > shown;
    found.truncate(shown);
    let next = found.last().filter(|_| more).map(|(_, position)| position.clone());
    Ok(Page { patients: found.into_iter().map(|(patient, _)| patient).collect(), next })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fake;
    use ward_sdk::time::read_date;

    fn names(page: &Page) -> Vec<&str> {
        page.patients.iter().map(|patient| patient.details.name.as_str()).collect()
    }

    fn clinic() -> Fake {
        let fake = Fake::default();
        fake.register("John Doe", "doe@example.com", "1985-06-15");
        fake.register("Jane Doe", "doe@example.com", "1987-01-02");
        fake.register("José Álvarez", "jose@example.com", "1985-06-15");
        fake.register("Anne-Marie O'Brien", "anne@example.com", "1990-03-04");
        fake
    }

    #[test]
    fn pages_have_everybody_once_and_no_empty_end() {
        let (fake, search) = (clinic(), Search::default());
        let first = list(&fake, &search, &Position::start(&search), 2).unwrap();
        assert_eq!(names(&first), ["Anne-Marie O'Brien", "Jane Doe"]);
        let second = list(&fake, &search, &first.next.unwrap(), 2).unwrap();
        assert_eq!(names(&second), ["John Doe", "José Álvarez"]);
        assert!(second.next.is_none());
    }

    #[test]
    fn what_is_inserted_in_between_shifts_nothing() {
        let (fake, search) = (clinic(), Search::default());
        let first = list(&fake, &search, &Position::start(&search), 2).unwrap();
        fake.register("Aaron Aaronson", "aaron@example.com", "1990-03-04");
        let second = list(&fake, &search, &first.next.unwrap(), 2).unwrap();
        assert_eq!(names(&second), ["John Doe", "José Álvarez"]);
    }

    #[test]
    fn a_position_survives_its_cursor_and_only_in_its_own_search() {
        let everybody = Search::default();
        let by_name = Search::new(Some("jo"), None, None);
        let position =
            Position { part: String::new(), sort_name: "josé".to_owned(), id: PatientId(Uuid::from_u128(5)) };
        assert_eq!(Position::read_cursor(&position.to_cursor(), &everybody), Some(position.clone()));
        assert_eq!(Position::read_cursor(&position.to_cursor(), &by_name), None);
        let found = Position { part: "john".to_owned(), ..position };
        assert_eq!(Position::read_cursor(&found.to_cursor(), &by_name), Some(found.clone()));
        assert_eq!(Position::read_cursor(&found.to_cursor(), &everybody), None);
        for broken in ["", "x", "????", &URL_SAFE_NO_PAD.encode("\n\0\n0"), &URL_SAFE_NO_PAD.encode("a\nb")] {
            assert_eq!(Position::read_cursor(broken, &everybody), None, "{broken}");
        }
    }

    #[test]
    fn a_search_folds_what_was_typed() {
        let search = Search::new(Some(" O'Bri  ANNE"), Some(" Anne@Example.com"), read_date("1990-03-04"));
        assert_eq!(search.terms(), ["anne", "obri"]);
        assert_eq!(search.email(), Some("anne@example.com"));
        assert_eq!(search.leading_term(), None, "the e-mail leads");
        assert_eq!(Search::new(Some("o'bri anne-m"), None, None).leading_term(), Some("obri"));
        assert_eq!(Search::new(Some("  "), None, None), Search::default());
    }
}
