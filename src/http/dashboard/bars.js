// The bars of one symbol and interval in order of time, with their newest content.

/** Whether `left` is an older content of the same bar than `right`. */
const isOlder = (left, right) => left.generation < right.generation || (left.generation === right.generation && left.revision < right.revision);

/** What a reader of the bar would notice; completeness that is only now confirmed is not among it. */
const CONTENT = ['open', 'high', 'low', 'close', 'volume_exact', 'trade_count'];

/** Whether a settled bar became another one in the open, and how: changed columns. */
export function correctionOf(before, after) {
  if (!before || before.state === 'provisional' || after.state !== 'corrected') return [];
  const changed = CONTENT.filter((column) => before[column] !== after[column]);
  if (before.verdict !== after.verdict && after.verdict === 'partial') changed.push('verdict');
  return changed;
}

export class Bars {
  #list = [];

  /** Replaces everything by bars in order of time. */
  load(bars) {
    this.#list = [...bars];
  }

  /** Puts older bars in front; those that are there already stay. */
  prepend(bars) {
    const first = this.first()?.ts ?? Infinity;
    const older = bars.filter((bar) => bar.ts < first);
    this.#list = [...older, ...this.#list];
    return older.length;
  }

  /** Takes one bar: how it fits in (`newest`, `known`, `between`), and what was there; `stale` is left out. */
  take(bar) {
    const at = this.#place(bar.ts);
    const before = this.#list[at - 1];
    if (before?.ts === bar.ts) {
      if (isOlder(bar, before)) return { fit: 'stale' };
      this.#list[at - 1] = bar;
      return { fit: 'known', before };
    }
    this.#list.splice(at, 0, bar);
    return { fit: at === this.#list.length - 1 ? 'newest' : 'between' };
  }

  at(ts) {
    const bar = this.#list[this.#place(ts) - 1];
    return bar?.ts === ts ? bar : undefined;
  }

  /** The last bar that begins at or before an instant. */
  before(ms) {
    return this.#list[this.#place(ms) - 1];
  }

  /** `steps` bars further than the one at `ts`, at most to either end. */
  beside(ts, steps) {
    const index = this.#place(ts) - 1 + steps;
    return this.#list[Math.min(Math.max(index, 0), this.#list.length - 1)];
  }

  /** In order of time; not to be changed. */
  get list() {
    return this.#list;
  }

  get size() {
    return this.#list.length;
  }

  first() {
    return this.#list[0];
  }

  last() {
    return this.#list.at(-1);
  }

  /** The newest bar that has a close. */
  lastPriced() {
    return this.#list.findLast((bar) => bar.close != null);
  }

  /** Bars with prices and without, and by verdict. */
  tally() {
    const tally = { candles: 0, volumeOnly: 0, complete: 0, partial: 0, unknown: 0 };
    for (const bar of this.#list) {
      tally[bar.open == null ? 'volumeOnly' : 'candles'] += 1;
      if (bar.state !== 'provisional') tally[bar.verdict] += 1;
    }
    return tally;
  }

  /** How many bars begin at or before an instant. */
  #place(ms) {
    let low = 0;
    let high = this.#list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#list[middle].ts <= ms) low = middle + 1; else high = middle;
    }
    return low;
  }
}
