//! `forename token`

use std::io::{self, Write};
use std::num::NonZeroU32;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::args::Format;
use super::failure::{Exit, Failure, Outcome};
use super::output;
use crate::api::auth::{ApiToken, ApiTokens, SecretHash};
use crate::model::{Scope, Time};
use crate::node::random;

#[derive(Args, Debug)]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Subcommand, Debug)]
enum TokenCommand {
    /// Make a new API token: the lines for the file of tokens, and the secret, which is shown only once
    ///
    /// No node is asked. Put the lines into the file that --api-tokens names, at every node that is to know the token,
    /// and send these nodes the signal HUP, or restart them. The secret goes to stderr, alone on its line, so stdout
    /// can be appended to the file.
    New {
        /// The token's name, by which each node counts what the token has
        #[arg(long)]
        name: String,
        /// What the bearer may do: register, claim, read, or admin, which includes the others
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<Scope>,
        /// Limit the open registrations at each node, 0 for no limit; by default 100000, and no limit with admin
        #[arg(long, value_name = "COUNT")]
        max_open: Option<u32>,
        /// Limit the registrations that hold names at each node, permanent ones counted; no limit by default
        #[arg(long, value_name = "COUNT")]
        max_total: Option<u32>,
        /// Limit the token to these namespaces; org/* stands for all below org
        #[arg(long = "namespace", value_name = "NAMESPACE")]
        namespaces: Vec<String>,
        /// Make it invalid from then on, like 2027-01-01T00:00:00Z
        #[arg(long, value_name = "TIME")]
        expires: Option<Time>,
        /// Limit the number of requests a second
        #[arg(long, value_name = "COUNT")]
        rate: Option<NonZeroU32>,
        /// How to print the result
        #[arg(short, long, value_enum, default_value_t = Format::Text)]
        output: Format,
    },
}

impl TokenArgs {
    pub(super) fn format(&self) -> Format {
        let TokenCommand::New { output, .. } = &self.command;
        *output
    }
}

#[derive(Serialize, Debug)]
struct Made {
    token: ApiToken,
    secret: String,
}

pub(super) fn run(args: TokenArgs) -> Outcome {
    let TokenCommand::New { name, scopes, max_open, max_total, namespaces, expires, rate, output } = args.command;
    let random = random().map_err(|error| Failure::failed(error.to_string()))?;
    let secret = ApiToken::secret(random);
    let plain = ApiToken::new(&name, SecretHash::of(&secret), scopes);
    let token = ApiToken { max_open, max_total, namespaces, expires, rate, ..plain };
    ApiTokens::new(vec![token.clone()]).map_err(|error| Failure::usage(error.to_string()))?;
    let made = Made { token, secret };
    output::print_as(output, &made, |made| table(&made.token))?;
    if output == Format::Text {
        // The secret goes to stderr, so that stdout can be appended to the file of tokens.
        writeln!(io::stderr(), "{}", made.secret)?;
    }
    Ok(Exit::Done)
}

/// Returns the lines for a file of tokens.
fn table(token: &ApiToken) -> String {
    let scopes: Vec<_> = token.scopes.iter().map(|scope| format!("\"{scope}\"")).collect();
    let quoted = |text: &String| serde_json::Value::from(text.as_str()).to_string();
    let mut limits = token.max_open.map_or_else(String::new, |most| format!("max_open = {most}\n"));
    limits += &token.max_total.map_or_else(String::new, |most| format!("max_total = {most}\n"));
    if !token.namespaces.is_empty() {
        limits += &format!("namespaces = [{}]\n", token.namespaces.iter().map(quoted).collect::<Vec<_>>().join(", "));
    }
    limits += &token.expires.map_or_else(String::new, |expires| format!("expires = \"{expires}\"\n"));
    limits += &token.rate.map_or_else(String::new, |rate| format!("rate = {rate}\n"));
    // A JSON string is a TOML string too, except for control characters, which no name has.
    let name = serde_json::Value::from(token.name.as_str());
    format!(
        "[[api_token]]\nname = {name}\nhash = \"{}\"\nscopes = [{}]\n{limits}",
        String::from(token.hash),
        scopes.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_what_a_file_of_tokens_has() {
        #[derive(serde::Deserialize)]
        struct Tokens {
            api_token: Vec<ApiToken>,
        }
        for (name, max_open) in [("shop", None), ("it's \"7\" \\ é", Some(0))] {
            let scopes = [Scope::Claim, Scope::Admin];
            let plain = ApiToken { max_open, ..ApiToken::new(name, SecretHash::of("s"), scopes) };
            let read = |token: &ApiToken| toml::from_str::<Tokens>(&table(token)).unwrap().api_token;
            assert_eq!(read(&plain), std::slice::from_ref(&plain));
            let namespaces = vec!["org/*".to_owned(), "it's \"7\"".to_owned()];
            let (expires, rate) = (Some("2027-01-01T00:00:00Z".parse().unwrap()), NonZeroU32::new(7));
            let token = ApiToken { max_total: Some(70), namespaces, expires, rate, ..plain };
            assert_eq!(read(&token), [token]);
        }
    }
}
