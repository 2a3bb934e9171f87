// The page of the whole market: who moved, how much was traded, and whose feed was complete.

import { element, setClass, setText } from './elements.js';
import { count, covered, dayAndTime, direction, duration, percent, rough, short, symbolParts } from './format.js';
import { coverageSparkline, priceSparkline } from './sparkline.js';

const DAY_MS = 86_400_000;
const REFRESH_MS = 15_000;
const MOVERS = 5;
const ROWS_AT_ONCE = 10;
/** A move of so many percent has the full colour. */
const FULL_HEAT_PERCENT = 3;
/** How much of the colour that is: more, and the words on it are hard to read. */
const HEAT_MOST = 45;
const INTERVAL_MS = { s: 1e3, m: 6e4, h: 3.6e6, d: 8.64e7 };

const at = (id) => document.getElementById(id);
const lengthOf = (interval) => parseInt(interval, 10) * INTERVAL_MS[interval.at(-1)];
const nameOf = (symbol) => symbolParts(symbol)[0];
const linkTo = (symbol) => `#${encodeURIComponent(symbol)}`;

/** Columns of the table: what they are sorted by, and how. */
const COLUMNS = {
  symbol: (row) => row.symbol,
  last: (row) => row.last,
  change_percent: (row) => row.change_percent,
  volume: (row) => row.volume,
  turnover: (row) => row.turnover,
  trade_count: (row) => row.trade_count,
  coverage: (row) => row.coverage,
};

export class OverviewPage {
  #getJson;
  #onReferences;
  #rows = new Map();
  #sort = { column: 'turnover', isRising: false };
  #isShown = false;
  #due = 0;

  /** `onReferences(rows)` hears of every answer: what the change of each symbol is taken against. */
  constructor(getJson, onReferences) {
    [this.#getJson, this.#onReferences] = [getJson, onReferences];
    for (const head of document.querySelectorAll('#market-table th[data-column]')) {
      head.querySelector('button').addEventListener('click', () => this.#sortBy(head.dataset.column));
    }
  }

  show(isShown) {
    this.#isShown = isShown;
    if (!isShown) return;
    this.#draw();
    this.refresh();
  }

  /** New last prices; what they change is drawn where it stands, and put in order at the next read. */
  quote(quotes) {
    for (const { symbol, price, ts } of quotes) {
      const row = this.#rows.get(symbol);
      if (!row) continue;
      row.last = price;
      row.last_time = ts;
      if (row.reference != null) row.change_percent = (price / row.reference - 1) * 100;
      if (this.#isShown) this.#write(row);
    }
  }

  /** Reads the overview, now and then every few seconds. */
  async refresh() {
    clearTimeout(this.#due);
    try {
      this.#take(await this.#getJson('/api/v1/overview'));
    } catch { /* the server is away; the live stream says so */ }
    clearTimeout(this.#due);
    this.#due = setTimeout(() => this.refresh(), REFRESH_MS);
  }

  #take(answer) {
    this.#onReferences(answer.symbols);
    const slotMs = lengthOf(answer.interval);
    for (const row of answer.symbols) {
      const known = this.#rows.get(row.symbol);
      const fresh = { ...row, slotMs, cells: known?.cells, tile: known?.tile, isRedrawn: true };
      this.#rows.set(row.symbol, fresh);
      // A live quote may be newer than what is stored.
      if (known?.last_time > row.last_time) this.quote([{ symbol: row.symbol, price: known.last, ts: known.last_time }]);
    }
    setText(at('market-hidden'), answer.hidden > 0 ? `${count(answer.hidden)} more symbols are not shown.` : '');
    if (this.#isShown) this.#draw();
  }

  #draw() {
    const rows = this.#sorted();
    for (const row of rows) {
      row.cells ??= this.#line(row.symbol);
      row.tile ??= this.#tile(row.symbol);
      this.#write(row);
    }
    at('market-rows').replaceChildren(...rows.map((row) => row.cells.line));
    const byChange = rows.filter((row) => row.change_percent != null).sort((a, b) => b.change_percent - a.change_percent);
    at('heat').replaceChildren(...byChange.map((row) => row.tile.root));
    this.#drawMovers(at('gainers'), byChange.filter((row) => row.change_percent > 0).slice(0, MOVERS));
    this.#drawMovers(at('losers'), byChange.filter((row) => row.change_percent < 0).reverse().slice(0, MOVERS));
    this.#drawSummary(rows, byChange);
    this.#drawAllSparklines(rows);
  }

  /** A few at a time, so that the page stays awake with hundreds of symbols. */
  async #drawAllSparklines(rows) {
    const due = rows.filter((row) => row.isRedrawn);
    for (let at = 0; at < due.length; at += ROWS_AT_ONCE) {
      for (const row of due.slice(at, at + ROWS_AT_ONCE)) {
        row.isRedrawn = false;
        this.#drawSparklines(row);
      }
      await new Promise((done) => setTimeout(done));
    }
    document.body.dataset.overview = rows.length;
  }

  #drawSummary(rows, byChange) {
    const [up, down] = [byChange.filter((row) => row.change_percent > 0).length, byChange.filter((row) => row.change_percent < 0).length];
    setText(at('advancing'), count(up));
    setText(at('declining'), count(down));
    at('breadth-up').style.flexGrow = up;
    at('breadth-down').style.flexGrow = down;
    setText(at('market-trades'), count(rows.reduce((sum, row) => sum + row.trade_count, 0)));
    setText(at('market-traded'), count(rows.filter((row) => row.trade_count > 0).length));
    const known = rows.filter((row) => row.coverage != null);
    const mean = known.reduce((sum, row) => sum + row.coverage, 0) / known.length;
    setText(at('market-coverage'), known.length === 0 ? '–' : covered(mean));
    const worst = known.filter((row) => row.gap_ms > 0).sort((a, b) => a.coverage - b.coverage)[0];
    setText(at('market-worst'), worst ? `least: ${nameOf(worst.symbol)}, away ${duration(worst.gap_ms)}` : known.length > 0 ? 'no gap known' : 'nothing vouches for it yet');
  }

  #drawMovers(root, rows) {
    const line = (row) => element('li', '', this.#link(row.symbol), element('span', 'number', rough(row.last)), element('span', `number ${direction(row.change_percent)}`, percent(row.change_percent)));
    root.replaceChildren(...(rows.length > 0 ? rows.map(line) : [element('li', 'quiet', 'none')]));
  }

  #sorted() {
    const { column, isRising } = this.#sort;
    const of = COLUMNS[column];
    const known = (row) => of(row) != null;
    const compare = (a, b) => (typeof of(a) === 'string' ? of(a).localeCompare(of(b)) : of(a) - of(b));
    return [...this.#rows.values()].sort((a, b) => known(b) - known(a) || (known(a) ? compare(a, b) * (isRising ? 1 : -1) : 0));
  }

  /** Names rise at first, figures fall; a second click turns it round. */
  #sortBy(column) {
    const isRising = this.#sort.column === column ? !this.#sort.isRising : column === 'symbol';
    this.#sort = { column, isRising };
    for (const head of document.querySelectorAll('#market-table th[data-column]')) {
      if (head.dataset.column === column) head.setAttribute('aria-sort', isRising ? 'ascending' : 'descending');
      else head.removeAttribute('aria-sort');
    }
    this.#draw();
  }

  #link(symbol) {
    const [name, venue] = symbolParts(symbol);
    const link = element('a', 'symbol-link', name, venue && element('small', '', venue));
    link.href = linkTo(symbol);
    return link;
  }

  #line(symbol) {
    const cell = (className) => element('td', className);
    const cells = {
      last: cell('number'), change: cell('number'), volume: cell('number wide'), turnover: cell('number wide'), trades: cell('number wide'), price: cell('drawing'), coverage: cell('drawing'),
    };
    const head = element('th', '', this.#link(symbol));
    head.scope = 'row';
    return { ...cells, line: element('tr', '', head, ...Object.values(cells)) };
  }

  #tile(symbol) {
    const [name, venue] = symbolParts(symbol);
    const change = element('span', 'tile-change');
    const root = element('a', 'tile', element('span', 'tile-name', name), change);
    root.href = linkTo(symbol);
    root.title = venue ? `${name}, ${venue}` : name;
    return { root, change };
  }

  #drawSparklines(row) {
    const from = (row.bars.at(-1)?.ts ?? 0) + row.slotMs - DAY_MS;
    const slots = Math.round(DAY_MS / row.slotMs);
    const share = row.coverage == null ? '–' : covered(row.coverage);
    row.cells.price.replaceChildren(priceSparkline(row.bars, direction(row.change_percent)));
    const away = row.gap_ms > 0 ? element('span', 'warn', `away ${duration(row.gap_ms)}`) : '';
    row.cells.coverage.replaceChildren(coverageSparkline(row.bars, from, slots, row.slotMs), element('span', 'quiet', share), away);
    setText(row.cells.volume, short(row.volume));
    setText(row.cells.turnover, short(row.turnover));
    setText(row.cells.trades, count(row.trade_count));
  }

  /** What moves with every quote. */
  #write(row) {
    if (!row.cells) return;
    const text = percent(row.change_percent);
    setText(row.cells.last, row.last == null ? '–' : rough(row.last));
    setText(row.cells.change, text);
    setClass(row.cells.change, `number ${direction(row.change_percent)}`);
    if (row.last_time) row.cells.last.title = `${dayAndTime(row.last_time)} UTC`;
    setText(row.tile.change, text);
    const heat = Math.min(Math.abs(row.change_percent ?? 0) / FULL_HEAT_PERCENT, 1) * HEAT_MOST;
    row.tile.root.style.setProperty('--heat', `${heat.toFixed(0)}%`);
    setClass(row.tile.root, `tile ${direction(row.change_percent)}`);
  }
}
