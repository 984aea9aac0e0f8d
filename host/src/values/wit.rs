//! A plan as people write it: WIT's words, without the names that types have in their package.

use std::fmt::{self, Write};

use super::{Field, FunctionPlan, Plan};

/// The type of a function: `func(holder: record { … }) -> result<…>`, with a line for each field of a record.
pub fn signature(plan: &FunctionPlan) -> String {
    let mut text = String::from("func(");
    if let Plan::Record(parameters) = &plan.parameters {
        for (place, parameter) in parameters.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            let _ = write!(text, "{comma}{}: {}", parameter.name, Shown { plan: &parameter.plan, depth: 0 });
        }
    }
    let _ = write!(text, ") -> {}", Shown { plan: &plan.result, depth: 0 });
    text
}

struct Shown<'a> {
    plan: &'a Plan,
    depth: usize,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.plan {
            Plan::Bool => formatter.write_str("bool"),
            Plan::S8 => formatter.write_str("s8"),
            Plan::U8 => formatter.write_str("u8"),
            Plan::S16 => formatter.write_str("s16"),
            Plan::U16 => formatter.write_str("u16"),
            Plan::S32 => formatter.write_str("s32"),
            Plan::U32 => formatter.write_str("u32"),
            Plan::S64 => formatter.write_str("s64"),
            Plan::U64 => formatter.write_str("u64"),
            Plan::Float32 => formatter.write_str("f32"),
            Plan::Float64 => formatter.write_str("f64"),
            Plan::Char => formatter.write_str("char"),
            Plan::String => formatter.write_str("string"),
            Plan::List(plan) => write!(formatter, "list<{}>", self.inner(plan)),
            Plan::Option(plan) => write!(formatter, "option<{}>", self.inner(plan)),
            Plan::Tuple(plans) => {
                let shown: Vec<String> = plans.iter().map(|plan| self.inner(plan).to_string()).collect();
                write!(formatter, "tuple<{}>", shown.join(", "))
            }
            Plan::Enum(names) => write!(formatter, "enum {{ {} }}", names.join(", ")),
            Plan::Flags(names) => write!(formatter, "flags {{ {} }}", names.join(", ")),
            Plan::Result(ok, err) => {
                write!(formatter, "result<{}, {}>", self.side(ok.as_deref()), self.side(err.as_deref()))
            }
            Plan::Record(fields) => self.lines(formatter, "record", fields.iter().map(|field| self.field(field))),
            Plan::Variant(cases) => {
                let cases = cases.iter().map(|(name, plan)| match plan {
                    None => name.to_string(),
                    Some(plan) => format!("{name}({})", Shown { plan, depth: self.depth + 1 }),
                });
                self.lines(formatter, "variant", cases)
            }
        }
    }
}

impl<'a> Shown<'a> {
    /// Another type at the same depth.
    fn inner(&self, plan: &'a Plan) -> Self {
        Self { plan, depth: self.depth }
    }

    fn side(&self, plan: Option<&'a Plan>) -> String {
        plan.map_or("_".to_owned(), |plan| self.inner(plan).to_string())
    }

    fn field(&self, field: &Field) -> String {
        format!("{}: {}", field.name, Shown { plan: &field.plan, depth: self.depth + 1 })
    }

    fn lines(
        &self,
        formatter: &mut fmt::Formatter<'_>,
        word: &str,
        lines: impl Iterator<Item = String>,
    ) -> fmt::Result {
        let (margin, end) = ("    ".repeat(self.depth + 1), "    ".repeat(self.depth));
        writeln!(formatter, "{word} {{")?;
        for line in lines {
            writeln!(formatter, "{margin}{line},")?;
        }
        write!(formatter, "{end}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_like_wit() {
        let holder = Plan::Record(vec![
            Field { name: "owner-id".into(), plan: Plan::String },
            Field { name: "sizes".into(), plan: Plan::List(Box::new(Plan::Option(Box::new(Plan::U8)))) },
        ]);
        let fault = Plan::Variant(vec![("not-found".into(), None), ("invalid".into(), Some(Plan::String))]);
        let plan = FunctionPlan {
            parameters: Plan::Record(vec![Field { name: "holder".into(), plan: holder }]),
            result: Plan::Result(None, Some(Box::new(fault))),
        };
        let expected = "func(holder: record {\n    owner-id: string,\n    sizes: list<option<u8>>,\n}) -> \
                        result<_, variant {\n    not-found,\n    invalid(string),\n}>";
        assert_eq!(signature(&plan), expected);
    }
}
