//! One async runtime for all tests: a test blocks its own thread, its writers run on the shared ones.

use std::future::Future;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// Runs a test's body to its end on the calling thread.
pub(crate) fn block_on<F: Future>(body: F) -> F::Output {
    RUNTIME.get_or_init(start).block_on(body)
}

fn start() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("the runtime of the tests starts")
}
