//! `forename claim`

use std::time::Duration;

use clap::{Args, ValueEnum};
use uuid::Uuid;

use super::args::{ClientArgs, Format};
use super::failure::{Exit, Failure, Outcome};
use super::output;
use super::target::NamespaceOf;
use crate::client::{Client, ClientError};
use crate::model::limits::MAX_WAIT;
use crate::model::{EndReason, Metadata, Problem, ProblemType, Registration, RegistrationBody, Span, Wait};

#[derive(Args, Debug)]
pub(super) struct ClaimArgs {
    /// The names, each as NAMESPACE/NAME
    #[arg(required = true, value_name = "NAMESPACE/NAME")]
    names: Vec<String>,
    #[command(flatten)]
    namespace: NamespaceOf,
    /// The owner of the names
    #[arg(long)]
    owner: String,
    /// The registration's id, so that the command can safely be repeated
    #[arg(long, value_name = "UUID")]
    id: Option<Uuid>,
    /// Only reserve the names for this long, like 15m
    #[arg(long)]
    ttl: Option<Span>,
    /// A JSON object to keep with the registration
    #[arg(long, value_name = "JSON", value_parser = metadata)]
    metadata: Option<Metadata>,
    /// Show up to this many free alternatives for each name that is taken
    #[arg(long, value_name = "COUNT")]
    suggest: Option<usize>,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    pub(super) client: ClientArgs,
}

/// Options for waiting for the outcome.
#[derive(Args, Clone, Debug)]
pub(super) struct WaitArgs {
    /// Wait until the outcome is final; with =always even while a member that is needed is out of reach
    #[arg(
        long,
        value_enum,
        value_name = "final|always",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "final",
        hide_possible_values = true
    )]
    wait: Option<WaitFor>,
    /// Wait no longer than this; exit code 4 if it is still pending then
    #[arg(long, default_value = "5s", requires = "wait")]
    pub(super) timeout: Span,
}

/// The values of `--wait`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
enum WaitFor {
    Final,
    Always,
}

impl WaitArgs {
    pub(super) fn fill(&self, body: &mut RegistrationBody) {
        body.wait = self.wait.map(|wait| match wait {
            WaitFor::Final => Wait::Final,
            WaitFor::Always => Wait::Always,
        });
        body.timeout = self.wait.map(|_| self.timeout);
    }

    /// Returns true where the command waits for the outcome.
    pub(super) fn waits(&self) -> bool {
        self.wait.is_some()
    }
}

fn metadata(text: &str) -> Result<Metadata, String> {
    Metadata::new(text.to_owned()).map_err(|error| error.to_string())
}

pub(super) async fn run(args: ClaimArgs) -> Outcome {
    let mut body = RegistrationBody {
        id: args.id,
        owner: args.owner,
        names: args.names.iter().map(|name| args.namespace.name(name)).collect::<Result<_, _>>()?,
        ttl: args.ttl,
        metadata: args.metadata,
        suggest: args.suggest,
        ..RegistrationBody::default()
    };
    args.wait.fill(&mut body);
    register(&args.client, &args.client.client()?, &args.wait, &body).await
}

/// Registers and prints the outcome, including a rejection.
pub(super) async fn register(args: &ClientArgs, client: &Client, wait: &WaitArgs, body: &RegistrationBody) -> Outcome {
    let answer = tokio::select! {
        answer = outcome(client, wait, body) => answer,
        // Where the signal cannot be handled it ends the process by itself.
        Ok(()) = tokio::signal::ctrl_c() => return Err(interrupted(body)),
    };
    match answer {
        Ok(registration) => {
            output::print(args, &registration, output::registration)?;
            match over(&registration) {
                Some(what) => Err(Failure::failed(format!(
                    "registration {} was made before under this id, and is {what} now; nothing was registered. Look at what \
                     'forename show' says of its names, and claim them under another id",
                    registration.id
                ))
                .after_result()),
                None => Ok(Exit::of(registration.status, wait.waits())),
            }
        }
        Err(error) => {
            // In JSON the problem document has all of this.
            if args.output == Format::Text
                && let Some(problem) = error.problem()
            {
                output::part(&refused(problem))?;
            }
            Err(Failure::from(error))
        }
    }
}

/// The failure of a command that its caller has interrupted.
fn interrupted(body: &RegistrationBody) -> Failure {
    let name = body.names.first().map(|name| output::shown_name(&name.namespace, &name.name)).unwrap_or_default();
    Failure::failed(format!(
        "interrupted: nobody waits any more. Where the registration was taken it goes on by itself; 'forename explain {name}' says \
         what has become of it"
    ))
}

/// Describes a registration that was confirmed and does not hold all its names any more; none for any other.
fn over(registration: &Registration) -> Option<String> {
    if registration.erased {
        return Some("erased".to_owned());
    }
    let gone = registration.names.iter().filter_map(|name| {
        let reason = name.ended.filter(|reason| *reason != EndReason::Rejected)?;
        Some(format!("without {} ({})", output::shown_name(&name.namespace, &name.name), output::reason(reason)))
    });
    let gone: Vec<_> = gone.collect();
    (!gone.is_empty()).then(|| gone.join(", "))
}

/// Registers, and waits for the outcome. A node waits at most [`MAX_WAIT`] in one request, so a longer wait takes
/// several requests.
async fn outcome(client: &Client, wait: &WaitArgs, body: &RegistrationBody) -> Result<Registration, ClientError> {
    let mut registration = client.register(body).await?;
    let mut left = if wait.waits() { wait.timeout.0.saturating_sub(MAX_WAIT) } else { Duration::ZERO };
    let goes_on = |registration: &Registration| {
        let held_up = registration.waiting_for.iter().any(|waiting| waiting.reason.is_open_ended());
        !registration.status.is_final() && (wait.wait == Some(WaitFor::Always) || !held_up)
    };
    while goes_on(&registration) && !left.is_zero() {
        match client.wait_for(registration.id, left.min(MAX_WAIT)).await {
            Ok(now) => registration = now,
            // Another node answers than the one that accepted the registration, and does not know it yet.
            Err(error) if error.problem().is_some_and(|it| it.problem_type == ProblemType::NoRegistration) => break,
            Err(error) => return Err(error),
        }
        left = left.saturating_sub(MAX_WAIT);
    }
    Ok(registration)
}

/// Describes the registration that lost, where there is one, and free alternatives.
fn refused(problem: &Problem) -> String {
    let registration = problem.registration.iter().map(|registration| output::registration(registration));
    let names = problem.names.iter().filter(|name| !name.suggestions.is_empty()).map(output::name);
    registration.chain(names).map(|text| text.trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_that_has_ended_is_no_success() {
        let registration = |ended: &str| -> Registration {
            serde_json::from_value(serde_json::json!({
                "id": "00000000-0000-4000-8000-000000000007", "owner": "ann", "status": "confirmed",
                "names": [{"namespace": "username", "name": "alice", "key": "alice", "ended": ended}],
                "node": "00000000000000ab", "stamp": "7.0@00000000000000ab", "accepted_at": "2026-03-01T12:00:00Z",
            }))
            .unwrap()
        };
        assert_eq!(over(&registration("released")).unwrap(), "without username/alice (released)");
        assert_eq!(over(&registration("expired")).unwrap(), "without username/alice (expired)");
        let mut held = registration("released");
        held.names[0].ended = None;
        assert_eq!(over(&held), None);
        held.erased = true;
        assert_eq!(over(&held).unwrap(), "erased");
    }
}
