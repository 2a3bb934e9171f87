// Indicators over the closed bars, as the server computes them: lines over the candles, and panes of
// their own for RSI and MACD. The forming bar has no value; the line ends at the last closed one.

import { element } from './elements.js';
import { price } from './format.js';
import { palette } from './palette.js';

const LIMIT = 10_000;
/** A closed bar is stored with the beat that follows it. */
const STORED_AFTER_MS = 1200;
const ASK_AGAIN_MS = 1000;
const ASK_AT_MOST = 5;

/**
 * What can be chosen: its lines by column in the order in which they are drawn, and `read` where that
 * is another one; `pane`: it has one of its own, and `decimals` by those of the symbol's prices.
 */
const CHOICES = [
  { name: 'sma20', label: 'SMA 20', lines: { sma20: 'sma20' } },
  { name: 'sma50', label: 'SMA 50', lines: { sma50: 'sma50' } },
  { name: 'ema20', label: 'EMA 20', lines: { ema20: 'ema20' } },
  { name: 'vwap', label: 'VWAP of the day', lines: { vwap: 'vwap' } },
  { name: 'bollinger', label: 'Bollinger 20, 2', lines: { bollinger_upper: 'bollinger', bollinger_middle: 'bollinger', bollinger_lower: 'bollinger' } },
  { name: 'rsi14', label: 'RSI 14', pane: true, decimals: () => 2, range: [0, 100], guides: [30, 70], lines: { rsi14: 'rsi14' } },
  {
    name: 'macd', label: 'MACD 12, 26, 9', pane: true, decimals: (own) => Math.min(own + 1, 8), guides: [0],
    lines: { macd_histogram: 'histogram', macd: 'macd', macd_signal: 'macd-signal' }, read: ['macd', 'macd_signal', 'macd_histogram'],
  },
];
const CHOSEN_AT_FIRST = ['sma20', 'vwap'];

export class Indicators {
  #chart;
  #getJson;
  #key;
  #onDrawn;
  #chosen = new Set(stored());
  /** Series by column. */
  #series = new Map();
  /** The last value by column, and the last bar that was asked about. */
  #values = new Map();
  #last = -Infinity;
  #of = { symbol: '', interval: '' };
  #from = null;
  #due = 0;
  #turn = 0;
  #decimals = 2;
  /** Draws what is chosen over the bars that are shown; nothing before there are any. */
  #refill = () => {};

  /**
   * `chart`: the library's; `menu`: takes the boxes; `key`: takes names, colours and newest values;
   * `onDrawn()` hears that other values are drawn.
   */
  constructor(chart, menu, key, getJson, onDrawn) {
    [this.#chart, this.#key, this.#getJson, this.#onDrawn] = [chart, key, getJson, onDrawn];
    menu.append(...CHOICES.map((choice) => this.#box(choice)));
    this.#build();
  }

  /** Begins anew with other bars, or with more of them, which begin at `from`. */
  load(symbol, interval, from, decimals) {
    this.#of = { symbol, interval };
    if (this.#decimals !== decimals) {
      this.#decimals = decimals;
      this.#build();
    }
    clearTimeout(this.#due);
    [this.#from, this.#last] = [null, -Infinity];
    this.#values.clear();
    this.#fill(from);
  }

  /** Bars were closed or corrected, the oldest of them at `from`: what follows it has changed. */
  follow(from, newest) {
    this.#from = Math.min(this.#from ?? Infinity, from);
    clearTimeout(this.#due);
    this.#due = setTimeout(() => this.#tail(newest, 0), STORED_AFTER_MS);
  }

  /** Takes the page's colours. */
  paint() {
    this.#build();
    this.#refill();
  }

  /** Names of what is drawn, in the order of the menu, and how far. */
  get drawn() {
    const names = [...this.#series.keys()].filter((column) => this.#values.has(column));
    return { indicators: names.join(','), indicated: this.#last };
  }

  #box(choice) {
    const box = element('input');
    box.type = 'checkbox';
    box.name = choice.name;
    box.checked = this.#chosen.has(choice.name);
    box.addEventListener('change', () => {
      if (box.checked) this.#chosen.add(choice.name); else this.#chosen.delete(choice.name);
      localStorage.setItem('indicators', JSON.stringify([...this.#chosen]));
      this.#build();
      this.#refill();
    });
    const swatch = element('i', 'swatch');
    swatch.dataset.indicator = choice.name;
    return element('label', 'choice', box, swatch, choice.label);
  }

  /** Makes the series of what is chosen; the chart drops a pane with its last series. */
  #build() {
    for (const series of this.#series.values()) this.#chart.removeSeries(series);
    this.#series.clear();
    this.#values.clear();
    let pane = 0;
    for (const choice of CHOICES.filter(({ name }) => this.#chosen.has(name))) {
      if (choice.pane) pane += 1;
      for (const [column, colour] of Object.entries(choice.lines)) {
        this.#series.set(column, this.#line(choice, colour, choice.pane ? pane : 0));
      }
    }
    const panes = this.#chart.panes();
    panes.forEach((one, index) => one.setStretchFactor(index === 0 ? 4 : 1));
    this.#showKey();
  }

  #line(choice, colour, pane) {
    const { LineSeries, HistogramSeries, LineStyle } = window.LightweightCharts;
    const quiet = { lastValueVisible: false, priceLineVisible: false, crosshairMarkerVisible: false };
    const isColumn = colour === 'histogram';
    const series = isColumn
      ? this.#chart.addSeries(HistogramSeries, { ...quiet, color: palette.muted }, pane)
      : this.#chart.addSeries(LineSeries, { ...quiet, color: palette[colour], lineWidth: 1.5 }, pane);
    if (choice.range) {
      const [minValue, maxValue] = choice.range;
      series.applyOptions({ autoscaleInfoProvider: () => ({ priceRange: { minValue, maxValue } }) });
    }
    if (choice.pane) {
      const precision = choice.decimals(this.#decimals);
      series.applyOptions({ priceFormat: { type: 'price', precision, minMove: 10 ** -precision } });
      series.priceScale().applyOptions({ scaleMargins: { top: 0.12, bottom: 0.08 } });
    }
    if (choice.guides && (isColumn || !('macd' in choice.lines))) {
      for (const at of choice.guides) series.createPriceLine({ price: at, color: palette.line, lineWidth: 1, lineStyle: LineStyle.Solid, axisLabelVisible: false });
    }
    return series;
  }

  /** All values since `from`, drawn line by line, each in a task of its own. */
  async #fill(from) {
    const turn = ++this.#turn;
    this.#refill = () => this.#fill(from);
    for (const series of this.#series.values()) series.setData([]);
    if (this.#series.size === 0 || from == null) return this.#showKey();
    const rows = await this.#ask(from);
    if (turn !== this.#turn || !rows) return;
    for (const [column, series] of this.#series) {
      if (turn !== this.#turn) return;
      series.setData(rows.map((row) => this.#point(column, row)));
      this.#note(column, rows);
      await new Promise((done) => setTimeout(done));
    }
    this.#last = rows.at(-1)?.ts ?? -Infinity;
    this.#showKey();
  }

  /** The values that changed, once the store has the newest bar. */
  async #tail(newest, asked) {
    const [turn, from] = [this.#turn, this.#from];
    if (this.#series.size === 0) return;
    this.#from = null;
    const rows = await this.#ask(from);
    if (turn !== this.#turn) return;
    if (!rows || (rows.at(-1)?.ts ?? -Infinity) < newest) {
      this.#from = Math.min(this.#from ?? Infinity, from);
      clearTimeout(this.#due);
      if (asked < ASK_AT_MOST) this.#due = setTimeout(() => this.#tail(newest, asked + 1), ASK_AGAIN_MS);
      return;
    }
    for (const [column, series] of this.#series) {
      for (const row of rows) series.update(this.#point(column, row), row.ts < this.#last);
      this.#note(column, rows);
    }
    this.#last = Math.max(this.#last, rows.at(-1).ts);
    this.#showKey();
  }

  async #ask(from) {
    const { symbol, interval } = this.#of;
    const query = new URLSearchParams({ interval, names: [...this.#chosen].join(','), from, limit: LIMIT });
    try {
      return (await this.#getJson(`/api/v1/indicators/${encodeURIComponent(symbol)}?${query}`)).values;
    } catch {
      return null;
    }
  }

  #point(column, row) {
    const point = { time: row.ts / 1000 };
    if (row[column] == null) return point;
    point.value = row[column];
    if (column === 'macd_histogram') point.color = `${row[column] >= 0 ? palette.up : palette.down}88`;
    return point;
  }

  #note(column, rows) {
    const last = rows.findLast((row) => row[column] != null);
    if (last) this.#values.set(column, last[column]);
  }

  #showKey() {
    const parts = [];
    for (const choice of CHOICES.filter(({ name }) => this.#chosen.has(name))) {
      const decimals = choice.decimals?.(this.#decimals) ?? this.#decimals;
      const values = (choice.read ?? Object.keys(choice.lines)).filter((column) => this.#values.has(column)).map((column) => price(this.#values.get(column), decimals));
      const swatch = element('i', 'swatch');
      swatch.dataset.indicator = choice.name;
      parts.push(element('span', '', swatch, `${choice.label} `, element('b', '', values.join(' / '))));
    }
    this.#key.replaceChildren(...parts);
    this.#onDrawn();
  }
}

function stored() {
  try {
    const names = JSON.parse(localStorage.getItem('indicators'));
    return Array.isArray(names) ? names.filter((name) => CHOICES.some((choice) => choice.name === name)) : CHOSEN_AT_FIRST;
  } catch {
    return CHOSEN_AT_FIRST;
  }
}
