//! The task group: the only place that spawns. Every task has a name; the first failure ends the
//! group and is returned with that name; dropping the group aborts what is left.

use std::future::Future;

use tokio::task::JoinSet;

/// A task of the group ended early or failed.
#[derive(Debug, thiserror::Error)]
pub enum TaskError<E: std::error::Error + 'static> {
    /// The task returned an error.
    #[error("{name} failed")]
    Failed {
        /// Name of the task.
        name: &'static str,
        /// What it returned.
        source: E,
    },
    /// The task panicked.
    #[error("{name} panicked")]
    Panicked {
        /// Name of the task.
        name: &'static str,
    },
}

/// Tasks that live and die together.
pub struct TaskGroup<E> {
    tasks: JoinSet<(&'static str, Result<(), E>)>,
}

impl<E: std::error::Error + Send + 'static> TaskGroup<E> {
    /// An empty group.
    pub fn new() -> Self {
        Self { tasks: JoinSet::new() }
    }

    /// Starts a task. It may end by itself with `Ok`.
    pub fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
        self.tasks.spawn(async move { (name, task.await) });
    }

    /// Runs `main` beside the tasks: returns its result, or the first failure among the tasks, and
    /// ends all that is left.
    ///
    /// # Errors
    ///
    /// The first task that failed or panicked before `main` ended.
    pub async fn run<T>(mut self, main: impl Future<Output = T>) -> Result<T, TaskError<E>> {
        let mut main = std::pin::pin!(main);
        let result = loop {
            tokio::select! {
                biased;
                ended = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    if let Some(error) = failure_of(ended) {
                        break Err(error);
                    }
                }
                value = &mut main => break Ok(value),
            }
        };
        self.tasks.shutdown().await;
        result
    }
}

impl<E: std::error::Error + Send + 'static> Default for TaskGroup<E> {
    fn default() -> Self {
        Self::new()
    }
}

type Ended<E> = Option<Result<(&'static str, Result<(), E>), tokio::task::JoinError>>;

fn failure_of<E: std::error::Error + 'static>(ended: Ended<E>) -> Option<TaskError<E>> {
    match ended? {
        Ok((_, Ok(()))) => None,
        Ok((name, Err(source))) => Some(TaskError::Failed { name, source }),
        Err(_) => Some(TaskError::Panicked { name: "a task" }),
    }
}
