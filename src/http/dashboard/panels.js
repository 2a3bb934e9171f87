// The parts around the chart: symbols, last trades, and what became of every record.

import { count, exact, rough, short, time, duration, symbolParts } from './format.js';

const TRADES_SHOWN = 40;
const COUNTS = [
  ['merged', 'Merged', 'counted in a bar'],
  ['duplicate', 'Duplicate', 'seen before'],
  ['late', 'Late', 'past the allowed lateness'],
  ['rejected', 'Rejected', 'not a trade that we can believe'],
  ['control', 'Control', 'events of the feed itself'],
];

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text != null) made.textContent = text;
  return made;
}

/** The searchable list of symbols with their last prices. */
export class SymbolList {
  #list;
  #search;
  #rows = new Map();
  #onChoose;
  #chosen = '';

  constructor(list, search, onChoose) {
    this.#list = list;
    this.#search = search;
    this.#onChoose = onChoose;
    search.addEventListener('input', () => this.#filter());
    search.addEventListener('keydown', (event) => {
      const first = [...this.#rows.values()].find((row) => !row.item.hidden);
      if (event.key === 'Enter' && first) onChoose(first.symbol);
      if (event.key === 'Escape') { search.value = ''; this.#filter(); search.blur(); }
    });
    document.addEventListener('keydown', (event) => {
      if (event.key === '/' && document.activeElement !== search) { event.preventDefault(); search.focus(); }
    });
  }

  has(symbol) {
    return this.#rows.has(symbol);
  }

  /** Adds what is new, in order of the alphabet: stocks first, then by exchange. */
  show(symbols) {
    for (const symbol of symbols) if (!this.#rows.has(symbol)) this.#rows.set(symbol, this.#row(symbol));
    const order = (symbol) => (symbol.includes(':') ? 1 : 0);
    const sorted = [...this.#rows.keys()].sort((a, b) => order(a) - order(b) || a.localeCompare(b));
    this.#list.replaceChildren(...sorted.map((symbol) => this.#rows.get(symbol).item));
    this.choose(this.#chosen);
    this.#filter();
  }

  choose(symbol) {
    this.#chosen = symbol;
    for (const row of this.#rows.values()) row.button.setAttribute('aria-current', String(row.symbol === symbol));
  }

  quote({ symbol, price: value }) {
    const row = this.#rows.get(symbol);
    if (!row || value === row.value) return;
    if (row.value != null) row.last.dataset.direction = value > row.value ? 'up' : 'down';
    row.value = value;
    row.last.textContent = rough(value);
  }

  #row(symbol) {
    const [name, venue] = symbolParts(symbol);
    const item = element('li');
    const button = element('button');
    button.type = 'button';
    const label = element('span', 'name', name);
    if (venue) label.append(element('small', '', venue));
    const last = element('span', 'last', '');
    button.append(label, last);
    button.title = symbol;
    button.addEventListener('click', () => this.#onChoose(symbol));
    item.append(button);
    return { symbol, item, button, last, value: null };
  }

  #filter() {
    const wanted = this.#search.value.trim().toUpperCase();
    let shown = 0;
    for (const row of this.#rows.values()) {
      row.item.hidden = !row.symbol.toUpperCase().includes(wanted);
      if (!row.item.hidden) shown += 1;
    }
    this.#list.querySelector('.none')?.remove();
    if (shown === 0 && this.#rows.size > 0) this.#list.append(element('li', 'none', 'No such symbol'));
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
    const row = element('tr');
    const aside = trade.disposition !== 'merged';
    const direction = this.#lastPrice == null || trade.price === this.#lastPrice ? '' : trade.price > this.#lastPrice ? 'up' : 'down';
    if (aside) row.className = 'set-aside';
    else this.#lastPrice = trade.price;
    const note = aside ? trade.disposition : (trade.conditions ?? '').replaceAll(',', ' ');
    const last = element('td', '', note);
    last.title = aside ? `${trade.disposition} ${trade.reason}`.trim() : note && `sale conditions ${note}`;
    row.append(
      element('td', '', time(trade.ts, true)),
      element('td', `number ${aside ? '' : direction}`, exact(trade.price, decimals)),
      element('td', 'number', trade.volume == null ? '–' : short(trade.volume)),
      last,
    );
    return row;
  }
}

/** Counts of every disposition, rates, lag and watermark. */
export class PipelinePanel {
  #share = {};
  #counts = {};
  #facts = {};
  #factList;

  constructor(share, counts, facts) {
    this.#factList = facts;
    for (const [key, label, meaning] of COUNTS) {
      const part = element('i');
      part.dataset.key = key;
      share.append(part);
      this.#share[key] = part;
      const group = element('div');
      group.dataset.key = key;
      group.title = meaning;
      const value = element('dd', '', '–');
      group.append(element('dt', '', label), value);
      counts.append(group);
      this.#counts[key] = value;
    }
  }

  show(state) {
    // `ticksmith serve` has no pipeline to count for.
    if (!state.counts) return;
    for (const [key] of COUNTS) {
      this.#share[key].style.flexGrow = state.counts[key];
      const rate = element('small', '', `${count(Math.round(state.rates[key] * 10) / 10)}/s`);
      this.#counts[key].replaceChildren(count(state.counts[key]), rate);
    }
    const behind = state.watermark == null ? null : state.now - state.watermark;
    this.#fact('Consumed', `${count(state.counts.total)} records`);
    this.#fact('Rate', `${count(Math.round(state.rates.total))}/s`);
    this.#fact('Lag', `${count(state.lag_records)} records`, state.lag_records > 10_000);
    this.#fact('Watermark', behind == null ? 'none yet' : `${time(state.watermark)} (${duration(behind)} behind)`);
    this.#fact('Open windows', count(state.open_windows));
    this.#fact('Symbols', count(state.symbols));
    this.#fact('Last beat', `${((state.flush_us + state.commit_us) / 1000).toFixed(1)} ms`);
  }

  #fact(label, text, warn = false) {
    if (!this.#facts[label]) {
      const group = element('div');
      const value = element('dd');
      group.append(element('dt', '', label), value);
      this.#factList.append(group);
      this.#facts[label] = value;
    }
    this.#facts[label].textContent = text;
    this.#facts[label].className = warn ? 'warn' : '';
  }
}
