//! More than one host.

use ward_tests::System;
use ward_tests::clinic::{JOHN, register};
use ward_tests::load::Load;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_dies_leaves_the_other_serving() {
    let mut system = System::with().hosts(2).start().await;
    let rest = system.admin().await;
    let load = Load::start(4, {
        let rest = rest.clone();
        move |_| {
            let rest = rest.clone();
            async move {
                let answer = rest.get(&format!("/api/patients/{JOHN}")).await;
                if answer.status == 200 { Ok(()) } else { Err(format!("{} {}", answer.status, answer.text())) }
            }
        }
    });
    load.goes_on_for(200).await;
    system.hosts[1].server.kill();
    load.goes_on_for(2000).await;
    let (asked, failures) = load.end().await;
    // What the dead host had in its hands may fail, each at its deadline; nothing after that.
    assert!(failures.len() <= 8, "{} of {asked} failed: {:?}", failures.len(), &failures[..3]);
    register(&rest).await;

    system.hosts[1].start_again().await;
    system.hosts[1].until_ready().await;
    system.hosts[1].rest().with_token(rest.token().unwrap()).get("/api/patients").await.expect(200);
    system.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_stopped_fails_no_request() {
    let mut system = System::with().hosts(2).start().await;
    let rest = system.admin().await;
    let load = Load::start(4, move |_| {
        let rest = rest.clone();
        async move {
            let answer = rest.get(&format!("/api/patients/{JOHN}")).await;
            if answer.status == 200 { Ok(()) } else { Err(format!("{} {}", answer.status, answer.text())) }
        }
    });
    load.goes_on_for(200).await;
    let status = system.hosts[1].stop().await;
    assert!(status.success(), "{status}");
    load.goes_on_for(500).await;
    let (asked, failures) = load.end().await;
    assert!(failures.is_empty(), "{} of {asked} failed: {:?}", failures.len(), &failures[..1]);
    system.end().await;
}

#[tokio::test]
async fn a_host_that_comes_later_runs_what_is_deployed() {
    let mut system = System::start().await;
    system.hosts[0].server.kill();
    system.hosts[0].start_again().await;
    system.hosts[0].until_ready().await;
    system.rest().login("reader@test.com").await.get("/api/patients").await.expect(200);
    system.end().await;
}
