use super::*;

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_while_the_next_attempt_waits_is_taken() {
    for (status, spans) in [(200, (2, vec![])), (400, (0, vec![(2, Loss::Refused)]))] {
        let agent = Agent::new([Slow(seconds(2.03), status)]);
        let delivered = agent.deliver(&[2]).await;
        assert_eq!(delivered.spans(), spans);
        assert_about(delivered.took, 2.03);
        assert_eq!((agent.client.count(), delivered.stats.retries), (1, 0));
        assert_eq!(delivered.stats.send_time_max, Some(seconds(2.03)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_during_the_next_attempt_ends_it() {
    let agent = Agent::new([Slow(seconds(2.5), 200), Hang]);
    let delivered = agent.deliver(&[2]).await;
    assert_eq!(delivered.spans(), (2, vec![]));
    assert_about(delivered.took, 2.5);
    assert_eq!(agent.client.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_late_refusal_does_not_end_the_next_attempt() {
    let agent = Agent::new([Slow(seconds(2.5), 400), Slow(seconds(1.0), 200)]);
    let delivered = agent.deliver(&[2]).await;
    assert_eq!(delivered.spans(), (2, vec![]));
    assert_eq!(agent.client.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_closes_the_breaker() {
    let agent = Agent::new([Slow(seconds(2.03), 200)]);
    agent.deliver(&[1]).await;
    let next = agent.deliver(&[1]).await;
    assert_eq!(next.took, Duration::ZERO);
}

/// The statuses of all requests, in the order in which they were known.
async fn statuses(script: impl IntoIterator<Item = Script>) -> Vec<Option<u16>> {
    let agent = Agent::with(script, |config| config.retry_deadline = seconds(5.0));
    agent.deliver(&[1]).await;
    let requests = agent.queue.take_requests();
    assert_eq!(requests.len(), agent.client.count());
    requests.iter().map(|one| one.status).collect()
}

#[tokio::test(start_paused = true)]
async fn each_request_has_one_outcome() {
    assert_eq!(statuses([Slow(seconds(2.03), 200)]).await, [Some(200)]);
    assert_eq!(
        statuses([Slow(seconds(2.03), 503)]).await,
        [Some(503), Some(200)]
    );
    let ended = statuses([Slow(seconds(2.5), 200), Hang]).await;
    assert_eq!(ended, [Some(200), None]);
    let refused = statuses([Slow(seconds(2.5), 400), Slow(seconds(1.0), 200)]).await;
    assert_eq!(refused, [Some(400), Some(200)]);
    let failed = statuses([LateFailure(seconds(2.03))]).await;
    assert_eq!(failed, [None, Some(200)]);
    let silent = statuses((0..9).map(|_| Hang)).await;
    assert_eq!(silent, [None; 3]);
}

#[tokio::test(start_paused = true)]
async fn one_that_never_comes_costs_the_next_attempt_no_time() {
    let agent = Agent::new([Hang, Hang]);
    let delivered = agent.deliver(&[2]).await;
    assert_eq!(delivered.spans(), (2, vec![]));
    assert_eq!((agent.client.count(), delivered.stats.retries), (3, 2));
    let pauses = agent.pauses();
    assert!(
        pauses.iter().all(|pause| *pause < seconds(2.3)),
        "{pauses:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn none_is_waited_for_beyond_the_deadline() {
    let agent = Agent::with([Slow(seconds(2.03), 200)], |config| {
        config.retry_deadline = seconds(1.0);
    });
    let delivered = agent.deliver(&[2]).await;
    assert_eq!(delivered.spans(), (0, vec![(2, Loss::Unreachable)]));
    assert_about(delivered.took, 2.0);
    assert_eq!(agent.client.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_fails_late_changes_nothing() {
    let agent = Agent::new([LateFailure(seconds(2.03))]);
    let delivered = agent.deliver(&[1]).await;
    assert_eq!((delivered.spans(), agent.client.count()), ((1, vec![]), 2));
}
