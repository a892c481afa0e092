//! Sets the wall clock of a process, also while it runs, with the library of Debian's package `faketime`.

use std::path::PathBuf;

use super::skipped;

/// The paths at which that package puts the library, for the machines that tests run on.
const LIBRARY: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// The wall clock of a process. The process's timers use the monotonic clock, which is not changed.
pub(crate) struct Clock {
    library: &'static str,
    file: PathBuf,
    dir: tempfile::TempDir,
}

impl Clock {
    /// Makes a clock that is right. Returns none where the library is missing, and prints that.
    pub(crate) fn new() -> Option<Self> {
        let Some(library) = LIBRARY.into_iter().find(|path| std::path::Path::new(path).exists()) else {
            skipped("libfaketime is not installed, so no clock can be set");
            return None;
        };
        let dir = tempfile::tempdir().expect("a directory for a clock");
        let clock = Self { library, file: dir.path().join("clock"), dir };
        clock.set(0);
        Some(clock)
    }

    /// Sets the clock ahead by so many seconds, or behind where the number is negative.
    pub(crate) fn set(&self, ahead: i64) {
        // The file is replaced atomically, because it can be read at any time.
        let new = self.dir.path().join("new");
        std::fs::write(&new, format!("{ahead:+}")).expect("a clock can be set");
        std::fs::rename(&new, &self.file).expect("a clock can be set");
    }

    /// The environment variables that the process needs.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let file = self.file.display().to_string();
        let variables = [
            ("LD_PRELOAD", self.library),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("DONT_FAKE_MONOTONIC", "1"),
        ];
        variables.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec()
    }
}
