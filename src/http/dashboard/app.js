// The dashboard: reads the API, follows the live stream, and keeps chart and panels in step.

import { BarChart, legendOf } from './chart.js';
import { verdictText } from './completeness.js';
import { ExplanationPanel } from './explanation.js';
import { SymbolList, TradeTape, PipelinePanel } from './panels.js';
import { count, price, short, time, dayAndTime, symbolParts } from './format.js';

const BARS_LOADED = 1500;
const RECONNECT_MS = 1500;
/** A gap is stored with the beat that follows its event. */
const GAPS_AFTER_MS = 2000;
const GAPS_LOADED = 1000;
const at = (id) => document.getElementById(id);
const body = document.body;

const view = { symbol: '', interval: '', intervals: [], loading: 0, arrived: null, feed: '', gapsDue: 0 };
let source = null;
let serverNow = 0;

applyTheme(localStorage.getItem('theme') ?? (matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark'));
const explanation = new ExplanationPanel(at('explain'), at('explain-title'), at('explain-body'), at('explain-close'), getJson, markExplained);
const chart = new BarChart(at('chart'), showLegend, (bar) => explanation.show(view.symbol, view.interval, bar.ts));
const symbols = new SymbolList(at('symbols'), at('search'), (symbol) => choose(symbol, view.interval));
const tape = new TradeTape(at('trades'));
const pipeline = new PipelinePanel(at('share'), at('counts'), at('facts'));

at('explain-last').addEventListener('click', () => {
  const last = chart.last();
  if (last) explanation.show(view.symbol, view.interval, last.ts);
});
at('theme').addEventListener('click', () => {
  applyTheme(document.documentElement.dataset.theme === 'light' ? 'dark' : 'light');
  localStorage.setItem('theme', document.documentElement.dataset.theme);
  chart.paint();
});
addEventListener('hashchange', () => start());
start();

function applyTheme(theme) {
  document.documentElement.dataset.theme = theme;
}

async function getJson(path) {
  const response = await fetch(path);
  const document = await response.json();
  if (!response.ok) throw new Error(document.detail ?? response.statusText);
  return document;
}

/** Learns the symbols, then shows the one in the address, or the first. Repeats until there is one. */
async function start() {
  try {
    const known = await getJson('/api/v1/symbols');
    at('version').textContent = `ticksmith ${known.version}`;
    symbols.show(known.symbols);
    view.intervals = known.intervals;
    const [hashSymbol, hashInterval] = decodeURIComponent(location.hash.slice(1)).split('@');
    const interval = known.intervals.includes(hashInterval) ? hashInterval : known.intervals[0];
    const symbol = known.symbols.includes(hashSymbol) ? hashSymbol : known.symbols[0];
    if (symbol) return choose(symbol, interval);
  } catch {
    setFeed('bad', 'server away, trying again');
  }
  setTimeout(start, RECONNECT_MS);
}

function choose(symbol, interval) {
  if (symbol === view.symbol && interval === view.interval) return;
  explanation.close();
  Object.assign(view, { symbol, interval });
  history.replaceState(null, '', `#${encodeURIComponent(symbol)}@${interval}`);
  symbols.choose(symbol);
  const [name, venue] = symbolParts(symbol);
  at('symbol').textContent = venue ? `${name} · ${venue}` : name;
  showIntervals();
  tape.clear();
  chart.load([], true);
  chart.setGaps([]);
  showLegend(undefined);
  showPrice();
  follow();
}

function showIntervals() {
  at('intervals').replaceChildren(...view.intervals.map((interval) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = interval;
    button.setAttribute('aria-pressed', String(interval === view.interval));
    button.addEventListener('click', () => choose(view.symbol, interval));
    return button;
  }));
}

/** Reads the stored bars; what the stream brings meanwhile is newer and is applied on top. */
async function loadBars() {
  const turn = ++view.loading;
  view.arrived = [];
  const { symbol, interval } = view;
  try {
    const path = `/api/v1/bars/${encodeURIComponent(symbol)}?interval=${interval}&limit=${BARS_LOADED}`;
    const answer = await getJson(path);
    if (turn !== view.loading || symbol !== view.symbol || interval !== view.interval) return;
    chart.load(answer.bars);
    view.arrived.forEach((bar) => chart.update(bar));
    view.arrived = null;
    showPrice();
    loadGaps();
  } catch {
    if (turn !== view.loading) return;
    view.arrived = null;
    setTimeout(() => turn === view.loading && loadBars(), RECONNECT_MS);
  }
}

/** Reads where the feed was away in the time that is shown. */
async function loadGaps() {
  const { symbol } = view;
  const range = chart.range();
  if (!range) return;
  const query = new URLSearchParams({ from: range[0], to: range[1], limit: GAPS_LOADED });
  try {
    const { gaps } = await getJson(`/api/v1/gaps/${encodeURIComponent(symbol)}?${query}`);
    if (symbol === view.symbol) chart.setGaps(gaps);
    publish();
  } catch { /* the next change of the feed asks again */ }
}

function loadGapsSoon() {
  clearTimeout(view.gapsDue);
  view.gapsDue = setTimeout(loadGaps, GAPS_AFTER_MS);
}

/** Opens the live stream of the chosen symbol; the browser reconnects by itself, and so do we. */
function follow() {
  source?.close();
  const query = new URLSearchParams({ symbol: view.symbol, interval: view.interval });
  const opened = new EventSource(`/api/v1/stream?${query}`);
  source = opened;
  const on = (name, take) => opened.addEventListener(name, (event) => {
    if (opened === source) take(JSON.parse(event.data));
  });
  opened.addEventListener('open', () => loadBars());
  on('bars', (bars) => {
    view.arrived?.push(...bars);
    bars.forEach((bar) => chart.update(bar));
    showPrice();
    const settled = bars.filter((bar) => bar.state !== 'provisional');
    if (settled.some((bar) => bar.verdict === 'partial')) loadGapsSoon();
    settled.forEach((bar) => explanation.refresh(view.symbol, view.interval, bar.ts));
  });
  on('trades', (trades) => tape.add(trades, chart.decimals));
  on('quotes', showQuotes);
  on('state', showState);
  on('missed', () => loadBars());
  opened.addEventListener('error', () => {
    if (opened !== source) return;
    setFeed('bad', 'server away, trying again');
    if (opened.readyState === EventSource.CLOSED) setTimeout(() => opened === source && follow(), RECONNECT_MS);
  });
}

async function showQuotes(quotes) {
  if (quotes.some((quote) => !symbols.has(quote.symbol))) {
    symbols.show(quotes.map((quote) => quote.symbol));
  }
  quotes.forEach((quote) => symbols.quote(quote));
}

function showState(state) {
  serverNow = state.now;
  at('clock').textContent = time(serverNow);
  pipeline.show(state);
  const { source: name, state: feedState, detail } = state.feed;
  const level = feedState === 'connected' ? 'ok' : feedState === 'disconnected' || feedState === 'stopped' ? 'bad' : 'wait';
  if (view.feed !== feedState) loadGapsSoon();
  view.feed = feedState;
  setFeed(level, [name, detail || feedState].filter(Boolean).join(' · '));
}

function setFeed(level, text) {
  at('feed').dataset.state = level;
  at('feed-text').textContent = text;
}

function showPrice() {
  const span = chart.span();
  at('overlay').hidden = chart.size > 0;
  at('price').textContent = span ? price(span.last, chart.decimals) : '–';
  const change = span ? span.last - span.first : 0;
  const sign = change >= 0 ? '+' : '−';
  const shown = span && `${sign}${price(Math.abs(change), chart.decimals)} (${sign}${Math.abs((change / span.first) * 100).toFixed(2)} %)`;
  at('change').textContent = shown ?? '';
  at('change').className = `change ${change >= 0 ? 'up' : 'down'}`;
  at('change').title = span ? `since ${dayAndTime(span.since)} UTC` : '';
  document.title = span ? `${price(span.last, chart.decimals)} ${view.symbol} · ticksmith` : 'ticksmith';
  publish();
}

function showLegend(bar) {
  const cells = bar ? legendOf(bar, chart.decimals).map(([label, value]) => cell(label, value)) : [];
  if (bar) {
    cells.push(cell('Vol', short(bar.volume)), cell('Trades', count(bar.trade_count)));
    const tags = [tag('state', bar.state, bar.state)];
    if (bar.session) tags.push(tag('session', bar.session, bar.session === 'closed' ? 'market closed' : bar.session));
    const verdict = verdictText(bar);
    if (verdict) tags.push(tag('verdict', bar.verdict, verdict));
    cells.splice(1, 0, ...tags);
  }
  at('legend').replaceChildren(...cells);
}

function tag(kind, value, text) {
  const span = document.createElement('span');
  span.className = 'tag';
  span.dataset[kind] = value;
  span.textContent = text;
  return span;
}

/** The panel takes the place of the last trades while it is open. */
function markExplained(ts) {
  body.classList.toggle('explaining', ts != null);
  body.dataset.explained = ts ?? '';
  chart.choose(ts);
}

function cell(label, value) {
  const span = document.createElement('span');
  const strong = document.createElement('b');
  strong.textContent = value;
  span.append(label ? `${label} ` : '', strong);
  return span;
}

/** What is drawn, readable from outside: for tests and for whoever embeds the page. */
function publish() {
  const last = chart.last();
  Object.assign(body.dataset, { symbol: view.symbol, interval: view.interval, ...chart.tally() });
  body.dataset.last = last ? `${last.ts}/${last.generation}/${last.revision}/${last.state}/${last.close}` : '';
}
