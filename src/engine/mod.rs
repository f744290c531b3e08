//! The migration itself, without any knowledge of Kubernetes.

pub mod changes;
