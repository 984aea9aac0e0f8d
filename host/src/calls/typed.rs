//! What a service interface is called in subjects and headers.

use std::cmp::Ordering;

/// `shop:stock/items@0.1.0`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// As it is written.
    pub text: String,
    /// `shop:stock/items`
    pub name: String,
    /// `stock`: the package's name is the service's.
    pub service: String,
    /// `items`
    pub interface: String,
    version: Option<String>,
}

impl Contract {
    pub fn parse(text: &str) -> Option<Self> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(version.to_owned())),
            None => (text, None),
        };
        let (package, interface) = name.split_once('/')?;
        let (_namespace, service) = package.split_once(':')?;
        Some(Self {
            text: text.to_owned(),
            name: name.to_owned(),
            service: service.to_owned(),
            interface: interface.to_owned(),
            version,
        })
    }

    /// Do two sides that know the interface by these names understand each other? The patch does not count, and before
    /// 1.0 the minor does.
    pub fn agrees_with(&self, other: &Self) -> bool {
        let both = self.version.as_deref().zip(other.version.as_deref());
        self.name == other.name && both.is_none_or(|(one, another)| series(one) == series(another))
    }

    /// Which of two versions came first.
    pub fn age(&self, other: &Self) -> Ordering {
        numbers(self.version.as_deref()).cmp(&numbers(other.version.as_deref()))
    }
}

/// Without what stands behind a dash.
fn numbers(version: Option<&str>) -> Vec<u64> {
    let release = version.and_then(|version| version.split(['-', '+']).next()).unwrap_or_default();
    release.split('.').map(|number| number.parse().unwrap_or(0)).collect()
}

/// What must be equal: `0.1` of `0.1.9`, `2` of `2.3.1`.
fn series(version: &str) -> Vec<&str> {
    let parts: Vec<&str> = version.split('.').collect();
    let significant = if parts.first() == Some(&"0") { 2 } else { 1 };
    parts.into_iter().take(significant).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_apart() {
        let contract = Contract::parse("shop:stock/items@0.1.0").unwrap();
        assert_eq!((contract.service.as_str(), contract.interface.as_str()), ("stock", "items"));
        assert_eq!(contract.name, "shop:stock/items");
        assert_eq!(Contract::parse("items"), None);
    }

    #[test]
    fn versions_agree_within_their_series() {
        let of = |version: &str| Contract::parse(&format!("a:b/c@{version}")).unwrap();
        assert!(of("0.1.0").agrees_with(&of("0.1.9")));
        assert!(of("1.0.0").agrees_with(&of("1.4.0")));
        assert!(!of("0.1.0").agrees_with(&of("0.2.0")));
        assert!(!of("1.0.0").agrees_with(&of("2.0.0")));
        assert!(of("0.1.0").agrees_with(&Contract::parse("a:b/c").unwrap()));
    }

    #[test]
    fn versions_have_an_age() {
        let of = |version: &str| Contract::parse(&format!("a:b/c@{version}")).unwrap();
        assert_eq!(of("0.9.0").age(&of("0.10.0")), Ordering::Less);
        assert_eq!(of("1.0.0-rc.1").age(&of("0.10.0")), Ordering::Greater);
    }
}
