//! Accepts connections, bounded in number and time, and drains them before the process ends.

use std::{convert::Infallible, future::Future, pin::pin, sync::Arc};

use axum::{Router, body::Body, response::Response};
use http::{HeaderValue, Version, header};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::{Duration, MissedTickBehavior, interval, sleep, timeout},
};
use tower::ServiceExt as _;

use super::{
    DataPlane, Limits,
    connection::{Activity, RequestGuard, Verdict, Watched},
    guarded::Guarded,
    router,
};

/// Headers of a request.
const MOST_HEADERS: usize = 100;
/// Bytes of a request's headers.
const LONGEST_HEADERS: usize = 32 * 1024;
/// Requests at once on one HTTP/2 connection.
const MOST_STREAMS: u32 = 100;
/// How often a connection is looked after.
const LOOK: Duration = Duration::from_millis(500);
/// Pause after a failed accept: the cause, such as too few file descriptors, does not go away at once.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(50);

/// Serves until `stop`; then says that it is not ready, goes on for `Limits::notice`, and gives open requests
/// `Limits::drain_within` to end.
pub async fn serve(listener: TcpListener, plane: Arc<DataPlane>, stop: impl Future<Output = ()>) {
    let limits = plane.limits.clone();
    let connections = Arc::new(Semaphore::new(limits.connections));
    let (stopping, stopped) = watch::channel(false);
    let accept = Accept { listener, router: router(Arc::clone(&plane)), plane, connections, stopped };
    let mut stop = pin!(stop);
    tokio::select! {
        () = accept.forever() => {}
        () = &mut stop => {}
    }
    accept.plane.start_draining();
    tracing::info!("stopping: no longer ready, open requests may end");
    let _ = timeout(limits.notice, accept.forever()).await;
    let Accept { connections, listener, .. } = accept;
    drop(listener);
    let _ = stopping.send(true);
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    if timeout(limits.drain_within, connections.acquire_many(all)).await.is_err() {
        tracing::warn!("requests were still open at the end of the drain");
    }
}

struct Accept {
    listener: TcpListener,
    router: Router,
    plane: Arc<DataPlane>,
    connections: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
}

impl Accept {
    async fn forever(&self) {
        // The semaphore is never closed.
        while let Ok(permit) = Arc::clone(&self.connections).acquire_owned().await {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let plane = Arc::clone(&self.plane);
                    let connection = connection(stream, self.router.clone(), plane, self.stopped.clone());
                    let guard = (permit, self.plane.metrics.connection());
                    tokio::spawn(async move {
                        connection.await;
                        drop(guard);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    sleep(AFTER_FAILED_ACCEPT).await;
                }
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    router: Router,
    plane: Arc<DataPlane>,
    mut stopped: watch::Receiver<bool>,
) {
    // Without it, small answers wait for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let limits = plane.limits.clone();
    let activity = Arc::new(Activity::default());
    let counted = Arc::clone(&activity);
    let service = service_fn(move |request: http::Request<Incoming>| {
        let guard = Activity::request(&counted, request.version());
        let (router, plane) = (router.clone(), Arc::clone(&plane));
        async move { Ok::<_, Infallible>(answer(request, router, &plane, guard).await) }
    });
    let builder = builder(&limits);
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&activity)));
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut closing = false;
    loop {
        tokio::select! {
            // An error here is the client's: it is gone, or spoke no HTTP.
            _ = connection.as_mut() => return,
            _ = stopped.wait_for(|stopped| *stopped), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = looks.tick() => match activity.verdict(&limits) {
                Verdict::Keep => {}
                Verdict::Idle if closing => return,
                Verdict::Idle => {
                    closing = true;
                    connection.as_mut().graceful_shutdown();
                }
                Verdict::Stuck => return,
            }
        }
    }
}

async fn answer(
    request: http::Request<Incoming>,
    router: Router,
    plane: &DataPlane,
    guard: RequestGuard,
) -> Response {
    let one_at_a_time = request.version() < Version::HTTP_2;
    let mut response = router.oneshot(request.map(Body::new)).await.unwrap_or_else(|never| match never {});
    if plane.is_draining() && one_at_a_time {
        // The client connects elsewhere next time; on HTTP/2 it is told by the end of the connection.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response.map(|body| Guarded::body(body, guard))
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle)
        .max_headers(MOST_HEADERS)
        .max_buf_size(LONGEST_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(LONGEST_HEADERS as u32)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}
