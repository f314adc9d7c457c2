use super::*;

fn too_large() -> Script {
    Answer(413, "too large")
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_is_too_large_is_sent_in_halves() {
    let agent = Agent::new([too_large()]);
    let delivered = agent.deliver(&[1, 1, 1, 1]).await;
    assert_eq!(delivered.spans(), (4, vec![]));
    assert_eq!(agent.received(), [vec![1, 1, 1, 1], vec![1, 1], vec![1, 1]]);
    assert_eq!(delivered.stats.retries, 0);
}

#[tokio::test(start_paused = true)]
async fn halves_are_split_again_so_that_only_the_chunk_at_fault_is_lost() {
    let ok = || Answer(200, "{}");
    let agent = Agent::new([too_large(), too_large(), ok(), too_large(), ok()]);
    let delivered = agent.deliver(&[2, 2, 2, 2]).await;
    assert_eq!(
        agent.received(),
        [vec![2; 4], vec![2; 2], vec![2], vec![2], vec![2; 2]]
    );
    assert_eq!(delivered.spans(), (6, vec![(2, Loss::TooLarge)]));
}

#[tokio::test(start_paused = true)]
async fn a_single_chunk_that_is_too_large_is_lost() {
    let agent = Agent::new([too_large()]);
    let delivered = agent.deliver(&[7]).await;
    assert_eq!(delivered.spans(), (0, vec![(7, Loss::TooLarge)]));
    assert!(delivered.details()[0].contains("answered 413"));
    assert_eq!(agent.client.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_part_is_retried_on_its_own() {
    let agent = Agent::new([
        too_large(),
        Answer(503, "busy"),
        Answer(200, "{}"),
        Answer(400, "no"),
    ]);
    let delivered = agent.deliver(&[1, 1]).await;
    assert_eq!(delivered.spans(), (1, vec![(1, Loss::Refused)]));
    assert_eq!(delivered.stats.retries, 1);
}

#[tokio::test(start_paused = true)]
async fn parts_that_no_time_is_left_for_are_lost_as_the_whole_was() {
    let script = [too_large()]
        .into_iter()
        .chain((0..99).map(|_| Answer(503, "busy")));
    let agent = Agent::with(script, |config| config.retry_deadline = seconds(0.01));
    let delivered = agent.deliver(&[1, 1]).await;
    let (accepted, lost) = delivered.spans();
    assert_eq!((accepted, lost.len()), (0, 2));
}
