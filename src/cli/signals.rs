//! Signals to a process that serves: to stop, and to read its settings again; and its reports to the service manager.

use std::io;

/// The signals to stop: Ctrl-C, and the one from a service manager.
#[derive(Debug)]
pub(super) struct Stop {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
    #[cfg(windows)]
    terminate: tokio::signal::windows::CtrlClose,
}

impl Stop {
    /// Begins to handle these signals, so that none ends the process at once.
    pub(super) fn listen() -> io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
        }
        #[cfg(windows)]
        {
            use tokio::signal::windows::{ctrl_c, ctrl_close};
            Ok(Self { interrupt: ctrl_c()?, terminate: ctrl_close()? })
        }
    }

    /// Resolves when the process is asked to stop.
    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The signal to read the API tokens again, on systems that have one.
#[derive(Debug)]
pub(super) struct Reload {
    #[cfg(unix)]
    hangup: tokio::signal::unix::Signal,
}

impl Reload {
    pub(super) fn listen() -> io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self { hangup: signal(SignalKind::hangup())? })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Resolves at each such signal.
    pub(super) async fn asked(&mut self) {
        #[cfg(unix)]
        if self.hangup.recv().await.is_some() {
            return;
        }
        std::future::pending().await
    }
}

/// What a service manager is told of the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// The node is a member and serves.
    Serves,
    /// It stops.
    Stops,
}

/// Tells the service manager, where there is one that asked to be told (systemd, `Type=notify`).
pub(super) fn tell_manager(turn: Turn) {
    #[cfg(unix)]
    {
        let state = match turn {
            Turn::Serves => sd_notify::NotifyState::Ready,
            Turn::Stops => sd_notify::NotifyState::Stopping,
        };
        if let Err(error) = sd_notify::notify(&[state]) {
            tracing::warn!("the service manager could not be told that the node {turn:?}: {error}");
        }
    }
    #[cfg(not(unix))]
    let _ = turn;
}
