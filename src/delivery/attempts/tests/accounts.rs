use super::*;

#[tokio::test(start_paused = true)]
async fn each_request_has_an_outcome() {
    let script = [
        Answer(413, ""),
        Answer(503, ""),
        Answer(200, "{}"),
        Fail("reset"),
    ];
    let agent = Agent::new(script);
    agent.deliver(&[3, 4]).await;
    let requests = agent.queue.take_requests();
    let all: Vec<_> = requests
        .iter()
        .map(|one| (one.status, one.chunks, one.spans))
        .collect();
    assert_eq!(
        all,
        [
            (Some(413), 2, 7),
            (Some(503), 1, 3),
            (Some(200), 1, 3),
            (None, 1, 4),
            (Some(200), 1, 4)
        ]
    );
    let bodies = agent.client.requests.lock().unwrap();
    assert!(
        requests
            .iter()
            .zip(&*bodies)
            .all(|(one, (_, request))| one.bytes == request.body().len())
    );
    assert!(agent.queue.take_requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_told_at_once() {
    for (failure, cause) in [
        (
            Fail("connection refused"),
            "cannot be reached: connection refused",
        ),
        (Hang, "cannot be reached: no answer within 2.000 s"),
        (
            Answer(503, "busy"),
            "answered 503 Service Unavailable: busy",
        ),
    ] {
        let delivered = Agent::new([failure]).deliver(&[1]).await;
        let lines = &delivered.lines;
        let detail = format!("the agent at http://agent:8126 {cause}");
        assert_eq!(delivered.stats.last_error.as_deref(), Some(detail.as_str()));
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains(&detail), "{lines:?}");
    }
}
