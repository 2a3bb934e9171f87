// How complete the feed was, drawn under and over the candles: gaps as shaded bands, a dot under a
// partial candle, and a ribbon along the foot: amber where the bar is partial, faint grey where
// nothing vouches for it, nothing where it is complete.

const RIBBON_PX = 4;
const DOT_PX = 2.5;

const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** The window is still open: what is missing up to its end is the future. */
const isQuiet = (bar) => bar.verdict === 'complete' || (bar.state === 'provisional' && bar.gap_ms === 0);

/** "partial, 87.7 %, gap 37.0 s"; empty when there is nothing to say. */
export function verdictText(bar) {
  if (isQuiet(bar)) return '';
  if (bar.state === 'provisional') return `gap ${(bar.gap_ms / 1000).toFixed(1)} s so far`;
  const parts = [bar.verdict];
  if (bar.coverage != null) parts.push(`${(bar.coverage * 100).toFixed(1)} %`);
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

  /** How many gaps, and how many of them last. */
  tally() {
    return { gaps: this.#gaps.length, lasting: this.#gaps.filter((gap) => gap.gap_end == null).length };
  }

  #middle(bar) {
    return this.#chart.timeScale().timeToCoordinate(bar.ts / 1000);
  }

  /** Where an instant lies: inside its bar, or at the edge of the last bar before it. */
  #position(ms) {
    const width = this.#chart.timeScale().options().barSpacing;
    let low = 0;
    let high = this.#bars.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#bars[middle].ts <= ms) low = middle + 1; else high = middle;
    }
    const bar = this.#bars[Math.max(low - 1, 0)];
    const x = bar && this.#middle(bar);
    if (x == null) return null;
    const share = (ms - bar.ts) / (bar.window_end - bar.ts);
    return x + (Math.min(Math.max(share, 0), 1) - 0.5) * width;
  }

  #drawBands({ context, mediaSize }) {
    if (this.#bars.length === 0) return;
    const [warn, accent] = ['--warn', '--accent'].map(token);
    for (const gap of this.#gaps) {
      const from = this.#position(gap.gap_start);
      const to = this.#position(gap.gap_end ?? Infinity);
      if (from == null || to == null || to < 0 || from > mediaSize.width) continue;
      context.fillStyle = `${warn}2e`;
      context.fillRect(from, 0, Math.max(to - from, 1.5), mediaSize.height);
    }
    const chosen = this.#chosen != null && this.#bars.find((bar) => bar.ts === this.#chosen);
    const x = chosen && this.#middle(chosen);
    if (x == null || x === false) return;
    const width = this.#chart.timeScale().options().barSpacing;
    context.fillStyle = `${accent}2b`;
    context.fillRect(x - width / 2, 0, width, mediaSize.height);
  }

  #drawMarks({ context, mediaSize }) {
    const width = this.#chart.timeScale().options().barSpacing;
    const [warn, muted] = ['--warn', '--muted'].map(token);
    for (const bar of this.#bars) {
      if (isQuiet(bar)) continue;
      const x = this.#middle(bar);
      if (x == null || x < -width || x > mediaSize.width + width) continue;
      const isPartial = bar.verdict === 'partial';
      const height = isPartial ? RIBBON_PX : RIBBON_PX / 2;
      context.fillStyle = isPartial ? warn : `${muted}66`;
      context.fillRect(x - width / 2, mediaSize.height - height, width, height);
      const foot = isPartial && bar.low != null ? this.#series.priceToCoordinate(bar.low) : null;
      if (foot == null || width < 4) continue;
      context.beginPath();
      context.arc(x, foot + 4 * DOT_PX, DOT_PX, 0, 2 * Math.PI);
      context.fill();
    }
  }
}
