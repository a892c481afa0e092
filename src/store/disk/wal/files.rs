//! The file operations of the log, as traits, so that tests can run the log on a simulated disk that loses power.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::files;

/// The alignment of offsets, lengths and buffers. It is the page size of most machines, and a multiple of the sector
/// size of most disks.
pub(crate) const BLOCK: usize = 4096;

/// A directory with the files of one log.
pub(crate) trait Files: Send + Sync + fmt::Debug {
    /// The names of its files.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes a new, empty file.
    fn create(&self, name: &str) -> io::Result<Box<dyn File>>;

    /// Opens an existing file, to overwrite bytes that it already has.
    fn open(&self, name: &str) -> io::Result<Box<dyn File>>;

    /// Renames a file.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the creation, renaming and removal of files durable.
    fn sync_names(&self) -> io::Result<()>;

    /// The path of the directory, for messages.
    fn path(&self) -> &Path;
}

/// An open file of a log.
pub(crate) trait File: Send + fmt::Debug {
    /// The length of the file.
    fn bytes(&self) -> io::Result<u64>;

    /// Reads from an offset on until the buffer is full or the file ends. Returns the number of bytes that were read.
    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes at an offset. The bytes are durable after the next [`File::sync`].
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes all writes durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// A directory of the file system.
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }
}

impl Files for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.0)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        Ok(names.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let mut options = OpenOptions::new();
        let file = files::private(options.read(true).write(true).create_new(true)).open(self.0.join(name))?;
        Ok(Box::new(Plain { file, direct: None, is_dirty: true }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        let path = self.0.join(name);
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        Ok(Box::new(Plain { file, direct: open_direct(&path), is_dirty: false }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        files::sync_dir(&self.0)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

/// A file of the file system. Where the system allows it, writes bypass the page cache and are durable when they
/// return. Such a write is one call, and commits no metadata of the file system.
#[derive(Debug)]
struct Plain {
    file: fs::File,
    direct: Option<fs::File>,
    /// True while a write is not durable yet.
    is_dirty: bool,
}

impl File for Plain {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len() {
            match read_some(&self.file, &mut buffer[read..], at + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        if let Some(direct) = &self.direct {
            match write_all(direct, bytes, at) {
                // The system does not write these bytes past the cache: the disk has larger sectors, or the file system
                // does not support it.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => self.direct = None,
                outcome => return outcome,
            }
        }
        self.is_dirty = true;
        write_all(&self.file, bytes, at)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.is_dirty {
            self.file.sync_data()?;
            self.is_dirty = false;
        }
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn open_direct(path: &Path) -> Option<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::OFlags;

    let flags = i32::try_from((OFlags::DIRECT | OFlags::DSYNC).bits()).ok()?;
    OpenOptions::new().write(true).custom_flags(flags).open(path).ok()
}

#[cfg(not(target_os = "linux"))]
fn open_direct(_: &Path) -> Option<fs::File> {
    None
}

#[cfg(unix)]
fn read_some(file: &fs::File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, at)
}

#[cfg(unix)]
fn write_all(file: &fs::File, bytes: &[u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(windows)]
fn read_some(file: &fs::File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, at)
}

#[cfg(windows)]
fn write_all(file: &fs::File, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, at)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        (bytes, at) = (&bytes[written..], at + written as u64);
    }
    Ok(())
}
