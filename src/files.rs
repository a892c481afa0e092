//! Files and directories that only their owner can read: what forename writes has keys, secrets, and what people typed.

#[cfg(unix)]
use std::fs;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;

/// Makes a directory, and those above it that are not there, for its owner alone. One that is there stays as it is.
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// A new file for its owner alone, to be written.
pub(crate) fn private_file(path: &Path) -> io::Result<File> {
    private(OpenOptions::new().write(true).create_new(true)).open(path)
}

/// The same as options of a file that is made where it is not there.
pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Makes the entries of a directory durable. Elsewhere than on Unix a directory cannot be opened as a file, and its entries are
/// durable with what made them.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(dir)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = dir;
    Ok(())
}

/// The permissions of a directory, where others than its owner have some. One that cannot be looked at has none to tell.
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

/// Takes from all but the owner what they may do with a directory.
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
