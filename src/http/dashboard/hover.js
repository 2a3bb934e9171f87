// What a bar says of itself: the line above the chart, and the card beside the pointer with the
// trades that set its prices. Both are of the bar itself; the whole explanation is a click away.

import { verdictText } from './completeness.js';
import { element, setText } from './elements.js';
import { count, countdown, dayAndTime, exact, price, short, time } from './format.js';

const DAY_MS = 86_400_000;
const PRICES = [['open', 'Open'], ['high', 'High'], ['low', 'Low'], ['close', 'Close']];
const REASONS = {
  odd_lot: 'odd lots',
  extended: 'extended hours',
  out_of_sequence: 'out of sequence',
  average_price: 'average price',
  unknown: 'unknown code',
  other: 'other codes',
};

const tag = (kind, value, text) => {
  const made = element('span', 'tag', text);
  made.dataset[kind] = value;
  return made;
};

const sessionText = (session) => (session === 'closed' ? 'market closed' : session);

/** The words beside a bar's time: state, session, and what is missing. */
function tagsOf(bar, now) {
  // In the replay of an old market the end is past, and nobody knows when the next trade comes.
  const left = bar.state === 'provisional' && now < bar.window_end ? ` · closes in ${countdown(bar.window_end - now)}` : '';
  const tags = [tag('state', bar.state, `${bar.state}${left}`)];
  if (bar.session) tags.push(tag('session', bar.session, sessionText(bar.session)));
  const verdict = verdictText(bar);
  if (verdict) tags.push(tag('verdict', bar.verdict, verdict));
  return tags;
}

/** What added volume to the bar without setting a price, as text. */
function excludedText(bar) {
  const parts = Object.entries(REASONS)
    .filter(([reason]) => bar[`excluded_${reason}_count`] > 0)
    .map(([reason, words]) => `${words} ${short(bar[`excluded_${reason}_volume`])} in ${count(bar[`excluded_${reason}_count`])}`);
  return parts.length > 0 ? `Set no price: ${parts.join(', ')}` : '';
}

/** The line above the chart. */
export class Legend {
  #root;
  #shown = '';

  constructor(root) {
    this.#root = root;
  }

  /** Shows a bar at the server's time `now`; undefined empties the line. */
  show(bar, decimals, now) {
    const key = bar ? `${bar.ts}/${bar.generation}/${bar.revision}/${bar.state}/${decimals}/${bar.state === 'provisional' ? Math.floor(now / 1000) : ''}` : '';
    if (key === this.#shown) return;
    this.#shown = key;
    if (!bar) return this.#root.replaceChildren();
    const cell = (label, value) => element('span', '', label ? `${label} ` : '', element('b', '', value));
    const isOld = now - bar.ts > DAY_MS;
    const cells = [cell('', isOld ? dayAndTime(bar.ts) : time(bar.ts).slice(0, 5)), ...tagsOf(bar, now)];
    if (bar.open == null) cells.push(cell('', 'volume only: no trade could set a price'));
    else for (const [column, label] of PRICES) cells.push(cell(label[0], exact(bar[column], decimals)));
    if (bar.vwap != null) cells.push(cell('VWAP', price(bar.vwap, decimals)));
    cells.push(cell('Vol', short(bar.volume)), cell('Trades', count(bar.trade_count)));
    this.#root.replaceChildren(...cells);
  }
}

/** The card inside the chart, on the side where the pointer is not. */
export class HoverCard {
  #root;
  #spoken;
  #shown = '';

  /** `spoken` is read out by a screen reader. */
  constructor(root, spoken) {
    this.#root = root;
    this.#spoken = spoken;
  }

  hide() {
    this.#shown = '';
    this.#root.hidden = true;
  }

  /** `side`: `left` or `right`. */
  show(bar, decimals, side) {
    const key = `${side}/${bar.ts}/${bar.generation}/${bar.revision}/${decimals}`;
    if (key === this.#shown) return;
    this.#shown = key;
    this.#root.hidden = false;
    Object.assign(this.#root.dataset, { side, ts: bar.ts });
    const rows = bar.open == null
      ? [element('p', '', 'Volume only: no trade of this window could set a price.')]
      : [element('dl', 'setters', ...PRICES.flatMap((one) => this.#price(bar, decimals, ...one)))];
    const vwap = bar.vwap == null ? '' : ` · VWAP ${price(bar.vwap, decimals)}`;
    rows.push(element('p', '', `${short(bar.volume)} in ${count(bar.trade_count)} trades${vwap}`));
    const excluded = excludedText(bar);
    if (excluded) rows.push(element('p', 'quiet', excluded));
    if (bar.late_included > 0) rows.push(element('p', 'quiet', `${count(bar.late_included)} late trades included by a rebuild`));
    rows.push(element('p', 'quiet', `Revision ${count(bar.revision)} · click for the whole explanation`));
    this.#root.replaceChildren(element('p', 'hover-head', element('b', '', `${bar.interval} from ${dayAndTime(bar.ts)}`), ...tagsOf(bar)), ...rows);
  }

  /** For a screen reader, when the keyboard moves the cursor. */
  speak(bar, decimals) {
    setText(this.#spoken, this.#words(bar, decimals));
  }

  #price(bar, decimals, column, label) {
    const name = `connection ${bar[`${column}_connection`]}, seq ${bar[`${column}_seq`]}`;
    const set = element('dd', 'quiet', `set ${time(bar[`${column}_time`], true)}`);
    set.title = name;
    return [element('dt', '', label), element('dd', 'number', element('b', '', exact(bar[column], decimals))), set];
  }

  #words(bar, decimals) {
    const prices = bar.open == null ? 'volume only' : PRICES.map(([column, label]) => `${label} ${exact(bar[column], decimals)}`).join(', ');
    const verdict = verdictText(bar) || 'complete';
    return `${dayAndTime(bar.ts)} UTC, ${bar.state}, ${prices}, volume ${short(bar.volume)}, ${verdict}. Enter explains it.`;
  }
}
