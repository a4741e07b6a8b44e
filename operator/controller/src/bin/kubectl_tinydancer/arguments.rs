//! Command line.

use clap::{Parser, Subcommand};

use crate::command::Command;

/// Explains rollouts of routing models and tells the operator what people decided.
#[derive(Parser, Clone, Debug)]
#[command(name = "kubectl tinydancer", bin_name = "kubectl tinydancer", version)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub task: Task,

    /// Namespace of the policy; left out, the one of the context.
    #[arg(long, short, global = true)]
    pub namespace: Option<String>,

    /// Context of the kubeconfig.
    #[arg(long, global = true)]
    pub context: Option<String>,
}

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum Task {
    /// Say what is stable, what is on trial, what the evidence says and what it waits for
    Status {
        /// Name of the RoutingPolicy
        policy: String,
    },
    /// Take the model on trial, or a promoted one in its watch, out of traffic
    Abort {
        /// Name of the RoutingPolicy
        policy: String,
    },
    /// Make the model on trial the stable one without waiting for more evidence
    Promote {
        /// Name of the RoutingPolicy
        policy: String,
    },
    /// Let the trial go on to the step that waits for approval
    Approve {
        /// Name of the RoutingPolicy
        policy: String,
    },
    /// Try a model again that was rolled back
    Retry {
        /// Name of the RoutingPolicy
        policy: String,
    },
    /// Stop the growth of exposure; guards go on
    Pause {
        /// Name of the RoutingPolicy
        policy: String,
    },
    /// Let exposure grow again
    Resume {
        /// Name of the RoutingPolicy
        policy: String,
    },
}

impl Task {
    /// The policy it is about.
    pub(crate) fn policy(&self) -> &str {
        match self {
            Self::Status { policy }
            | Self::Abort { policy }
            | Self::Promote { policy }
            | Self::Approve { policy }
            | Self::Retry { policy }
            | Self::Pause { policy }
            | Self::Resume { policy } => policy,
        }
    }

    /// What is asked for; `None` where somebody only looks.
    pub(crate) fn command(&self) -> Option<Command> {
        match self {
            Self::Status { .. } => None,
            Self::Abort { .. } => Some(Command::Abort),
            Self::Promote { .. } => Some(Command::Promote),
            Self::Approve { .. } => Some(Command::Approve),
            Self::Retry { .. } => Some(Command::Retry),
            Self::Pause { .. } => Some(Command::Pause),
            Self::Resume { .. } => Some(Command::Resume),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_may_stand_after_the_policy_as_kubectl_wants_it() {
        let arguments =
            Arguments::try_parse_from(["kubectl-tinydancer", "abort", "support", "-n", "team"]).unwrap();
        assert_eq!(arguments.task.policy(), "support");
        assert_eq!(arguments.namespace.as_deref(), Some("team"));
        assert_eq!(arguments.task.command(), Some(Command::Abort));
    }
}
