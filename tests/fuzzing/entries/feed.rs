//! What comes through the feed's socket, and what a client asks of the simulator.

use ticksmith::codec::avro::Avro;
use ticksmith::codec::finnhub;
use ticksmith::engine::{Intake, IntakeConfig, IntakeOutput, Numbered};
use ticksmith::model::{Arrival, Element, Frame};

use super::samples::{CONNECTION, NOW_MS};

/// A message of the socket, through the producer's decoder and intake, to the bytes for the log.
pub fn finnhub_frame(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    finnhub::decode_request(&text);
    finnhub::recorded_frame(&text);
    finnhub::element_texts(&text);
    let frame = finnhub::decode(&text);
    let elements = match &frame {
        Frame::Trades(elements) => elements.len() as u64,
        _ => 0,
    };
    if let Frame::Trades(elements) = &frame {
        elements.iter().for_each(check_element);
    }
    for at_us in [0, NOW_MS * 1_000] {
        let mut intake = Intake::new(IntakeConfig {
            connection: CONNECTION,
            feed: "finnhub/0".into(),
            drop_repeats: true,
            future_bound_ms: 60_000,
        });
        let mut output = IntakeOutput::default();
        for after_us in [0, 5_000_000] {
            let arrival = Arrival { at_us: at_us + after_us, monotonic_us: after_us };
            intake.accept_frame(&text, frame.clone(), arrival, &mut output);
            intake.heartbeat(arrival, &mut output);
        }
        check_output(&output, 2 * elements);
    }
}

fn check_element(element: &Element) {
    match element {
        Element::Trade(trade) => assert!(!trade.price.is_nan() && !trade.volume.is_nan()),
        Element::Malformed(element) => assert!(!element.problem.is_empty()),
    }
}

/// No element is lost between the socket and the log, and every record can be written.
fn check_output(output: &IntakeOutput, elements: u64) {
    let counts = output.counts;
    let kept_back = counts.second_encodings + counts.repeated_elements_dropped;
    assert_eq!(counts.trades + counts.malformed_elements + kept_back, elements, "{counts:?}");
    let avro = Avro::single_object();
    let mut value = Vec::new();
    for record in &output.records {
        value.clear();
        match record {
            Numbered::Trade(trade) => {
                avro.encode_trade(trade, &mut value).expect("a trade can be written");
                assert_eq!(avro.decode_trade(&value).as_ref(), Ok(trade));
            }
            Numbered::Event(event) => {
                avro.encode_feed_event(event, &mut value).expect("an event can be written");
                assert_eq!(avro.decode_feed_event(&value).as_ref(), Ok(event));
            }
        }
    }
}
