use super::*;

#[tokio::test(start_paused = true)]
async fn a_failed_connection_is_tried_again() {
    let agent = Agent::new([Fail("connection refused"), Fail("reset")]);
    let delivered = agent.deliver(&[2]).await;
    assert_eq!(delivered.spans(), (2, vec![]));
    assert_eq!(delivered.stats.retries, 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_is_given_up_after_the_agent_timeout() {
    let agent = Agent::new([Hang]);
    let delivered = agent.deliver(&[2]).await;
    assert_eq!(delivered.spans(), (2, vec![]));
    let pause = agent.pauses()[0];
    assert!(
        seconds(2.05) <= pause && pause <= seconds(2.11),
        "{pause:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_down_is_given_up_at_the_deadline() {
    let agent = Agent::new((0..100).map(|_| Fail("connection refused")));
    let delivered = agent.deliver(&[2]).await;
    assert_eq!(delivered.spans(), (0, vec![(2, Loss::Unreachable)]));
    assert_about(delivered.took, 10.0);
    let expected = "the agent at http://agent:8126 cannot be reached: connection refused";
    assert_eq!(delivered.details(), [expected]);
    let requests = agent.client.count();
    assert!((10..=24).contains(&requests), "{requests}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_http_client_is_tried_again() {
    let cause = "OS can't spawn worker thread";
    let delivered = Agent::new([Panic(cause)]).deliver(&[2]).await;
    assert_eq!(
        (delivered.spans(), delivered.stats.retries),
        ((2, vec![]), 1)
    );
    assert!(delivered.stats.last_error.unwrap().ends_with(cause));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_has_begun_has_all_of_its_time() {
    let agent = Agent::with([Slow(seconds(1.5), 200)], |config| {
        config.retry_deadline = seconds(0.5);
    });
    assert_eq!(agent.deliver(&[2]).await.spans(), (2, vec![]));
}

#[tokio::test(start_paused = true)]
async fn no_answer_is_shown_that_is_older_than_a_failed_connection() {
    let agent = Agent::new(
        [Answer(503, "busy")]
            .into_iter()
            .chain((0..99).map(|_| Fail("reset"))),
    );
    let delivered = agent.deliver(&[1]).await;
    assert_eq!(delivered.spans(), (0, vec![(1, Loss::Unreachable)]));
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_down_sees_one_request_at_a_time_of_all_payloads() {
    let agent = Agent::new((0..200).map(|_| Fail("connection refused")));
    let all = tokio::join!(
        agent.deliver(&[1]),
        agent.deliver(&[1]),
        agent.deliver(&[1])
    );
    for delivered in [all.0, all.1, all.2] {
        assert_eq!(delivered.spans(), (0, vec![(1, Loss::Unreachable)]));
    }
    let requests = agent.client.count();
    assert!((10..=24).contains(&requests), "{requests}");
}

#[tokio::test(start_paused = true)]
async fn one_payload_that_the_agent_cannot_stand_does_not_hold_up_the_others() {
    let agent = Agent::new([Fail("reset")]);
    let (bad, good) = tokio::join!(agent.deliver(&[1]), agent.deliver(&[2]));
    assert_eq!((bad.spans(), good.spans()), ((1, vec![]), (2, vec![])));
    assert_eq!(agent.received(), [[1], [2], [1]]);
    assert!(good.took < bad.took);
}
