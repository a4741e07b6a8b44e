//! Audits: a share of the answered requests is answered by the other tier as well, and a grader says how good both answers
//! are. It is the only way to know what routing costs in quality.
//!
//! An audit begins when the reply has ended, waits for nobody who serves, and is given up rather than queued without end.
//! Prompt and answers are held in memory until they are graded, and are never logged, stored or put into a metric.

mod answer;
mod auditor;
mod grader;
mod request;

pub(crate) use answer::{Answer, AnswerText};
pub(crate) use auditor::{AuditResult, Auditor, Recording};
