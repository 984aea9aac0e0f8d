//! Logging in, and tokens.

use serde_json::json;
use ward_tests::System;

#[tokio::test]
async fn wrong_password_and_unknown_user_get_the_same_answer() {
    let rest = System::shared().await.rest();
    let ask = async |email: &str| {
        let body = json!({ "email": email, "password": "wrongpassword" });
        rest.post("/auth/login", body).await.expect_problem(401)
    };
    // That they take the same time is shown where the work is done: both check a hash of the same cost.
    assert_eq!(ask("testuser@test.com").await, ask("nobody@test.com").await);
}

#[tokio::test]
async fn validates_tokens() {
    let system = System::shared().await;
    let admin = system.admin().await;
    admin.get("/auth/validate").await.expect(200);
    system.rest().get("/auth/validate").await.expect_problem(401);
    system.rest().with_token("not.a.token").get("/auth/validate").await.expect_problem(401);
    let token = admin.token().unwrap();
    let (head, signature) = token.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{head}.{first}{}", &signature[1..]);
    system.rest().with_token(&forged).get("/auth/validate").await.expect_problem(401);
}

#[tokio::test]
async fn publishes_the_keys_that_tokens_are_signed_with() {
    let system = System::shared().await;
    let keys = system.rest().get("/.well-known/jwks.json").await.expect(200).json();
    let key = &keys["keys"][0];
    assert_eq!((key["kty"].as_str(), key["crv"].as_str()), (Some("OKP"), Some("Ed25519")), "{keys}");
    assert!(key["kid"].is_string() && key["d"].is_null(), "{keys}");
}

#[tokio::test]
async fn login_needs_both_fields() {
    let rest = System::shared().await.rest();
    let problem = rest.post("/auth/login", json!({})).await.expect_problem(400);
    assert!(problem["errors"]["email"].is_array() && problem["errors"]["password"].is_array(), "{problem}");
}

#[tokio::test]
async fn a_rotated_key_signs_and_the_old_one_still_verifies() {
    let system = System::with().set("WARD_TOKENS_KEY_REST_S", 0).start().await;
    let before = system.admin().await;
    system.command(&["keys", "rotate"]).await;
    ward_tests::eventually("the new key is published", async || {
        let keys = system.rest().get("/.well-known/jwks.json").await.json();
        (keys["keys"].as_array().is_some_and(|keys| keys.len() == 2)).then_some(())
    })
    .await;
    before.get("/auth/validate").await.expect(200);
    let after = system.rest().login("testuser@test.com").await;
    let kid = |token: Option<&str>| token.unwrap().split('.').next().unwrap().to_owned();
    assert_ne!(kid(before.token()), kid(after.token()));
    after.get("/auth/validate").await.expect(200);
    system.end().await;
}

#[tokio::test]
async fn production_has_no_users_but_those_that_an_operator_makes() {
    let system = System::with().set("WARD_PROFILE", "production").start().await;
    let login = |email: &str, password: &str| json!({ "email": email, "password": password });
    let seeded = login("testuser@test.com", "password123");
    system.rest().post("/auth/login", seeded).await.expect_problem(401);
    let output =
        system.command_with_input(&["user", "add", "first@example.com", "--role", "ADMIN"], "a long password\n").await;
    assert!(output.status.success(), "{}", ward_tests::ward::said(&output));
    let made = login("first@example.com", "a long password");
    system.rest().post("/auth/login", made).await.expect(200);
    system.end().await;
}
