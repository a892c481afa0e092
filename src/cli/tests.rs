use clap::CommandFactory;
use clap::error::ErrorKind;

use super::*;
use crate::client::ClientError;
use crate::model::{Problem, ProblemType, Status};

fn parse(arguments: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(["forename"].into_iter().chain(arguments.split(' ')))
}

#[test]
fn the_commands_are_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn the_list_of_commands_fits_a_terminal_and_each_has_a_group() {
    let help = groups::grouped(Cli::command()).render_help().to_string();
    let listed: Vec<_> = help.lines().take_while(|line| *line != "Options:").collect();
    assert!(listed.iter().all(|line| line.chars().count() <= 80), "{help}");
    assert!(!listed.contains(&"Others:"), "{help}");
    for command in Cli::command().get_subcommands() {
        let name = format!("  {} ", command.get_name());
        assert_eq!(listed.iter().filter(|line| line.starts_with(&name)).count(), 1, "{name}\n{help}");
    }
}

#[test]
fn commands_as_the_manual_shows_them() {
    for arguments in [
        "init",
        "init --data-dir d --evict-after 30s --max-clock-skew 2s --keep-events forever --output json",
        "cluster show --output json",
        "cluster rotate-secret",
        "cluster set --evict-after never --node http://n:1",
        "status --cluster 00000000-0000-0000-0000-000000000007",
        "serve",
        "serve --data-dir d --http 127.0.0.1:0 --peer 127.0.0.1:0 --advertise a:1 --join b:2 --token t --name eu",
        "serve --config f --insecure",
        "claim username/alice email/a@example.org --owner o --id 00000000-0000-0000-0000-000000000007 --ttl 15m",
        "claim org/42/handle/x --owner o --metadata {\"a\":1} --wait --timeout 5s --output json --node http://n:1",
        "show username/alice",
        "show 00000000-0000-0000-0000-000000000007",
        "show --owner o",
        "show username/alice --history --output json",
        "explain username/alice",
        "explain 00000000-0000-0000-0000-000000000007 --output json",
        "conflicts --namespace username --since 2026-03-01T12:00:00Z --output csv --node http://n:1",
        "claim username/alice --owner o --suggest 3",
        "import people.csv --namespace username --skip 7 --report r --wait --timeout 1m",
        "import - --format csv --checkpoint c --node http://n:1",
        "export",
        "export out.csv --format csv --namespace username --prefix al",
        "serve --max-open 0",
        "namespace set email --private",
        "serve --api-tokens tokens.toml",
        "token new --name shop --scope claim --scope read --max-open 7 --output json",
        "status --api-token-file f",
        "claim username/alice --owner o --api-token s",
        "release username/alice --owner o",
        "release 00000000-0000-0000-0000-000000000007",
        "release 00000000-0000-0000-0000-000000000007 --erase",
        "activate 00000000-0000-0000-0000-000000000007",
        "extend 00000000-0000-0000-0000-000000000007 --ttl 15m --output json",
        "rename username/alice alicia --owner o --wait",
        "watch --after 5f-7 --types rejected,forename.name.ended --owner o --local",
        "status -o json --check",
        "status --ready",
        "status --node http://a:1,http://b:2 --node https://c:3 --ca-file ca.pem",
        "show --namespace path a/b",
        "explain --namespace path a/b",
        "release --namespace path a/b --owner o",
        "claim --namespace path a/b c --owner o",
        "rename --namespace path a/b c/d --owner o",
        "serve --log-format json",
        "member list",
        "member evict 00000000000000ab --wait --timeout 1m",
        "member evict frankfurt --output json",
        "member leave --wait",
        "member token --ttl 24h --uses 2",
        "member evict frankfurt --ban",
        "member unban 00000000000000ab",
        "serve --join-token-file f",
        "namespace get org/42/handle --output json",
        "namespace set username --min-length 3 --reserve admin,root --output json --node http://n:1",
        "namespace set org/42/email --remove-tags --if-version default",
        "backup f --output json --node http://n:1",
        "restore f --data-dir d --output json",
        "rejoin --data-dir d --output json",
        "verify --data-dir d --output json",
        "recover --data-dir d",
        "recover --data-dir d --yes --output json",
        "completions bash",
        "man hand",
    ] {
        if let Err(error) = parse(arguments) {
            panic!("{arguments}: {error}");
        }
    }
}

#[test]
fn usage_errors_have_exit_code_2() {
    for (arguments, kind) in [
        ("claim --owner o", ErrorKind::MissingRequiredArgument),
        ("claim username/alice", ErrorKind::MissingRequiredArgument),
        ("claim u/a --owner o --ttl soon", ErrorKind::ValueValidation),
        ("claim u/a --owner o --metadata [1]", ErrorKind::ValueValidation),
        ("show", ErrorKind::MissingRequiredArgument),
        ("show u/a --owner o", ErrorKind::ArgumentConflict),
        ("watch --types won", ErrorKind::ValueValidation),
        ("watch --after 7", ErrorKind::ValueValidation),
        ("conflicts --output xml", ErrorKind::InvalidValue),
        ("export --prefix a", ErrorKind::MissingRequiredArgument),
        ("import f --skip 1 --checkpoint c", ErrorKind::ArgumentConflict),
        ("show --history", ErrorKind::MissingRequiredArgument),
        ("serve --http here", ErrorKind::ValueValidation),
        ("serve --evict-after 10m", ErrorKind::UnknownArgument),
        ("cluster set --keep-events always", ErrorKind::ValueValidation),
        ("status --cluster one", ErrorKind::ValueValidation),
        ("frobnicate", ErrorKind::InvalidSubcommand),
    ] {
        let error = parse(arguments).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (kind, 2), "{arguments}: {error}");
    }
}

#[test]
fn exit_codes() {
    assert_eq!(Exit::of(Status::Confirmed, true), Exit::Done);
    assert_eq!(Exit::of(Status::Pending, false), Exit::Done);
    assert_eq!(Exit::of(Status::Pending, true), Exit::Pending);
    assert_eq!(Exit::of(Status::Contested, true), Exit::Pending);
    assert_eq!(Exit::of(Status::Rejected, false), Exit::Taken);
    let exit = |kind| Failure::from(ClientError::Problem(Box::new(Problem::new(kind, "")))).exit;
    assert_eq!(exit(ProblemType::NameTaken), Exit::Taken);
    assert_eq!(exit(ProblemType::RegistrationRejected), Exit::Taken);
    assert_eq!(exit(ProblemType::IdReused), Exit::Failed);
    assert_eq!(exit(ProblemType::Unavailable), Exit::Failed);
    for kind in [ProblemType::Unauthorized, ProblemType::Forbidden, ProblemType::NotOwner, ProblemType::OutOfReach] {
        assert_eq!(exit(kind), Exit::NotAllowed, "{kind:?}");
    }
    let (address, why) = ("http://n:1".to_owned(), "Connection refused".to_owned());
    assert_eq!(Failure::from(ClientError::Unreachable { address, why, sent: false }).exit, Exit::Unreachable);
    let closed = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
    assert_eq!((closed.exit, closed.message.as_str()), (Exit::Done, ""));
}
