//! Sending rows to the node.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::stream;

use super::super::failure::Failure;
use super::Summary;
use super::progress::Refused;
use super::rows::Row;
use crate::client::{Client, ClientError};
use crate::model::Status;
use crate::model::{BatchLine, Registration};
use crate::model::{Problem, ProblemType};

/// The pauses before a request is repeated where the node is away or busy. Each is twice as long as the one before.
pub(super) const PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(500))
    .with_max_delay(Duration::from_secs(10))
    .with_max_times(9);

/// Registers a piece, and tries again while the node is away or busy. Rows that were answered are not sent again.
pub(super) async fn register(
    client: &Client,
    piece: Vec<Row>,
    refused: &mut Refused,
    summary: &mut Summary,
) -> Result<(), Failure> {
    let mut waiting = Vec::new();
    for row in piece {
        match &row.body {
            Ok(_) => waiting.push(row),
            Err(why) => {
                summary.refused += 1;
                refused.add(&row, why)?;
            }
        }
    }
    let mut pauses = PAUSES.build();
    while !waiting.is_empty() {
        let why;
        (waiting, why) = send(client, waiting, refused, summary).await?;
        if let Some(why) = why.filter(|_| !waiting.is_empty()) {
            tokio::time::sleep(pauses.next().ok_or(why)?).await;
        }
    }
    Ok(())
}

/// Sends rows. Returns those that must be sent again, and the reason.
async fn send(
    client: &Client,
    rows: Vec<Row>,
    refused: &mut Refused,
    summary: &mut Summary,
) -> Result<(Vec<Row>, Option<ClientError>), Failure> {
    let bodies: Vec<_> = rows.iter().filter_map(|row| row.body.clone().ok()).collect();
    let mut rows = rows.into_iter();
    let mut answers = match client.register_all(stream::iter(bodies)).await {
        Ok(answers) => answers,
        Err(error) if passes(&error) => return Ok((rows.collect(), Some(error))),
        Err(error) => return Err(error.into()),
    };
    let (mut again, mut why) = (Vec::new(), None);
    loop {
        match answers.next().await {
            Ok(Some(answer)) => {
                // The node sends one answer for each line, in the same order.
                let Some(row) = rows.next() else { break };
                if let Some(problem) = answer.problem.as_deref().filter(|problem| is_busy(problem)) {
                    why = Some(ClientError::Problem(Box::new(problem.clone())));
                    again.push(row);
                } else {
                    count(&row, answer, refused, summary)?;
                }
            }
            Ok(None) => break,
            Err(error) if passes(&error) => {
                why = Some(error);
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let unanswered: Vec<_> = rows.collect();
    if why.is_none() && !unanswered.is_empty() {
        let message = "the node ended its answer before the last row; it may be stopping".to_owned();
        why = Some(ClientError::Unreachable { address: client.address().to_owned(), why: message, sent: true });
    }
    again.extend(unanswered);
    Ok((again, why))
}

/// Returns true for an error that may pass with time.
pub(super) fn passes(error: &ClientError) -> bool {
    matches!(error, ClientError::Unreachable { .. }) || error.problem().is_some_and(is_busy)
}

/// Returns true for a problem that may pass with time. An owner or token with too many names does not get fewer by
/// waiting.
fn is_busy(problem: &Problem) -> bool {
    matches!(problem.status, 429 | 503 | 507) && problem.problem_type != ProblemType::TooManyHeld
}

fn count(row: &Row, answer: BatchLine, refused: &mut Refused, summary: &mut Summary) -> Result<(), Failure> {
    let over = |registration: &Registration| registration.names.iter().all(|name| name.ended.is_some());
    match (answer.registration, answer.problem) {
        (Some(registration), _) if over(&registration) => {
            summary.refused += 1;
            refused.add(row, "it was registered before under the same id, and has ended since; give it another id")
        }
        (Some(registration), _) => {
            match registration.status {
                Status::Confirmed => summary.confirmed += 1,
                _ => summary.pending += 1,
            }
            Ok(())
        }
        (None, problem) => {
            let taken = [ProblemType::NameTaken, ProblemType::RegistrationRejected];
            let problem =
                problem.unwrap_or_else(|| Box::new(Problem::new(ProblemType::Unknown, "no reason was given")));
            summary.refused += 1;
            summary.taken += u64::from(taken.contains(&problem.problem_type));
            refused.add(row, &problem.detail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_time_alone_changes_is_tried_again() {
        let again = |problem_type| is_busy(&Problem::new(problem_type, "why"));
        assert!(
            [ProblemType::TooManyOpen, ProblemType::TooManyRequests, ProblemType::Unavailable, ProblemType::DiskLow]
                .map(again)
                == [true; 4]
        );
        assert!([ProblemType::TooManyHeld, ProblemType::NameTaken].map(again) == [false; 2]);
    }
}
