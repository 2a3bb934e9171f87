// The dashboard: which page is shown, the live stream that all of them follow, theme and keys.

import { ChartPage } from './chart_page.js';
import { setText } from './elements.js';
import { time } from './format.js';
import { LiveStream } from './live.js';
import { OverviewPage } from './overview.js';
import { readPalette } from './palette.js';
import { SymbolList } from './panels.js';
import { PipelinePage } from './pipeline.js';

const RECONNECT_MS = 1500;
const at = (id) => document.getElementById(id);
const root = document.documentElement;

let intervals = [];
let feedState = '';

applyTheme(localStorage.getItem('theme') ?? (matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark'));
const chart = new ChartPage(getJson, (symbol, interval) => open(symbol, interval));
const symbols = new SymbolList(at('symbols'), at('search'), (symbol) => open(symbol, chart.interval));
const overview = new OverviewPage(getJson, (rows) => {
  rows.forEach((row) => symbols.refer(row));
  chart.refer(rows);
});
const pipeline = new PipelinePage();
const live = new LiveStream({
  open: () => chart.reload(),
  away: () => setFeed('bad', 'server away, trying again'),
  bars: (bars) => chart.takeBars(bars),
  trades: (trades) => chart.takeTrades(trades),
  quotes: showQuotes,
  state: showState,
  missed: () => chart.reload(),
});

at('theme').addEventListener('click', switchTheme);
at('help-open').addEventListener('click', () => at('help').showModal());
addEventListener('hashchange', route);
addEventListener('keydown', key);
addEventListener('click', (event) => {
  if (!at('indicators').contains(event.target)) at('indicators').open = false;
});
start();

function applyTheme(theme) {
  root.dataset.theme = theme;
  readPalette();
}

function switchTheme() {
  applyTheme(root.dataset.theme === 'light' ? 'dark' : 'light');
  localStorage.setItem('theme', root.dataset.theme);
  chart.paint();
}

async function getJson(path) {
  const response = await fetch(path);
  const document = await response.json();
  if (!response.ok) throw new Error(document.detail ?? response.statusText);
  return document;
}

/** Learns the symbols, then shows what the address asks for. Repeats until there is a symbol. */
async function start() {
  try {
    const known = await getJson('/api/v1/symbols');
    setText(at('version'), `ticksmith ${known.version}`);
    intervals = known.intervals;
    symbols.show(known.symbols);
    overview.refresh();
    if (known.symbols.length > 0) return route();
    showState(await getJson('/api/v1/state'));
    showPage(pageOf(location.hash));
  } catch {
    setFeed('bad', 'server away, trying again');
  }
  setTimeout(start, RECONNECT_MS);
}

/** `#/market` and `#/pipeline` are pages; everything else is a chart: `#AAPL@5m`. */
function pageOf(hash) {
  return { '#/market': 'market', '#/pipeline': 'pipeline' }[hash] ?? 'chart';
}

function route() {
  const page = pageOf(location.hash);
  const [wanted, interval] = page === 'chart' ? partsOf(location.hash) : [];
  const symbol = [wanted, chart.symbol, symbols.first].find((one) => one && symbols.has(one));
  if (symbol) follow(symbol, intervals.includes(interval) ? interval : chart.interval || intervals[0]);
  showPage(page);
}

/** What a person typed into the address may be anything. */
function partsOf(hash) {
  try {
    return decodeURIComponent(hash.slice(1)).split('@');
  } catch {
    return [];
  }
}

function open(symbol, interval) {
  history.pushState(null, '', addressOf(symbol, interval));
  route();
}

const addressOf = (symbol, interval) => `#${encodeURIComponent(symbol)}@${interval}`;

/** The stream is of the chart's symbol, whichever page is shown: it brings quotes and state too. */
function follow(symbol, interval) {
  if (symbol === chart.symbol && interval === chart.interval) return;
  chart.choose(symbol, interval, intervals);
  symbols.choose(symbol);
  at('to-chart').href = addressOf(symbol, interval);
  live.follow(symbol, interval);
}

function showPage(page) {
  for (const one of document.querySelectorAll('[data-page]')) one.hidden = one.dataset.page !== page;
  for (const link of document.querySelectorAll('[data-to]')) {
    if (link.dataset.to === page) link.setAttribute('aria-current', 'page'); else link.removeAttribute('aria-current');
  }
  if (page !== 'chart') document.title = `${page === 'market' ? 'Market' : 'Pipeline'} · ticksmith`;
  chart.isShown = page === 'chart';
  overview.show(page === 'market');
  pipeline.show(page === 'pipeline');
  document.body.dataset.shown = page;
}

function showQuotes(quotes) {
  if (quotes.some((quote) => !symbols.has(quote.symbol))) {
    symbols.show(quotes.map((quote) => quote.symbol));
    overview.refresh();
  }
  quotes.forEach((quote) => symbols.quote(quote));
  overview.quote(quotes);
}

function showState(state) {
  setText(at('clock'), time(state.now));
  chart.tick(state.now);
  pipeline.take(state);
  const { source, state: feed, detail } = state.feed;
  if (feedState !== feed) chart.loadGapsSoon();
  feedState = feed;
  const level = { connected: 'ok', disconnected: 'bad', stopped: 'bad' }[feed] ?? 'wait';
  setFeed(level, [source, detail || feed].filter(Boolean).join(' · '));
}

function setFeed(level, text) {
  if (at('feed').dataset.state !== level) at('feed').dataset.state = level;
  setText(at('feed-text'), text);
}

/** Single keys, where nothing is typed. */
function key(event) {
  const isTyping = event.target.matches?.('input[type=search]') || at('help').open;
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const byKey = {
    '/': () => { go('chart'); at('search').focus(); },
    '?': () => at('help').showModal(),
    c: () => go('chart'),
    m: () => { location.hash = '#/market'; },
    p: () => { location.hash = '#/pipeline'; },
    t: switchTheme,
    e: () => chart.explain(),
    i: () => at('indicators').toggleAttribute('open'),
    j: () => symbols.step(1),
    k: () => symbols.step(-1),
  };
  const interval = intervals[Number(event.key) - 1];
  const act = interval ? () => open(chart.symbol, interval) : byKey[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

function go(page) {
  if (page === 'chart' && document.body.dataset.shown !== 'chart') open(chart.symbol, chart.interval);
}
