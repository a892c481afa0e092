//! Parsing names and registrations on the command line.

use clap::Args;
use uuid::Uuid;

use super::failure::Failure;
use crate::model::NameRef;

/// The namespace for names that are written without one.
#[derive(Args, Debug)]
pub(super) struct NamespaceOf {
    /// The namespace of all given names, which are then written without it; needed for names that contain a slash
    #[arg(long = "namespace", value_name = "NAMESPACE")]
    namespace: Option<String>,
}

impl NamespaceOf {
    pub(super) fn is_given(&self) -> bool {
        self.namespace.is_some()
    }

    /// Parses `NAMESPACE/NAME`. The last slash separates them, because namespaces may contain slashes. With
    /// `--namespace` the whole text is the name.
    pub(super) fn name(&self, text: &str) -> Result<NameRef, Failure> {
        let (namespace, name) = match &self.namespace {
            Some(namespace) => (namespace.as_str(), text),
            None => text.rsplit_once('/').unwrap_or_default(),
        };
        if namespace.is_empty() || name.is_empty() {
            return Err(Failure::usage(format!(
                "{text:?} is no name: write it as NAMESPACE/NAME, like username/alice, or give --namespace; nothing was done"
            )));
        }
        Ok(NameRef { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// Parses a name, or the id of a registration.
    pub(super) fn target(&self, text: &str) -> Result<Target, Failure> {
        if self.namespace.is_none()
            && let Ok(id) = text.parse()
        {
            return Ok(Target::Registration(id));
        }
        self.name(text).map(Target::Name).map_err(|failure| {
            if text.contains('/') || self.namespace.is_some() {
                return failure;
            }
            Failure::usage(format!(
                "{text:?} is neither a name nor a registration: write it as NAMESPACE/NAME, like username/alice, or as a \
                 registration's id; nothing was done"
            ))
        })
    }
}

/// A name or the id of a registration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Target {
    Name(NameRef),
    Registration(Uuid),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> Result<Target, String> {
        NamespaceOf { namespace: None }.target(text).map_err(|failure| failure.message)
    }

    fn name(namespace: &str, name: &str) -> NameRef {
        NameRef { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    #[test]
    fn names_are_cut_at_the_last_slash() {
        assert_eq!(written("org/42/handle/alice"), Ok(Target::Name(name("org/42/handle", "alice"))));
        assert_eq!(written("email/a@example.org"), Ok(Target::Name(name("email", "a@example.org"))));
        let id = Uuid::from_u128(7);
        assert_eq!(written(&id.to_string()), Ok(Target::Registration(id)));
        for text in ["alice", "/alice", "username/", ""] {
            assert!(NamespaceOf { namespace: None }.name(text).is_err(), "{text:?}");
        }
        assert!(written("alice").unwrap_err().contains("registration's id"));
    }

    #[test]
    fn with_a_namespace_all_of_the_text_is_the_name() {
        let of = NamespaceOf { namespace: Some("path".to_owned()) };
        assert_eq!(of.name("a/b").unwrap(), name("path", "a/b"));
        let looks_like_an_id = Uuid::from_u128(7).to_string();
        assert_eq!(of.target(&looks_like_an_id).unwrap(), Target::Name(name("path", &looks_like_an_id)));
        assert!(of.name("").is_err());
    }

    proptest! {
        #[test]
        fn names_without_slash_are_read_as_written(namespace in "[a-z0-9/]{0,10}[a-z0-9]", name in "[^/]{1,10}") {
            let parsed = NamespaceOf { namespace: None }.name(&format!("{namespace}/{name}")).unwrap();
            prop_assert_eq!(parsed, NameRef { namespace, name });
        }
    }
}
