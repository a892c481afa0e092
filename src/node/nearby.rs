//! The driver's thread, on which the transport and tasks that ask the driver run too.
//!
//! A task on another thread that asks the driver wakes a thread for the question and one for the answer. On machines where
//! that is dear, and under a hypervisor it is, it costs more than the work. A task here is only put into a queue.

use std::convert::Infallible;
use std::{io, panic};

use tokio::runtime::{Builder, EnterGuard, Handle, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

/// Runs tasks on the driver's thread. Tasks there must be short, because the driver waits for them. It is cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Nearby {
    runtime: Handle,
    /// The thread goes on as long as one of these is left.
    _open: mpsc::Sender<Infallible>,
}

impl Nearby {
    /// Tasks that are spawned while this is held run on the driver's thread.
    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Runs a task on the driver's thread, and waits for its end. The task is dropped with this future.
    pub(crate) async fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        match AbortOnDropHandle::new(self.runtime.spawn(task)).await.map_err(JoinError::try_into_panic) {
            // The thread has ended, and the task with it.
            Ok(()) | Err(Err(_)) => {}
            Err(Ok(panic)) => panic::resume_unwind(panic),
        }
    }
}

/// The runtime of the driver's thread.
pub(crate) struct DriverRuntime {
    /// None once it is dropped.
    runtime: Option<Runtime>,
    closed: mpsc::Receiver<Infallible>,
}

impl DriverRuntime {
    /// Makes the runtime, and a handle with which others run tasks there.
    pub(crate) fn new() -> io::Result<(Self, Nearby)> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (open, closed) = mpsc::channel(1);
        let nearby = Nearby { runtime: runtime.handle().clone(), _open: open };
        Ok((Self { runtime: Some(runtime), closed }, nearby))
    }

    /// Runs a future of the driver's, and the tasks of others beside it.
    ///
    /// # Panics
    /// It never does: the runtime is there until this is dropped.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        #[expect(clippy::expect_used, reason = "it is taken by drop alone")]
        self.runtime.as_ref().expect("the runtime is there until this is dropped").block_on(future)
    }

    /// Goes on with the tasks of others until nobody is left who can start one. A node that has halted still tells its
    /// clients why.
    pub(crate) fn run_out(mut self) {
        let mut closed = std::mem::replace(&mut self.closed, mpsc::channel(1).1);
        self.block_on(closed.recv());
    }
}

impl Drop for DriverRuntime {
    /// Where no thread could be made for it, it is dropped by a task of another runtime, which must not wait.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
