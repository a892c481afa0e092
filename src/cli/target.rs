//! Names and registrations as they are written on the command line.

use std::str::FromStr;

use uuid::Uuid;

use crate::model::NameRef;

/// `NAMESPACE/NAME`, cut at the last slash: namespaces may have slashes, names on the command line may not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct NameArg(pub(super) NameRef);

impl FromStr for NameArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.rsplit_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
                Ok(Self(NameRef { namespace: namespace.to_owned(), name: name.to_owned() }))
            }
            _ => Err("write it as NAMESPACE/NAME, like username/alice".to_owned()),
        }
    }
}

/// A name or a registration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Target {
    Name(NameRef),
    Registration(Uuid),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Registration(id));
        }
        let NameArg(name) = text
            .parse()
            .map_err(|_| "write it as NAMESPACE/NAME, like username/alice, or as a registration's id".to_owned())?;
        Ok(Self::Name(name))
    }
}
