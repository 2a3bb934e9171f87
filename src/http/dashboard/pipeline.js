// The page of the pipeline: what an engineer looks at first when the chart stands still. Everything
// is read from the state that the live stream brings once a second.

import { element, setClass, setText } from './elements.js';
import { count, duration, time } from './format.js';
import { Trend } from './sparkline.js';

const COUNTS = [
  ['merged', 'Merged', 'counted in a bar'],
  ['duplicate', 'Duplicate', 'seen before'],
  ['late', 'Late', 'past the allowed lateness'],
  ['rejected', 'Rejected', 'not a trade that can be believed'],
  ['control', 'Control', 'events of the feed itself'],
];
const WHY = {
  seq: 'delivered before, by its number on the connection',
  not_owner: 'another connection had taken the symbol over',
  price_not_finite: 'the price is no number',
  price_not_positive: 'the price is zero or below',
  price_out_of_range: 'the price is beyond what is held exactly',
  volume_not_finite: 'the volume is no number',
  volume_negative: 'the volume is below zero',
  volume_out_of_range: 'the volume is beyond what is held exactly',
  time_in_future: 'its time is ahead of the feed',
  time_too_early: 'its time is before any market’s',
  symbol_empty: 'it names no symbol',
  symbol_too_long: 'its symbol is too long',
  key_mismatch: 'the record’s key is not its symbol',
  wrong_partition: 'its key belongs into another partition',
  undecodable: 'the bytes are no trade of a known schema',
  null_value: 'no value, and no event of the feed',
  bad_event: 'an event of the feed that cannot be read',
  released_connection: 'its connection was released long ago',
  malformed_frame: 'the frame is no JSON of a trade',
  malformed_element: 'a part of the frame has no time, symbol or number',
  late: 'behind the watermark by more than the allowed lateness; kept in trades-late',
};
/** Seconds of the drawings. */
const KEPT = 300;
const LAG_WARN_RECORDS = 10_000;
const BEHIND_WARN_MS = 30_000;

const at = (id) => document.getElementById(id);

export class PipelinePage {
  #isShown = false;
  #share = {};
  #counts = {};
  #trends = {};
  #state = null;
  #partitions = [];
  #diverted = '';

  constructor() {
    for (const [key, label, meaning] of COUNTS) {
      this.#share[key] = element('i');
      this.#share[key].dataset.key = key;
      at('share').append(this.#share[key]);
      const [value, rate] = [element('span', '', '–'), element('small')];
      const group = element('div', '', element('dt', '', label), element('dd', '', value, rate));
      group.dataset.key = key;
      group.title = meaning;
      at('counts').append(group);
      this.#counts[key] = { value, rate };
    }
    for (const name of ['rate', 'lag', 'behind', 'beat']) this.#trends[name] = new Trend(at(`trend-${name}`), KEPT);
  }

  show(isShown) {
    this.#isShown = isShown;
    if (isShown && this.#state) this.#draw(this.#state);
  }

  take(state) {
    // `ticksmith serve` has none to count for.
    at('elsewhere').hidden = Boolean(state.counts);
    for (const section of document.querySelectorAll('[data-page=pipeline] > section:not(#elsewhere)')) section.hidden = !state.counts;
    if (!state.counts) return;
    this.#state = state;
    const behind = state.watermark == null ? null : Math.max(state.now - state.watermark, 0);
    const values = { rate: state.rates.total, lag: state.lag_records, behind, beat: state.flush_us + state.commit_us };
    for (const [name, value] of Object.entries(values)) this.#trends[name].add(value);
    if (this.#isShown) this.#draw(state);
  }

  #draw(state) {
    for (const trend of Object.values(this.#trends)) trend.draw();
    this.#drawVitals(state);
    for (const [key] of COUNTS) {
      this.#share[key].style.flexGrow = state.counts[key];
      setText(this.#counts[key].value, count(state.counts[key]));
      setText(this.#counts[key].rate, `${count(Math.round(state.rates[key] * 10) / 10)}/s`);
    }
    this.#drawDiverted(state.diverted ?? []);
    this.#drawPartitions(state);
    const { provisional, closed, corrected } = state.bars;
    setText(at('bars-emitted'), `${count(closed)} closed, ${count(corrected)} corrected, ${count(provisional)} provisional samples`);
    setText(at('consumed'), `${count(state.counts.total)} records`);
    setText(at('open-windows'), count(state.open_windows));
    setText(at('symbol-count'), count(state.symbols));
  }

  #drawVitals(state) {
    const { source, state: feed, detail } = state.feed;
    setText(at('vital-feed'), feed);
    setText(at('vital-feed-detail'), [source, detail].filter(Boolean).join(' · '));
    at('vital-feed').dataset.state = feed;
    setText(at('vital-rate'), `${count(Math.round(state.rates.total))}/s`);
    const isLagging = state.lag_records > LAG_WARN_RECORDS;
    setText(at('vital-lag'), `${count(state.lag_records)} records`);
    setClass(at('vital-lag'), isLagging ? 'warn' : '');
    const behind = state.watermark == null ? null : state.now - state.watermark;
    setText(at('vital-behind'), behind == null ? 'none yet' : duration(behind));
    setClass(at('vital-behind'), behind > BEHIND_WARN_MS ? 'warn' : '');
    setText(at('vital-beat'), `${((state.flush_us + state.commit_us) / 1000).toFixed(1)} ms`);
    setText(at('vital-beat-detail'), `store ${(state.flush_us / 1000).toFixed(1)} ms, commit ${(state.commit_us / 1000).toFixed(1)} ms`);
  }

  #drawDiverted(diverted) {
    const key = JSON.stringify(diverted);
    if (key === this.#diverted) return;
    this.#diverted = key;
    const line = (one) => {
      const row = element('tr', '', element('td', 'kind', one.disposition), element('td', '', WHY[one.reason || one.disposition] ?? one.reason), element('td', 'number', count(one.count)));
      row.dataset.key = one.disposition;
      row.title = one.reason || one.disposition;
      return row;
    };
    at('diverted').replaceChildren(...diverted.map(line));
    at('diverted-none').hidden = diverted.length > 0;
    at('diverted-table').hidden = diverted.length === 0;
  }

  #drawPartitions(state) {
    while (this.#partitions.length > state.partitions.length) this.#partitions.pop().line.remove();
    state.partitions.forEach((partition, index) => {
      this.#partitions[index] ??= this.#line();
      const { watermark, counts } = partition;
      const behind = watermark == null ? '–' : duration(state.now - watermark);
      const texts = [
        partition.partition, count(partition.next_offset), count(partition.end_offset - partition.next_offset), watermark == null ? '–' : time(watermark), behind,
        count(partition.open_windows), count(counts.merged), count(counts.duplicate), count(counts.late), count(counts.rejected),
      ];
      texts.forEach((text, column) => setText(this.#partitions[index].cells[column], String(text)));
    });
  }

  #line() {
    const head = element('th');
    head.scope = 'row';
    const cells = [head, ...Array.from({ length: 9 }, () => element('td', 'number'))];
    const line = element('tr', '', ...cells);
    at('partitions').append(line);
    return { line, cells };
  }
}
