//! The host's own interfaces, generated from `wit/`. Service interfaces are not here: they are linked by reflection, so
//! that a new one needs no new host.

wasmtime::component::bindgen!({
    world: "ward:worlds/plugin",
    path: "../wit",
    imports: {
        "ward:store/sql.query": async,
        "ward:store/sql.execute": async,
        "ward:security/passwords.hash": async,
        "ward:security/passwords.verify": async,
        "ward:host/random.bytes": trappable,
        "ward:security/tokens.issue": trappable,
    },
    exports: { default: async },
});
