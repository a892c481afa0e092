//! The sources of settings, and the settings that are refused.

use super::*;

fn variables(pairs: &[(&str, &str)]) -> Result<Partial, ConfigError> {
    Partial::from_variables(|key| pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned()))
}

#[test]
fn the_defaults_run_on_a_laptop() {
    let settings = Partial::default().finish().unwrap();
    assert_eq!(settings.http.to_string(), "127.0.0.1:7400");
    assert_eq!(settings.node.peer_listen.to_string(), "127.0.0.1:7401");
    assert_eq!(settings.node.data_dir, PathBuf::from("./forename-data"));
    assert_eq!(settings.node.label, "127.0.0.1:7401");
    assert!(settings.node.join.is_none());
}

#[test]
fn flags_beat_variables_beat_the_file_beat_the_defaults() {
    let file = "name = 'file'\nhttp = '127.0.0.1:1'\npeer = '127.0.0.1:2'\ndata_dir = 'd'\ninsecure = true";
    let file = Partial::from_toml(file).unwrap();
    let variables = variables(&[
        ("FORENAME_NAME", "variable"),
        ("FORENAME_HTTP", "127.0.0.1:3"),
        ("FORENAME_INSECURE", "false"),
        ("FORENAME_ADVERTISE", ""),
    ]);
    let flags = Partial { name: Some("flag".to_owned()), ..Partial::default() };
    let merged = flags.over(variables.unwrap()).over(file);
    assert_eq!(merged.insecure, Some(false));
    assert_eq!(merged.advertise, None);
    let settings = merged.finish().unwrap();
    assert_eq!(settings.node.label, "flag");
    assert_eq!(settings.http.to_string(), "127.0.0.1:3");
    assert_eq!(settings.node.peer_listen.to_string(), "127.0.0.1:2");
    assert_eq!(settings.node.data_dir, PathBuf::from("d"));
}

#[test]
fn what_does_not_fit_is_refused_and_named() {
    let error = Partial::from_toml("htpp = '127.0.0.1:1'").unwrap_err().to_string();
    assert!(error.contains("htpp"), "{error}");
    let error = Partial::from_toml("http = 7400").unwrap_err().to_string();
    assert!(error.contains("http"), "{error}");
    let error = variables(&[("FORENAME_PEER", "here")]).unwrap_err().to_string();
    assert!(error.contains("FORENAME_PEER=\"here\""), "{error}");
    let missing = Partial::from_file(Path::new("/nonexistent/forename.toml")).unwrap_err().to_string();
    assert!(missing.contains("/nonexistent/forename.toml"), "{missing}");
}

#[test]
fn http_beyond_loopback_takes_a_decision() {
    let open = |http: &str, insecure| Partial { http: http.parse().ok(), insecure, ..Partial::default() }.finish();
    for http in ["0.0.0.0:7400", "[::]:7400", "192.0.2.1:7400", "[::ffff:192.0.2.1]:7400"] {
        assert!(matches!(open(http, None), Err(ConfigError::Exposed(_))), "{http}");
        assert!(matches!(open(http, Some(false)), Err(ConfigError::Exposed(_))), "{http}");
        assert!(open(http, Some(true)).is_ok(), "{http}");
    }
    for http in ["127.0.0.1:0", "127.9.9.9:7400", "[::1]:7400", "[::ffff:127.0.0.1]:7400"] {
        assert!(open(http, None).is_ok(), "{http}");
    }
}

#[test]
fn a_node_that_joins_has_an_address_that_others_reach() {
    let joining = |peer: &str, advertise: Option<&str>| {
        let (join, token) = (Some("one.example.org:7401".to_owned()), Some("t".to_owned()));
        let advertise = advertise.map(str::to_owned);
        Partial { peer: peer.parse().ok(), advertise, join, token, ..Partial::default() }.finish()
    };
    for peer in ["0.0.0.0:7401", "[::]:7401"] {
        assert!(matches!(joining(peer, None), Err(ConfigError::Nowhere(_))), "{peer}");
        assert!(joining(peer, Some("two.example.org:7401")).is_ok(), "{peer}");
        // One that founds a cluster may be alone for ever.
        assert!(Partial { peer: peer.parse().ok(), ..Partial::default() }.finish().is_ok(), "{peer}");
    }
    for wrong in
        ["nonsense", ":7401", "two.example.org:", "two.example.org:0", "0.0.0.0:7401", "[::]:7401", "two:99999"]
    {
        assert!(matches!(joining("127.0.0.1:7401", Some(wrong)), Err(ConfigError::Advertise(_))), "{wrong}");
    }
    for right in ["127.0.0.1:7401", "[::1]:7401", "two:7401"] {
        assert!(joining("0.0.0.0:7401", Some(right)).is_ok(), "{right}");
    }
}

#[test]
fn tokens_come_from_the_settings_and_from_a_file() {
    let hash = |digit: &str| digit.repeat(64);
    let table = |name: &str, hash: &str| {
        format!("[[api_token]]\nname = '{name}'\nhash = '{hash}'\nscopes = ['claim', 'read']\nmax-open = 7\n")
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens.toml");
    let finish = |settings: &str, file: &str| {
        std::fs::write(&path, file).unwrap();
        let file = Partial { api_tokens: Some(path.clone()), ..Partial::default() };
        file.over(Partial::from_toml(settings).unwrap()).finish()
    };
    let open = "http = '0.0.0.0:0'\n";
    let both = finish(&(open.to_owned() + &table("shop", &hash("a"))), &table("forum", &hash("b"))).unwrap();
    assert!(!both.tokens.is_empty());
    let same = finish(&table("shop", &hash("a")), &table("shop", &hash("b"))).unwrap_err().to_string();
    assert!(same.contains("two API tokens have the name \"shop\""), "{same}");
    // A file without tokens is refused as a mistake, because it would let everybody in.
    assert!(matches!(finish("", ""), Err(ConfigError::NoApiTokens(_))));
    let short = finish("", &table("shop", "abc")).unwrap_err().to_string();
    assert!(short.contains("tokens.toml") && short.contains("64 hexadecimal digits"), "{short}");
    let typo = finish("", &table("shop", &hash("a")).replace("max-open", "max-opne")).unwrap_err().to_string();
    assert!(typo.contains("max-opne"), "{typo}");
    let scope = finish("", &table("shop", &hash("a")).replace("read", "reed")).unwrap_err().to_string();
    assert!(scope.contains("reed"), "{scope}");
    let settings = |text: &str| Partial::from_toml(text).unwrap().finish();
    assert!(settings(&(open.to_owned() + &table("shop", &hash("a")))).is_ok());
    assert!(matches!(settings(open), Err(ConfigError::Exposed(_))));
    let none = variables(&[("FORENAME_API_TOKENS", "/nonexistent/tokens")]).unwrap().finish();
    assert!(matches!(none, Err(ConfigError::ApiTokenFile { .. })), "{none:?}");
}

#[test]
fn what_is_the_clusters_is_no_setting_of_a_node() {
    for text in ["evict_after = '10m'", "keep_events = '7d'", "max_clock_skew = '2s'"] {
        let error = Partial::from_toml(text).unwrap_err().to_string();
        assert!(error.contains("unknown field"), "{error}");
    }
}

#[test]
fn owners_have_a_limit_unless_told_otherwise() {
    let most = |text: &str| Partial::from_toml(text).unwrap().finish().unwrap().node.max_open;
    assert_eq!((most(""), most("max_open = 7"), most("max-open = 0")), (Some(10_000), Some(7), None));
    let total = |text: &str| Partial::from_toml(text).unwrap().finish().unwrap().node.max_total;
    assert_eq!((total(""), total("max_total = 7"), total("max-total = 0")), (None, Some(7), None));
    let variable = variables(&[("FORENAME_MAX_OPEN", "5")]).unwrap().finish();
    assert_eq!(variable.unwrap().node.max_open, Some(5));
}

#[test]
fn joining_takes_an_address_and_a_token() {
    let join = |join: Option<&str>, token: Option<&str>| {
        Partial { join: join.map(Into::into), token: token.map(Into::into), ..Partial::default() }.finish()
    };
    assert!(matches!(join(Some("a:1"), None), Err(ConfigError::HalfJoin)));
    let address = |join: Result<Settings, ConfigError>| join.unwrap().node.join.unwrap().address;
    assert_eq!(address(join(None, Some("t"))), None, "the token may name some");
    assert_eq!(address(join(Some("a:1"), Some("t"))).as_deref(), Some("a:1"));
}

#[test]
fn a_join_token_is_read_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "# made today\nfn1.abc\n\n").unwrap();
    let file = Partial { join_token_file: Some(path), ..Partial::default() };
    assert_eq!(file.clone().finish().unwrap().node.join.unwrap().token, "fn1.abc");
    let both = Partial { token: Some("t".to_owned()), ..file }.finish();
    assert!(matches!(both, Err(ConfigError::TwoTokens)));
    let none = Partial { join_token_file: Some("/nonexistent/token".into()), ..Partial::default() }.finish();
    assert!(none.unwrap_err().to_string().contains("/nonexistent/token"));
    // A node that has joined does not need the join token any more.
    std::fs::create_dir(dir.path().join("db")).unwrap();
    let data_dir = Some(dir.path().to_owned());
    let joined = Partial { join_token_file: Some("/nonexistent/token".into()), data_dir, ..Partial::default() };
    assert!(joined.finish().unwrap().node.join.is_none());
}
