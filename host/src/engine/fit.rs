//! Does what one component calls fit what another one offers? A host asks before a swap, `ward diff` long before that.

use super::{Import, Offered};
use crate::values::disagreement;

/// Where a caller and `callee`, which offers these functions, do not understand each other: `result.place (missing)`, for example.
/// None when they do, and when the interface is another service's.
pub fn misfit(import: &Import, callee: &str, offered: &[Offered]) -> Option<String> {
    if import.contract.service != callee {
        return None;
    }
    let versions: Vec<_> = offered.iter().filter(|one| one.contract.name == import.contract.name).collect();
    let Some(first) = versions.first() else { return Some("the interface is missing".to_owned()) };
    let mut agreeing = versions.iter().filter(|one| import.contract.agrees_with(&one.contract)).peekable();
    if agreeing.peek().is_none() {
        return Some(format!("the other side has {}", first.contract.text));
    }
    match agreeing.find(|one| *one.name == *import.name) {
        None => Some("the function is missing".to_owned()),
        Some(export) => disagreement(&import.plan, &export.plan),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::calls::typed::Contract;
    use crate::engine::Effect;
    use crate::values::{FunctionPlan, Plan};

    fn plan(result: Plan) -> FunctionPlan {
        FunctionPlan { parameters: Plan::Record(Vec::new()), result }
    }

    fn contract(text: &str) -> Arc<Contract> {
        Arc::new(Contract::parse(text).unwrap())
    }

    fn offered(text: &str, name: &str) -> Offered {
        Offered { contract: contract(text), name: name.into(), plan: Arc::new(plan(Plan::U64)), effect: Effect::Read }
    }

    #[test]
    fn a_call_fits_the_version_that_it_knows() {
        let import = |text: &str, name: &str, result: Plan| Import {
            contract: contract(text),
            name: name.into(),
            plan: plan(result),
        };
        let count = import("shop:stock/items@0.1.0", "count", Plan::U64);
        let [older, newer] = ["0.1.4", "0.2.0"].map(|version| offered(&format!("shop:stock/items@{version}"), "count"));
        let misfit = |import, offered: &[Offered]| misfit(import, "stock", offered);
        assert_eq!(misfit(&count, &[newer.clone(), older.clone()]), None);
        let others = offered("shop:stock/orders@0.1.0", "count");
        assert_eq!(misfit(&count, &[others]).as_deref(), Some("the interface is missing"));
        assert_eq!(super::misfit(&count, "till", &[]), None);
        assert_eq!(misfit(&count, &[newer]).as_deref(), Some("the other side has shop:stock/items@0.2.0"));
        let find = import("shop:stock/items@0.1.0", "find", Plan::U64);
        assert_eq!(misfit(&find, std::slice::from_ref(&older)).as_deref(), Some("the function is missing"));
        let other = import("shop:stock/items@0.1.0", "count", Plan::String);
        assert_eq!(misfit(&other, &[older]).as_deref(), Some("result (another type)"));
    }
}
