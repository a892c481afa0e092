//! The driver's thread, on which tasks that ask the driver may run too.
//!
//! A task on another thread that asks the driver wakes a thread for the question and one for the answer. On machines where
//! that is dear, and under a hypervisor it is, it costs more than the work. A task here is only put into a queue.

use std::convert::Infallible;
use std::io;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

/// Runs tasks on the driver's thread. Tasks there must be short, because the driver waits for them. It is cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Nearby {
    runtime: Handle,
    /// The thread goes on as long as one of these is left.
    _open: mpsc::Sender<Infallible>,
}

impl Nearby {
    /// Starts a task of a set.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        tasks: &mut JoinSet<T>,
        task: impl Future<Output = T> + Send + 'static,
    ) -> AbortHandle {
        tasks.spawn_on(task, &self.runtime)
    }
}

/// The runtime of the driver's thread.
pub(super) struct DriverRuntime {
    runtime: Runtime,
    closed: mpsc::Receiver<Infallible>,
}

impl DriverRuntime {
    /// Makes the runtime, and a handle with which others run tasks there.
    pub(super) fn new() -> io::Result<(Self, Nearby)> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (open, closed) = mpsc::channel(1);
        let nearby = Nearby { runtime: runtime.handle().clone(), _open: open };
        Ok((Self { runtime, closed }, nearby))
    }

    /// Runs a future of the driver's, and the tasks of others beside it.
    pub(super) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Goes on with the tasks of others until nobody is left who can start one. A node that has halted still tells its
    /// clients why.
    pub(super) fn run_out(mut self) {
        self.runtime.block_on(self.closed.recv());
    }
}
