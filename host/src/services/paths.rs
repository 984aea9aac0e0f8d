//! Which paths services may have beside each other in the gateway.
//!
//! All are in one router, whatever their methods, and there the more exact path wins: `/a/0{x}` before `/a/{id}`. So a service could
//! take another's requests by a path that is a part of it. Therefore no path of a service matches what another's path matches, unless both are
//! the same path with different methods. That holds whichever of them came first.

use std::collections::{BTreeMap, BTreeSet};

/// Are routes possible beside those that are taken, which are given with their service? An error is the first that is not, and why.
pub fn beside<'a>(
    taken: impl Iterator<Item = (&'a str, &'a str, &'a str)>,
    own: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), ((&'a str, &'a str), String)> {
    let mut owners: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    let mut paths: BTreeSet<&str> = BTreeSet::new();
    let mut router = matchit::Router::new();
    for (owner, method, path) in taken {
        owners.insert((method, path), owner);
        // They were taken one by one, so they fit together.
        if paths.insert(path) {
            let _ = router.insert(path, ());
        }
    }
    let others: BTreeMap<&str, &str> = owners.iter().map(|((_, path), owner)| (*path, *owner)).collect();
    for (method, path) in own {
        let covered = others.iter().find(|(taken, _)| **taken != path && overlap(taken, path));
        if let Some((taken, owner)) = covered {
            return Err(((method, path), format!("{owner} has {taken}, which matches the same requests")));
        }
        if let Some(owner) = owners.insert((method, path), "itself") {
            return Err(((method, path), format!("{owner} has it")));
        }
        if paths.insert(path) {
            router.insert(path, ()).map_err(|error| ((method, path), error.to_string()))?;
        }
    }
    Ok(())
}

/// Is there a path that both match?
fn overlap(one: &str, other: &str) -> bool {
    let is_rest = |segment: &str| segment.contains("{*");
    let (mut ones, mut others) = (one.split('/'), other.split('/'));
    loop {
        match (ones.next(), others.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if can_be_equal(one, other) => {
                if is_rest(one) || is_rest(other) {
                    return true;
                }
            }
            _ => return false,
        }
    }
}

fn can_be_equal(one: &str, other: &str) -> bool {
    match (around(one), around(other)) {
        (None, None) => one == other,
        (Some((before, behind)), None) => is_between(other, before, behind),
        (None, Some((before, behind))) => is_between(one, before, behind),
        (Some((before, behind)), Some((other_before, other_behind))) => {
            (before.starts_with(other_before) || other_before.starts_with(before))
                && (behind.ends_with(other_behind) || other_behind.ends_with(behind))
        }
    }
}

/// What stands before and behind the parameter of a segment, if it has one.
fn around(segment: &str) -> Option<(&str, &str)> {
    let (before, parameter) = segment.split_once('{')?;
    Some((before, parameter.split_once('}')?.1))
}

fn is_between(text: &str, before: &str, behind: &str) -> bool {
    text.len() > before.len() + behind.len() && text.starts_with(before) && text.ends_with(behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beside a service that has these.
    fn check(own: &[(&'static str, &'static str)]) -> Result<(), String> {
        let taken = [("stock", "GET", "/a/{id}"), ("stock", "PUT", "/a/{id}"), ("stock", "GET", "/b")];
        beside(taken.into_iter(), own.iter().copied())
            .map_err(|((method, path), why)| format!("{method} {path}: {why}"))
    }

    #[test]
    fn routes_fit_beside_others_whatever_their_methods() {
        assert_eq!(check(&[("POST", "/a/{id}"), ("GET", "/a/{id}/c"), ("POST", "/b")]), Ok(()));
        assert_eq!(check(&[("PUT", "/a/{id}")]), Err("PUT /a/{id}: stock has it".into()));
        assert!(check(&[("POST", "/a/{other}")]).is_err_and(|why| why.starts_with("POST /a/{other}: ")));
        assert_eq!(check(&[("GET", "/c/new"), ("GET", "/c/{id}")]), Ok(()));
    }

    #[test]
    fn no_path_takes_a_part_of_anothers() {
        for path in ["/a/0{x}", "/a/new", "/a/{*rest}", "/a/1{*rest}", "/{b}/{c}", "/{*all}", "/{x}"] {
            assert!(check(&[("DELETE", path)]).is_err_and(|why| why.contains("matches the same requests")), "{path}");
        }
        for path in ["/a", "/a/{id}/c", "/c/{id}", "/a/{id}/{*rest}", "/ab/{id}"] {
            assert_eq!(check(&[("DELETE", path)]), Ok(()), "{path}");
        }
    }

    #[test]
    fn routes_of_one_component_fit_together() {
        assert!(check(&[("GET", "/c/{id}"), ("PUT", "/c/{key}")]).is_err());
        assert_eq!(check(&[("GET", "/c"), ("GET", "/c")]), Err("GET /c: itself has it".into()));
    }
}
