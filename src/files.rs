//! Files and directories that only their owner can read. The files of forename contain keys, secrets, and names that
//! people typed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Makes a directory for its owner only, and also the directories above it that do not exist. An existing directory
/// keeps its permissions.
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Makes a new file that only its owner can read and write.
pub(crate) fn private_file(path: &Path) -> io::Result<File> {
    private(OpenOptions::new().write(true).create_new(true)).open(path)
}

/// Sets options such that a file which they make can be read and written by its owner only.
pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Makes the entries of a directory durable. On systems other than Unix a directory cannot be opened as a file, and its
/// entries are durable together with the operations that made them.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(dir)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = dir;
    Ok(())
}

/// Writes a file that only its owner can read and write, in the place of one that may be there. After a crash the file is
/// the new one or the old one, and after the return it is the new one.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = unfinished(path);
    remove_if_there(&fresh)?;
    let mut file = private_file(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    rename(&fresh, path)
}

/// Returns the file beside this one that is written before it gets its name.
#[cfg(feature = "cli")]
pub(crate) fn part(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}

/// Returns the file that [`replace`] writes before it renames it.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// Removes a file that [`replace`] has written, and what a crash has left of an unfinished one. There may be neither.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    remove_if_there(&unfinished(path))?;
    remove_if_there(path)
}

/// Removes a file. It need not be there.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Renames a file or a directory within its directory, durably.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_dir(parent.unwrap_or(Path::new(".")))
}

/// Returns the permissions of a directory where others than its owner have any. Returns none where they cannot be read.
pub(crate) fn exposed(path: &Path) -> Option<u32> {
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).ok()?.permissions()) & 0o777;
        (mode & 0o077 != 0).then_some(mode)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// Takes the permissions on a directory from everybody but its owner.
#[cfg(any(feature = "cli", test))]
pub(crate) fn close_to_others(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_made_is_its_owners_alone() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("a/b");
        private_dir(&dir).unwrap();
        private_dir(&dir).unwrap();
        assert_eq!((mode(&root.path().join("a")), mode(&dir), exposed(&dir)), (0o700, 0o700, None));
        let file = dir.join("file");
        drop(private_file(&file).unwrap());
        assert_eq!(mode(&file), 0o600);
        assert!(private_file(&file).is_err(), "it is not written over");
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_is_its_owners_alone() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("state.json");
        // A crash has left a part of a file.
        fs::write(root.path().join("state.json.new"), "torn").unwrap();
        for content in ["one", "another"] {
            replace(&file, content.as_bytes()).unwrap();
            assert_eq!((fs::read_to_string(&file).unwrap().as_str(), mode(&file)), (content, 0o600));
        }
        fs::write(root.path().join("state.json.new"), "torn").unwrap();
        remove(&file).unwrap();
        remove(&file).unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        assert!(replace(&root.path().join("gone/state.json"), b"").is_err());
    }

    #[test]
    fn what_others_can_read_is_found_and_closed() {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), PermissionsExt::from_mode(0o750)).unwrap();
        private_dir(root.path()).unwrap();
        assert_eq!(exposed(root.path()), Some(0o750), "one that is there stays as it is");
        close_to_others(root.path()).unwrap();
        assert_eq!(exposed(root.path()), None);
    }
}
