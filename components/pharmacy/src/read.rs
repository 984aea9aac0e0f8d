//! Reading prescriptions.

use ward_sdk::Uuid;
use ward_sdk::http::Request;
use ward_sdk::problem::Problem;
use ward_sdk::service::{Json, Page, Path, Query};

use crate::model::{Prescription, USUAL_PAGE, Wanted};
use crate::ports::Ports;

pub fn show(ports: &impl Ports, Path(id): Path<Uuid>) -> Result<Json<Prescription>, Problem> {
    ports.find(id)?.map(Json).ok_or_else(not_found)
}

/// A patient's, the newest first.
pub fn list(ports: &impl Ports, Query(wanted): Query<Wanted>, request: Request) -> Result<Page<Prescription>, Problem> {
    let limit = wanted.limit.map_or(USUAL_PAGE, |limit| limit.0);
    let mut found = ports.list(&wanted, i64::from(limit) + 1)?;
    let length = usize::try_from(limit).unwrap_or_default();
    let has_more = found.len() > length;
    found.truncate(length);
    let cursor = found.last().filter(|_| has_more).map(|last| last.id.to_string());
    Ok(Page::of(found, cursor.as_deref(), &request))
}

pub fn not_found() -> Problem {
    Problem::not_found("There is no such prescription.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fake, JOHN};
    use ward_sdk::shape::Between;

    #[test]
    fn a_list_comes_in_pages_the_newest_first_and_none_is_empty() {
        let fake = Fake::default();
        let ids = [1, 2, 3].map(|_| fake.prescribed(JOHN));
        let page = |cursor| {
            let wanted = Wanted { patient_id: JOHN, status: None, limit: Some(Between(2)), cursor };
            list(&fake, Query(wanted), Request::test("listPrescriptions")).unwrap()
        };
        let first = page(None);
        assert_eq!(first.items.iter().map(|one| one.id).collect::<Vec<_>>(), [ids[2], ids[1]]);
        assert!(first.next.as_deref().unwrap().contains(&ids[1].to_string()));
        let last = page(Some(ids[1]));
        assert_eq!(last.items.iter().map(|one| one.id).collect::<Vec<_>>(), [ids[0]]);
        assert_eq!(last.next, None);
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert_eq!(show(&Fake::default(), Path(JOHN)).unwrap_err().status(), 404);
    }
}
