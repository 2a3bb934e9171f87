// The panel beside the chart that says why a bar is what it is: the trades that set its prices,
// where its volume went, the gaps of the feed, and what it was before.

import { element } from './elements.js';
import { count, dayAndTime, duration, short, time } from './format.js';

const LABELS = { open: 'Open', high: 'High', low: 'Low', close: 'Close' };
const WORDS = {
  odd_lot: 'odd lots',
  extended: 'extended hours',
  out_of_sequence: 'out of sequence',
  average_price: 'average price',
  unknown: 'unknown code',
  other: 'other codes',
};

function section(title, ...content) {
  return content.length === 0 ? null : element('section', '', element('h3', '', title), ...content);
}

/** A section that stays closed until somebody asks. */
function folded(title, content) {
  const details = element('details', '', element('summary', '', title), content);
  return details;
}

export class ExplanationPanel {
  #root;
  #title;
  #body;
  #getJson;
  #onChange;
  /** What is shown: symbol, interval, start. */
  #shown = null;
  #turn = 0;

  /** `onChange(ts)` hears which bar is explained, and null when none is. */
  constructor(root, title, body, close, getJson, onChange) {
    [this.#root, this.#title, this.#body, this.#getJson, this.#onChange] = [root, title, body, getJson, onChange];
    close.addEventListener('click', () => this.close());
    addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && !root.hidden) this.close();
    });
  }

  close() {
    this.#turn += 1;
    this.#shown = null;
    this.#root.hidden = true;
    this.#onChange(null);
  }

  /** A newer content of a bar came: shows it, when that bar is the one that is explained. */
  refresh(symbol, interval, ts) {
    const { symbol: s, interval: i, ts: t } = this.#shown ?? {};
    if (s === symbol && i === interval && t === ts) this.show(symbol, interval, ts);
  }

  async show(symbol, interval, ts) {
    const turn = ++this.#turn;
    const isOther = this.#shown?.ts !== ts;
    this.#shown = { symbol, interval, ts };
    this.#root.hidden = false;
    this.#onChange(ts);
    if (isOther) this.#body.replaceChildren(element('p', 'quiet', 'Reading the trades…'));
    try {
      const query = new URLSearchParams({ interval, at: ts });
      const it = await this.#getJson(`/api/v1/explain/${encodeURIComponent(symbol)}?${query}`);
      if (turn === this.#turn) this.#draw(it);
    } catch (problem) {
      if (turn === this.#turn) this.#body.replaceChildren(element('p', 'warn', `Not explained: ${problem.message}`));
    }
  }

  #draw(it) {
    this.#title.textContent = `${it.interval} from ${dayAndTime(it.ts)}`;
    this.#root.dataset.agreement = it.agreement;
    const top = this.#body.scrollTop;
    const open = new Set([...this.#body.querySelectorAll('details[open] summary')].map((one) => one.dataset.key));
    this.#body.replaceChildren(...[
      verdictOf(it),
      section('Set by', ...it.prices.map(priceOf)),
      it.volume_split.counted.count + it.volume_split.forbidden.length > 0 ? section('Volume', ...splitOf(it.volume_split)) : null,
      section('Gaps of the feed', ...gapsOf(it)),
      section('What it was', ...it.revisions.map(revisionOf)),
      trades('excluded', 'set no price', it.excluded),
      trades('late', 'came too late', it.late),
      it.diverted.length > 0 ? element('p', 'quiet', `Diverted: ${it.diverted.map((one) => `${count(one.count)} ${one.disposition} (${one.reason})`).join(', ')}`) : null,
      element('p', 'quiet', `Policy ${it.policy}, sale conditions version ${it.bar?.conditions_version ?? it.conditions_version}.`),
    ].filter(Boolean));
    for (const summary of this.#body.querySelectorAll('summary')) summary.parentElement.open = open.has(summary.dataset.key);
    this.#body.scrollTop = top;
  }
}

function verdictOf(it) {
  const box = element('div', 'verdicts');
  const completeness = element('p', '', it.completeness);
  completeness.dataset.verdict = it.bar?.verdict ?? 'unknown';
  const agreement = element('p', '', it.agreement_text);
  agreement.dataset.verdict = { follows: 'complete', differs: 'wrong' }[it.agreement] ?? 'unknown';
  box.append(completeness, agreement);
  for (const { column, stored, recomputed } of it.differences) {
    box.append(element('p', 'warn', `${column}: stored ${stored}, from the trades ${recomputed}`));
  }
  return box;
}

function priceOf({ name, price, ts, connection, seq, why, trade }) {
  const head = element('div', 'setter', element('span', 'name', LABELS[name]), element('b', '', String(price)), element('span', 'quiet', time(ts, true)));
  const row = element('div', '', head);
  if (trade) {
    const facts = element('p', 'quiet', `size ${trade.volume} `);
    for (const { code, name: meaning } of trade.meanings) {
      const chip = element('span', 'chip', `${code} ${meaning ?? 'unknown'}`);
      facts.append(chip);
    }
    row.append(facts);
  }
  row.append(element('p', '', why));
  row.title = `connection ${connection}, seq ${seq}`;
  return row;
}

function splitOf(split) {
  const parts = [['sets_price', 'sets prices', split.sets_price], ...split.excluded.map((one) => [one.reason, WORDS[one.reason], one])];
  const share = element('div', 'share');
  const list = element('dl', 'split');
  for (const [key, label, what] of parts) {
    const part = element('i');
    part.dataset.key = key;
    part.style.flexGrow = what.volume;
    share.append(part);
    const line = element('div', '', element('dt', '', label), element('dd', '', short(what.volume)), element('dd', 'quiet', count(what.count)));
    line.dataset.key = key;
    list.append(line);
  }
  for (const { code, name, volume, count: number } of split.forbidden) {
    const line = element('div', '', element('dt', '', `not counted: ${code} ${name ?? ''}`), element('dd', '', short(volume)), element('dd', 'quiet', count(number)));
    line.dataset.key = 'forbidden';
    list.append(line);
  }
  return [share, list];
}

function gapsOf(it) {
  const rows = it.gaps.map((gap) => {
    const until = gap.gap_end == null ? 'lasts' : `to ${time(gap.gap_end)}`;
    const inside = gap.inside_ms > 0 ? `${duration(gap.inside_ms)} inside` : `${count(gap.lost_records)} lost`;
    const line = element('p', '', element('b', '', gap.cause.replaceAll('_', ' ')), ` ${time(gap.gap_start)} ${until} · ${inside}`);
    line.title = [gap.feed, `connection ${gap.connection}`, gap.detail].filter(Boolean).join(', ');
    return line;
  });
  if (it.unlisted_gap_ms > 0) rows.push(element('p', 'quiet', `${duration(it.unlisted_gap_ms)} before the first subscription, or no longer kept`));
  return rows;
}

function revisionOf(one) {
  const prices = one.close == null ? 'volume only' : `close ${one.close}`;
  const facts = `${prices}, volume ${short(one.volume)}, ${one.verdict}`;
  return element('p', '', element('b', '', one.why.replaceAll('_', ' ')), element('span', 'quiet', ` revision ${one.revision} · ${facts}`));
}

function trades(key, title, listed) {
  const total = listed.trades.length + listed.hidden;
  if (total === 0) return null;
  const rows = listed.trades.map((trade) => element('div', 'aside-trade',
    element('span', 'quiet', time(trade.ts, true)), element('b', '', String(trade.price)), element('span', '', short(trade.volume)), element('p', 'quiet', trade.why)));
  if (listed.hidden > 0) rows.push(element('p', 'quiet', `and ${count(listed.hidden)} more: ticksmith explain --all`));
  const details = folded(`${count(total)} ${total === 1 ? 'trade' : 'trades'} ${title}`, element('div', '', ...rows));
  details.firstElementChild.dataset.key = key;
  return details;
}
