//! The dashboard's files, embedded in the binary: one file to install, and no request leaves the
//! host.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

/// Nothing but our own origin: no external script, style, font, image or connection.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
pub(super) const CSS: &str = "text/css; charset=utf-8";
pub(super) const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

/// One of our own modules.
macro_rules! module {
    ($name:literal) => {
        (
            concat!("/assets/", $name, ".js"),
            JAVASCRIPT,
            include_str!(concat!("dashboard/", $name, ".js")),
        )
    };
}

/// Path, content type, content.
pub(super) type Asset = (&'static str, &'static str, &'static str);

const ASSETS: [Asset; 22] = [
    ("/", HTML, include_str!("dashboard/index.html")),
    ("/assets/style.css", CSS, include_str!("dashboard/style.css")),
    ("/assets/pages.css", CSS, include_str!("dashboard/pages.css")),
    ("/favicon.svg", SVG, include_str!("dashboard/favicon.svg")),
    module!("app"),
    module!("bars"),
    module!("chart"),
    module!("chart_page"),
    module!("completeness"),
    module!("elements"),
    module!("explanation"),
    module!("format"),
    module!("hover"),
    module!("indicators"),
    module!("live"),
    module!("overview"),
    module!("palette"),
    module!("panels"),
    module!("pipeline"),
    module!("sparkline"),
    (
        "/assets/lightweight-charts.js",
        JAVASCRIPT,
        include_str!(
            "dashboard/vendor/lightweight-charts/lightweight-charts.standalone.production.js"
        ),
    ),
    (
        "/assets/lightweight-charts-licence.txt",
        TEXT,
        include_str!("dashboard/vendor/lightweight-charts/LICENSE"),
    ),
];

/// The dashboard's files.
pub(super) fn assets_router() -> Router {
    files_router(&ASSETS)
}

/// One route per file.
pub(super) fn files_router(files: &'static [Asset]) -> Router {
    files.iter().fold(Router::new(), |router, (path, kind, content)| {
        let respond = async move || {
            let headers = [
                (header::CONTENT_TYPE, *kind),
                (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
                (header::REFERRER_POLICY, "no-referrer"),
            ];
            (headers, *content).into_response()
        };
        router.route(path, get(respond))
    })
}
