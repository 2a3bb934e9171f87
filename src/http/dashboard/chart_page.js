// The page of one symbol: chart, legend, last trades, and the explanation of a bar. It reads what is
// stored, follows what is live, and puts the live on top.

import { BarChart } from './chart.js';
import { element, setClass, setText } from './elements.js';
import { ExplanationPanel } from './explanation.js';
import { count, dayAndTime, direction, duration, exact, percent, price, short, symbolParts, time } from './format.js';
import { HoverCard, Legend } from './hover.js';
import { Indicators } from './indicators.js';
import { TradeTape } from './panels.js';

/** Bars of one read: what is parsed and drawn in a moment that nobody notices. */
const PAGE_BARS = 500;
const RECONNECT_MS = 1500;
/** A gap is stored with the beat that follows its event. */
const GAPS_AFTER_MS = 2000;
const GAPS_LOADED = 1000;
const DAY_MS = 86_400_000;
const RANGES = [['1d', 1], ['7d', 7], ['30d', 30]];

const at = (id) => document.getElementById(id);

export class ChartPage {
  #getJson;
  #onChoose;
  #symbol = '';
  #interval = '';
  #intervals = [];
  /** Moves on with every choice and reconnection: answers of an earlier turn are thrown away. */
  #turn = 0;
  /** Live bars that came while the stored ones were read. */
  #arrived = null;
  #gapsDue = 0;
  /** No bars are older than those that are here. */
  #isWhole = false;
  #loadingBack = null;
  /** Whether the reader looks at this page. */
  isShown = true;
  /** By symbol: the first price of its day and when it was, as the market page has it. */
  #references = new Map();
  /** Start of the bar under the cursor, and where it is. */
  #hovered = null;
  #now = 0;
  #chart;
  #legend = new Legend(at('legend'));
  #card = new HoverCard(at('hover'), at('spoken'));
  #tape = new TradeTape(at('trades'));
  #explanation;
  #indicators;

  /** `onChoose(symbol, interval)`: the reader wants another one. */
  constructor(getJson, onChoose) {
    [this.#getJson, this.#onChoose] = [getJson, onChoose];
    this.#explanation = new ExplanationPanel(at('explain'), at('explain-title'), at('explain-body'), at('explain-close'), getJson, (ts) => this.#markExplained(ts));
    this.#chart = new BarChart(at('chart'), {
      hover: (bar, x, isSpoken) => this.#hover(bar, x, isSpoken),
      pick: (bar) => this.explain(bar),
      edge: () => this.#loadBack(Infinity, 1).catch(() => { /* the next move of the view asks again */ }),
      corrected: (bar, before, columns) => this.#tellCorrection(bar, before, columns),
    });
    this.#indicators = new Indicators(this.#chart.canvas, at('indicator-menu'), at('indicator-key'), getJson, () => this.#publish());
    at('explain-last').addEventListener('click', () => this.explain());
    at('ranges').append(...RANGES.map(([label, days]) => this.#range(label, days)));
  }

  get symbol() {
    return this.#symbol;
  }

  get interval() {
    return this.#interval;
  }

  paint() {
    this.#chart.paint();
    this.#indicators.paint();
  }

  /** Empties the page for another symbol or interval; `reload` fills it. */
  choose(symbol, interval, intervals) {
    [this.#symbol, this.#interval, this.#intervals] = [symbol, interval, intervals];
    this.#turn += 1;
    this.#explanation.close();
    const [name, venue] = symbolParts(symbol);
    setText(at('symbol'), venue ? `${name} · ${venue}` : name);
    this.#showIntervals();
    this.#tape.clear();
    this.#chart.load([], true);
    this.#chart.setGaps([]);
    this.#indicators.load(symbol, interval, null, 2);
    this.#card.hide();
    setText(at('correction'), '');
    this.#hovered = null;
    this.#isWhole = false;
    this.#show();
  }

  /** Reads the stored bars; what the stream brings meanwhile is newer and is applied on top. */
  async reload() {
    const turn = ++this.#turn;
    this.#arrived = [];
    // As far back as was shown before: all of it is read again, since the server may be another one.
    const from = this.#chart.bars.first()?.ts ?? Infinity;
    try {
      const bars = await this.#readBack(undefined, from, 1);
      if (turn !== this.#turn) return;
      this.#chart.load(bars);
      this.#apply(this.#arrived);
      this.#arrived = null;
      this.#showAll();
    } catch {
      if (turn !== this.#turn) return;
      this.#arrived = null;
      setTimeout(() => turn === this.#turn && this.reload(), RECONNECT_MS);
    }
  }

  takeBars(bars) {
    if (this.#arrived) return void this.#arrived.push(...bars);
    const fits = this.#apply(bars);
    // Its lines cannot grow in the middle.
    if (fits.includes('between')) this.#loadIndicators();
    const settled = bars.filter((bar) => bar.state !== 'provisional');
    if (settled.length > 0) {
      this.#indicators.follow(settled[0].ts, Math.max(...settled.map((bar) => bar.ts)));
      if (settled.some((bar) => bar.verdict === 'partial')) this.loadGapsSoon();
      settled.forEach((bar) => this.#explanation.refresh(this.#symbol, this.#interval, bar.ts));
    }
    this.#show();
  }

  /** Puts live bars on top. One from before those that are shown would leave a hole between. */
  #apply(bars) {
    const first = this.#isWhole ? -Infinity : this.#chart.bars.first()?.ts ?? -Infinity;
    return bars.filter((bar) => bar.ts >= first).map((bar) => this.#chart.update(bar));
  }

  takeTrades(trades) {
    this.#tape.add(trades, this.#chart.decimals);
  }

  /** What changes of a day are taken against. */
  refer(rows) {
    for (const { symbol, reference, reference_time: since } of rows) if (reference != null) this.#references.set(symbol, { reference, since });
    this.#show();
  }

  /** The server's time goes on, and with it what is left of the forming bar. */
  tick(now) {
    this.#now = now;
    this.#showLegend();
  }

  loadGapsSoon() {
    clearTimeout(this.#gapsDue);
    this.#gapsDue = setTimeout(() => this.#loadGaps(), GAPS_AFTER_MS);
  }

  /** Explains a bar, the newest unless one is named. */
  explain(bar = this.#chart.bars.last()) {
    if (bar) this.#explanation.show(this.#symbol, this.#interval, bar.ts);
  }

  async #bars(query) {
    const parameters = new URLSearchParams({ interval: this.#interval, limit: PAGE_BARS, ...query });
    return (await this.#getJson(`/api/v1/bars/${encodeURIComponent(this.#symbol)}?${parameters}`)).bars;
  }

  /** Puts older bars in front, until one begins at or before an instant; one read at a time. */
  async #loadBack(untilMs, pages) {
    this.#loadingBack ??= this.#prependBack(untilMs, pages).finally(() => { this.#loadingBack = null; });
    return this.#loadingBack;
  }

  async #prependBack(untilMs, pages) {
    const [turn, first] = [this.#turn, this.#chart.bars.first()?.ts];
    if (this.#isWhole || first == null || (pages === 0 && first <= untilMs)) return;
    const older = await this.#readBack(first, untilMs, pages);
    if (turn !== this.#turn || older.length === 0) return;
    this.#chart.prepend(older);
    this.#showAll();
  }

  /** Reads bars before `to`: `pages` of them, and more until one begins at or before `untilMs`. */
  async #readBack(to, untilMs, pages) {
    const turn = this.#turn;
    const read = [];
    for (let page = 1; ; page += 1) {
      const before = read[0]?.ts ?? to;
      const bars = await this.#bars(before == null ? {} : { to: before });
      if (turn !== this.#turn) break;
      read.unshift(...bars);
      this.#isWhole = bars.length < PAGE_BARS;
      if (this.#isWhole || (page >= pages && read[0].ts <= untilMs)) break;
    }
    return read;
  }

  async #showRange(days) {
    const turn = this.#turn;
    const last = this.#chart.bars.last();
    if (!last) return;
    const from = last.window_end - days * DAY_MS;
    try {
      await this.#loadBack(from, 0);
      // A read that was under way may have ended earlier.
      await this.#loadBack(from, 0);
    } catch { /* what is here is shown */ }
    if (turn === this.#turn) this.#chart.showSince(from);
  }

  #range(label, days) {
    const button = element('button', '', label);
    button.type = 'button';
    button.title = `Show ${label === '1d' ? 'a day' : `${days} days`}`;
    button.addEventListener('click', () => this.#showRange(days));
    return button;
  }

  /** Reads where the feed was away in the time that is shown. */
  async #loadGaps() {
    const [turn, range] = [this.#turn, this.#chart.range()];
    if (!range) return;
    const query = new URLSearchParams({ from: range[0], to: range[1], limit: GAPS_LOADED });
    try {
      const { gaps } = await this.#getJson(`/api/v1/gaps/${encodeURIComponent(this.#symbol)}?${query}`);
      if (turn !== this.#turn) return;
      this.#chart.setGaps(gaps);
      this.#show();
    } catch { /* the next change of the feed asks again */ }
  }

  /** After other bars were read: everything that hangs on them. */
  #showAll() {
    this.#show();
    this.#loadIndicators();
    this.#loadGaps();
  }

  #loadIndicators() {
    const { bars, decimals } = this.#chart;
    this.#indicators.load(this.#symbol, this.#interval, bars.first()?.ts, decimals);
  }

  #showIntervals() {
    at('intervals').replaceChildren(...this.#intervals.map((interval) => {
      const button = element('button', '', interval);
      button.type = 'button';
      button.setAttribute('aria-pressed', String(interval === this.#interval));
      button.addEventListener('click', () => this.#onChoose(this.#symbol, interval));
      return button;
    }));
  }

  #show() {
    const { bars, decimals } = this.#chart;
    const last = bars.lastPriced()?.close;
    const { reference, since } = this.#references.get(this.#symbol) ?? {};
    at('overlay').hidden = bars.size > 0;
    setText(at('price'), last == null ? '–' : price(last, decimals));
    const change = last == null || reference == null ? null : last - reference;
    const sign = change < 0 ? '−' : '+';
    setText(at('change'), change == null ? '' : `${sign}${price(Math.abs(change), decimals)} (${percent((change / reference) * 100)})`);
    setClass(at('change'), `change ${direction(change)}`);
    at('change').title = change == null ? '' : `since ${dayAndTime(since)} UTC`;
    this.#showLegend();
    this.#publish();
  }

  #showLegend() {
    const { bars, decimals } = this.#chart;
    const hovered = this.#hovered && bars.at(this.#hovered.ts);
    this.#legend.show(hovered ?? bars.last(), decimals, this.#now);
    if (hovered) this.#card.show(hovered, decimals, this.#hovered.side); else this.#card.hide();
  }

  #hover(bar, x, isSpoken = false) {
    this.#hovered = bar ? { ts: bar.ts, side: x < at('chart').clientWidth / 2 ? 'right' : 'left' } : null;
    this.#showLegend();
    if (bar && isSpoken) this.#card.speak(bar, this.#chart.decimals);
  }

  /** Says which bar became another one, for eyes that were elsewhere. */
  #tellCorrection(bar, before, columns) {
    const shown = (it, column) => (column === 'volume_exact' ? short(it.volume) : column === 'verdict' || column === 'trade_count' ? String(it[column]) : exact(it[column], this.#chart.decimals));
    const words = { volume_exact: 'volume', trade_count: 'trades', verdict: 'feed' };
    const changes = columns.map((column) => `${words[column] ?? column} ${shown(before, column)} → ${shown(bar, column)}`);
    setText(at('correction'), `${time(bar.ts).slice(0, 5)} corrected: ${changes.join(', ')}`);
  }

  /** The panel takes the place of the last trades while it is open. */
  #markExplained(ts) {
    document.body.classList.toggle('explaining', ts != null);
    document.body.dataset.explained = ts ?? '';
    this.#chart?.choose(ts);
  }

  /** What is drawn, in words below the chart, and readable from outside. */
  #publish() {
    const [tally, last] = [this.#chart.tally(), this.#chart.bars.last()];
    const settled = tally.complete + tally.partial + tally.unknown;
    const away = this.#chart.bars.list.reduce((sum, bar) => sum + bar.gap_ms, 0);
    setText(at('quality'), settled === 0 ? '' : [
      `${count(settled)} bars: ${count(tally.complete)} complete`,
      `${count(tally.partial)} partial`,
      tally.unknown > 0 ? `${count(tally.unknown)} unknown` : '',
      away > 0 ? `feed away for ${duration(away)}` : '',
    ].filter(Boolean).join(', '));
    const name = last?.close == null ? 'ticksmith' : `${price(last.close, this.#chart.decimals)} ${this.#symbol} · ticksmith`;
    if (this.isShown && document.title !== name) document.title = name;
    const published = { symbol: this.#symbol, interval: this.#interval, ...tally, ...this.#indicators?.drawn };
    published.last = last ? `${last.ts}/${last.generation}/${last.revision}/${last.state}/${last.close}` : '';
    for (const [key, value] of Object.entries(published)) if (document.body.dataset[key] !== String(value)) document.body.dataset[key] = value;
  }
}
