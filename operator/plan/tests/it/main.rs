//! The plan against a small world: pods that obey the protocol, a record, and a clock that is moved by hand.

#[cfg(test)]
mod approval;
#[cfg(test)]
mod argo_rollouts_faults;
#[cfg(test)]
mod calibration;
#[cfg(test)]
mod children;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod exploration;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod models;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod record;
#[cfg(test)]
mod rollouts;
#[cfg(test)]
mod watch;
#[cfg(test)]
mod wishes;
#[cfg(test)]
mod world;
