use super::*;

/// Lets time pass at once, as a process sees it that was stopped.
async fn stop_for(time: f64, after: f64) {
    tokio::time::sleep(seconds(after)).await;
    tokio::time::advance(seconds(time)).await;
}

#[tokio::test(start_paused = true)]
async fn reads_the_answer_that_came_meanwhile() {
    let agent = Agent::with([Relayed(seconds(1.0), 200)], |config| {
        config.retry_deadline = seconds(1.0);
    });
    let (delivered, ()) = tokio::join!(agent.deliver(&[2]), stop_for(5.0, 0.4));
    assert_eq!(delivered.spans(), (2, vec![]));
    assert_eq!((agent.client.count(), delivered.stats.retries), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn makes_one_more_attempt_before_a_loss_is_counted() {
    let agent = Agent::with([Hang], |config| config.retry_deadline = seconds(2.0));
    let (delivered, ()) = tokio::join!(agent.deliver(&[2]), stop_for(60.0, 0.4));
    assert_eq!((delivered.spans(), agent.client.count()), ((2, vec![]), 2));
}

#[tokio::test(start_paused = true)]
async fn loses_no_time_for_retries() {
    let agent = Agent::new((0..3).map(|_| Fail("reset")));
    // The stop falls into the pause after the first failure.
    let (delivered, ()) = tokio::join!(agent.deliver(&[2]), stop_for(60.0, 0.01));
    assert_eq!((delivered.spans(), agent.client.count()), ((2, vec![]), 4));
}

#[tokio::test(start_paused = true)]
async fn gives_up_at_last() {
    let agent = Agent::new((0..99).map(|_| Hang));
    let stops = async {
        for _ in 0..20 {
            stop_for(5.0, 0.5).await;
        }
    };
    let (delivered, ()) = tokio::join!(agent.deliver(&[2]), stops);
    assert_eq!(delivered.spans(), (0, vec![(2, Loss::Unreachable)]));
}
