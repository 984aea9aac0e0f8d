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

/// Types within types of all functions of a component. In the component one type may stand in many places; a plan has a copy in each.
const MOST_TYPES: usize = 20_000;
/// Bytes of the name of a field, a case, a flag or a parameter.
const LONGEST_NAME: usize = 100;

/// Fields, cases or names of one type: each that comes over the wire is looked for among them.
const WIDEST: usize = 500;

/// How much more the plans of a component may hold.
pub struct Room {
    left: usize,
    /// Lists around the type that is compiled now.
    lists: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { left: MOST_TYPES, lists: 0 }
    }
}

impl Room {
    fn take(&mut self) -> Result<(), Unsupported> {
        self.left = self.left.checked_sub(1).ok_or(Unsupported::TooMany)?;
        Ok(())
    }

    fn width(width: usize) -> Result<(), Unsupported> {
        if width > WIDEST { Err(Unsupported::TooWide) } else { Ok(()) }
    }

    fn name(&mut self, name: &str) -> Result<Arc<str>, Unsupported> {
        self.take()?;
        if name.len() > LONGEST_NAME { Err(Unsupported::LongName) } else { Ok(name.into()) }
    }
}

/// A type that cannot leave the process, or that no caller could be told a failure through.
#[derive(Debug, thiserror::Error)]
pub enum Unsupported {
    #[error("the types of its functions have more than {MOST_TYPES} parts together")]
    TooMany,
    #[error("one of its types has more than {WIDEST} fields, cases or names")]
    TooWide,
    #[error("a name in its types has more than {LONGEST_NAME} bytes")]
    LongName,
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
    pub fn compile(function: &ComponentFunc, room: &mut Room) -> Result<Self, Unsupported> {
        let mut parameters = Vec::new();
        for (name, ty) in function.params() {
            parameters.push(Field { name: room.name(name)?, plan: Plan::compile(&ty, room)? });
        }
        let result = function.results().next().ok_or(Unsupported::NoResult)?;
        let plan = Self { parameters: Plan::Record(parameters), result: Plan::compile(&result, room)? };
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
    fn compile(ty: &Type, room: &mut Room) -> Result<Self, Unsupported> {
        room.take()?;
        Room::width(match ty {
            Type::Record(record) => record.fields().len(),
            Type::Variant(variant) => variant.cases().len(),
            Type::Enum(cases) => cases.names().len(),
            Type::Flags(flags) => flags.names().len(),
            _ => 0,
        })?;
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
            Type::List(list) => {
                room.lists += 1;
                let inner = Self::compile(&list.ty(), room)?;
                room.lists -= 1;
                Self::List(Box::new(inner))
            }
            Type::Record(record) => Self::Record(
                record
                    .fields()
                    .map(|field| Ok(Field { name: room.name(field.name)?, plan: Self::compile(&field.ty, room)? }))
                    .collect::<Result<_, Unsupported>>()?,
            ),
            Type::Tuple(tuple) => {
                Self::Tuple(tuple.types().map(|ty| Self::compile(&ty, room)).collect::<Result<_, _>>()?)
            }
            Type::Variant(variant) => Self::Variant(
                variant
                    .cases()
                    .map(|case| {
                        let payload = case.ty.as_ref().map(|ty| Self::compile(ty, room)).transpose()?;
                        Ok((room.name(case.name)?, payload))
                    })
                    .collect::<Result<_, Unsupported>>()?,
            ),
            Type::Enum(cases) => Self::Enum(cases.names().map(|name| room.name(name)).collect::<Result<_, _>>()?),
            Type::Option(option) => match Self::compile(&option.ty(), room)? {
                Self::Option(_) => return Err(Unsupported::Type("option<option<_>>")),
                inner => Self::Option(Box::new(inner)),
            },
            Type::Result(result) => {
                let mut side = |ty: Option<Type>| ty.map(|ty| Self::compile(&ty, room).map(Box::new)).transpose();
                Self::Result(side(result.ok())?, side(result.err())?)
            }
            // The engine makes a text of each bit that is set, and counts the names alone, not what holds them.
            Type::Flags(_) if room.lists > 0 => return Err(Unsupported::Type("flags type in a list")),
            Type::Flags(flags) => Self::Flags(flags.names().map(|name| room.name(name)).collect::<Result<_, _>>()?),
            Type::Own(_) | Type::Borrow(_) => return Err(Unsupported::Type("resource")),
            Type::Future(_) => return Err(Unsupported::Type("future")),
            Type::Stream(_) => return Err(Unsupported::Type("stream")),
            Type::ErrorContext => return Err(Unsupported::Type("error-context")),
            Type::Map(_) => return Err(Unsupported::Type("map")),
            Type::FixedLengthList(_) => return Err(Unsupported::Type("list of a fixed length")),
        })
    }
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{
        Component, ComponentImportSection, ComponentTypeRef, ComponentTypeSection, ComponentValType, InstanceType,
        PrimitiveValType, TypeBounds,
    };
    use wasmtime::component::types::ComponentItem;

    use super::*;

    const INTEGER: ComponentValType = ComponentValType::Primitive(PrimitiveValType::U8);

    /// The plan of a function that is imported with one parameter, a tuple of tuples of integers.
    fn plan(parameter: &str, width: usize) -> Result<FunctionPlan, Unsupported> {
        plan_of(parameter, |instance| {
            instance.ty().defined_type().tuple(vec![INTEGER; width]);
            instance.ty().defined_type().tuple(vec![ComponentValType::Type(0); width]);
        })
    }

    /// The plan of a function with one parameter, of the last of these types.
    fn plan_of(parameter: &str, types: impl FnOnce(&mut InstanceType)) -> Result<FunctionPlan, Unsupported> {
        let mut instance = InstanceType::new();
        types(&mut instance);
        let last = instance.type_count() - 1;
        instance.ty().function().params([(parameter, ComponentValType::Type(last))]).result(Some(INTEGER));
        instance.export("f", ComponentTypeRef::Func(last + 1));
        let (mut types, mut imports) = (ComponentTypeSection::new(), ComponentImportSection::new());
        types.instance(&instance);
        imports.import("shop:stock/items", ComponentTypeRef::Instance(0));
        let mut component = Component::new();
        component.section(&types).section(&imports);

        let engine = wasmtime::Engine::default();
        let component = wasmtime::component::Component::new(&engine, component.finish()).unwrap();
        let ty = component.component_type();
        let (_, import) = ty.imports(&engine).next().unwrap();
        let ComponentItem::ComponentInstance(instance) = import.ty else { panic!("an instance is imported") };
        let (_, export) = instance.exports(&engine).last().unwrap();
        let ComponentItem::ComponentFunc(function) = export.ty else { panic!("a function is exported") };
        FunctionPlan::compile(&function, &mut Room::default())
    }

    #[test]
    fn types_have_a_bound_however_often_one_is_used() {
        assert!(
            matches!(plan("p", 100), Err(Unsupported::NoResult)),
            "it has no error, and nothing else is wrong with it"
        );
        assert!(matches!(plan("p", 200), Err(Unsupported::TooMany)));
        assert!(matches!(plan(&"p".repeat(101), 1), Err(Unsupported::LongName)));
    }

    #[test]
    fn flags_stand_in_no_list_however_deep() {
        // The type, and its name.
        let flags = |instance: &mut InstanceType| {
            instance.ty().defined_type().flags(["a", "b"]);
            instance.export("t", ComponentTypeRef::Type(TypeBounds::Eq(0)));
        };
        let named = ComponentValType::Type(1);
        assert!(matches!(plan_of("p", flags), Err(Unsupported::NoResult)), "alone they are well");
        let listed = plan_of("p", |instance| {
            flags(instance);
            instance.ty().defined_type().option(named);
            instance.ty().defined_type().list(ComponentValType::Type(2));
        });
        assert!(matches!(listed, Err(Unsupported::Type("flags type in a list"))));
        let beside = plan_of("p", |instance| {
            flags(instance);
            instance.ty().defined_type().list(INTEGER);
            instance.ty().defined_type().tuple([ComponentValType::Type(2), named]);
        });
        assert!(matches!(beside, Err(Unsupported::NoResult)), "a list beside them does no harm");
    }
}
