//! What is said of spans and statistics that are lost with the process.

use super::*;

#[test]
fn unsent_spans_are_described_with_their_destination_and_the_cause() {
    let queue = queue(|_| ());
    assert_eq!(queue.take_unsent_line(), None);
    queue.push(chunks(&[2, 1]), None);
    let line = queue.take_unsent_line().unwrap();
    let expected =
        "3 spans are lost: the process ends, on their way to http://agent:8126 (no answer yet)";
    assert_eq!(line, expected);
    assert_eq!(queue.take_unsent_line(), None, "they have been described");
    queue.push(chunks(&[4]), None);
    let (payload, _) = take(&queue);
    payload.tracker().attempt_failed("connection refused");
    let line = queue.take_unsent_line().unwrap();
    assert!(line.starts_with("4 spans") && line.ends_with("(connection refused)"));
    let outcome = accepted(&payload);
    payload.settle(outcome);
    assert_eq!(queue.take_unsent_line(), None);
}

#[test]
fn unsent_statistics_are_described_once() {
    let queue = queue(|_| ());
    queue.statistics_begin();
    queue.statistics_begin();
    queue.statistics_sent();
    let expected = "statistics of spans are lost: the process ends, on their way to http://agent:8126 (no answer yet)";
    assert_eq!(queue.take_unsent_line().unwrap(), expected);
    assert_eq!(queue.take_unsent_line(), None);
    queue.statistics_lost("refused");
    queue.statistics_begin();
    queue.push(chunks(&[2]), None);
    let line = queue.take_unsent_line().unwrap();
    assert!(line.starts_with("2 spans are lost, and statistics of others: the process ends"));
}
