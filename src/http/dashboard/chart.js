// The candles and volume of one symbol and interval, on lightweight-charts.
//
// A provisional candle is hollow. A bar without prices (volume only) is a gap among the candles with
// a grey volume column: it is never drawn at zero. What the feed missed is drawn by `completeness.js`,
// indicators by `indicators.js`.

import { Bars, correctionOf } from './bars.js';
import { CompletenessLayer } from './completeness.js';
import { dayAndTime, decimalsOf, price } from './format.js';
import { palette } from './palette.js';

const FIRST_VIEW_BARS = 96;
/** Nearer to the oldest bar than this, older ones are asked for. */
const NEAR_THE_EDGE_BARS = 24;

export class BarChart {
  #chart;
  #candles;
  #volume;
  #lastLine;
  #bars = new Bars();
  #decimals = 2;
  #hears;
  #layer = new CompletenessLayer();
  /** The bar under the keyboard's cursor, by its start. */
  #cursor = null;
  /** The user has moved the view: it is theirs from then on. */
  #isTouched = false;

  /**
   * `hears.hover(bar, x)`: the bar under the pointer and where, or neither; `hears.pick(bar)`: it was
   * clicked; `hears.edge()`: the view comes near the oldest bar; `hears.corrected(bar, before, columns)`.
   */
  constructor(element, hears) {
    this.#hears = hears;
    const { createChart, CandlestickSeries, HistogramSeries, CrosshairMode, LineStyle } = window.LightweightCharts;
    this.#chart = createChart(element, {
      autoSize: true,
      // The footer carries the attribution: the logo would need inline styles, which the page's
      // content security policy forbids.
      layout: { attributionLogo: false, fontFamily: getComputedStyle(document.body).fontFamily, panes: { enableResize: false } },
      crosshair: { mode: CrosshairMode.Normal },
      rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.08, bottom: 0.26 } },
      timeScale: { borderVisible: false, timeVisible: true, secondsVisible: false, rightOffset: 4, minBarSpacing: 0.05 },
      localization: { timeFormatter: (seconds) => `${dayAndTime(seconds * 1000)} UTC` },
    });
    this.#candles = this.#chart.addSeries(CandlestickSeries, { lastValueVisible: false, priceLineVisible: false });
    // A line of our own: the library's takes the fill of the last candle, and a hollow one has none.
    this.#lastLine = this.#candles.createPriceLine({ price: 0, lineVisible: false, axisLabelVisible: false, lineWidth: 1, lineStyle: LineStyle.Dotted });
    this.#volume = this.#chart.addSeries(HistogramSeries, { priceScaleId: '', priceFormat: { type: 'volume' }, lastValueVisible: false, priceLineVisible: false });
    this.#volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    this.#candles.attachPrimitive(this.#layer);
    this.#listen(element);
    this.paint();
  }

  #listen(element) {
    this.#chart.subscribeCrosshairMove((move) => {
      const bar = move.time == null ? undefined : this.#bars.at(move.time * 1000);
      this.#hears.hover(bar, bar && this.#chart.timeScale().timeToCoordinate(move.time));
    });
    this.#chart.subscribeClick((click) => {
      const bar = click.time == null ? undefined : this.#bars.at(click.time * 1000);
      if (bar) this.#hears.pick(bar);
    });
    this.#chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (range && this.#isTouched && range.from < NEAR_THE_EDGE_BARS) this.#hears.edge();
    });
    for (const touch of ['wheel', 'pointerdown', 'touchstart']) {
      element.addEventListener(touch, () => { this.#isTouched = true; }, { passive: true });
    }
    element.addEventListener('keydown', (event) => this.#key(event));
    element.addEventListener('blur', () => this.#leave());
  }

  /** Takes the page's colours, after a change of theme too. */
  paint() {
    const { up, down, muted, grid, line } = palette;
    this.#chart.applyOptions({
      layout: { background: { color: 'transparent' }, textColor: muted, panes: { separatorColor: line, separatorHoverColor: line } },
      grid: { vertLines: { color: grid }, horzLines: { color: grid } },
    });
    this.#candles.applyOptions({ upColor: up, downColor: down, borderUpColor: up, borderDownColor: down, wickUpColor: up, wickDownColor: down });
    if (this.#bars.size > 0) this.#redraw();
  }

  /** Replaces everything; the view stays where the user put it, unless these are other bars. */
  load(bars, areOthers = false) {
    if (areOthers) [this.#isTouched, this.#cursor] = [false, null];
    this.#bars.load(bars);
    this.#decimals = decimalsOf(bars.slice(-200).flatMap((bar) => [bar.open, bar.close]));
    const decimals = this.#decimals;
    this.#candles.applyOptions({ priceFormat: { type: 'custom', minMove: 10 ** -decimals, formatter: (value) => price(value, decimals) } });
    this.#redraw();
    this.#showNewest();
    if (areOthers) this.#chart.priceScale('right').applyOptions({ autoScale: true });
  }

  /** Puts older bars in front; the view stays on the bars that it shows. */
  prepend(bars) {
    const range = this.#chart.timeScale().getVisibleLogicalRange();
    const added = this.#bars.prepend(bars);
    this.#redraw();
    if (range && added > 0) this.#chart.timeScale().setVisibleLogicalRange({ from: range.from + added, to: range.to + added });
    return added;
  }

  /** Takes one live bar and says how it fits in; an older revision than the one shown is left out. */
  update(bar) {
    const wasNewest = this.#bars.last()?.ts;
    const { fit, before } = this.#bars.take(bar);
    if (fit === 'stale') return fit;
    if (fit === 'between') {
      this.#redraw();
    } else {
      const isOlder = bar.ts < wasNewest;
      this.#candles.update(this.#candle(bar), isOlder);
      this.#volume.update(this.#column(bar), isOlder);
      if (fit === 'newest') this.#showNewest();
      this.#layer.setBars(this.#bars.list);
    }
    this.#markLast();
    const changed = correctionOf(before, bar);
    if (changed.length > 0) {
      this.#layer.flash(bar.ts);
      this.#hears.corrected(bar, before, changed);
    }
    return fit;
  }

  get bars() {
    return this.#bars;
  }

  get decimals() {
    return this.#decimals;
  }

  /** The library's chart, for what is drawn beside the candles. */
  get canvas() {
    return this.#chart;
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
    const [first, last] = [this.#bars.first(), this.#bars.last()];
    return first && [first.ts, last.window_end];
  }

  /** Shows the bars since an instant, up to the newest. */
  showSince(ms) {
    this.#isTouched = true;
    const before = this.#bars.list.findIndex((bar) => bar.ts >= ms);
    this.#chart.timeScale().setVisibleLogicalRange({ from: Math.max(before, 0) - 0.5, to: this.#bars.size + 3 });
  }

  /** Counts of bars and gaps. */
  tally() {
    return { ...this.#bars.tally(), ...this.#layer.tally() };
  }

  #key(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -12, PageDown: 12, Home: -Infinity, End: Infinity }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey || this.#bars.size === 0) return;
    if (event.key === 'Enter' && this.#cursor != null) return this.#hears.pick(this.#bars.at(this.#cursor));
    if (steps == null) return;
    event.preventDefault();
    this.#isTouched = true;
    const last = this.#bars.last();
    const isFirstStep = this.#cursor == null && Number.isFinite(steps);
    const bar = isFirstStep ? last : this.#bars.beside(this.#cursor ?? last.ts, steps);
    this.#cursor = bar.ts;
    this.#reveal(bar);
    // The view has moved by the next frame.
    requestAnimationFrame(() => this.#pointAt(bar));
  }

  #pointAt(bar) {
    if (this.#cursor !== bar.ts) return;
    const price = bar.close ?? this.#bars.lastPriced()?.close;
    if (price != null) this.#chart.setCrosshairPosition(price, bar.ts / 1000, this.#candles);
    this.#hears.hover(bar, this.#chart.timeScale().timeToCoordinate(bar.ts / 1000), true);
  }

  /** Moves the view as far as it takes to show a bar. */
  #reveal(bar) {
    const scale = this.#chart.timeScale();
    const range = scale.getVisibleLogicalRange();
    const index = this.#bars.list.indexOf(bar);
    const shift = index < range.from ? index - range.from - 1 : index > range.to ? index - range.to + 1 : 0;
    if (shift !== 0) scale.setVisibleLogicalRange({ from: range.from + shift, to: range.to + shift });
  }

  #leave() {
    this.#cursor = null;
    this.#chart.clearCrosshairPosition();
    this.#hears.hover();
  }

  /** The newest bars, up to a screenful, with room for what comes. */
  #showNewest() {
    if (this.#isTouched) return;
    const size = this.#bars.size;
    this.#chart.timeScale().setVisibleLogicalRange({ from: Math.max(size - FIRST_VIEW_BARS, Math.min(0, size - 24)), to: size + 3 });
  }

  #redraw() {
    const bars = this.#bars.list;
    this.#layer.setBars(bars);
    this.#candles.setData(bars.map((bar) => this.#candle(bar)));
    this.#volume.setData(bars.map((bar) => this.#column(bar)));
    this.#markLast();
  }

  #markLast() {
    const last = this.#bars.last();
    if (last?.close == null) return this.#lastLine.applyOptions({ lineVisible: false, axisLabelVisible: false });
    const color = last.close >= last.open ? palette.up : palette.down;
    this.#lastLine.applyOptions({ price: last.close, color, lineVisible: true, axisLabelVisible: true, axisLabelTextColor: palette.page });
  }

  #candle(bar) {
    const at = bar.ts / 1000;
    if (bar.open == null || bar.close == null) return { time: at };
    const candle = { time: at, open: bar.open, high: bar.high, low: bar.low, close: bar.close };
    if (bar.state === 'provisional') candle.color = palette.card;
    return candle;
  }

  #column(bar) {
    const colour = bar.open == null ? palette.muted : bar.close >= bar.open ? palette.up : palette.down;
    return { time: bar.ts / 1000, value: bar.volume, color: `${colour}${bar.state === 'provisional' ? '33' : '66'}` };
  }
}
