// Asks for the figures every second and shows them. What a browser hides asks for nothing.

import { count, dayAndTime, duration, time } from './format.js';

const EVERY_MS = 1000;
/** After so long without a beat the figures are called old. */
const OLD_MS = 10_000;

const find = (id) => document.getElementById(id);
const ms = (us) => `${(us / 1000).toFixed(us < 10_000 ? 1 : 0)} ms`;
const rate = (value) => value.toLocaleString('en-US', { maximumFractionDigits: value < 100 ? 1 : 0 });
const mebibytes = (bytes) => (bytes == null ? '–' : `${Math.round(bytes / 1048576)} MiB`);
const records = (value) => `${count(value)} record${value === 1 ? '' : 's'}`;
const orDash = (value, show) => (value == null ? '–' : show(value));

/** An element with a text and attributes. Texts are never taken for markup. */
function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text != null) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function row(cells, labels = []) {
  const made = element('tr');
  made.append(...cells.map((cell, index) => {
    const td = cell instanceof Node ? cell : element('td', cell);
    if (labels[index]) td.dataset.label = labels[index];
    return td;
  }));
  return made;
}

function showStatus(figures) {
  const age = figures.beats.length ? figures.now - figures.beats.at(-1).at : null;
  const isOld = age != null && age > OLD_MS;
  find('status').dataset.state = figures.ready && !isOld ? 'ready' : 'waiting';
  const beat = age == null ? 'no beat yet' : `last beat ${duration(age)} ago`;
  find('status-text').textContent = `${figures.ready ? 'at work' : 'not ready'}, ${beat}`;
  find('reason').hidden = figures.reason == null;
  if (find('reason').textContent !== (figures.reason ?? '')) find('reason').textContent = figures.reason ?? '';
  find('about').textContent = `version ${figures.version}, up ${duration(figures.now - figures.started)}`;
}

function showTiles(figures) {
  const total = Math.max(1, figures.counts.total - figures.counts.control);
  const tiles = [
    ['Read', `${rate(figures.rates.total)}/s`, `${rate(figures.rates.merged)}/s merged`],
    ['Lag', records(figures.lag_records), orDash(figures.lag_ms, (lag) => `${duration(lag)} at this pace`)],
    ['Watermark', orDash(figures.watermark_lag_ms, (lag) => `${duration(lag)} behind`), orDash(figures.watermark, dayAndTime)],
    ['Last beat', orDash(figures.beats.at(-1), (beat) => ms(beat.flush_us + beat.commit_us)), orDash(figures.beats.at(-1), (beat) => records(beat.records))],
    ['State', `${count(figures.open_windows)} windows`, `${count(figures.symbols)} symbols, ${mebibytes(figures.resident_bytes)} of memory`],
    ['Late', `${(figures.counts.late / total * 100).toFixed(2)} %`, `${count(figures.counts.late)} trades`],
  ];
  find('tiles').replaceChildren(...tiles.map(([name, value, more]) => {
    const tile = element('div');
    const shown = element('dd', value);
    shown.append(element('small', more));
    tile.append(element('dt', name), shown);
    return tile;
  }));
}

function showPartitions(figures) {
  const labels = [...document.querySelectorAll('.partitions th')].map((head) => head.textContent);
  const rows = figures.partitions.map((one) => {
    const task = element('td');
    task.append(element('span', one.state, { class: 'task', 'data-state': one.state }));
    return row([
      String(one.partition), task, rate(one.read_rate), rate(one.arrival_rate),
      count(one.lag_records), count(one.next_offset),
      orDash(one.watermark, (at) => `${dayAndTime(at).slice(0, -5)}${time(at, true)}`),
      orDash(one.watermark_lag_ms, duration), count(one.open_windows), count(one.counts.merged),
      count(one.counts.late), count(one.counts.rejected), count(one.counts.duplicate),
    ], labels);
  });
  find('partitions').replaceChildren(...rows);
  find('no-partitions').hidden = rows.length > 0;
}

function showBeats(beats) {
  const svg = find('beats');
  const spent = beats.map((beat) => beat.flush_us + beat.commit_us);
  const highest = Math.max(1000, ...spent);
  const bars = beats.flatMap((beat, index) => {
    const bar = (kind, from, length) => {
      const made = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
      const height = length / highest * 114;
      const box = { class: kind, x: index * 10 + 1, y: 118 - from / highest * 114 - height, width: 8, height };
      for (const [key, value] of Object.entries(box)) made.setAttribute(key, value);
      return made;
    };
    return [bar('flush', 0, beat.flush_us), bar('commit', beat.flush_us, beat.commit_us)];
  });
  svg.replaceChildren(...bars);
  find('beats-scale').textContent = `· highest ${ms(highest)}`;
  const line = (name, of, show) => {
    const sorted = beats.map(of).sort((a, b) => a - b);
    const pick = (index) => orDash(sorted[index], show);
    return row([name, orDash(beats.at(-1), (beat) => show(of(beat))), pick(Math.floor(sorted.length / 2)), pick(sorted.length - 1)]);
  };
  find('beat-times').replaceChildren(
    line('From commit to commit', (beat) => beat.beat_us, ms),
    line('Store flush', (beat) => beat.flush_us, ms),
    line('Commit', (beat) => beat.commit_us, ms),
    line('Records', (beat) => beat.records, count),
  );
}

function showRecords({ counts, rates }) {
  const share = (value) => (counts.total ? `${(value / counts.total * 100).toFixed(2)} %` : '–');
  const rows = ['merged', 'late', 'rejected', 'duplicate', 'control', 'total'].map((name) =>
    row([name, count(counts[name]), share(counts[name]), rate(rates[name])]));
  find('records').replaceChildren(...rows);
}

function showProblems({ problems, now }) {
  const items = problems.map((one) => {
    const item = element('li');
    const times = one.count > 1 ? ` (${count(one.count)} times)` : '';
    item.append(
      element('time', `${duration(now - one.at)} ago`, { datetime: new Date(one.at).toISOString(), class: 'quiet' }),
      element('span', one.level, { 'data-level': one.level }),
      element('span', `${one.text}${times}`, { class: 'text' }),
    );
    return item;
  });
  find('problems').replaceChildren(...(items.length ? items : [element('li', 'None since the start.', { class: 'quiet' })]));
}

async function showConfiguration() {
  const sections = await (await fetch('/api/v1/config')).json();
  const shown = (value) => (Array.isArray(value) ? value.join(', ') : String(value));
  find('keys').replaceChildren(...Object.entries(sections).map(([name, keys]) => {
    const table = element('table');
    table.append(...Object.entries(keys).map(([key, value]) => row([key, shown(value) || '–'])));
    const section = element('section');
    section.append(element('h3', name), table);
    return section;
  }));
}

function show(figures) {
  showStatus(figures);
  showTiles(figures);
  showPartitions(figures);
  showBeats(figures.beats);
  showRecords(figures);
  showProblems(figures);
  document.body.dataset.now = figures.now;
}

async function ask() {
  if (!document.hidden) {
    try {
      const answer = await fetch('/api/v1/state', { signal: AbortSignal.timeout(5000) });
      if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
      show(await answer.json());
    } catch (problem) {
      find('status').dataset.state = 'gone';
      find('status-text').textContent = `the stream does not answer: ${problem.message}`;
    }
  }
  setTimeout(ask, EVERY_MS);
}

find('configuration').addEventListener('toggle', (event) => {
  if (event.target.open) showConfiguration().catch((problem) => { find('keys').textContent = problem.message; });
});
ask();
