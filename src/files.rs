//! Files and directories that only their owner can read. The files of forename contain keys, secrets, and names that
//! people typed.

#[cfg(unix)]
use std::fs;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;

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
    fn what_others_can_read_is_found_and_closed() {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), PermissionsExt::from_mode(0o750)).unwrap();
        private_dir(root.path()).unwrap();
        assert_eq!(exposed(root.path()), Some(0o750), "one that is there stays as it is");
        close_to_others(root.path()).unwrap();
        assert_eq!(exposed(root.path()), None);
    }
}
