//! `forename namespace`

mod list;

use clap::{Args, Subcommand};
use serde_json::json;

use super::args::{ClientArgs, Format};
use super::failure::{Exit, Failure, Outcome};
use super::output;
use crate::model::{
    Characters, HeldFor, Lookalikes, Namespace, NamespaceBody, NamespacePatch, ProfileName, RulesVersion, Span,
};

#[derive(Args, Debug)]
pub(super) struct NamespaceArgs {
    #[command(subcommand)]
    command: NamespaceCommand,
}

#[derive(Subcommand, Debug)]
enum NamespaceCommand {
    /// List the namespaces that have rules set, or in which names were ever claimed
    List {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Show the rules of a namespace: profile, lengths, reserved names, and the change that set them
    Get {
        /// A namespace like username, email or org/42/handle
        namespace: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Change rules of a namespace; rules that are not given stay as they are
    ///
    /// The new rules apply to names that are claimed from then on: at once at the node that is asked, and at the others
    /// when they arrive. Names that are taken stay. Of two changes at different nodes the later one counts, as a whole.
    /// The profile with its options, and whether names are private, can be changed only while no name was ever claimed.
    Set(Box<SetArgs>),
}

#[derive(Args, Debug)]
#[group(id = "change", multiple = true, required = true, args = [
    "profile", "lookalikes", "characters", "remove_tags", "private", "least", "most", "reserve", "unreserve",
    "hold_after_release", "held_for", "reset",
])]
struct SetArgs {
    /// A namespace like username, email or org/42/handle
    namespace: String,
    /// The syntax of names
    #[arg(long, value_enum)]
    profile: Option<ProfileName>,
    /// With profile username: which look-alike names are one name
    #[arg(long, value_enum)]
    lookalikes: Option<Lookalikes>,
    /// With profile username: which characters names may contain
    #[arg(long, value_enum)]
    characters: Option<Characters>,
    /// With profile email: treat ann+news@example.org and ann@example.org as one name
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    remove_tags: Option<bool>,
    /// Keep names private: only a keyed hash of a name leaves the node that accepted it, and callers who may not read
    /// do not learn whether it exists; set this before the first name is claimed
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    private: Option<bool>,
    /// Least number of characters of a name
    #[arg(long = "min-length", value_name = "N")]
    least: Option<usize>,
    /// Greatest number of characters of a name
    #[arg(long = "max-length", value_name = "N")]
    most: Option<usize>,
    /// Reserve further names, which nobody may claim; several with commas, or given again. In *admin* each asterisk
    /// stands for any characters
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    reserve: Vec<String>,
    /// Allow reserved names to be claimed again
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    unreserve: Vec<String>,
    /// Keep a name that was released or renamed from others for this long; 0s for not at all
    #[arg(long, value_name = "DURATION")]
    hold_after_release: Option<Span>,
    /// Who may take such a name meanwhile
    #[arg(long, value_enum)]
    held_for: Option<HeldFor>,
    /// Begin with the defaults instead of the present rules
    #[arg(long)]
    reset: bool,
    /// Change the rules only where this is the present version, as 'namespace get' shows it
    #[arg(long, value_name = "VERSION")]
    if_version: Option<RulesVersion>,
    #[command(flatten)]
    client: ClientArgs,
}

impl NamespaceArgs {
    pub(super) fn format(&self) -> Format {
        match &self.command {
            NamespaceCommand::List { client } | NamespaceCommand::Get { client, .. } => client.output,
            NamespaceCommand::Set(args) => args.client.output,
        }
    }
}

pub(super) async fn run(args: NamespaceArgs) -> Outcome {
    let (client, namespace) = match args.command {
        NamespaceCommand::List { client } => return list::run(&client).await,
        NamespaceCommand::Get { namespace, client } => {
            let rules = client.client()?.namespace(&namespace).await?;
            (client, rules)
        }
        NamespaceCommand::Set(args) => {
            let client = args.client.client()?;
            let shown = client.namespace(&args.namespace).await?;
            let patch = change(&args, &shown)?;
            let set = if args.reset {
                let defaults = NamespaceBody { if_version: Some(shown.version), ..NamespaceBody::default() };
                let rules = patch.applied_to(&defaults).map_err(|error| Failure::failed(error.to_string()))?;
                client.set_namespace(&args.namespace, &rules).await?
            } else {
                client.change_namespace(&args.namespace, &patch).await?
            };
            (args.client, set)
        }
    };
    output::print(&client, &namespace, text)?;
    Ok(Exit::Done)
}

/// Returns the changes that the arguments make to the present rules.
fn change(args: &SetArgs, shown: &Namespace) -> Result<NamespacePatch, Failure> {
    let SetArgs { profile, lookalikes, characters, remove_tags, private, least, most, .. } = args;
    let fields = json!({
        "profile": profile, "lookalikes": lookalikes, "characters": characters, "remove_tags": remove_tags,
        "private": private, "min_length": least, "max_length": most,
        "hold_after_release": args.hold_after_release, "held_for": args.held_for,
        "if_version": args.if_version.unwrap_or(shown.version),
    });
    let given = fields.as_object().cloned().unwrap_or_default().into_iter().filter(|(_, value)| !value.is_null());
    let mut patch = NamespacePatch(given.collect());
    if args.reserve.is_empty() && args.unreserve.is_empty() {
        return Ok(patch);
    }
    let mut reserved = if args.reset { Vec::new() } else { shown.reserved.clone() };
    if let Some(unknown) = args.unreserve.iter().find(|name| !reserved.contains(name)) {
        return Err(Failure::failed(format!(
            "{unknown:?} is not reserved in {}; nothing was changed. 'forename namespace get' shows the reserved names",
            shown.namespace
        )));
    }
    reserved.retain(|name| !args.unreserve.contains(name));
    reserved.extend(args.reserve.iter().cloned());
    patch.0.insert("reserved".to_owned(), json!(reserved));
    Ok(patch)
}

fn text(shown: &Namespace) -> String {
    let profile = match (shown.profile, shown.lookalikes, shown.remove_tags) {
        (ProfileName::Username, Some(Lookalikes::Distinct), _) => "username: look-alikes are different names",
        (ProfileName::Username, Some(Lookalikes::Strict), _) => "username: all look-alikes are one name",
        (ProfileName::Username, ..) => "username: what looks like an ASCII letter or digit is that",
        (ProfileName::Email, _, Some(true)) => "email: what follows a '+' does not count",
        (ProfileName::Email, ..) => "email",
        (ProfileName::Opaque, ..) => "opaque: each byte counts",
        (ProfileName::DnsLabel, ..) => "dns-label: a label of a domain",
    };
    let mut text = format!("{}\n  profile {profile}\n", shown.namespace);
    text += &format!("  {} to {} characters\n", shown.min_length, shown.max_length);
    match shown.characters {
        Some(Characters::Ascii) => text += "  characters of ASCII only\n",
        Some(Characters::LettersDigits) => text += "  letters and digits only\n",
        Some(Characters::Any) | None => {}
    }
    if shown.private {
        text += "  private: a keyed hash stands for a name, and who may not read is not told whether it exists\n";
    }
    if let Some(span) = shown.hold_after_release {
        let whom = match shown.held_for {
            Some(HeldFor::Nobody) => "nobody may take it",
            Some(HeldFor::Owner) | None => "only its former owner may take it",
        };
        text += &format!("  for {span} after a name was given up {whom}\n");
    }
    if !shown.reserved.is_empty() {
        text += &format!("  reserved: {}\n", shown.reserved.join(", "));
    }
    text += &match shown.changed_at {
        None => "  these are the defaults, nobody has set any\n".to_owned(),
        Some(at) if shown.is_final => format!("  version {}, set {at}\n", shown.version),
        Some(at) => format!("  version {}, set {at} on this node, and on its way to the others\n", shown.version),
    };
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::model::RulesVersion;
    use crate::name::Rules;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        set: SetArgs,
    }

    fn changed(namespace: &str, before: &NamespaceBody, arguments: &str) -> Result<NamespaceBody, String> {
        let args = Cli::try_parse_from(["set", namespace].into_iter().chain(arguments.split(' '))).unwrap().set;
        let rules: Rules = before.rules(namespace).unwrap();
        let (namespace, version) = (namespace.to_owned(), RulesVersion::Default);
        let shown = rules.shown(namespace, version, true);
        let patch = change(&args, &shown).map_err(|failure| failure.message)?;
        let rules = if args.reset { NamespaceBody::default() } else { NamespaceBody::from(&shown) };
        Ok(patch.applied_to(&rules).unwrap())
    }

    #[test]
    fn what_is_not_given_stays() {
        let reserved = vec!["admin".to_owned(), "root".to_owned()];
        let before = NamespaceBody { min_length: Some(3), reserved, ..NamespaceBody::default() };
        let body = changed("username", &before, "--max-length 20 --reserve staff,help --unreserve root").unwrap();
        assert_eq!((body.min_length, body.max_length), (Some(3), Some(20)));
        assert_eq!(body.reserved, ["admin", "staff", "help"]);
        assert_eq!(body.if_version, Some(RulesVersion::Default));
        let body = changed("username", &before, "--reset --max-length 20").unwrap();
        assert_eq!((body.min_length, body.max_length, body.reserved.len()), (None, Some(20), 0));
        assert!(changed("username", &before, "--unreserve staff").unwrap_err().contains("is not reserved"));
    }

    #[test]
    fn private_stays_until_it_is_told_otherwise() {
        let private = changed("email", &NamespaceBody::default(), "--private").unwrap();
        assert!(private.private && private.rules("email").unwrap().is_private());
        assert!(changed("email", &private, "--max-length 100").unwrap().private);
        assert!(!changed("email", &private, "--private=false").unwrap().private);
        assert!(!changed("email", &private, "--reset --max-length 100").unwrap().private);
    }

    #[test]
    fn names_are_kept_until_it_is_told_otherwise() {
        let kept =
            changed("username", &NamespaceBody::default(), "--hold-after-release 30d --held-for nobody").unwrap();
        let later = changed("username", &kept, "--max-length 100").unwrap();
        assert_eq!((later.hold_after_release, later.held_for), (kept.hold_after_release, Some(HeldFor::Nobody)));
        let not = changed("username", &kept, "--hold-after-release 0s").unwrap();
        assert_eq!((not.held_for, not.rules("username").unwrap().hold()), (None, None));
    }

    #[test]
    fn another_profile_leaves_behind_what_went_with_the_first() {
        let body = changed("username", &NamespaceBody::default(), "--profile email --remove-tags").unwrap();
        assert_eq!((body.profile, body.lookalikes, body.remove_tags), (Some(ProfileName::Email), None, Some(true)));
        assert!(body.rules("username").is_ok());
    }

    #[test]
    fn to_change_nothing_is_a_usage_error() {
        let error = Cli::try_parse_from(["set", "username"]).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), clap::error::ErrorKind::MissingRequiredArgument);
    }
}
