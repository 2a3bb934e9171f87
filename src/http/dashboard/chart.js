// The candles and volume of one symbol and interval, on lightweight-charts.
//
// A provisional candle is hollow. A bar without prices (volume only) is a gap among the candles with
// a grey volume column: it is never drawn at zero. What the feed missed is drawn by `completeness.js`.

import { CompletenessLayer } from './completeness.js';
import { price, exact, decimalsOf, dayAndTime, time } from './format.js';

const DAY_MS = 86_400_000;
const FIRST_VIEW_BARS = 96;

const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class BarChart {
  #chart;
  #candles;
  #volume;
  #lastLine;
  #bars = new Map();
  #lastTime = -Infinity;
  #decimals = 2;
  #onHover;
  #layer = new CompletenessLayer();
  /** The user has moved the view: it is theirs from then on. */
  #isTouched = false;

  /** `onHover(bar)` hears of the bar under the pointer, or the last; `onPick(bar)` of a click. */
  constructor(element, onHover, onPick) {
    this.#onHover = onHover;
    const { createChart, CandlestickSeries, HistogramSeries, CrosshairMode, LineStyle } = window.LightweightCharts;
    this.#chart = createChart(element, {
      autoSize: true,
      // The footer carries the attribution: the logo would need inline styles, which the page's
      // content security policy forbids.
      layout: { attributionLogo: false, fontFamily: getComputedStyle(document.body).fontFamily },
      crosshair: { mode: CrosshairMode.Normal },
      rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.08, bottom: 0.26 } },
      timeScale: { borderVisible: false, timeVisible: true, secondsVisible: false, rightOffset: 4 },
      localization: { timeFormatter: (seconds) => `${dayAndTime(seconds * 1000)} UTC` },
    });
    this.#candles = this.#chart.addSeries(CandlestickSeries, { lastValueVisible: false, priceLineVisible: false });
    // A line of our own: the library's takes the fill of the last candle, and a hollow one has none.
    this.#lastLine = this.#candles.createPriceLine({ price: 0, lineVisible: false, axisLabelVisible: false, lineWidth: 1, lineStyle: LineStyle.Dotted });
    this.#volume = this.#chart.addSeries(HistogramSeries, { priceScaleId: '', priceFormat: { type: 'volume' }, lastValueVisible: false, priceLineVisible: false });
    this.#volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    this.#chart.subscribeCrosshairMove((move) => {
      this.#onHover(move.time == null ? this.last() : this.#bars.get(move.time * 1000) ?? this.last());
    });
    this.#candles.attachPrimitive(this.#layer);
    this.#chart.subscribeClick((click) => {
      const bar = click.time == null ? undefined : this.#bars.get(click.time * 1000);
      if (bar) onPick(bar);
    });
    for (const touch of ['wheel', 'pointerdown', 'touchstart']) {
      element.addEventListener(touch, () => { this.#isTouched = true; }, { passive: true });
    }
    this.paint();
  }

  /** Takes the page's colours, after a change of theme too. */
  paint() {
    const [up, down, muted, grid] = ['--up', '--down', '--muted', '--grid'].map(token);
    this.#chart.applyOptions({
      layout: { background: { color: 'transparent' }, textColor: muted },
      grid: { vertLines: { color: grid }, horzLines: { color: grid } },
    });
    this.#candles.applyOptions({ upColor: up, downColor: down, borderUpColor: up, borderDownColor: down, wickUpColor: up, wickDownColor: down });
    if (this.#bars.size > 0) this.#redraw();
  }

  /** Replaces everything; the view stays where the user put it, unless these are other bars. */
  load(bars, areOthers = false) {
    if (areOthers) this.#isTouched = false;
    this.#bars = new Map(bars.map((bar) => [bar.ts, bar]));
    this.#decimals = decimalsOf(bars.slice(-200).flatMap((bar) => [bar.open, bar.close]));
    this.#formatPrices();
    this.#redraw();
    this.#showNewest();
    if (areOthers) this.#chart.priceScale('right').applyOptions({ autoScale: true });
    this.#onHover(this.last());
  }

  /** Takes one live bar; an older revision than the one shown is left out. */
  update(bar) {
    const known = this.#bars.get(bar.ts);
    if (known && (known.generation > bar.generation || (known.generation === bar.generation && known.revision > bar.revision))) return;
    this.#bars.set(bar.ts, bar);
    if (!known && bar.ts < this.#lastTime) {
      this.#redraw();
    } else {
      const older = bar.ts < this.#lastTime;
      this.#lastTime = Math.max(this.#lastTime, bar.ts);
      this.#candles.update(this.#candle(bar), older);
      this.#volume.update(this.#column(bar), older);
      if (!known) this.#showNewest();
      this.#layer.setBars(this.#sorted());
    }
    this.#markLast();
    this.#onHover(this.last());
  }

  get decimals() {
    return this.#decimals;
  }

  get size() {
    return this.#bars.size;
  }

  /** The times of this symbol in which the feed was away. */
  setGaps(gaps) {
    this.#layer.setGaps(gaps);
  }

  /** Marks the bar that is being explained, by its start; null marks none. */
  choose(ts) {
    this.#layer.choose(ts);
  }

  /** From the first bar to the end of the last, ms; undefined without bars. */
  range() {
    const bars = this.#sorted();
    return bars.length === 0 ? undefined : [bars[0].ts, bars.at(-1).window_end];
  }

  /** The newest bar, or undefined. */
  last() {
    return this.#bars.get(this.#lastTime);
  }

  /** The newest close, and the open of the first bar within a day before it. */
  span() {
    const priced = [...this.#bars.values()].filter((bar) => bar.close != null).sort((a, b) => a.ts - b.ts);
    const last = priced.at(-1);
    const first = last && priced.find((bar) => bar.ts > last.ts - DAY_MS);
    return last && { last: last.close, first: first.open, since: first.ts };
  }

  /** Bars with prices, those without, those that are partial, and gaps. */
  tally() {
    let [candles, partial] = [0, 0];
    for (const bar of this.#bars.values()) {
      if (bar.open != null) candles += 1;
      if (bar.verdict === 'partial') partial += 1;
    }
    return { candles, volumeOnly: this.#bars.size - candles, partial, ...this.#layer.tally() };
  }

  #sorted() {
    return [...this.#bars.values()].sort((a, b) => a.ts - b.ts);
  }

  /** The newest bars, up to a screenful, with room for what comes. */
  #showNewest() {
    if (this.#isTouched) return;
    const size = this.#bars.size;
    this.#chart.timeScale().setVisibleLogicalRange({ from: Math.max(size - FIRST_VIEW_BARS, Math.min(0, size - 24)), to: size + 3 });
  }

  #formatPrices() {
    const decimals = this.#decimals;
    this.#candles.applyOptions({ priceFormat: { type: 'custom', minMove: 10 ** -decimals, formatter: (value) => price(value, decimals) } });
  }

  #redraw() {
    const bars = this.#sorted();
    this.#lastTime = bars.at(-1)?.ts ?? -Infinity;
    this.#layer.setBars(bars);
    this.#candles.setData(bars.map((bar) => this.#candle(bar)));
    this.#volume.setData(bars.map((bar) => this.#column(bar)));
    this.#markLast();
  }

  #markLast() {
    const last = this.last();
    const shown = last?.close != null;
    if (!shown) return this.#lastLine.applyOptions({ lineVisible: false, axisLabelVisible: false });
    const color = token(last.close >= last.open ? '--up' : '--down');
    this.#lastLine.applyOptions({ price: last.close, color, lineVisible: true, axisLabelVisible: true, axisLabelTextColor: token('--page') });
  }

  #candle(bar) {
    const at = bar.ts / 1000;
    if (bar.open == null || bar.close == null) return { time: at };
    const candle = { time: at, open: bar.open, high: bar.high, low: bar.low, close: bar.close };
    if (bar.state === 'provisional') candle.color = token('--card');
    return candle;
  }

  #column(bar) {
    const colour = bar.open == null ? token('--muted') : token(bar.close >= bar.open ? '--up' : '--down');
    return { time: bar.ts / 1000, value: bar.volume, color: `${colour}${bar.state === 'provisional' ? '33' : '66'}` };
  }
}

/** The text of one bar's legend, as label and value pairs. */
export function legendOf(bar, decimals) {
  const isOld = Date.now() - bar.ts > DAY_MS;
  const cells = [['', isOld ? dayAndTime(bar.ts) : time(bar.ts).slice(0, 5)]];
  if (bar.open == null) {
    cells.push(['', 'volume only: no trade could set a price']);
  } else {
    for (const [label, value] of [['O', bar.open], ['H', bar.high], ['L', bar.low], ['C', bar.close]]) cells.push([label, exact(value, decimals)]);
  }
  if (bar.vwap != null) cells.push(['VWAP', price(bar.vwap, decimals)]);
  return cells;
}
