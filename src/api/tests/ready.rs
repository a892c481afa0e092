//! The answer of `/readyz` for a node that does not answer.

use tokio::time::Instant;

use super::super::cluster::readyz;
use super::*;
use crate::node::Health;

/// Returns the problem that a health probe gets from a node with this health, whose driver answers nothing.
async fn told(health: Health, calls: mpsc::Sender<replica::Request>) -> Box<Problem> {
    let handle = Handle::new(watch::channel(NODE).1, calls, watch::channel(cursor(0)).1);
    let handle = handle.with_health(watch::channel(health).1);
    let api = Api::new(handle, Arc::new(FakeAdmin::in_dir(Path::new("/nonexistent"))), &Doors::default());
    readyz(axum::extract::State(api)).await.expect_err("it is not ready")
}

#[tokio::test(start_paused = true)]
async fn a_node_that_gives_no_answer_says_why_as_far_as_it_knows() {
    let (calls, _inbox) = mpsc::channel(8);
    let now = Instant::now();
    let silent = told(Health { seen: now, ..Health::default() }, calls.clone()).await;
    assert!(silent.detail.contains("no answer within 2 s"), "{}", silent.detail);
    let hangs = told(Health { disk_hangs: Some(5000), ..Health::default() }, calls.clone()).await;
    assert!(hangs.detail.contains("its disk has made nothing durable for 7 s"), "{}", hangs.detail);
    let stuck = told(Health { seen: now, ..Health::default() }, calls).await;
    assert!(stuck.detail.contains("has not come round for 6 s"), "{}", stuck.detail);
    for problem in [silent, hangs, stuck] {
        assert_eq!((problem.problem_type, problem.status), (ProblemType::Unavailable, 503));
    }
}

#[tokio::test]
async fn a_node_whose_store_failed_says_so() {
    let (calls, inbox) = mpsc::channel(8);
    drop(inbox);
    let halted = Some("the store failed: no space left on device".to_owned());
    let problem = told(Health { halted, ..Health::default() }, calls).await;
    assert_eq!(problem.problem_type, ProblemType::Unavailable);
    assert!(problem.detail.contains("it has stopped: the store failed: no space left"), "{}", problem.detail);
}
