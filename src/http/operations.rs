//! Every operation of the API, once: the router takes its paths and parameters from here, and so
//! does the document that describes them.

use axum::extract::State;
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use axum::{Extension, Router};

use super::answer::Answer;
use super::api::ApiContext;
use super::asked::Parameter as P;
use super::asked::{Asked, Parameter, Taken};
use super::history::{explain, gaps, revisions};
use super::indicators::indicators;
use super::live_reader;
use super::market::{bars, latest, state, symbols, trades};
use super::openapi;
use super::overview::overview;
use super::problem::Problem;
use super::socket::socket;
use super::stream::stream;

/// What an operation answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    /// A page of rows of this schema, under this name, beside these texts.
    Rows { schema: &'static str, name: &'static str, about: &'static [&'static str] },
    /// A JSON document of this schema.
    Document(&'static str),
    /// Server-sent events.
    Events,
    /// A WebSocket.
    Socket,
}

/// One path, read with GET.
pub(super) struct Operation {
    pub path: &'static str,
    /// Unique, for generated clients.
    pub id: &'static str,
    pub summary: &'static str,
    pub parameters: &'static [Parameter],
    pub answered: Answered,
    route: fn() -> MethodRouter<ApiContext>,
}

const PAGED: [Parameter; 5] = [P::From, P::To, P::Limit, P::Cursor, P::Format];

pub(super) static OPERATIONS: [Operation; 13] = [
    Operation {
        path: "/api/v1/bars/{symbol}",
        id: "bars",
        summary: "Bars of a symbol: the newest of a range, in order of their start.",
        parameters: &[P::Interval, PAGED[0], PAGED[1], PAGED[2], PAGED[3], PAGED[4]],
        answered: Answered::Rows { schema: "Bar", name: "bars", about: &["symbol", "interval"] },
        route: || get(bars),
    },
    Operation {
        path: "/api/v1/trades/{symbol}",
        id: "trades",
        summary: "Trades of a symbol: the newest of a range, in order of their time.",
        parameters: &[P::Tier, PAGED[0], PAGED[1], PAGED[2], PAGED[3], PAGED[4]],
        answered: Answered::Rows { schema: "Trade", name: "trades", about: &["symbol", "tier"] },
        route: || get(trades),
    },
    Operation {
        path: "/api/v1/gaps/{symbol}",
        id: "gaps",
        summary: "Times in which a symbol's feed was away or lost something, that touch a range.",
        parameters: &PAGED,
        answered: Answered::Rows { schema: "Gap", name: "gaps", about: &["symbol"] },
        route: || get(gaps),
    },
    Operation {
        path: "/api/v1/revisions/{symbol}",
        id: "revisions",
        summary: "What bars were at their closing, and each change after it, with the reason.",
        parameters: &[P::Interval, PAGED[0], PAGED[1], PAGED[2], PAGED[3], PAGED[4]],
        answered: Answered::Rows {
            schema: "Revision",
            name: "revisions",
            about: &["symbol", "interval"],
        },
        route: || get(revisions),
    },
    Operation {
        path: "/api/v1/explain/{symbol}",
        id: "explain",
        summary: "Why the bar that holds an instant is what it is.",
        parameters: &[P::Interval, P::At],
        answered: Answered::Document("Explanation"),
        route: || get(explain),
    },
    Operation {
        path: "/api/v1/indicators/{symbol}",
        id: "indicators",
        summary: "Indicators over the closed bars of a symbol: of the newest bars of a range.",
        parameters: &[P::Names, P::Interval, P::From, P::To, P::Limit],
        answered: Answered::Document("Indicators"),
        route: || get(indicators),
    },
    Operation {
        path: "/api/v1/overview",
        id: "overview",
        summary: "The last day of every symbol: price, change, volume, coverage, bars.",
        parameters: &[],
        answered: Answered::Document("Overview"),
        route: || get(overview),
    },
    Operation {
        path: "/api/v1/latest",
        id: "latest",
        summary: "The newest bar of each symbol, in order of the symbols.",
        parameters: &[P::Symbols, P::Interval, P::Limit, P::SymbolCursor, P::Format],
        answered: Answered::Rows { schema: "Bar", name: "bars", about: &["interval"] },
        route: || get(latest),
    },
    Operation {
        path: "/api/v1/symbols",
        id: "symbols",
        summary: "Every symbol that is known, the intervals that have bars, and the version.",
        parameters: &[],
        answered: Answered::Document("Symbols"),
        route: || get(symbols),
    },
    Operation {
        path: "/api/v1/state",
        id: "state",
        summary: "How feed and pipeline stand: counts by disposition, rates, lag, watermark.",
        parameters: &[],
        answered: Answered::Document("State"),
        route: || get(state),
    },
    Operation {
        path: "/api/v1/stream",
        id: "stream",
        summary: "Live updates as server-sent events.",
        parameters: live_reader::PARAMETERS,
        answered: Answered::Events,
        route: || get(stream),
    },
    Operation {
        path: "/api/v1/ws",
        id: "ws",
        summary: "Live updates over a WebSocket; what is followed can be changed while it is open.",
        parameters: live_reader::PARAMETERS,
        answered: Answered::Socket,
        route: || get(socket),
    },
    Operation {
        path: "/api/v1/openapi.json",
        id: "openapi",
        summary: "This description.",
        parameters: &[],
        answered: Answered::Document("OpenApi"),
        route: || get(document),
    },
];

/// A route for each operation; its handlers refuse parameters that the operation does not have.
pub(super) fn router() -> Router<ApiContext> {
    OPERATIONS.iter().fold(Router::new(), |router, operation| {
        let taken = Taken(operation.parameters);
        router.route(operation.path, (operation.route)().layer(Extension(taken)))
    })
}

async fn document(State(context): State<ApiContext>, asked: Asked) -> Result<Response, Problem> {
    let document = openapi::document(&context.interval_names());
    Ok(Answer::document(&document)?.respond(asked.headers()))
}
