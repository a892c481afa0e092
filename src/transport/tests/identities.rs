use std::fs;

use super::*;

#[test]
fn an_identity_stays_what_it_is() {
    let dir = TempDir::new().unwrap();
    let made = Identity::load_or_create(&dir.path().join("deep/down")).unwrap();
    let read = Identity::load_or_create(&dir.path().join("deep/down")).unwrap();
    assert_eq!(made.public_key(), read.public_key());
    assert_eq!(made.node_id(0), read.node_id(0));
    assert_eq!(made.node_id(7).incarnation(), 7);
    assert_eq!(made.node_id(7).key_part(), made.node_id(0).key_part());
    assert_ne!(made.node_id(0), Identity::load_or_create(dir.path()).unwrap().node_id(0));
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_the_key() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    // A crash may have left a temporary file that others can read.
    fs::write(dir.path().join("identity.key.tmp"), b"left over").unwrap();
    Identity::load_or_create(dir.path()).unwrap();
    let mode = fs::metadata(dir.path().join("identity.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_damaged_key_is_reported_and_kept() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("identity.key");
    Identity::load_or_create(dir.path()).unwrap();
    let sound = fs::read(&path).unwrap();
    let mut flipped = sound.clone();
    // The flipped bit is in the seed, which then no longer matches the public key in the file.
    flipped[20] ^= 1;
    for damaged in [&sound[..sound.len() - 1], &[], b"not a key", &flipped] {
        fs::write(&path, damaged).unwrap();
        let error = Identity::load_or_create(dir.path()).unwrap_err();
        assert!(matches!(error, IdentityError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("identity.key"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), damaged);
    }
}

#[tokio::test]
async fn a_node_id_of_another_key_does_not_start() {
    let dir = TempDir::new().unwrap();
    let identity = Identity::load_or_create(dir.path()).unwrap();
    let (inputs, _inbox) = mpsc::channel(1);
    let (node, listen, wire) = (NodeId(77), loopback(), WireVersion::PRESENT);
    let config = TransportConfig { identity, node, listen, wire, links: None, inputs, limits: limits() };
    assert!(matches!(Transport::start(config), Err(TransportError::NotOurs(NodeId(77)))));
}

#[test]
fn secrets_are_not_printed() {
    let dir = TempDir::new().unwrap();
    let identity = format!("{:?}", Identity::load_or_create(dir.path()).unwrap());
    assert!(identity.len() < 40, "{identity}");
    let key = ClusterKey([0xab; 32]);
    assert_eq!(format!("{key:?}"), "ClusterKey(…)");
    let token = token(&key, Millis(1));
    assert!(!format!("{token:?}").contains("secret:"), "{token:?}");
}
