//! Which hosts run a service, when not all of them shall.
//!
//! Rendezvous hashing: each host that offers the service and has the label gets a score made of both names, and the highest scores
//! run it. A host that comes or goes changes nothing for services that it is not chosen for.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::config::Placement;

impl Placement {
    /// Is `host` one of those that shall run the service? `offering` are all that could, with their labels.
    pub fn chooses(&self, service: &str, host: &str, offering: &BTreeMap<String, BTreeSet<String>>) -> bool {
        let fitting = offering.iter().filter(|(_, labels)| self.allows(labels)).map(|(name, _)| name.as_str());
        let mut ranked: Vec<([u8; 32], &str)> = fitting.map(|name| (score(service, name), name)).collect();
        ranked.sort_unstable_by(|a, b| b.cmp(a));
        let count = if self.count == 0 { ranked.len() } else { self.count };
        ranked.iter().take(count).any(|(_, name)| *name == host)
    }

    /// May a host with these labels run it at all?
    pub fn allows(&self, labels: &BTreeSet<String>) -> bool {
        self.label.is_empty() || labels.contains(&self.label)
    }
}

fn score(service: &str, host: &str) -> [u8; 32] {
    Sha256::digest(format!("{service}\0{host}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(names: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
        let labels = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect();
        names.iter().map(|(name, own)| ((*name).to_owned(), labels(own))).collect()
    }

    fn chosen(placement: &Placement, service: &str, hosts: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
        hosts.keys().filter(|name| placement.chooses(service, name, hosts)).cloned().collect()
    }

    #[test]
    fn without_a_wish_every_host_runs_it() {
        let all = hosts(&[("a", &[]), ("b", &["z"])]);
        assert_eq!(chosen(&Placement::default(), "s", &all), ["a", "b"]);
    }

    #[test]
    fn a_label_keeps_the_others_out() {
        let all = hosts(&[("a", &[]), ("b", &["z"]), ("c", &["y", "z"])]);
        let placement = Placement { label: "z".into(), count: 0 };
        assert_eq!(chosen(&placement, "s", &all), ["b", "c"]);
        let placement = Placement { label: "z".into(), count: 1 };
        assert_eq!(chosen(&placement, "s", &all).len(), 1);
    }

    #[test]
    fn who_goes_is_replaced_and_nobody_else_moves() {
        let all = hosts(&[("a", &[]), ("b", &[]), ("c", &[]), ("d", &[])]);
        let placement = Placement { label: String::new(), count: 2 };
        for service in ["s", "t", "u", "v", "w"] {
            let before = chosen(&placement, service, &all);
            assert_eq!(before.len(), 2);
            for gone in all.keys() {
                let mut left = all.clone();
                left.remove(gone);
                let after = chosen(&placement, service, &left);
                assert_eq!(after.len(), 2);
                assert!(before.iter().all(|name| name == gone || after.contains(name)), "{service} {gone}");
            }
        }
    }

    #[test]
    fn services_are_spread() {
        let all = hosts(&[("a", &[]), ("b", &[]), ("c", &[])]);
        let placement = Placement { label: String::new(), count: 1 };
        let used: BTreeSet<String> =
            (0..30).flat_map(|number| chosen(&placement, &format!("service-{number}"), &all)).collect();
        assert_eq!(used.len(), 3);
    }

    #[test]
    fn fewer_hosts_than_wished_all_run_it() {
        let placement = Placement { label: String::new(), count: 3 };
        assert_eq!(chosen(&placement, "s", &hosts(&[("a", &[])])), ["a"]);
        assert!(chosen(&placement, "s", &hosts(&[])).is_empty());
    }
}
