//! `/api/v1/stream`: live updates as server-sent events, which every browser and `curl` can read.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream, StreamExt};

use super::api::ApiContext;
use super::asked::Asked;
use super::live_reader::{LiveReader, Update};
use super::problem::Problem;

/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_millis(1_000);
/// A line that says nothing, so that nobody on the way takes the stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Events `bars`, `trades`, `quotes` (arrays), `state` (an object), and `missed` when the reader
/// was too slow for some bars and should read them again.
pub(super) async fn stream(
    State(context): State<ApiContext>,
    asked: Asked,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let reader = LiveReader::open(&context, &asked)?;
    let greeting = Event::default().retry(RETRY).comment("ticksmith");
    let updates = stream::unfold(reader, |mut reader| async move {
        let Update { event, data } = reader.next().await;
        Some((Event::default().event(event).data(data), reader))
    });
    let events = stream::iter([greeting]).chain(updates).map(Ok);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}
