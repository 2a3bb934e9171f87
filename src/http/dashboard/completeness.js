// How complete the feed was, drawn under and over the candles: a partial bar is shaded and has a dot
// under its candle, a gap is a band over the time it took, and a ribbon runs along the foot: amber
// where the bar is partial, faint grey where nothing vouches for it, nothing where it is complete.
// A bar that is corrected before the reader's eyes is ringed for a moment.

import { covered } from './format.js';
import { palette } from './palette.js';

const RIBBON_PX = 4;
const DOT_PX = 2.5;
const FLASH_MS = 1800;

/** The window is still open: what is missing up to its end is the future. */
const isQuiet = (bar) => bar.verdict === 'complete' || (bar.state === 'provisional' && bar.gap_ms === 0);

/** "partial, 87.7 %, gap 37.0 s"; empty when there is nothing to say. */
export function verdictText(bar) {
  if (isQuiet(bar)) return '';
  if (bar.state === 'provisional') return `gap ${(bar.gap_ms / 1000).toFixed(1)} s so far`;
  const parts = [bar.verdict];
  if (bar.coverage != null) parts.push(covered(bar.coverage));
  if (bar.gap_ms > 0) parts.push(`gap ${(bar.gap_ms / 1000).toFixed(1)} s`);
  return parts.join(', ');
}

/** A primitive of the candle series. */
export class CompletenessLayer {
  #chart = null;
  #series = null;
  #redraw = () => {};
  #bars = [];
  #gaps = [];
  #chosen = null;
  /** Starts of bars that were just corrected, with when. */
  #flashes = new Map();
  #flashed = 0;
  #isStill = matchMedia('(prefers-reduced-motion: reduce)');
  #views = [
    { zOrder: () => 'bottom', renderer: () => ({ draw: (target) => target.useMediaCoordinateSpace((scope) => this.#drawBands(scope)) }) },
    { zOrder: () => 'top', renderer: () => ({ draw: (target) => target.useMediaCoordinateSpace((scope) => this.#drawMarks(scope)) }) },
  ];

  attached({ chart, series, requestUpdate }) {
    [this.#chart, this.#series, this.#redraw] = [chart, series, requestUpdate];
  }

  paneViews() {
    return this.#views;
  }

  /** Bars in order of time. */
  setBars(bars) {
    this.#bars = bars;
    this.#redraw();
  }

  setGaps(gaps) {
    this.#gaps = gaps;
    this.#redraw();
  }

  /** The bar that is being explained, by its start, or null. */
  choose(ts) {
    this.#chosen = ts;
    this.#redraw();
  }

  /** Rings a bar until the eye has found it. */
  flash(ts) {
    this.#flashed += 1;
    this.#flashes.set(ts, performance.now());
    const step = () => {
      for (const [at, since] of this.#flashes) if (performance.now() - since > FLASH_MS) this.#flashes.delete(at);
      this.#redraw();
      if (this.#flashes.size > 0) requestAnimationFrame(step);
    };
    if (this.#flashes.size === 1) step(); else this.#redraw();
  }

  /** How many gaps, how many of them last, and how many corrections were seen to happen. */
  tally() {
    return { gaps: this.#gaps.length, lasting: this.#gaps.filter((gap) => gap.gap_end == null).length, flashed: this.#flashed };
  }

  #middle(bar) {
    return this.#chart.timeScale().timeToCoordinate(bar.ts / 1000);
  }

  /** How many bars begin at or before an instant. */
  #place(ms) {
    let low = 0;
    let high = this.#bars.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#bars[middle].ts <= ms) low = middle + 1; else high = middle;
    }
    return low;
  }

  /** Where an instant lies: inside its bar, or at the edge of the last bar before it. */
  #position(ms) {
    const width = this.#chart.timeScale().options().barSpacing;
    const bar = this.#bars[Math.max(this.#place(ms) - 1, 0)];
    const x = bar && this.#middle(bar);
    if (x == null) return null;
    const share = (ms - bar.ts) / (bar.window_end - bar.ts);
    return x + (Math.min(Math.max(share, 0), 1) - 0.5) * width;
  }

  /** The bars that can be seen: with thousands behind them, the others are not even looked at. */
  #visible() {
    const range = this.#chart.timeScale().getVisibleLogicalRange();
    return range ? this.#bars.slice(Math.max(Math.floor(range.from), 0), Math.max(Math.ceil(range.to) + 1, 0)) : [];
  }

  #drawBands({ context, mediaSize }) {
    if (this.#bars.length === 0) return;
    const width = this.#chart.timeScale().options().barSpacing;
    const column = (bar, colour) => {
      const x = bar && this.#middle(bar);
      if (x == null) return;
      context.fillStyle = colour;
      context.fillRect(x - width / 2, 0, width, mediaSize.height);
    };
    for (const bar of this.#visible()) {
      if (bar.verdict === 'partial' && !isQuiet(bar)) column(bar, `${palette.warn}14`);
    }
    for (const gap of this.#gaps) {
      const from = this.#position(gap.gap_start);
      const to = this.#position(gap.gap_end ?? Infinity);
      if (from == null || to == null || to < 0 || from > mediaSize.width) continue;
      context.fillStyle = `${palette.warn}33`;
      context.fillRect(from, 0, Math.max(to - from, 1.5), mediaSize.height);
    }
    const chosen = this.#chosen == null ? undefined : this.#bars[this.#place(this.#chosen) - 1];
    if (chosen?.ts === this.#chosen) column(chosen, `${palette.accent}2b`);
  }

  #drawMarks({ context, mediaSize }) {
    const width = this.#chart.timeScale().options().barSpacing;
    for (const bar of this.#visible()) {
      if (isQuiet(bar)) continue;
      const x = this.#middle(bar);
      if (x == null) continue;
      const isPartial = bar.verdict === 'partial';
      const height = isPartial ? RIBBON_PX : RIBBON_PX / 2;
      context.fillStyle = isPartial ? palette.warn : `${palette.muted}66`;
      context.fillRect(x - width / 2, mediaSize.height - height, width, height);
      const foot = isPartial && bar.low != null ? this.#series.priceToCoordinate(bar.low) : null;
      if (foot == null || width < 4) continue;
      context.beginPath();
      context.arc(x, foot + 4 * DOT_PX, DOT_PX, 0, 2 * Math.PI);
      context.fill();
    }
    for (const [ts, since] of this.#flashes) this.#drawFlash(context, ts, performance.now() - since, width);
  }

  #drawFlash(context, ts, age, width) {
    const bar = this.#bars[this.#place(ts) - 1];
    const x = bar && this.#middle(bar);
    const [top, foot] = [bar?.high, bar?.low].map((at) => (at == null ? null : this.#series.priceToCoordinate(at)));
    if (x == null || top == null || foot == null) return;
    const share = this.#isStill.matches ? 0 : Math.min(age / FLASH_MS, 1);
    const margin = 4 + 6 * share;
    context.globalAlpha = 1 - share;
    context.strokeStyle = palette.accent;
    context.lineWidth = 2;
    context.beginPath();
    context.roundRect(x - width / 2 - margin, top - margin, width + 2 * margin, foot - top + 2 * margin, 5);
    context.stroke();
    context.globalAlpha = 1;
  }
}
