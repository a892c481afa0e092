//! The text of `forename --version`: the version of the program, and the formats that it speaks and stores.

use std::sync::LazyLock;

use crate::store::disk::format_version;
use crate::transport::WireVersion;

/// For example `0.1.0 (wire 1.0, store 1.0, git 0123456789ab)`. A development build does not know its commit.
pub(super) static VERSION: LazyLock<String> = LazyLock::new(|| {
    let git = option_env!("FORENAME_GIT").unwrap_or("not recorded");
    format!("{} (wire {}, store {}, git {git})", env!("CARGO_PKG_VERSION"), WireVersion::PRESENT, format_version())
});
