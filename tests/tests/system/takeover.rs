//! A host that takes the gateway's port over from another one.

use std::time::Duration;

use ward_tests::System;
use ward_tests::clinic::JOHN;
use ward_tests::load::Load;
use ward_tests::machine::directory;
use ward_tests::rest::Rest;

fn reads(clients: usize, rest: Rest) -> Load {
    Load::start(clients, move |_| {
        let rest = rest.clone();
        async move {
            let request = rest.request(reqwest::Method::GET, &format!("/api/patients/{JOHN}"));
            match request.try_send().await {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(format!("{} {}", answer.status, answer.text())),
                Err(error) => Err(format!("{error:?}")),
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_replaced_five_times_and_no_connection_is_refused_or_reset() {
    let folder = directory("takeover-");
    let socket = folder.path().join("socket");
    let mut system = System::with().set("WARD_HOST_TAKEOVER_SOCKET", socket.display()).start().await;
    let rest = system.admin().await;
    let (fresh, kept) = (reads(3, rest.unpooled()), reads(1, rest.clone()));
    for _ in 0..5 {
        fresh.goes_on_for(20).await;
        let status = system.hosts[0].replace().await;
        assert!(status.success(), "{status}\n{}", system.hosts[0].server.log());
    }
    fresh.goes_on_for(20).await;
    for load in [fresh, kept] {
        let (asked, failures) = load.end().await;
        assert!(failures.is_empty(), "{} of {asked} failed: {:?}", failures.len(), &failures[..1]);
    }
    system.end().await;
}

#[tokio::test]
async fn a_host_that_does_not_come_up_takes_nothing_over() {
    let folder = directory("takeover-");
    let socket = folder.path().join("socket");
    let mut system = System::with()
        .set("WARD_HOST_TAKEOVER_SOCKET", socket.display())
        .set("WARD_HOST_TAKEOVER_WAIT_S", 1)
        .start()
        .await;
    let rest = system.admin().await;
    // What is desired cannot be fetched by who starts now.
    let context = async_nats::jetstream::new(system.nats.client().await);
    context.delete_object_store("ward-artifacts").await.unwrap();
    let mut other = system.hosts[0].server.twin();
    let status = other.until_ended(Duration::from_secs(20)).await;
    assert!(!status.success(), "{status}");
    assert!(other.log().contains("host.takeover_wait_s"), "{}", other.log());
    rest.get(&format!("/api/patients/{JOHN}")).await.expect(200);
    system.hosts[0].stop().await;
    system.end_broken();
}
