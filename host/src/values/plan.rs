//! A function's type, compiled for walking.

use std::sync::Arc;

use wasmtime::component::{Type, types::ComponentFunc};

/// The type of one value.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    Bool,
    S8,
    U8,
    S16,
    U16,
    S32,
    U32,
    S64,
    U64,
    Float32,
    Float64,
    Char,
    String,
    List(Box<Plan>),
    Record(Vec<Field>),
    Tuple(Vec<Plan>),
    Variant(Vec<(Arc<str>, Option<Plan>)>),
    Enum(Vec<Arc<str>>),
    Option(Box<Plan>),
    Result(Option<Box<Plan>>, Option<Box<Plan>>),
    Flags(Vec<Arc<str>>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: Arc<str>,
    pub plan: Plan,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FunctionPlan {
    /// A record of all parameters.
    pub parameters: Plan,
    pub result: Plan,
}

/// A type that cannot leave the process, or that no caller could be told a failure through.
#[derive(Debug, thiserror::Error)]
pub enum Unsupported {
    #[error("a {0} cannot travel in a call: service interfaces are made of plain values")]
    Type(&'static str),
    #[error("it returns no result: every function of a service interface returns result<_, error>")]
    NoResult,
    #[error(
        "its error type has no case call(failure) of ward:call/errors, so no caller could learn why there is no answer"
    )]
    NoFailure,
}

impl FunctionPlan {
    pub fn compile(function: &ComponentFunc) -> Result<Self, Unsupported> {
        let parameters = function
            .params()
            .map(|(name, ty)| Ok(Field { name: name.into(), plan: Plan::compile(&ty)? }))
            .collect::<Result<_, _>>()?;
        let result = function.results().next().ok_or(Unsupported::NoResult)?;
        let plan = Self { parameters: Plan::Record(parameters), result: Plan::compile(&result)? };
        plan.check_failure()?;
        Ok(plan)
    }

    /// There must be room for each of the host's failures.
    fn check_failure(&self) -> Result<(), Unsupported> {
        let Plan::Result(_, error) = &self.result else {
            return Err(Unsupported::NoResult);
        };
        let Some(Plan::Variant(cases)) = error.as_deref() else {
            return Err(Unsupported::NoFailure);
        };
        let payload = cases.iter().find(|(name, _)| &**name == "call").and_then(|(_, payload)| payload.as_ref());
        let Some(Plan::Enum(names)) = payload else {
            return Err(Unsupported::NoFailure);
        };
        let complete =
            ward_proto::call::FailureKind::ALL.iter().all(|kind| names.iter().any(|name| &**name == kind.name()));
        if complete { Ok(()) } else { Err(Unsupported::NoFailure) }
    }
}

impl Plan {
    fn compile(ty: &Type) -> Result<Self, Unsupported> {
        Ok(match ty {
            Type::Bool => Self::Bool,
            Type::S8 => Self::S8,
            Type::U8 => Self::U8,
            Type::S16 => Self::S16,
            Type::U16 => Self::U16,
            Type::S32 => Self::S32,
            Type::U32 => Self::U32,
            Type::S64 => Self::S64,
            Type::U64 => Self::U64,
            Type::Float32 => Self::Float32,
            Type::Float64 => Self::Float64,
            Type::Char => Self::Char,
            Type::String => Self::String,
            Type::List(list) => Self::List(Box::new(Self::compile(&list.ty())?)),
            Type::Record(record) => Self::Record(
                record
                    .fields()
                    .map(|field| Ok(Field { name: field.name.into(), plan: Self::compile(&field.ty)? }))
                    .collect::<Result<_, Unsupported>>()?,
            ),
            Type::Tuple(tuple) => Self::Tuple(tuple.types().map(|ty| Self::compile(&ty)).collect::<Result<_, _>>()?),
            Type::Variant(variant) => Self::Variant(
                variant
                    .cases()
                    .map(|case| Ok((case.name.into(), case.ty.as_ref().map(Self::compile).transpose()?)))
                    .collect::<Result<_, Unsupported>>()?,
            ),
            Type::Enum(cases) => Self::Enum(cases.names().map(Into::into).collect()),
            Type::Option(option) => match Self::compile(&option.ty())? {
                Self::Option(_) => return Err(Unsupported::Type("option<option<_>>")),
                inner => Self::Option(Box::new(inner)),
            },
            Type::Result(result) => {
                let side = |ty: Option<Type>| ty.map(|ty| Self::compile(&ty).map(Box::new)).transpose();
                Self::Result(side(result.ok())?, side(result.err())?)
            }
            Type::Flags(flags) => Self::Flags(flags.names().map(Into::into).collect()),
            Type::Own(_) | Type::Borrow(_) => return Err(Unsupported::Type("resource")),
            Type::Future(_) => return Err(Unsupported::Type("future")),
            Type::Stream(_) => return Err(Unsupported::Type("stream")),
            Type::ErrorContext => return Err(Unsupported::Type("error-context")),
            Type::Map(_) => return Err(Unsupported::Type("map")),
            Type::FixedLengthList(_) => return Err(Unsupported::Type("list of a fixed length")),
        })
    }
}
