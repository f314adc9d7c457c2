use super::*;

#[tokio::test(start_paused = true)]
async fn the_status_stands_when_the_body_cannot_be_read() {
    fn endless(status: u16, _: &'static str) -> Script {
        Answer(status, "x".repeat(3 * 1024 * 1024).leak())
    }
    for (body, took) in [
        (CutShort as fn(u16, &'static str) -> Script, 0.0),
        (Stalled, 2.0),
        (endless, 0.0),
    ] {
        let agent = Agent::new([body(200, "{}")]);
        let delivered = agent.deliver(&[2]).await;
        assert_eq!(delivered.spans(), (2, vec![]));
        assert_about(delivered.took, took);
        assert_eq!(agent.client.count(), 1);
        let agent = Agent::new([body(400, "bad")]);
        let delivered = agent.deliver(&[2]).await;
        assert_eq!(delivered.spans(), (0, vec![(2, Loss::Refused)]));
        assert!(delivered.details()[0].contains("answered 400"));
        assert_eq!(agent.client.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_of_the_body_is_kept_up_to_a_bound() {
    let agent = Agent::new([CutShort(200, r#"{"part"#)]);
    let delivered = agent.deliver(&[1]).await;
    assert_eq!(delivered.outcome.accepted[0].body, r#"{"part"#);
    let agent = Agent::new([Answer(200, "x".repeat(2 * 1024 * 1024).leak())]);
    let delivered = agent.deliver(&[1]).await;
    assert_eq!(delivered.outcome.accepted[0].body.len(), 1024 * 1024);
}

#[tokio::test(start_paused = true)]
async fn a_status_that_asks_for_a_retry_gets_one() {
    let agent = Agent::new([CutShort(503, "bu")]);
    let delivered = agent.deliver(&[1]).await;
    assert_eq!((delivered.spans(), agent.client.count()), ((1, vec![]), 2));
}
