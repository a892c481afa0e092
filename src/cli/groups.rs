//! The commands in groups, as `forename --help` lists them.

use std::fmt::Write;

use clap::Command;

/// The groups in their order. A command that is in none of them is listed last.
const GROUPS: [(&str, &[&str]); 5] = [
    (
        "Names",
        &["claim", "show", "explain", "release", "rename", "activate", "extend", "watch", "conflicts", "namespace"],
    ),
    ("Many names", &["import", "export"]),
    ("Nodes", &["init", "serve", "config", "status", "member", "cluster", "token", "webhook", "backup"]),
    ("Data directories of nodes that do not run", &["restore", "rejoin", "recover", "verify"]),
    ("Besides", &["demo", "completions", "man", "help"]),
];

/// The program's command with its subcommands in groups.
pub(super) fn grouped(command: Command) -> Command {
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}Options:\n{{options}}{{after-help}}",
        list(&command)
    );
    command.help_template(template)
}

/// Lists the commands by group, one on each line.
fn list(command: &Command) -> String {
    let mut built = command.clone();
    built.build();
    let about = |name: &str| {
        let found = built.get_subcommands().find(|known| known.get_name() == name && !known.is_hide_set())?;
        Some(found.get_about().map(ToString::to_string).unwrap_or_default())
    };
    let grouped = |name: &str| GROUPS.iter().any(|(_, names)| names.contains(&name));
    let names: Vec<_> = built.get_subcommands().map(Command::get_name).collect();
    let others: Vec<_> = names.iter().copied().filter(|name| !grouped(name)).collect();
    let width = names.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (title, names) in GROUPS.iter().copied().chain([("Others", others.as_slice())]) {
        let lines: Vec<_> = names.iter().filter_map(|name| Some((name, about(name)?))).collect();
        if lines.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{title}:");
        for (name, about) in lines {
            let _ = writeln!(text, "  {name:<width$}  {about}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_listed_once_under_its_group() {
        let command = Command::new("p").subcommands([
            Command::new("claim").about("Claim names"),
            Command::new("brand-new").about("Not in any group yet"),
        ]);
        let text = list(&command);
        assert!(text.contains("Names:\n  claim      Claim names\n"), "{text}");
        assert!(text.contains("Others:\n  brand-new  Not in any group yet\n"), "{text}");
        assert!(!text.contains("serve"), "{text}");
    }
}
