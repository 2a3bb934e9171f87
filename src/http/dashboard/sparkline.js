// Small drawings in a line of text: a price over a day, the completeness of a day, a figure over the
// last minutes. Each is one or a few paths of an SVG.

import { shape } from './elements.js';

const WIDTH = 120;
const HEIGHT = 28;

function frame(className, ...parts) {
  const made = shape('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', class: `spark ${className}`, 'aria-hidden': 'true' });
  made.append(...parts);
  return made;
}

/** "M0,3L2,5" through values at equal distances; null breaks the line. */
function lineThrough(values, low, high) {
  const [step, size] = [WIDTH / Math.max(values.length - 1, 1), high - low || 1];
  let path = '';
  let isDown = false;
  values.forEach((value, index) => {
    if (value != null) path += `${isDown ? 'L' : 'M'}${(index * step).toFixed(1)},${(HEIGHT - 2 - ((value - low) / size) * (HEIGHT - 4)).toFixed(1)}`;
    isDown = value != null;
  });
  return path;
}

/** The closes of a day. */
export function priceSparkline(bars, direction) {
  const closes = bars.map((bar) => bar.close);
  const known = closes.filter((close) => close != null);
  const path = lineThrough(closes, Math.min(...known), Math.max(...known));
  return frame(direction, shape('path', { d: path }));
}

/** A column a bar: full where the feed is confirmed, as high as its coverage where it is not. */
export function coverageSparkline(bars, from, slots, slotMs) {
  const paths = { complete: '', partial: '', unknown: '' };
  const width = WIDTH / slots;
  for (const bar of bars) {
    const x = ((bar.ts - from) / slotMs) * width;
    const isForming = bar.state === 'provisional' && bar.gap_ms === 0;
    const kind = isForming ? 'unknown' : bar.verdict;
    const height = kind === 'partial' ? Math.max((bar.coverage ?? 0) * HEIGHT, 2) : kind === 'complete' ? HEIGHT : 4;
    paths[kind] += `M${(x + 0.5).toFixed(1)},${HEIGHT}v-${height.toFixed(1)}h${(width - 1).toFixed(1)}v${height.toFixed(1)}z`;
  }
  return frame('columns', ...Object.entries(paths).map(([kind, d]) => shape('path', { d, class: kind })));
}

/** At first the drawing is a minute wide, and grows with what it has to show. */
const SHOWN_AT_FIRST = 60;

/** A figure over the last minutes. */
export class Trend {
  #values = [];
  #kept;
  #path = shape('path', { d: '' });
  #area = shape('path', { d: '', class: 'area' });

  /** Keeps the newest `kept` values. */
  constructor(root, kept) {
    this.#kept = kept;
    root.append(frame('trend', this.#area, this.#path));
  }

  add(value) {
    this.#values.push(value);
    if (this.#values.length > this.#kept) this.#values.shift();
  }

  draw() {
    const missing = Math.max(SHOWN_AT_FIRST - this.#values.length, 0);
    const values = [...Array(missing).fill(null), ...this.#values];
    const line = lineThrough(values, 0, Math.max(...this.#values.filter((value) => value != null), 1e-9));
    this.#path.setAttribute('d', line);
    const first = values.findIndex((value) => value != null);
    const x = (first * WIDTH) / (values.length - 1);
    this.#area.setAttribute('d', first < 0 || line.lastIndexOf('M') > 0 ? '' : `${line}V${HEIGHT}H${x.toFixed(1)}z`);
  }
}
