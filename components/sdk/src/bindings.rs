//! What wit-bindgen makes of `wit/worlds.wit`: the only code here that touches memory by hand, all of it generated. The
//! modules beside this one give it the shape that components use.

/// What can be imported. What is not used is not imported.
pub mod capabilities {
    wit_bindgen::generate!({ path: "../../wit", world: "capabilities", generate_all });
}

/// How calls fail, as a value that all service interfaces share.
pub mod failures {
    wit_bindgen::generate!({
        path: "../../wit",
        generate_all,
        inline: "package ward:sdk; world failures { import ward:call/errors@0.1.0; }",
        world: "ward:sdk/failures",
        generate_unused_types: true,
    });
}

pub mod described {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "described",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_described",
        default_bindings_module: "ward_sdk::bindings::described",
    });
}

pub mod served {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "served",
        generate_all,
        with: { "ward:call/context@0.1.0": crate::bindings::capabilities::ward::call::context },
        pub_export_macro: true,
        export_macro_name: "export_served",
        default_bindings_module: "ward_sdk::bindings::served",
    });
}

pub mod subscribed {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "subscribed",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_subscribed",
        default_bindings_module: "ward_sdk::bindings::subscribed",
    });
}

pub mod seeded {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "seeded",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_seeded",
        default_bindings_module: "ward_sdk::bindings::seeded",
    });
}
