use super::*;

#[tokio::test(start_paused = true)]
async fn a_final_status_is_not_asked_again() {
    for status in [301, 400, 401, 403, 404, 410, 415, 422, 499] {
        let agent = Agent::new([Answer(status, "no\nway")]);
        let delivered = agent.deliver(&[2]).await;
        assert_eq!(delivered.spans(), (0, vec![(2, Loss::Refused)]), "{status}");
        assert_eq!(agent.client.count(), 1, "{status}");
        let detail = delivered.details()[0];
        assert!(detail.starts_with(&format!("the agent at http://agent:8126 answered {status}")));
        let hint = " (traces in the v0.4 format need Datadog Agent 5.19 or later)";
        let hint = if [404, 415].contains(&status) {
            hint
        } else {
            ""
        };
        assert!(detail.ends_with(&format!(": no way{hint}")), "{detail}");
        let answer = delivered.outcome.failures[0].answer.as_ref();
        assert_eq!(answer.unwrap(), &(status, "no\nway".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_shown_of_an_answer_is_short_printable_and_without_secrets() {
    let body = format!("bad key s3cr3t\u{202e}\n{}", "x".repeat(999)).leak();
    let agent = Agent::with([Answer(403, body)], |config| {
        let secret = "s3cr3t".parse().unwrap();
        config.headers.insert("dd-api-key", secret);
    });
    let delivered = agent.deliver(&[1]).await;
    let detail = delivered.details()[0];
    assert!(detail.contains(": bad key …  xxx"), "{detail}");
    assert!(detail.chars().count() < 300, "{detail}");
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_agent_is_asked_again() {
    for status in [408, 429, 500, 502, 503, 504] {
        let agent = Agent::new([Answer(status, "busy"), Answer(status, "busy")]);
        let delivered = agent.deliver(&[2]).await;
        assert_eq!(delivered.spans(), (2, vec![]), "{status}");
        assert_eq!((agent.client.count(), delivered.stats.retries), (3, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn pauses_between_attempts_grow() {
    let agent = Agent::new((0..6).map(|_| Answer(503, "busy")));
    agent.deliver(&[1]).await;
    let bounds = [0.1, 0.2, 0.4, 0.8, 1.0, 1.0];
    for (pause, bound) in agent.pauses().into_iter().zip(bounds) {
        let range = seconds(bound / 2.0)..=seconds(bound + 0.002);
        assert!(range.contains(&pause), "{pause:?} of {bound}");
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_prolongs_a_pause() {
    let wait = AnswerWith(429, &[("retry-after", "3")], "");
    let shorter = AnswerWith(503, &[("retry-after", "0")], "");
    let odd = AnswerWith(503, &[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")], "");
    let agent = Agent::new([wait, shorter, odd]);
    let delivered = agent.deliver(&[1]).await;
    assert_eq!(delivered.spans(), (1, vec![]));
    let pauses = agent.pauses();
    assert_about(pauses[0], 3.0);
    assert!(
        pauses[1] < seconds(0.3) && pauses[2] < seconds(0.5),
        "{pauses:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pause_beyond_the_deadline_is_not_waited_for() {
    for wait in ["11", "99999999999999999999999"] {
        let wait: &'static [_] = Box::leak(Box::new([("retry-after", wait)]));
        let agent = Agent::new([AnswerWith(503, wait, "later")]);
        let delivered = agent.deliver(&[1]).await;
        assert_eq!(delivered.spans(), (0, vec![(1, Loss::Refused)]));
        assert_eq!(delivered.took, Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_stays_overloaded_is_given_up_at_the_deadline() {
    let agent = Agent::new((0..100).map(|_| Answer(503, "busy")));
    let delivered = agent.deliver(&[1]).await;
    assert_eq!(delivered.spans(), (0, vec![(1, Loss::Refused)]));
    assert!(delivered.took <= seconds(10.0) && delivered.took >= seconds(8.9));
    assert!(delivered.details()[0].contains("answered 503"));
}
