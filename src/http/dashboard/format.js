// Numbers and times as people read them; all times are UTC, like the windows of the bars.

const whole = new Intl.NumberFormat('en-US');

/** 1234567 -> "1,234,567"; null -> "–". */
export const count = (value) => (value == null ? '–' : whole.format(value));

/** 1234567 -> "1.23 M": for volumes, where digits do not matter. */
export function short(value) {
  if (value == null) return '–';
  for (const [unit, size] of [['B', 1e9], ['M', 1e6], ['k', 1e3]]) {
    if (Math.abs(value) >= size) return `${(value / size).toFixed(value / size >= 100 ? 0 : 2)} ${unit}`;
  }
  return Number(value.toPrecision(4)).toString();
}

/** Made once each: making one takes a hundred times as long as using it. */
const fixed = Array.from({ length: 9 }, (_, decimals) =>
  new Intl.NumberFormat('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: decimals }));
const minute = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', timeZone: 'UTC' });

/** A price with the decimals of its market, at most 8. */
export const price = (value, decimals) => (value == null ? '–' : fixed[decimals].format(value));

const decimalsIn = (value) => {
  const text = value.toString();
  const at = text.indexOf('.');
  return at < 0 || text.includes('e') ? 0 : text.length - at - 1;
};

/** The decimals that show four of five of these prices exactly: at least 2, at most 8. */
export function decimalsOf(values) {
  const needed = values.filter((value) => value != null).map(decimalsIn).sort((a, b) => a - b);
  return Math.min(Math.max(2, needed[Math.floor(needed.length * 0.8)] ?? 2), 8);
}

/** A price with all of its own decimals, and at least those of its market. */
export const exact = (value, decimals) =>
  value == null ? '–' : price(value, Math.min(Math.max(decimals, decimalsIn(value)), 8));

/** A price in a narrow list. */
export const rough = (value) => price(value, value >= 10 ? 2 : value >= 1 ? 4 : 5);

/** 09:30:00, or 09:30:00.123 with milliseconds. */
export const time = (ms, withMilliseconds = false) =>
  new Date(ms).toISOString().slice(11, withMilliseconds ? 23 : 19);

/** 5 Jan 09:30. */
export const dayAndTime = (ms) => minute.format(ms).replace(',', '');

/** 3.2 s, 5 min, 2.1 h, 12 d. */
export function duration(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 90) return `${seconds.toFixed(1)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${(seconds / 3600).toFixed(1)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** 0.5 -> "+0.50 %", -12.3 -> "−12.30 %". */
export const percent = (value) => (value == null ? '–' : `${value < 0 ? '−' : value > 0 ? '+' : ''}${Math.abs(value).toFixed(2)} %`);

/** How much of a time was covered: 1 -> "100 %", 0.9997 -> "99.9 %", since what is not all must not read as all. */
export const covered = (share) => (share >= 1 ? '100 %' : `${(Math.floor(share * 1000) / 10).toFixed(1)} %`);

/** up, down, or nothing when it stands still: a class. */
export const direction = (value) => (value > 0 ? 'up' : value < 0 ? 'down' : '');

/** How long until then: 2:13, or 1:02:13; 0:00 when it is past. */
export function countdown(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const two = (value) => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** "BINANCE:BTCUSDT" -> ["BTCUSDT", "BINANCE"]; "AAPL" -> ["AAPL", ""]. */
export function symbolParts(symbol) {
  const at = symbol.indexOf(':');
  return at < 0 ? [symbol, ''] : [symbol.slice(at + 1), symbol.slice(0, at)];
}
