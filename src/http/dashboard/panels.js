// The parts beside the chart: the list of symbols and the last trades.

import { element, setClass, setText } from './elements.js';
import { direction, exact, percent, rough, short, symbolParts, time } from './format.js';

const TRADES_SHOWN = 40;

/** The searchable list of symbols with their last prices and the change of a day. */
export class SymbolList {
  #list;
  #search;
  #rows = new Map();
  #onChoose;
  #chosen = '';
  #none = element('li', 'none', 'No such symbol');

  constructor(list, search, onChoose) {
    [this.#list, this.#search, this.#onChoose] = [list, search, onChoose];
    search.addEventListener('input', () => this.#filter());
    search.addEventListener('keydown', (event) => {
      const [first] = this.#visible();
      if (event.key === 'Enter' && first) { this.#clear(); onChoose(first.symbol); }
      if (event.key === 'ArrowDown' && first) { event.preventDefault(); first.button.focus(); }
      if (event.key === 'Escape') this.#clear();
    });
    list.addEventListener('keydown', (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      const rows = this.#visible();
      const next = step && rows[rows.findIndex((row) => row.button === document.activeElement) + step];
      if (next) { event.preventDefault(); next.button.focus(); }
    });
  }

  has(symbol) {
    return this.#rows.has(symbol);
  }

  get first() {
    return this.#rows.keys().next().value;
  }

  /** Adds what is new, in order of the alphabet: stocks first, then by exchange. */
  show(symbols) {
    const known = this.#rows.size;
    for (const symbol of symbols) if (!this.#rows.has(symbol)) this.#rows.set(symbol, this.#row(symbol));
    if (this.#rows.size === known) return;
    const order = (symbol) => (symbol.includes(':') ? 1 : 0);
    const sorted = [...this.#rows.keys()].sort((a, b) => order(a) - order(b) || a.localeCompare(b));
    this.#rows = new Map(sorted.map((symbol) => [symbol, this.#rows.get(symbol)]));
    this.#list.replaceChildren(...[...this.#rows.values()].map((row) => row.item));
    this.choose(this.#chosen);
    this.#filter();
  }

  choose(symbol) {
    this.#chosen = symbol;
    for (const row of this.#rows.values()) row.button.setAttribute('aria-current', String(row.symbol === symbol));
    this.#rows.get(symbol)?.item.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }

  /** Chooses the symbol so many places further down. */
  step(places) {
    const rows = this.#visible();
    const next = rows[rows.findIndex((row) => row.symbol === this.#chosen) + places];
    if (next) this.#onChoose(next.symbol);
  }

  /** What the change of a day is taken against, and the last stored price where no live one is known. */
  refer({ symbol, reference, last }) {
    const row = this.#rows.get(symbol);
    if (row) this.#write(Object.assign(row, { reference, value: row.value ?? last }));
  }

  quote({ symbol, price: value }) {
    const row = this.#rows.get(symbol);
    if (row && row.value !== value) this.#write(Object.assign(row, { value }));
  }

  #write(row) {
    if (row.value == null) return;
    setText(row.last, rough(row.value));
    if (row.reference == null) return;
    const change = (row.value / row.reference - 1) * 100;
    setText(row.change, percent(change));
    setClass(row.change, `change ${direction(change)}`);
  }

  #row(symbol) {
    const [name, venue] = symbolParts(symbol);
    const label = element('span', 'name', name, venue && element('small', '', venue));
    const [last, change] = [element('span', 'last'), element('span', 'change')];
    const button = element('button', '', label, element('span', 'figures', last, change));
    button.type = 'button';
    button.title = symbol;
    button.addEventListener('click', () => this.#onChoose(symbol));
    return { symbol, item: element('li', '', button), button, last, change, value: null, reference: null };
  }

  #clear() {
    this.#search.value = '';
    this.#search.blur();
    this.#filter();
  }

  #visible() {
    return [...this.#rows.values()].filter((row) => !row.item.hidden);
  }

  #filter() {
    const wanted = this.#search.value.trim().toUpperCase();
    for (const row of this.#rows.values()) row.item.hidden = !row.symbol.toUpperCase().includes(wanted);
    if (this.#visible().length === 0 && this.#rows.size > 0) this.#list.append(this.#none); else this.#none.remove();
  }
}

/** The newest trades of the chosen symbol, newest first. */
export class TradeTape {
  #body;
  #seen = new Set();
  #lastPrice = null;

  constructor(body) {
    this.#body = body;
  }

  clear() {
    this.#seen.clear();
    this.#lastPrice = null;
    this.#body.replaceChildren();
  }

  /** Takes trades in order of arrival; those already shown are left out. */
  add(trades, decimals) {
    const rows = [];
    for (const trade of trades.slice(-TRADES_SHOWN)) {
      const identity = `${trade.connection}/${trade.seq}/${trade.disposition}`;
      if (this.#seen.has(identity)) continue;
      this.#seen.add(identity);
      rows.unshift(this.#row(trade, decimals));
    }
    if (rows.length === 0) return;
    this.#body.prepend(...rows);
    while (this.#body.children.length > TRADES_SHOWN) this.#body.lastElementChild.remove();
    if (this.#seen.size > 50 * TRADES_SHOWN) this.#seen = new Set([...this.#seen].slice(-TRADES_SHOWN));
  }

  #row(trade, decimals) {
    const aside = trade.disposition !== 'merged';
    const moved = aside || this.#lastPrice == null ? 0 : trade.price - this.#lastPrice;
    if (!aside) this.#lastPrice = trade.price;
    const note = aside ? trade.disposition : (trade.conditions ?? '').replaceAll(',', ' ');
    const last = element('td', '', note);
    last.title = aside ? `${trade.disposition} ${trade.reason}`.trim() : note && `sale conditions ${note}`;
    return element('tr', aside ? 'set-aside' : '',
      element('td', '', time(trade.ts, true)),
      element('td', `number ${direction(moved)}`, exact(trade.price, decimals)),
      element('td', 'number', short(trade.volume)),
      last);
  }
}
