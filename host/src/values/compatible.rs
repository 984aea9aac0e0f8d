//! Can the two sides of a function understand each other? By what decoding does: unknown fields are skipped, missing
//! ones are none, and a case that the reader does not know is an error.

use super::{FunctionPlan, Plan};

/// The first place where a caller and a callee would not understand each other: `holder.email`, for example.
pub fn disagreement(caller: &FunctionPlan, callee: &FunctionPlan) -> Option<String> {
    let arguments = unreadable(&caller.parameters, &callee.parameters);
    arguments.or_else(|| unreadable(&callee.result, &caller.result).map(|place| format!("result{place}")))
}

/// The place in what `writer` writes that `reader` cannot read.
fn unreadable(writer: &Plan, reader: &Plan) -> Option<String> {
    match (writer, reader) {
        (Plan::Record(written), Plan::Record(read)) => read.iter().find_map(|field| {
            let place = match written.iter().find(|candidate| candidate.name == field.name) {
                Some(candidate) => unreadable(&candidate.plan, &field.plan)?,
                None if matches!(field.plan, Plan::Option(_)) => return None,
                None => " (missing)".to_owned(),
            };
            Some(format!(".{}{place}", field.name))
        }),
        (Plan::Variant(written), Plan::Variant(read)) => written.iter().find_map(|(name, payload)| {
            let place = match (payload, read.iter().find(|(candidate, _)| candidate == name)) {
                (_, None) => " (unknown case)".to_owned(),
                (None, Some((_, None))) => return None,
                (Some(payload), Some((_, Some(plan)))) => unreadable(payload, plan)?,
                _ => " (payload)".to_owned(),
            };
            Some(format!(".{name}{place}"))
        }),
        (Plan::Enum(written), Plan::Enum(read)) | (Plan::Flags(written), Plan::Flags(read)) => {
            let unknown = written.iter().find(|name| !read.contains(name))?;
            Some(format!(".{unknown} (unknown case)"))
        }
        (Plan::List(written), Plan::List(read)) => unreadable(written, read),
        // What is always there may be read as an option.
        (Plan::Option(written), Plan::Option(read)) => unreadable(written, read),
        (written, Plan::Option(read)) => unreadable(written, read),
        (Plan::Tuple(written), Plan::Tuple(read)) if written.len() == read.len() => {
            written.iter().zip(read).find_map(|(written, read)| unreadable(written, read))
        }
        (Plan::Result(ok, err), Plan::Result(read_ok, read_err)) => {
            side(ok.as_deref(), read_ok.as_deref()).or_else(|| side(err.as_deref(), read_err.as_deref()))
        }
        (written, read) if written == read => None,
        _ => Some(" (another type)".to_owned()),
    }
}

fn side(written: Option<&Plan>, read: Option<&Plan>) -> Option<String> {
    match (written, read) {
        (_, None) => None,
        (None, Some(_)) => Some(" (payload)".to_owned()),
        (Some(written), Some(read)) => unreadable(written, read),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Field;
    use super::*;

    fn record(fields: &[(&str, Plan)]) -> Plan {
        Plan::Record(fields.iter().map(|(name, plan)| Field { name: (*name).into(), plan: plan.clone() }).collect())
    }

    fn function(parameter: Plan, result: Plan) -> FunctionPlan {
        FunctionPlan { parameters: record(&[("a", parameter)]), result }
    }

    fn optional(plan: Plan) -> Plan {
        Plan::Option(Box::new(plan))
    }

    #[test]
    fn fields_may_come_and_optional_ones_may_go() {
        let old = record(&[("x", Plan::String)]);
        let new = record(&[("x", Plan::String), ("y", optional(Plan::U8))]);
        for (caller, callee) in [(&old, &new), (&new, &old)] {
            let caller = function(caller.clone(), caller.clone());
            let callee = function(callee.clone(), callee.clone());
            assert_eq!(disagreement(&caller, &callee), None);
        }
    }

    #[test]
    fn names_the_place_of_a_break() {
        let base = function(record(&[("x", Plan::String)]), Plan::Enum(vec!["one".into()]));
        for (other, place) in [
            (function(record(&[("x", Plan::U8)]), base.result.clone()), ".a.x (another type)"),
            (function(record(&[("x", Plan::String), ("y", Plan::U8)]), base.result.clone()), ".a.y (missing)"),
            (
                function(record(&[("x", Plan::String)]), Plan::Enum(vec!["one".into(), "two".into()])),
                "result.two (unknown case)",
            ),
        ] {
            assert_eq!(disagreement(&base, &other).as_deref(), Some(place));
        }
    }
}
