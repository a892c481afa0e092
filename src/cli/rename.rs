//! `forename rename`

use clap::Args;
use uuid::Uuid;

use super::args::ClientArgs;
use super::claim::{WaitArgs, register};
use super::failure::{Failure, Outcome};
use super::output;
use super::target::NamespaceOf;
use crate::model::{NameRef, RegistrationBody, ReplacesBody};

#[derive(Args, Debug)]
pub(super) struct RenameArgs {
    /// The name to release
    #[arg(value_name = "NAMESPACE/OLD")]
    old: String,
    /// The name to take, with or without the namespace, which must be the same
    #[arg(value_name = "NEW")]
    new: String,
    #[command(flatten)]
    namespace: NamespaceOf,
    /// The owner of the old name
    #[arg(long)]
    owner: String,
    /// The new registration's id, so that the command can safely be repeated
    #[arg(long, value_name = "UUID")]
    id: Option<Uuid>,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    pub(super) client: ClientArgs,
}

pub(super) async fn run(args: RenameArgs) -> Outcome {
    let client = args.client.client()?;
    let NameRef { namespace, name: old } = args.namespace.name(&args.old)?;
    let new = if args.namespace.is_given() { args.new } else { new_name(&namespace, &args.new)? };
    let held = client.name(&namespace, &old).await?;
    let Some(registration) = held.registration else {
        return Err(Failure::failed(format!(
            "{namespace}/{old} is not held, so it cannot be renamed; claim {}",
            output::shown_name(&namespace, &new)
        )));
    };
    let owner = client.registration(registration).await?.owner;
    if owner != args.owner {
        let message = format!("{namespace}/{old} is not held by owner {:?}; nothing was changed", args.owner);
        return Err(Failure::failed(message));
    }
    let mut body = RegistrationBody {
        id: args.id,
        owner,
        names: vec![NameRef { namespace: namespace.clone(), name: new }],
        replaces: Some(ReplacesBody { registration, namespace, name: old }),
        ..RegistrationBody::default()
    };
    args.wait.fill(&mut body);
    register(&args.client, &client, &args.wait, &body).await
}

/// Parses the new name, which may be written with the namespace of the old one or without any. A rename cannot change
/// the namespace.
fn new_name(namespace: &str, new: &str) -> Result<String, Failure> {
    match new.rsplit_once('/') {
        None => Ok(new.to_owned()),
        Some((same, name)) if same == namespace && !name.is_empty() => Ok(name.to_owned()),
        Some(_) => Err(Failure::usage(format!(
            "{new:?} is no name in {namespace}: a rename stays in its namespace. Write the new name alone, or as \
             {namespace}/NAME; nothing was changed"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_name_may_have_the_namespace_before_it() {
        let new = |namespace, text| new_name(namespace, text).map_err(|failure| failure.exit);
        assert_eq!(new("username", "b"), Ok("b".to_owned()));
        assert_eq!(new("username", "username/b"), Ok("b".to_owned()));
        assert_eq!(new("org/42/handle", "org/42/handle/b"), Ok("b".to_owned()));
        for (namespace, text) in [("username", "email/b"), ("org/42/handle", "handle/b"), ("username", "username/")] {
            assert_eq!(new(namespace, text), Err(super::super::failure::Exit::Usage), "{text}");
        }
    }
}
