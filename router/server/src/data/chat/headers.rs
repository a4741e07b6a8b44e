//! Which headers pass, in both directions.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{data::route::labels, metrics::tier_name, runtime::RoutingDecision, upstream::Upstream};

/// Headers of a request that an upstream gets. Nothing else: no key, cookie, host or address of the client.
const FORWARDED: [HeaderName; 5] = [
    header::ACCEPT,
    header::USER_AGENT,
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

/// Headers of an answer that end here: they are about the connection to the upstream, or are the upstream's own affair.
const KEPT_BACK: [HeaderName; 12] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::CONTENT_LENGTH,
    header::SET_COOKIE,
    header::SERVER,
    header::DATE,
];

/// Ours alone: an upstream cannot say anything in our name.
const OWN_PREFIX: &str = "x-router-";

/// The headers an upstream gets.
pub(super) fn to_upstream(headers: &HeaderMap) -> HeaderMap {
    FORWARDED.iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone()))).collect()
}

/// The headers a client gets from an upstream's.
pub(super) fn to_client(headers: &HeaderMap) -> HeaderMap {
    let named_by_connection: Vec<_> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let passes = |name: &HeaderName| {
        !KEPT_BACK.contains(name)
            && !name.as_str().starts_with(OWN_PREFIX)
            && !named_by_connection.iter().any(|kept_back| kept_back == name.as_str())
    };
    headers
        .iter()
        .filter(|(name, _)| passes(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Says which candidate answered and why.
pub(super) fn add_routing(
    headers: &mut HeaderMap,
    upstream: &Upstream,
    decision: Option<&RoutingDecision>,
    reason: &'static str,
) {
    let mut add = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    add("x-router-model", &upstream.candidate.name);
    add("x-router-tier", tier_name(upstream.candidate.tier));
    add("x-router-reason", reason);
    let Some(decision) = decision else { return };
    add("x-router-decision-id", decision.id.as_str());
    add("x-router-arm", decision.arm.as_str());
    add("x-router-classified", if decision.classified { "true" } else { "false" });
    if let Some(confidence) = decision.confidence {
        add("x-router-confidence", &confidence.to_string());
    }
    if let Some(uncertainty) = decision.uncertainty {
        add("x-router-uncertainty", &uncertainty.to_string());
    }
    if let Some(novelty) = decision.novelty {
        add("x-router-novelty", &novelty.to_string());
    }
    if let Some(set) = decision.set {
        add("x-router-set", &labels(set).join(", "));
    }
    if let Some(known) = decision.known_tags {
        add("x-router-known-tags", &known.to_string());
    }
    add("x-router-explored", if decision.explored { "true" } else { "false" });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn an_upstream_never_gets_the_clients_key_or_host() {
        let sent = headers(&[
            ("authorization", "Bearer client"),
            ("api-key", "k"),
            ("host", "router"),
            ("cookie", "c"),
            ("x-forwarded-for", "10.0.0.1"),
            ("accept", "text/event-stream"),
        ]);
        assert_eq!(to_upstream(&sent), headers(&[("accept", "text/event-stream")]));
    }

    #[test]
    fn what_concerns_one_connection_stays_there() {
        let answered = headers(&[
            ("connection", "close, X-Inner"),
            ("x-inner", "1"),
            ("transfer-encoding", "chunked"),
            ("x-router-model", "forged"),
            ("set-cookie", "a=b"),
            ("content-type", "application/json"),
        ]);
        assert_eq!(to_client(&answered), headers(&[("content-type", "application/json")]));
    }
}
