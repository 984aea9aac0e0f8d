//! {{name}}: say here what it is for.

use ward_sdk::service::{Json, Query, Service, get};
use ward_sdk::shape::Text;

ward_sdk::shape! {
    /// Who is greeted.
    pub struct Asked {
        pub name: Text<100>,
    }
}

ward_sdk::shape! {
    /// What they are told.
    pub struct Greeting {
        pub text: String,
    }
}

pub fn service() -> Service<()> {
    Service::new("{{name}}", env!("CARGO_PKG_VERSION"))
        .title("{{name}}", "Say here what it is for.")
        .route(get("/api/{{name}}", "greet{{Name}}", greet).summary("A greeting"))
}

ward_sdk::service!(service, (); served);

fn greet(_: &(), Query(asked): Query<Asked>) -> Json<Greeting> {
    ward_sdk::info!("greeted somebody");
    Json(Greeting { text: format!("Hello, {}!", asked.name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greets_by_name() {
        let asked = Asked { name: "Ada".to_owned().into() };
        assert_eq!(greet(&(), Query(asked)).0.text, "Hello, Ada!");
    }
}
