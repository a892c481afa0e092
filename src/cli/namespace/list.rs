//! `forename namespace list`

use std::fmt::Write;

use super::super::args::{ClientArgs, Format};
use super::super::failure::{Exit, Outcome};
use super::super::output;
use crate::model::limits::MAX_PAGE;
use crate::model::{ListedNamespace, Namespaces};

/// Prints all namespaces: as text page by page, as JSON in one document.
pub(super) async fn run(args: &ClientArgs) -> Outcome {
    let client = args.client()?;
    let mut all = Namespaces::default();
    let (mut after, mut any) = (None, false);
    loop {
        let mut page = client.namespaces(after.as_deref(), Some(MAX_PAGE)).await?;
        after = page.next.take();
        any |= !page.namespaces.is_empty();
        match args.output {
            Format::Text => output::part(&text(&page.namespaces))?,
            Format::Json => all.namespaces.append(&mut page.namespaces),
        }
        if after.is_none() {
            break;
        }
    }
    match args.output {
        Format::Text if !any => output::line("no namespace has names or rules of its own")?,
        Format::Text => {}
        Format::Json => output::print(args, &all, |_| String::new())?,
    }
    Ok(Exit::Done)
}

fn text(namespaces: &[ListedNamespace]) -> String {
    let mut text = String::new();
    for listed in namespaces {
        let ListedNamespace { namespace, profile, private, rules_set, has_names } = listed;
        let profile: &str = (*profile).into();
        let rules = if *rules_set { "rules set" } else { "default rules" };
        let names = if *has_names { "has names" } else { "no names yet" };
        let private = if *private { ", private" } else { "" };
        let line = format!("{namespace:<24} {:<10} {rules}, {names}{private}", profile);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_says_profile_and_whether_rules_are_set_and_names_are_there() {
        let page: Namespaces = serde_json::from_value(json!({"namespaces": [
            {"namespace": "email", "profile": "email", "private": true, "rules_set": true, "has_names": false},
            {"namespace": "org/42/handle", "profile": "opaque", "private": false, "rules_set": false, "has_names": true},
        ]}))
        .unwrap();
        let wanted = "email                    email      rules set, no names yet, private\n\
                      org/42/handle            opaque     default rules, has names\n";
        assert_eq!(text(&page.namespaces), wanted);
    }
}
